"""The contract `tasks`: publishing, joining, leaving, cancelling."""

from __future__ import annotations

from quorumlearn_proto.derived import spec_digest
from quorumlearn_proto.page_pb2 import ParticipationPage, TaskPage, TaskSummary
from quorumlearn_proto.task_pb2 import Participation, Slot, Task, TaskSpec, TaskState, TaskStatus

from . import seats
from .arguments import hex_bytes, page, record, sealing_key, task_id
from .call import Call
from .errors import Code, Refusal
from .miners_queue import check_open, line_up
from .rounds import current_round
from .settlement import finish, genesis, head_of
from .specification import MAX_LIVE_TASKS, MAX_SPEC_BYTES, check_spec
from .tables import BLOCKS, MINERS, SLOTS, STATES, TASKS
from .tokens import lock_escrow, lock_stake, return_stake, stake_of

LIVE = (TaskStatus.PUBLISHED, TaskStatus.RUNNING)


def publish(call: Call, text: str) -> None:
    spec = record(TaskSpec, text, MAX_SPEC_BYTES)
    check_spec(spec, call.config)
    if call.ledger.get(STATES, spec.task_id) is not None:
        raise Refusal(Code.TASK_EXISTS, f"there is a task {spec.task_id} already: choose another id")
    task = Task(
        spec=spec,
        spec_digest=spec_digest(spec),
        owner=call.actor,
        owner_msp=call.msp_id,
        published_at_ms=call.now_ms,
    )
    block = genesis(task)
    state = TaskState(
        task_id=spec.task_id,
        status=TaskStatus.PUBLISHED,
        head=head_of(block),
        join_deadline_ms=call.deadline(spec.timeouts.join),
        spec_digest=task.spec_digest,
    )
    _take_slot(call, spec.task_id)
    lock_escrow(call, spec.task_id, call.actor, spec.rounds * spec.reward.per_round)
    call.ledger.put(TASKS, task, spec.task_id)
    call.ledger.put(STATES, state, spec.task_id)
    call.ledger.put(BLOCKS, block, spec.task_id, 0)
    call.event.task_id = spec.task_id


def join_committee(call: Call, name: str) -> None:
    task = call.task(task_id(name))
    seats.take_seat(call, task, _open_for_joining(call, name))


def leave_committee(call: Call, name: str) -> None:
    task = call.task(task_id(name))
    seats.leave_seat(call, task, _open_for_joining(call, name))


def join(call: Call, name: str) -> None:
    task = call.task(task_id(name))
    state = _open_for_joining(call, name)
    miner = call.ledger.get(MINERS, name, call.actor)
    if miner is not None and not miner.left:
        raise Refusal(Code.ALREADY_JOINED, f"{call.actor} is a miner of {name} already")
    if seats.verifies(call, task):
        raise Refusal(Code.ALREADY_JOINED, f"{call.actor} verifies {name}: mine with another identity")
    check_open(call, state)
    if miner is None:
        miner = Participation(task_id=name, miner=call.actor)
    miner.left = False
    line_up(call, miner, state.round)
    call.ledger.put(MINERS, miner, name, call.actor)
    lock_stake(call, name, call.actor, task.spec.stakes.miner)


def leave(call: Call, name: str) -> None:
    """Let a miner leave: at once if it takes part in no round, otherwise after the round under way, until which its stake stays locked."""
    call.task(task_id(name))
    state = _open_for_joining(call, name)
    miner = call.ledger.get(MINERS, name, call.actor)
    if miner is None or miner.left:
        raise Refusal(Code.WRONG_ROLE, f"{call.actor} is no miner of {name}")
    if miner.leaves_after:
        raise Refusal(
            Code.WRONG_PHASE, f"{call.actor} has left {name} after round {miner.leaves_after} already"
        )
    if state.status == TaskStatus.RUNNING and call.actor in current_round(call, state).miners:
        miner.leaves_after = state.round
        call.ledger.put(MINERS, miner, name, call.actor)
        return
    check_open(call, state)
    miner.left = True
    call.ledger.put(MINERS, miner, name, call.actor)
    return_stake(call, stake_of(call, name, call.actor))


