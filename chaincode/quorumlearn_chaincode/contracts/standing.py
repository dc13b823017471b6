"""Who may act where: the submitter's seat in a task, and the round and phase that its call belongs to."""

from __future__ import annotations

from quorumlearn_proto.block_pb2 import Phase, Round, Screening
from quorumlearn_proto.protocol import PHASES
from quorumlearn_proto.task_pb2 import Task, TaskStatus

from .arguments import task_id, whole
from .call import Call
from .configuration import MINER, OWNER, VERIFIER
from .errors import Code, Refusal
from .seats import held_seat, verifies
from .specification import MAX_ROUNDS
from .tables import MINERS, ROUNDS, SCREENINGS


def round_in(call: Call, name: str, number: str) -> Round:
    """The round of this number. Refused unless its phase is one in which the called function acts. It reads more only to refuse."""
    wanted = whole("round", number, 1, MAX_ROUNDS)
    round_ = call.ledger.get(ROUNDS, task_id(name), wanted)
    if round_ is None:
        call.state(name)
        raise Refusal(Code.NO_SUCH_ROUND, f"{name} has had no round {wanted} yet")
    phases = PHASES[call.function]
    if round_.phase not in phases:
        places = " or ".join(Phase.Name(phase) for phase in phases)
        raise Refusal(
            Code.WRONG_PHASE,
            f"round {wanted} of {name} is in {Phase.Name(round_.phase)}, this belongs to {places}",
        )
    call.event.round = wanted
    return round_


def seat_of(call: Call, name: str) -> tuple[Task, int]:
    """The task and the submitter's seat in it; refused if it has none."""
    task = call.task(task_id(name))
    seat = held_seat(call, task)
    if seat is None:
        raise Refusal(Code.WRONG_ROLE, f"{call.actor} holds no seat of {name}: see tasks:JoinCommittee")
    return task, seat.seat


def round_of_seat(call: Call, name: str, number: str, seat: int) -> Round:
    """As `round_in`; refused also if the seat has left the round."""
    round_ = round_in(call, name, number)
    if seat not in round_.seats:
        raise Refusal(Code.WRONG_ROLE, f"seat {seat} does not take part in round {number} of {name} any more")
    return round_


def miner_event(call: Call, round_: Round) -> None:
    """Complete the event of what a miner does in a round: nothing that others write is read for it."""
    call.event.status = TaskStatus.RUNNING
    call.event.phase = round_.phase


def screening_of(call: Call, round_: Round, seat: int) -> Screening:
    """The record of the submitter's seat in the round's phases from REPLAY to OPEN; a new one where it has none yet."""
    at = (round_.task_id, round_.number)
    found = call.ledger.get(SCREENINGS, *at, seat)
    return found or Screening(task_id=at[0], round=at[1], seat=seat, verifier=call.actor)


def takes_part(call: Call, task: Task) -> bool:
    """Whether the submitter is the task's owner, holds a seat, or is or was one of its miners, and has the role for it."""
    name = task.spec.task_id
    if OWNER in call.roles and call.actor == task.owner:
        return True
    if MINER in call.roles and call.ledger.get(MINERS, name, call.actor) is not None:
        return True
    return VERIFIER in call.roles and verifies(call, task)
