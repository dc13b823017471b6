"""Who may act where: the submitter's seat in a task, and the round and phase that its call belongs to."""

from __future__ import annotations

from quorumlearn_proto.block_pb2 import Phase, Round
from quorumlearn_proto.task_pb2 import Task

from .arguments import task_id, whole
from .call import Call
from .errors import Code, Refusal
from .specification import MAX_ROUNDS
from .tables import MINERS, ROUNDS, SEATS


def round_in(call: Call, name: str, number: str, phase: Phase) -> Round:
    """The round of this number if it is in this phase; else refused. Reads nothing more unless it refuses."""
    wanted = whole("round", number, 1, MAX_ROUNDS)
    round_ = call.ledger.get(ROUNDS, task_id(name), wanted)
    if round_ is None:
        call.state(name)
        raise Refusal(Code.NO_SUCH_ROUND, f"{name} has had no round {wanted} yet")
    if round_.phase != phase:
        raise Refusal(
            Code.WRONG_PHASE,
            f"round {wanted} of {name} is in {Phase.Name(round_.phase)}, this belongs to {Phase.Name(phase)}",
        )
    call.event.round = wanted
    return round_


def seat_of(call: Call, name: str) -> tuple[Task, int]:
    """The task and the submitter's seat in it; refused if it has none."""
    task = call.task(task_id(name))
    number = seat_number(call, task)
    seat = call.ledger.get(SEATS, name, number)
    if seat is None or seat.verifier != call.actor:
        raise Refusal(
            Code.WRONG_ROLE, f"seat {number} of {name} is not held by {call.actor}: see tasks:JoinCommittee"
        )
    return task, number


def round_of_seat(call: Call, name: str, number: str, phase: Phase, seat: int) -> Round:
    """As `round_in`; refused also if the seat has left the round."""
    round_ = round_in(call, name, number, phase)
    if seat not in round_.seats:
        raise Refusal(Code.WRONG_ROLE, f"seat {seat} does not take part in round {number} of {name} any more")
    return round_


def takes_part(call: Call, task: Task) -> bool:
    """Whether the submitter is the task's owner, holds a seat, or is or was one of its miners."""
    name = task.spec.task_id
    if call.actor == task.owner or call.ledger.get(MINERS, name, call.actor) is not None:
        return True
    if call.msp_id not in task.spec.committee.msp_ids:
        return False
    seat = call.ledger.get(SEATS, name, seat_number(call, task))
    return seat is not None and seat.verifier == call.actor


def seat_number(call: Call, task: Task) -> int:
    """The seat of the submitter's organisation. Refused if it has none."""
    msp_ids = list(task.spec.committee.msp_ids)
    if call.msp_id not in msp_ids:
        raise Refusal(
            Code.WRONG_ORGANISATION, f"{call.msp_id} is not on the committee of {task.spec.task_id}"
        )
    return msp_ids.index(call.msp_id) + 1
