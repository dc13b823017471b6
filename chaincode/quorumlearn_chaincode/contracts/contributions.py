"""The contract `blocks`, key ceremony: each seat's contribution, step by step."""

from __future__ import annotations

from quorumlearn_proto.block_pb2 import BlameVote, Ceremony, CeremonyStep, Fault, KeyContribution
from quorumlearn_proto.derived import beacon_commitment
from quorumlearn_proto.protocol import CEREMONY
from quorumlearn_proto.recompute import recomputes, replays
from quorumlearn_proto.task_pb2 import Exactness, Task, TaskSpec, TaskStatus

from .arguments import (
    artifact,
    bad,
    digest,
    line,
    record,
    sealing_key,
    secret_bytes,
    shown,
    task_id,
    whole,
)
from .call import Call
from .ceremony import blame_fault, under_way
from .errors import Code, Refusal
from .rounds import advance, close_ceremony
from .specification import MAX_ROUNDS, MAX_SEATS
from .standing import seat_of
from .tables import CEREMONIES, CONTRIBUTIONS

_IDENTIFYING = ("task_id", "round", "attempt", "seat", "verifier")
_WITHHOLDING = (Fault.BAD_PUBLIC_SHARE, Fault.BAD_DEALING, Fault.BAD_TEST_PARTIAL)
"""What it is to withhold the artifact of KEY_COMMIT, KEY_REVEAL or KEY_TEST."""


def commit_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _given(text, ("public_share", "beacon_commitment", "sealing_key", "start_commitment", "profile"))
    artifact("public_share", given.public_share)
    digest("beacon_commitment", given.beacon_commitment)
    sealing_key("sealing_key", given.sealing_key)
    _contribute(call, name, number, attempt, CeremonyStep.KEY_COMMIT, given)


def reveal_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _given(text, ("sealed_shares",))
    artifact("sealed_shares", given.sealed_shares)
    _contribute(call, name, number, attempt, CeremonyStep.KEY_REVEAL, given)


def test_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _artifact_or_complaint(text, "test_partial")
    _contribute(call, name, number, attempt, CeremonyStep.KEY_TEST, given)


def confirm_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _artifact_or_complaint(text, "confirmed_key", "start")
    _contribute(call, name, number, attempt, CeremonyStep.KEY_CONFIRM, given)


def open_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _given(text, ("opened_sealing_key",))
    sealing_key("opened_sealing_key", given.opened_sealing_key)
    _contribute(call, name, number, attempt, CeremonyStep.KEY_OPEN, given)


def blame_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _given(text, ("blame",))
    if not given.HasField("blame"):
        raise bad("blame is missing: give a vote, without blames if it was nobody's fault")
    if len(given.blame.blames) > MAX_SEATS:
        raise bad(f"blame names {len(given.blame.blames)} seats: a committee has at most {MAX_SEATS}")
    for blame in given.blame.blames:
        line("a blame's detail", blame.detail)
    _contribute(call, name, number, attempt, CeremonyStep.KEY_BLAME, given)


def _artifact_or_complaint(text: str, field: str, *beside: str) -> KeyContribution:
    given = _given(text, (field, "complaint", "withheld", *beside))
    if given.HasField(field) == bool(given.complaint):
        raise bad(f"give either {field} or a complaint, why there is none")
    if given.complaint:
        line("complaint", given.complaint)
    else:
        artifact(field, getattr(given, field))
    if given.HasField("withheld"):
        _check_withheld(given)
    return given


def _check_withheld(given: KeyContribution) -> None:
    if not given.complaint:
        raise bad("withheld stands beside a complaint, which says why there is no artifact")
    if not 1 <= given.withheld.seat <= MAX_SEATS:
        raise bad(f"withheld.seat is {given.withheld.seat}: seats are 1 to {MAX_SEATS}")
    if given.withheld.fault not in _WITHHOLDING:
        faults = ", ".join(Fault.Name(fault) for fault in _WITHHOLDING)
        raise bad(f"withheld.fault is {given.withheld.fault}: give {faults}")
    artifact("withheld.artifact", given.withheld.artifact)


def _given(text: str, fields: tuple[str, ...]) -> KeyContribution:
    """The contribution with the fields of its step; what names its seat may stand beside them."""
    given = record(KeyContribution, text)
    for descriptor, _ in given.ListFields():
        if descriptor.name not in fields + _IDENTIFYING:
            raise bad(f"{descriptor.name} does not belong to this step: give {', '.join(fields)}")
    return given


