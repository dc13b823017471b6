"""A fault that the ledger has recorded, judged again from what is public (for nodes.audit.replay).

Who missed a step or voted otherwise is on the ledger. Failed ceremonies are laid open and judged anew (nodes.committee.blame). A partial
decryption is held against the others. Of sketch shares, sealed to the committee, only that they are missing or malformed is public, and
of a vote's basis that it is another seat's: the rest is the word of t seats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SketchShares
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.contribution import contributions_fault
from quorumlearn_proto.derived import bare_selection, fixed_ballot
from quorumlearn_proto.gate import score_fault, score_fell
from quorumlearn_proto.protocol import ROUND, STEPS
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks
from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    ArtifactTooLarge,
    BadReference,
)
from quorumlearn.nodes import candidate, exchange
from quorumlearn.nodes.audit.records import shown_by, turn_at
from quorumlearn.nodes.committee import blame
from quorumlearn.nodes.committee.attempt import Attempt
from quorumlearn.nodes.encryption import polynomial_bytes
from quorumlearn.nodes.steps import screening, seats_record

GONE = (ArtifactMissing, ArtifactCorrupt)
"""An artifact that the store does not hold (any more)."""
RIGHT = (b.GOOD, b.SCORE_FELL)
"""Ballots that find the candidate to be what the aggregate gives."""
WRONG = (ArtifactTooLarge, BadReference, exchange.ExchangeError, DecodeError, ckks.CkksError)
"""One that is not what the ledger says of it."""


@dataclass(frozen=True)
class Judgement:
    """Whether a recorded fault holds; None if that cannot be seen."""

    holds: bool | None
    why: str


def votes_for(view: b.TaskView) -> list[int]:
    """The seats that voted the round's selection."""
    agreed = bare_selection(view.round.selection)
    return [
        one.seat
        for one in view.screenings
        if one.HasField("selection") and bare_selection(one.selection) == agreed
    ]


def partials_of(view: b.TaskView) -> dict[int, ArtifactRef]:
    """By seat, what was posted as a partial decryption of the round's aggregate, also by seats put out since."""
    return {
        one.seat: one.partial
        for one in view.screenings
        if one.HasField("partial") and one.aggregate_ciphertext == view.round.aggregate_ciphertext
    }


def judged_again(
    parameters: ckks.Parameters,
    store: ArtifactStore,
    view: b.TaskView,
    parts: Mapping[int, b.KeyContribution],
    one: b.Misconduct,
    turns: Sequence[Sequence[b.Ballot]] = (),
) -> Judgement:
    """`view` is that of the fault's round, `parts` are the contributions to its attempt, if it belongs to a ceremony; `turns` are the
    ballots on each proposer's candidate."""
    if one.attempt:
        return _in_ceremony(parameters, store, parts, one)
    if one.fault == b.MISSED_STEP:
        return _missed(view, one, turns)
    if one.fault == b.FALSE_VOTE:
        return _voted(view, parameters.threshold, one, turns)
    said = {word.accuser for word in view.accusations if (word.seat, word.fault) == (one.seat, one.fault)}
    if len(said) < parameters.threshold or not said.issuperset(one.accusers):
        return Judgement(False, f"only seats {sorted(said)} accused it")
    if one.fault == b.UNFOUNDED_VOTE:
        return _unfounded(view, one)
    if one.fault == b.BAD_SKETCH_SHARES:
        return _sketch_shares(parameters, store, view, one)
    return _partial(parameters, store, view, one)


def _in_ceremony(
    parameters: ckks.Parameters,
    store: ArtifactStore,
    parts: Mapping[int, b.KeyContribution],
    one: b.Misconduct,
) -> Judgement:
    if one.fault == b.MISSED_STEP:
        acted = STEPS[one.step].done(parts.get(one.seat))
        return Judgement(not acted, "it acted" if acted else "it did not act")
    attempt = Attempt(parameters, store, one.task_id, one.round, one.attempt, parts)
    found = {(finding.seat, finding.fault): finding.why for finding in blame.judge(attempt)}
    why = found.get((one.seat, one.fault))
    if why is not None:
        return Judgement(True, why)
    if absent := blame.absent(attempt):
        return Judgement(None, f"{len(absent)} artifacts of the attempt are not in the store")
    return Judgement(False, "what the attempt left shows no such fault")


def _missed(view: b.TaskView, one: b.Misconduct, turns: Sequence[Sequence[b.Ballot]]) -> Judgement:
    step = next(step for step in ROUND.values() if step.name == one.step)
    if step.at == b.VALIDATE:
        turn = turn_at(view.round, one.at_ms)
        acted = any(one.seat in shown_by(ballots) for ballots in turns[turn : turn + 1])
    else:
        acted = step.done(seats_record(view, step, one.seat))
    return Judgement(not acted, "it acted" if acted else "it did not act")


