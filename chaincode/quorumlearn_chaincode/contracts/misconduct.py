"""What a committee member did wrong: a slash, and a Misconduct record that says what it rests on.

- One record a seat, round, attempt (0 in the round's phases) and fault. Each fault also ends the seat's part in
  the round, or in what is left of the ceremony; so none is recorded twice.
- `slashed` is what was taken: the task's slash, or what was left of the stake. Which fault costs one is in the table of
  quorumlearn_proto.penalties. A missed step does where the seat missed something of the round before too, and t others acted.
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
from quorumlearn_proto.penalties import Cost, fault_penalty
from quorumlearn_proto.task_pb2 import Task

from .call import Call
from .ceremony import FAULTS
from .ledger import Possible
from .seats import holder, seat_numbers
from .tables import ACCUSATIONS, MISCONDUCTS, SCREENINGS
from .tokens import slash

_POSTED = {
    Fault.BAD_SKETCH_SHARES: "sketch_shares",
    Fault.UNFOUNDED_VOTE: "sketch_shares",
    Fault.BAD_PARTIAL: "partial",
    Fault.FALSE_REPLAY: "replays",
}
"""By the fault of which seats accuse each other in a round, what of the accused it rests on."""
_IN_ROUND = (Fault.MISSED_STEP, Fault.FALSE_VOTE, *_POSTED)
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
        reports = any(entry.phase == Phase.REPLAY for entry in round_.times)
        possible = [fault for fault in _IN_ROUND if reports or fault != Fault.FALSE_REPLAY]
        last += [(0, seat, fault) for seat in gone for fault in possible]
    return Possible(MISCONDUCTS, (ceremony.task_id, ceremony.round), last)


def record_round_faults(
    call: Call, task: Task, round_: Round, missed: Sequence[int], false_votes: Sequence[int]
) -> None:
    """Seats that were missing from the round's phase, or voted falsely in it, leave the round."""
    heard = len(round_.seats) - len(missed) >= task.spec.committee.threshold
    for seat in missed:
        _record_missed(call, task, _in_round(call, round_, seat, Fault.MISSED_STEP), heard)
        round_.seats.remove(seat)
    for seat in false_votes:
        _record(call, task, _in_round(call, round_, seat, Fault.FALSE_VOTE))
        round_.seats.remove(seat)


def record_accused(call: Call, task: Task, round_: Round, words: Sequence[Accusation]) -> None:
    """The seat that t others accuse, in equal `words`, leaves the round."""
    seat, fault = words[0].seat, words[0].fault
    misconduct = _in_round(call, round_, seat, fault)
    posted = call.ledger.get(SCREENINGS, round_.task_id, round_.number, seat) or Screening()
    misconduct.accusers.extend(entry.accuser for entry in words)
    misconduct.evidence.extend(_evidence(posted, _POSTED[fault]))
    misconduct.detail = words[0].detail
    _record(call, task, misconduct)
    round_.seats.remove(seat)


def record_missing_steps(call: Call, task: Task, ceremony: Ceremony, missed: Sequence[int]) -> None:
    """Seats that were missing from the ceremony's step."""
    heard = len(ceremony.seats) - len(missed) >= task.spec.committee.threshold
    for seat in missed:
        verifier = holder(call, ceremony.task_id, seat)
        _record_missed(call, task, _in_ceremony(ceremony, seat, verifier, Fault.MISSED_STEP), heard)


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


def _record_missed(call: Call, task: Task, misconduct: Misconduct, heard: bool) -> None:
    """Record a missed step; `heard`: at least t other seats acted in it."""
    _record(call, task, misconduct, second=heard and _missed_before(call, task, misconduct))


def _missed_before(call: Call, task: Task, misconduct: Misconduct) -> bool:
    """Whether the verifier missed something of the round before: of its ceremony or, if it took part in this round's, of its phases.

    A seat that has said that nobody can tell whose sketch shares are false has no selection to vote.
    """
    said = (misconduct.seat, 0, int(Fault.BAD_SKETCH_SHARES))
    if misconduct.step == Phase.Name(Phase.SELECT) and call.ledger.get(
        ACCUSATIONS, misconduct.task_id, misconduct.round, *said
    ):
        return False
    first = 1 if misconduct.attempt else 0
    attempts = range(first, len(task.spec.committee.msp_ids) + 2)
    keys = [(attempt, misconduct.seat, int(Fault.MISSED_STEP)) for attempt in attempts]
    found = call.ledger.among(MISCONDUCTS, misconduct.task_id, misconduct.round - 1, last=keys)
    return any(entry.verifier == misconduct.verifier for entry in found)


def _record(call: Call, task: Task, misconduct: Misconduct, second: bool = False) -> None:
    at = (misconduct.task_id, misconduct.round)
    cost = fault_penalty(misconduct.fault, misconduct.step).cost
    if cost is Cost.STAKE or (cost is Cost.SECOND and second):
        amount = task.spec.stakes.verifier_slash
        misconduct.slashed = slash(call, misconduct.task_id, misconduct.verifier, amount)
    misconduct.at_ms = call.now_ms
    key = (*at, misconduct.attempt, misconduct.seat, int(misconduct.fault))
    if call.ledger.get(MISCONDUCTS, *key) is not None:
        raise RuntimeError(f"misconduct {key} would be recorded twice")
    call.ledger.put(MISCONDUCTS, misconduct, *key)