def _contribute(
    call: Call, name: str, number: str, attempt: str, step: CeremonyStep, given: KeyContribution
) -> None:
    task, seat = seat_of(call, task_id(name))
    ceremony = _ceremony(call, task, number, attempt, step)
    if seat not in ceremony.seats:
        raise Refusal(Code.WRONG_ROLE, f"seat {seat} does not take part in this ceremony any more")
    key = (name, ceremony.round, ceremony.attempt, seat)
    mine = KeyContribution(
        task_id=name, round=ceremony.round, attempt=ceremony.attempt, seat=seat, verifier=call.actor
    )
    for field in _IDENTIFYING:
        if getattr(given, field) not in (type(getattr(mine, field))(), getattr(mine, field)):
            raise bad(f"{field} is not the submitter's: leave it out, or give {getattr(mine, field)}")
    held = call.ledger.get(CONTRIBUTIONS, *key) or KeyContribution()
    if CEREMONY[step].done(held):
        raise Refusal(Code.ALREADY_POSTED, f"seat {seat} has done {CeremonyStep.Name(step)}")
    if given.HasField("blame"):
        _check_blame(call, given.blame, ceremony)
    if step == CeremonyStep.KEY_COMMIT:
        _check_replaying(task.spec, given)
    if step == CeremonyStep.KEY_CONFIRM:
        _check_start(task.spec, given, held)
    held.MergeFrom(given)
    held.MergeFrom(mine)
    call.ledger.put(CONTRIBUTIONS, held, *key)
    call.event.round = ceremony.round
    if not call.pending and close_ceremony(call, task, ceremony.round):
        call.event.moved = True
        _round_may_go_on(call, task, ceremony.round)


def _ceremony(call: Call, task: Task, number: str, attempt: str, step: CeremonyStep) -> Ceremony:
    wanted, counted = whole("round", number, 1, MAX_ROUNDS), whole("attempt", attempt, 1, MAX_SEATS + 1)
    ceremony = call.ledger.get(CEREMONIES, task.spec.task_id, wanted)
    if ceremony is None:
        raise Refusal(
            Code.NO_SUCH_ROUND, f"the ceremony of round {wanted} of {task.spec.task_id} is not open"
        )
    if ceremony.step != step or ceremony.attempt != counted:
        raise Refusal(
            Code.WRONG_PHASE,
            f"the ceremony of round {wanted} is in step {CeremonyStep.Name(ceremony.step)} of attempt "
            f"{ceremony.attempt}, this belongs to {CeremonyStep.Name(step)} of attempt {counted}",
        )
    state = call.state(task.spec.task_id)
    if state.round > wanted or state.status != TaskStatus.RUNNING:
        raise Refusal(Code.WRONG_PHASE, f"round {wanted} of {task.spec.task_id} is over")
    return ceremony


def _check_replaying(spec: TaskSpec, given: KeyContribution) -> None:
    """What a seat commits to and says of itself where trainings are replayed, and in no other task."""
    profiled = replays(spec) and spec.recompute.exactness == Exactness.PROFILE
    for field, wanted in (("start_commitment", recomputes(spec)), ("profile", profiled)):
        value = getattr(given, field)
        if wanted:
            digest(field, value)
        elif value:
            raise bad(f"{field} is {shown(value)}, and this task has no use for it: leave it out")


def _check_start(spec: TaskSpec, given: KeyContribution, held: KeyContribution) -> None:
    """Who confirms a key reveals its part of the start beacon with it; who complains need not, since the attempt has failed."""
    if not recomputes(spec):
        if given.start:
            raise bad(f"start is {shown(given.start)}, and this task has no use for it: leave it out")
        return
    if not given.start and given.complaint:
        return
    if beacon_commitment(secret_bytes("start", given.start)) != held.start_commitment:
        raise Refusal(Code.DIGEST_MISMATCH, "start is not the secret committed to as start_commitment")


def _check_blame(call: Call, vote: BlameVote, ceremony: Ceremony) -> None:
    at = (ceremony.task_id, ceremony.round, ceremony.attempt)
    call.ledger.load(*((CONTRIBUTIONS, *at, blame.seat) for blame in vote.blames))
    named = {blame.seat: call.ledger.get(CONTRIBUTIONS, *at, blame.seat) for blame in vote.blames}
    fault = blame_fault(vote, {seat: part for seat, part in named.items() if part is not None})
    if fault:
        raise bad(f"the blame contradicts the ledger: {fault}")


def _round_may_go_on(call: Call, task: Task, number: int) -> None:
    ceremony = call.ledger.get(CEREMONIES, task.spec.task_id, number)
    if ceremony is not None and not under_way(ceremony) and call.state(task.spec.task_id).round == number:
        advance(call, task, deadlines=False)
