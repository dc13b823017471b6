"""A task's committee: whose seat is whose, which seats are free, and how one leaves.

- Seat i (from 1) is the i-th committee organisation's. A reserve organisation may hold any seat that has become
  free, one at a time.
- A seat is free while nobody holds it. One that was never taken is kept for its own organisation until the task
  starts.
- A seat is free, too, once its holder's stake no longer covers a slash and no round or ceremony that it takes
  part in is under way. Its holder may take it again with a fresh stake.
- Who leaves while the task runs keeps its seat, and acts, to the end of the last round whose ceremony is open;
  then its stake goes back.
- A ceremony opens with the held seats whose stake covers a slash and that stay for its round.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorumlearn_proto.block_pb2 import CeremonyStep, Phase
from quorumlearn_proto.task_pb2 import Seat, Task, TaskState, TaskStatus

from .call import Call
from .errors import Code, Refusal
from .ledger import Place
from .tables import CEREMONIES, MINERS, ROUNDS, SEATS, STAKES
from .tokens import lock_stake, return_stake, stake_of


def seat_numbers(task: Task) -> range:
    """The numbers of the committee's seats, from 1."""
    return range(1, len(task.spec.committee.msp_ids) + 1)


def seats(call: Call, task: Task) -> list[Seat]:
    """The seats that are held, by number."""
    return [seat for seat in _known_seats(call, task) if seat.verifier]


def own_seat(task: Task, msp_id: str) -> int | None:
    """The number of the seat that is this organisation's own, None if it has none."""
    msp_ids = list(task.spec.committee.msp_ids)
    return msp_ids.index(msp_id) + 1 if msp_id in msp_ids else None


def seat_places(task: Task) -> list[Place]:
    """Where the seats are."""
    return [(SEATS, task.spec.task_id, number) for number in seat_numbers(task)]


def held_seat(call: Call, task: Task) -> Seat | None:
    """The submitter's seat, None if it holds none. Refused if its organisation can hold none."""
    for number in _numbers(call, task):
        seat = call.ledger.get(SEATS, task.spec.task_id, number)
        if seat is not None and seat.verifier == call.actor:
            return seat
    return None


def verifies(call: Call, task: Task) -> bool:
    """Whether the submitter holds a seat, whatever its organisation."""
    return _may_verify(call, task) and held_seat(call, task) is not None


def holder(call: Call, task_id: str, number: int) -> str:
    """The identity that holds a seat known to be held."""
    seat = call.ledger.get(SEATS, task_id, number)
    if seat is None or not seat.verifier:
        raise RuntimeError(f"seat {number} of task {task_id} takes part but nobody holds it")
    return seat.verifier


def free_seats(call: Call, task: Task, state: TaskState) -> list[int]:
    """The seats that may be taken now; none once the task has ended."""
    if state.status not in (TaskStatus.PUBLISHED, TaskStatus.RUNNING):
        return []
    known = {seat.seat: seat for seat in _known_seats(call, task)}
    engaged = _engaged(call, state)
    _load_stakes(call, [seat for seat in known.values() if seat.verifier and seat.seat not in engaged])
    return [
        number
        for number in seat_numbers(task)
        if number not in known or _is_free(call, task, known[number], engaged)
    ]


def take_seat(call: Call, task: Task, state: TaskState) -> None:
    """Give the submitter a free seat and lock its stake. Refused if there is none for its organisation."""
    name = task.spec.task_id
    mining = call.ledger.get(MINERS, name, call.actor)
    if mining is not None and not mining.left:
        raise Refusal(
            Code.ALREADY_JOINED, f"{call.actor} is a miner of {name}: leave first, or use another identity"
        )
    number = _seat_for(call, task, state)
    former = call.ledger.get(SEATS, name, number)
    if former is not None and former.verifier:
        return_stake(call, stake_of(call, name, former.verifier))
    seat = Seat(task_id=name, seat=number, verifier=call.actor, joined_at_ms=call.now_ms)
    call.ledger.put(SEATS, seat, name, number)
    lock_stake(call, name, call.actor, task.spec.stakes.verifier)


