"""The contract `blocks`, key ceremony: each seat's contribution, step by step."""

from __future__ import annotations

from quorumlearn_proto.block_pb2 import Ceremony, CeremonyStep, KeyContribution
from quorumlearn_proto.task_pb2 import Task, TaskStatus

from .arguments import MAX_SEALING_KEY, MIN_SEALING_KEY, artifact, bad, digest, record, task_id, whole
from .call import Call
from .ceremony import ATTEMPTS, done, under_way
from .errors import Code, Refusal
from .rounds import advance, close_ceremony
from .specification import MAX_ROUNDS
from .standing import seat_of
from .tables import CEREMONIES, CONTRIBUTIONS

_IDENTIFYING = ("task_id", "round", "attempt", "seat", "verifier")


def commit_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _given(text, ("public_share", "beacon_commitment", "sealing_key"))
    artifact("public_share", given.public_share)
    digest("beacon_commitment", given.beacon_commitment)
    if not MIN_SEALING_KEY <= len(given.sealing_key) <= MAX_SEALING_KEY:
        raise bad(f"sealing_key has {len(given.sealing_key)} bytes: {MIN_SEALING_KEY} to {MAX_SEALING_KEY}")
    _contribute(call, name, number, attempt, CeremonyStep.KEY_COMMIT, given)


def reveal_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _given(text, ("sealed_shares",))
    artifact("sealed_shares", given.sealed_shares)
    _contribute(call, name, number, attempt, CeremonyStep.KEY_REVEAL, given)


def test_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _given(text, ("test_partial",))
    artifact("test_partial", given.test_partial)
    _contribute(call, name, number, attempt, CeremonyStep.KEY_TEST, given)


def confirm_key(call: Call, name: str, number: str, attempt: str, text: str) -> None:
    given = _given(text, ("confirmed_key",))
    artifact("confirmed_key", given.confirmed_key)
    _contribute(call, name, number, attempt, CeremonyStep.KEY_CONFIRM, given)


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
    if done(step, held):
        raise Refusal(Code.ALREADY_POSTED, f"seat {seat} has done {CeremonyStep.Name(step)}")
    held.MergeFrom(given)
    held.MergeFrom(mine)
    call.ledger.put(CONTRIBUTIONS, held, *key)
    call.event.round = ceremony.round
    if close_ceremony(call, task, ceremony.round, expired=False):
        call.event.moved = True
        _round_may_go_on(call, task, ceremony.round)


def _ceremony(call: Call, task: Task, number: str, attempt: str, step: CeremonyStep) -> Ceremony:
    wanted, counted = whole("round", number, 1, MAX_ROUNDS), whole("attempt", attempt, 1, ATTEMPTS)
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


def _round_may_go_on(call: Call, task: Task, number: int) -> None:
    ceremony = call.ledger.get(CEREMONIES, task.spec.task_id, number)
    if ceremony is not None and not under_way(ceremony) and call.state(task.spec.task_id).round == number:
        advance(call, task, deadlines=False)