def _voted(
    view: b.TaskView, threshold: int, one: b.Misconduct, turns: Sequence[Sequence[b.Ballot]]
) -> Judgement:
    posted = screening(view, one.seat) or b.Screening()
    if one.step == "SELECT":
        differs = bare_selection(posted.selection) != bare_selection(view.round.selection)
    elif one.step == "OPEN":
        differs = posted.aggregate_ciphertext != view.round.aggregate_ciphertext
    else:
        differs = any(_outvoted(ballots, threshold, one.seat) for ballots in turns)
    return Judgement(differs, "it voted otherwise" if differs else "it voted as the others")


def _outvoted(ballots: Sequence[b.Ballot], threshold: int, seat: int) -> bool:
    """Whether t ballots on a candidate say otherwise than this seat's of what the aggregate gives."""
    own = next((one.reason for one in ballots if one.seat == seat), b.UNAVAILABLE)
    against = RIGHT if own == b.WRONG_MODEL else (b.WRONG_MODEL,) if own in RIGHT else ()
    return sum(one.reason in against for one in ballots) >= threshold


def as_fixed(ballot: b.Ballot) -> bool:
    """Whether a shown ballot is what its seat had fixed."""
    return hashlib.sha256(fixed_ballot(ballot)).hexdigest() == ballot.fixed.digest


def contradicts(ballot: b.Ballot, spec: TaskSpec, groups: int) -> bool:
    """Whether a ballot says otherwise of the score, or of what so many groups contribute to it, than its own scores do."""
    if contributions_fault(ballot, spec, groups):
        return True
    if ballot.reason not in RIGHT:
        return False
    return bool(score_fault(ballot, spec)) or (ballot.reason == b.SCORE_FELL) != score_fell(ballot, spec)


def copied_bases(view: b.TaskView) -> list[list[int]]:
    """The seats that voted with one basis: each seat's is another, so all but one of them have copied it."""
    seats: dict[str, list[int]] = {}
    for one in view.screenings:
        if one.basis:
            seats.setdefault(one.basis, []).append(one.seat)
    return [alike for alike in seats.values() if len(alike) > 1]


def _unfounded(view: b.TaskView, one: b.Misconduct) -> Judgement:
    for alike in copied_bases(view):
        if one.seat in alike:
            return Judgement(True, f"seats {alike} voted with one basis")
    return Judgement(None, f"sealed sketches; seats {sorted(one.accusers)} say: {one.detail}")


def _sketch_shares(
    parameters: ckks.Parameters, store: ArtifactStore, view: b.TaskView, one: b.Misconduct
) -> Judgement:
    revealed = sum(sub.HasField("manifest") for sub in view.submissions)
    limit = polynomial_bytes(parameters, max(1, revealed))
    posted = screening(view, one.seat) or b.Screening()
    try:
        exchange.get(
            store,
            SketchShares,
            posted.sketch_shares,
            limit,
            task_id=one.task_id,
            round=one.round,
            seat=one.seat,
        )
    except GONE:
        return Judgement(True, "its shares are not in the store")
    except WRONG as error:
        return Judgement(True, str(error))
    return Judgement(None, f"sealed shares; seats {sorted(one.accusers)} say: {one.detail}")


def _partial(
    parameters: ckks.Parameters, store: ArtifactStore, view: b.TaskView, one: b.Misconduct
) -> Judgement:
    try:
        total = candidate.aggregate_of(store, parameters, view.round)
    except GONE:
        return Judgement(None, "the aggregate's ciphertext is not in the store")
    refs, partials = partials_of(view), {}
    for seat, ref in refs.items():
        try:
            partials[seat] = candidate.read_partial(store, parameters, view.round, total, seat, ref)
        except GONE:
            if seat == one.seat:
                return Judgement(True, "its partial decryption is not in the store")
        except WRONG as error:
            if seat == one.seat:
                return Judgement(True, str(error))
    try:
        total.open(partials)
    except ckks.BadPartial:
        return Judgement(
            True, f"the partial decryptions disagree; seats {sorted(one.accusers)} say: {one.detail}"
        )
    except ckks.ParameterError as error:
        return Judgement(None, str(error))
    if len(partials) == parameters.threshold:
        return Judgement(None, f"none to spare; seats {sorted(one.accusers)} say: {one.detail}")
    return Judgement(False, "its partial decryption agrees with the others")
