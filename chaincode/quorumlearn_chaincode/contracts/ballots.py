"""Ballots on candidates and on challenged blocks.

In VALIDATE a seat first fixes its ballot, by the digest of an artifact that nobody can guess: the ballot with a nonce. Once all seats of
the round have, they show the artifacts in the store, and one seat puts all of them on the ledger. So nobody copies what others
found while it can still vote. With half of the phase's time over, what is fixed may be shown without the others. Once any is shown
none is fixed any more, and who has shown nothing by the deadline has missed the step.
"""

from __future__ import annotations

import hashlib
import re

from quorumlearn_proto.block_pb2 import Ballot, BallotReason, Ballots, Phase, Round
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.contribution import contributions_fault, sums_of
from quorumlearn_proto.derived import fixed_ballot
from quorumlearn_proto.gate import metric_of, score_fault, score_fell
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.task_pb2 import Task, TaskSpec

from .arguments import artifact, bad, record, shown
from .call import Call
from .errors import Code, Refusal
from .reads import acts
from .rounds import move_on
from .seats import seat_numbers
from .standing import round_of_seat, seat_of
from .tables import BALLOTS, ROUNDS

_NONCE = re.compile(r"[0-9a-f]{64}", re.ASCII)


def vote_block(call: Call, name: str, number: str, text: str) -> None:
    """Fix a ballot. It closes nothing, and reads no other seat's."""
    _, seat = seat_of(call, name)
    round_ = round_of_seat(call, name, number, seat)
    key = (name, round_.number, round_.proposer_turn, seat)
    if call.ledger.get(BALLOTS, *key) is not None:
        raise Refusal(Code.ALREADY_VOTED, f"seat {seat} has voted on this candidate")
    if round_.ballots_shown:
        raise Refusal(Code.WINDOW_CLOSED, "ballots on this candidate have been shown: it is too late to vote")
    fixed = artifact("ballot", record(ArtifactRef, text))
    ballot = Ballot(task_id=name, round=round_.number, seat=seat, verifier=call.actor, fixed=fixed)
    call.ledger.put(BALLOTS, ballot, *key)
    call.event.shown.append(fixed)


def show_ballots(call: Call, name: str, number: str, text: str) -> None:
    """Show what seats have fixed, one's own or others'. Those that are shown already are passed over."""
    task, seat = seat_of(call, name)
    round_ = round_of_seat(call, name, number, seat)
    given = list(record(Ballots, text).ballots)
    rows = acts(call, round_, seat_numbers(task))
    assert rows is not None, "seats act in VALIDATE"
    call.ledger.load(*rows.places())
    fixed = {entry.seat: entry for entry in call.ledger.every(rows) if entry.seat in round_.seats}
    waits = [other for other in round_.seats if other not in fixed]
    if waits and not call.passed(_half_ms(task, round_)):
        raise Refusal(
            Code.NOT_DUE,
            f"seats {waits} have yet to vote: ballots are shown then, or when half of the time is over",
        )
    for ballot in given:
        if ballot.seat not in fixed:
            raise bad(f"seat {ballot.seat} has fixed no ballot on this candidate")
        _show(call, task, round_, fixed[ballot.seat], ballot)
    if not any(entry.reason for entry in fixed.values()):
        raise bad("ballots is empty: give what seats have fixed")
    if not round_.ballots_shown:
        round_.ballots_shown = True
        call.ledger.put(ROUNDS, round_, name, round_.number)
    move_on(call, task)


def given_ballot(ballot: Ballot, spec: TaskSpec, row: Ballot, groups: int = 1) -> Ballot:
    """A ballot as it is kept: what it says of its seat must be the same as in `row`, which names task, round, seat, verifier and model.
    `groups`: of how many it tells what they contribute, where these are several."""
    for field in ("task_id", "round", "seat", "verifier"):
        value, known = getattr(ballot, field), getattr(row, field)
        if value not in (type(value)(), known):
            raise bad(f"the ballot's {field} is {shown(str(value))}: {known}, or left out")
    if ballot.model != row.model:
        raise Refusal(
            Code.DIGEST_MISMATCH, f"the ballot is on model {shown(ballot.model)}, voted on is {row.model}"
        )
    if ballot.reason == BallotReason.BALLOT_REASON_UNSPECIFIED or ballot.reason not in BallotReason.values():
        raise bad("the ballot's reason is missing: GOOD, WRONG_MODEL, SCORE_FELL or UNAVAILABLE")
    _check_scores(ballot, spec)
    if fault := contributions_fault(ballot, spec, groups):
        raise bad(f"the ballot contradicts itself: {fault}")
    kept = Ballot()
    kept.CopyFrom(row)
    for field in ("reason", "score", "base_score", "chance", "total", "nonce"):
        setattr(kept, field, getattr(ballot, field))
    kept.contributions.extend(ballot.contributions)
    return kept


def _show(call: Call, task: Task, round_: Round, row: Ballot, ballot: Ballot) -> None:
    if row.reason:
        return
    if not _NONCE.fullmatch(ballot.nonce):
        raise bad("the ballot's nonce is not 32 bytes in lower-case hex")
    row.model = round_.candidate.model.digest
    kept = given_ballot(ballot, task.spec, row, len(sums_of(round_)))
    if hashlib.sha256(fixed_ballot(kept)).hexdigest() != row.fixed.digest:
        raise Refusal(Code.DIGEST_MISMATCH, f"this is not the ballot that seat {row.seat} has fixed")
    row.CopyFrom(kept)
    call.ledger.put(BALLOTS, row, round_.task_id, round_.number, round_.proposer_turn, row.seat)


def _half_ms(task: Task, round_: Round) -> int:
    """When half of the time of VALIDATE is over."""
    return int(round_.deadline_ms) - ROUND[Phase.VALIDATE].seconds(task.spec.timeouts) * 500


def _check_scores(ballot: Ballot, spec: TaskSpec) -> None:
    """Refuse a ballot whose numbers contradict each other, or what it says of the score."""
    if fault := score_fault(ballot, spec):
        raise bad(f"the ballot contradicts itself: {fault}")
    said = BallotReason.SCORE_FELL if score_fell(ballot, spec) else BallotReason.GOOD
    if ballot.reason in (BallotReason.GOOD, BallotReason.SCORE_FELL) and ballot.reason != said:
        raise bad(
            f"the ballot says {BallotReason.Name(ballot.reason)}: with a {metric_of(spec)} of {ballot.base_score} millionths before and "
            f"{ballot.score} now, where {ballot.chance} may be chance, it is {BallotReason.Name(said)}"
        )
