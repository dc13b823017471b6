"""What a committee member did wrong: a slash, and a Misconduct record that says what it rests on.

- One record a seat, round, attempt (0 in the round's phases) and fault. Each fault also ends the seat's part in
  the round, or in what is left of the ceremony; so none is recorded twice.
- `slashed` is what was taken: the task's slash, or what was left of the stake. UNFOUNDED_COMPLAINT costs nothing.
- The ledger itself sees who is missing (MISSED_STEP) and who votes otherwise than t equal votes (FALSE_VOTE).
  Every other fault rests on the words of t seats, its accusers, and names as evidence what the seat had posted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quorumlearn_proto.block_pb2 import (
    Accusation,
    Blame,
    Ceremony,
    CeremonyStep,
    Fault,
    KeyContribution,
    Misconduct,
    Phase,
    Round,
    Screening,
)
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import Task

from .call import Call
from .ceremony import FAULTS
from .ledger import Possible
from .seats import holder, seat_numbers
from .tables import MISCONDUCTS, SCREENINGS
from .tokens import slash

_SHARES = {Fault.BAD_SKETCH_SHARES: "sketch_shares", Fault.BAD_PARTIAL: "partial"}
_IN_ROUND = (Fault.MISSED_STEP, Fault.FALSE_VOTE, *_SHARES)
_DEALT = ("public_share", "sealed_shares", "test_partial", "confirmed_key")


def possible_misconducts(task: Task, ceremony: Ceremony, round_: Round | None) -> Possible[Misconduct]:
    """What there may be in the ceremony and then in its round: of seats that are no longer among theirs."""
    last: list[tuple[int, int, int]] = []
    left = [seat for seat in seat_numbers(task) if seat not in ceremony.seats]
    for attempt in range(1, ceremony.attempt + 1):
        over = attempt < ceremony.attempt or ceremony.step == CeremonyStep.KEY_FAILED
        faults = (Fault.MISSED_STEP, *FAULTS) if over else (Fault.MISSED_STEP,)
        last += [(attempt, seat, fault) for seat in left for fault in faults]
    if round_ is not None and round_.phase != Phase.KEY:
        gone = [seat for seat in ceremony.seats if seat not in round_.seats]
        last += [(0, seat, fault) for seat in gone for fault in _IN_ROUND]
    return Possible(MISCONDUCTS, (ceremony.task_id, ceremony.round), last)


def record_round_faults(
    call: Call, task: Task, round_: Round, missed: Sequence[int], false_votes: Sequence[int]
) -> None:
    """Seats that were missing from the round's phase, or voted falsely in it, leave the round."""
    faults = [(seat, Fault.MISSED_STEP) for seat in missed]
    faults += [(seat, Fault.FALSE_VOTE) for seat in false_votes]
    for seat, fault in faults:
        _record(call, task, _in_round(call, round_, seat, fault))
        round_.seats.remove(seat)


def record_accused(call: Call, task: Task, round_: Round, words: Sequence[Accusation]) -> None:
    """The seat that t others accuse, in equal `words`, leaves the round."""
    seat, fault = words[0].seat, words[0].fault
    misconduct = _in_round(call, round_, seat, fault)
    posted = call.ledger.get(SCREENINGS, round_.task_id, round_.number, seat) or Screening()
    misconduct.accusers.extend(entry.accuser for entry in words)
    misconduct.evidence.extend(_evidence(posted, _SHARES[fault]))
    misconduct.detail = words[0].detail
    _record(call, task, misconduct)
    round_.seats.remove(seat)


def record_missing_steps(call: Call, task: Task, ceremony: Ceremony, missed: Sequence[int]) -> None:
    """Seats that were missing from the ceremony's step."""
    for seat in missed:
        verifier = holder(call, ceremony.task_id, seat)
        _record(call, task, _in_ceremony(ceremony, seat, verifier, Fault.MISSED_STEP))


def record_blames(
    call: Call,
    task: Task,
    ceremony: Ceremony,
    blames: Sequence[Blame],
    accusers: Sequence[int],
    contributions: Mapping[int, KeyContribution],
) -> None:
    """Seats whom the `accusers` blame for the ceremony's failed attempt."""
    for blame in blames:
        posted = contributions[blame.seat]
        misconduct = _in_ceremony(ceremony, blame.seat, posted.verifier, blame.fault)
        misconduct.accusers.extend(accusers)
        misconduct.evidence.extend(_evidence(posted, *_DEALT))
        misconduct.detail = blame.detail
        _record(call, task, misconduct)


def _in_round(call: Call, round_: Round, seat: int, fault: Fault) -> Misconduct:
    return Misconduct(
        task_id=round_.task_id,
        round=round_.number,
        seat=seat,
        verifier=holder(call, round_.task_id, seat),
        fault=fault,
        step=Phase.Name(round_.phase),
    )


def _in_ceremony(ceremony: Ceremony, seat: int, verifier: str, fault: Fault) -> Misconduct:
    return Misconduct(
        task_id=ceremony.task_id,
        round=ceremony.round,
        attempt=ceremony.attempt,
        seat=seat,
        verifier=verifier,
        fault=fault,
        step=CeremonyStep.Name(ceremony.step),
    )


def _evidence(posted: KeyContribution | Screening, *fields: str) -> list[ArtifactRef]:
    return [getattr(posted, field) for field in fields if posted.HasField(field)]


def _record(call: Call, task: Task, misconduct: Misconduct) -> None:
    at = (misconduct.task_id, misconduct.round)
    amount = 0 if misconduct.fault == Fault.UNFOUNDED_COMPLAINT else task.spec.stakes.verifier_slash
    misconduct.slashed = slash(call, misconduct.task_id, misconduct.verifier, amount)
    misconduct.at_ms = call.now_ms
    key = (*at, misconduct.attempt, misconduct.seat, int(misconduct.fault))
    if call.ledger.get(MISCONDUCTS, *key) is not None:
        raise RuntimeError(f"misconduct {key} would be recorded twice")
    call.ledger.put(MISCONDUCTS, misconduct, *key)