def leave_seat(call: Call, task: Task, state: TaskState) -> None:
    """Let the submitter's seat go: at once before the start, else after the last round whose ceremony is open."""
    name = task.spec.task_id
    seat = held_seat(call, task)
    if seat is None:
        raise Refusal(Code.WRONG_ROLE, f"{call.actor} holds no seat of {name}")
    if seat.leaves_after:
        raise Refusal(
            Code.WRONG_PHASE, f"seat {seat.seat} of {name} is free after round {seat.leaves_after} already"
        )
    if state.status == TaskStatus.PUBLISHED:
        _vacate(call, seat)
        return
    ahead = call.ledger.get(CEREMONIES, name, state.round + 1)
    seat.leaves_after = state.round if ahead is None else state.round + 1
    call.ledger.put(SEATS, seat, name, seat.seat)


def release_seats(call: Call, task: Task, ended: int) -> None:
    """Vacate the seats whose last round has ended."""
    for seat in seats(call, task):
        if 0 < seat.leaves_after <= ended:
            _vacate(call, seat)


def seats_for(call: Call, task: Task, number: int) -> list[int]:
    """The seats that a ceremony of this round opens with."""
    held = seats(call, task)
    _load_stakes(call, held)
    return [seat.seat for seat in held if _covered(call, task, seat) and not 0 < seat.leaves_after < number]


def _known_seats(call: Call, task: Task) -> list[Seat]:
    """Also those that were left."""
    return call.ledger.among(SEATS, task.spec.task_id, last=seat_numbers(task))


def _may_verify(call: Call, task: Task) -> bool:
    committee = task.spec.committee
    return call.msp_id in committee.msp_ids or call.msp_id in committee.reserve_msp_ids


def _numbers(call: Call, task: Task) -> list[int]:
    """The seats that the submitter's organisation can hold: its own, or for a reserve any."""
    if not _may_verify(call, task):
        raise Refusal(
            Code.WRONG_ORGANISATION, f"{call.msp_id} is not on the committee of {task.spec.task_id}"
        )
    own = own_seat(task, call.msp_id)
    return list(seat_numbers(task)) if own is None else [own]


def _seat_for(call: Call, task: Task, state: TaskState) -> int:
    """The seat that the submitter may take."""
    name, numbers = task.spec.task_id, _numbers(call, task)
    free, taken = free_seats(call, task, state), {seat.seat: seat.verifier for seat in seats(call, task)}
    if call.msp_id in task.spec.committee.msp_ids:
        if numbers[0] not in free:
            raise Refusal(
                Code.SEAT_TAKEN, f"seat {numbers[0]} of {call.msp_id} is taken by {taken[numbers[0]]}"
            )
        return numbers[0]
    for number in numbers:
        if taken.get(number, "").partition("/")[0] == call.msp_id:
            if number in free:
                return number
            raise Refusal(
                Code.ALREADY_JOINED, f"{call.msp_id} holds seat {number} of {name}: an organisation has one"
            )
    for number in free:
        kept = state.status == TaskStatus.PUBLISHED and call.ledger.get(SEATS, name, number) is None
        if not kept:
            return number
    raise Refusal(
        Code.SEAT_TAKEN, f"no seat of {name} is free: a reserve organisation waits until one is (blocks:View)"
    )


def _is_free(call: Call, task: Task, seat: Seat, engaged: set[int]) -> bool:
    return not seat.verifier or (seat.seat not in engaged and not _covered(call, task, seat))


def _covered(call: Call, task: Task, seat: Seat) -> bool:
    stake = stake_of(call, task.spec.task_id, seat.verifier)
    return stake.amount >= task.spec.stakes.verifier_slash


def _load_stakes(call: Call, held: Iterable[Seat]) -> None:
    call.ledger.load(*((STAKES, seat.task_id, seat.verifier) for seat in held))


def _engaged(call: Call, state: TaskState) -> set[int]:
    """The seats that take part in the round under way or in an open ceremony."""
    round_ = call.ledger.get(ROUNDS, state.task_id, state.round) if state.round else None
    if round_ is None:
        return set()
    engaged = set(round_.seats)
    for number in (round_.number, round_.number + 1) if round_.phase == Phase.KEY else (round_.number + 1,):
        ceremony = call.ledger.get(CEREMONIES, state.task_id, number)
        if ceremony is not None and ceremony.step != CeremonyStep.KEY_FAILED:
            engaged.update(ceremony.seats)
    return engaged


def _vacate(call: Call, seat: Seat) -> None:
    return_stake(call, stake_of(call, seat.task_id, seat.verifier))
    call.ledger.put(SEATS, Seat(task_id=seat.task_id, seat=seat.seat), seat.task_id, seat.seat)