def show_key(call: Call, name: str, text: str) -> None:
    """Show the key to which the owner seals what this miner trains on, or another in its place. Settlements read the record, so
    the queue must be open."""
    task = call.task(task_id(name))
    if not task.spec.recompute.sealed:
        raise Refusal(
            Code.NOT_SUPPORTED, f"the data of {name} are not sealed: nothing is sealed to its miners"
        )
    state = _open_for_joining(call, name)
    miner = call.ledger.get(MINERS, name, call.actor)
    if miner is None or miner.left:
        raise Refusal(Code.WRONG_ROLE, f"{call.actor} is no miner of {name}: tasks:Join comes first")
    check_open(call, state)
    miner.sealing_key = sealing_key("the key", hex_bytes("the key", text))
    call.ledger.put(MINERS, miner, name, call.actor)


def cancel(call: Call, name: str) -> None:
    task = call.task(task_id(name))
    if call.actor != task.owner:
        raise Refusal(Code.NOT_THE_OWNER, f"only {task.owner} may cancel {name}")
    state = _live(call, name)
    if state.status == TaskStatus.PUBLISHED:
        finish(call, task, state, TaskStatus.CANCELLED, "cancelled by its owner")
        call.event.moved = True
        return
    if state.cancel_requested:
        raise Refusal(Code.WRONG_PHASE, f"{name} ends after round {state.round} already")
    state.cancel_requested = True
    call.ledger.put(STATES, state, name)


def get(call: Call, name: str) -> TaskSummary:
    return TaskSummary(task=call.task(task_id(name)), state=call.state(name))


def list_tasks(call: Call, page_size: str, bookmark: str) -> TaskPage:
    rows, following = call.ledger.page(TASKS, *page(page_size, bookmark))
    call.ledger.load(*((STATES, task.spec.task_id) for task in rows))
    summaries = [TaskSummary(task=task, state=call.state(task.spec.task_id)) for task in rows]
    return TaskPage(tasks=summaries, bookmark=following)


def miners(call: Call, name: str, page_size: str, bookmark: str) -> ParticipationPage:
    call.task(task_id(name))
    rows, following = call.ledger.page(MINERS, *page(page_size, bookmark), name)
    return ParticipationPage(participations=rows, bookmark=following)


def _take_slot(call: Call, name: str) -> None:
    """Bound the organisation's tasks under way. A slot is freed by nobody: who publishes sees that its task has ended, so that no
    settlement reads what an owner writes."""
    slots = {one.slot: one for one in call.ledger.scan(SLOTS, call.msp_id)}
    call.ledger.load(*((STATES, one.task_id) for one in slots.values()))
    for number in range(1, MAX_LIVE_TASKS + 1):
        if number not in slots or call.state(slots[number].task_id).status not in LIVE:
            slot = Slot(owner_msp=call.msp_id, slot=number, task_id=name)
            call.ledger.put(SLOTS, slot, call.msp_id, number)
            return
    raise Refusal(
        Code.TOO_MANY_TASKS,
        f"{call.msp_id} has {MAX_LIVE_TASKS} tasks under way, as many as it may: cancel one, or wait for one to end",
    )


def _open_for_joining(call: Call, name: str) -> TaskState:
    """Who joins and who leaves before the start is read to start: so nobody does once it is due."""
    state = _live(call, name)
    if state.status == TaskStatus.PUBLISHED and call.is_over(state.join_deadline_ms):
        raise Refusal(
            Code.WRONG_PHASE,
            f"{name} is to start or to expire, its time to join is over: blocks:Advance comes first",
        )
    return state


def _live(call: Call, name: str) -> TaskState:
    state = call.state(name)
    if state.status not in LIVE:
        raise Refusal(Code.WRONG_PHASE, f"task {name} has ended: {TaskStatus.Name(state.status)}")
    return state
