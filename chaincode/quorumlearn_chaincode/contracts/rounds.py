"""Moves tasks, ceremonies and rounds on: loads what a phase's rule needs, asks it, and applies the answer.

`advance` moves whatever is due, over and over until nothing is; `is_due` only says whether anything is. With
`deadlines` (blocks:Advance) it also closes what time has closed, and the miners' phases. Without (a verifier's
transaction that may complete its step) it leaves the miners' phases alone, so that a verifier's transaction never reads, and so never
conflicts with, what miners write. A ceremony whose round will not be, since its owner has cancelled, passes no
deadline, so that nobody is slashed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from quorumlearn_proto.block_pb2 import Ceremony, CeremonyStep, Outcome, Phase, PhaseTime, Round, Submission
from quorumlearn_proto.protocol import CEREMONY, ROUND
from quorumlearn_proto.recompute import chunks_before, recomputes, teams
from quorumlearn_proto.task_pb2 import Task, TaskSpec, TaskState, TaskStatus

from .authorisation import authorise_aggregate, authorise_sketches
from .call import Call
from .ceremony import Contributions, StepClosing, close_step, under_way
from .challenges import dismiss, overdue
from .lottery import draw_order
from .miners_queue import eligible_miners, lose_places, participation
from .misconduct import record_blames, record_missing_steps, record_round_faults
from .phases import (
    Closing,
    Why,
    close_beacon,
    close_commit,
    close_open,
    close_propose,
    close_replay,
    close_reveal,
    close_screen,
    close_select,
    close_trace,
    close_validate,
    ended,
)
from .reads import acts, load_begin, load_due
from .seats import seat_numbers, seat_places, seats
from .settlement import (
    TOO_FEW_VERIFIERS,
    end_round,
    finish,
    first_places,
    open_ceremony,
    open_round,
)
from .tables import CEREMONIES, CONTRIBUTIONS, GRANTS, MINERS, ROUNDS, STAKES
from .tokens import slash
from .verdicts import settle_standing, withheld_again, work_of_round

Move = Callable[[], None]
CLOSED_BY_ADVANCE = frozenset(phase for phase, step in ROUND.items() if step.record is Submission)
"""The phases that miners fill, any number of them in one block."""
_CLOSING_OF_SEATS: dict[Phase, Callable[[TaskSpec, Round, Mapping[int, Any], bool], Closing | None]] = {
    Phase.BEACON: close_beacon,
    Phase.REPLAY: close_replay,
    Phase.SCREEN: close_screen,
    Phase.SELECT: close_select,
    Phase.OPEN: close_open,
    Phase.VALIDATE: close_validate,
}
"""By the phases that seats fill: from what they did in it, by seat."""


def advance(call: Call, task: Task, deadlines: bool) -> bool:
    """Move whatever is due; whether anything moved."""
    if deadlines:
        _load(call, task)
    moved = False
    while (move := _due(call, task, deadlines)) is not None:
        move()
        moved = True
    return moved


def is_due(call: Call, task: Task) -> bool:
    """Whether `advance` would move anything, deadlines included."""
    return _due(call, task, deadlines=True) is not None


def move_on(call: Call, task: Task) -> None:
    """Move what a seat's transaction has completed, unless its submitter knows that others are pending."""
    if not call.pending and advance(call, task, deadlines=False):
        call.event.moved = True


def current_round(call: Call, state: TaskState) -> Round:
    """The round under way, or the last one."""
    round_ = call.ledger.get(ROUNDS, state.task_id, state.round)
    if round_ is None:
        raise RuntimeError(f"task {state.task_id} is in round {state.round}, which has no record")
    return round_


def close_ceremony(call: Call, task: Task, number: int) -> bool:
    """Close the step of a round's ceremony if it is complete; whether it moved."""
    move = _ceremony_due(call, task, number, expired=False)
    if move is not None:
        move()
    return move is not None


def rebase(call: Call, task: Task) -> bool:
    """Keep the round under way on a good block after a revert: a round that has begun is aborted."""
    state = call.state(task.spec.task_id)
    if state.status != TaskStatus.RUNNING:
        return False
    round_ = current_round(call, state)
    if round_.base.digest == state.head.digest:
        return False
    if round_.phase == Phase.KEY:
        round_.base.CopyFrom(state.head)
        call.ledger.put(ROUNDS, round_, round_.task_id, round_.number)
        return False
    end_round(call, task, state, round_, ended(Outcome.ABORTED, Why.BASE_REVERTED))
    return True


def enter(call: Call, task: Task, round_: Round, phase: Phase) -> None:
    """Begin a phase of the round under way now."""
    round_.phase = phase
    round_.times.append(PhaseTime(phase=phase, entered_ms=call.now_ms))
    renew(call, task, round_)


def renew(call: Call, task: Task, round_: Round) -> None:
    """Give the phase under way its whole time from now."""
    round_.deadline_ms = call.deadline(ROUND[round_.phase].seconds(task.spec.timeouts))
    call.ledger.put(ROUNDS, round_, round_.task_id, round_.number)


def _load(call: Call, task: Task) -> None:
    state = call.state(task.spec.task_id)
    if state.status == TaskStatus.RUNNING:
        load_due(call, task, state)
    elif state.status == TaskStatus.PUBLISHED:
        call.ledger.load(*seat_places(task), *first_places(task.spec.task_id, 1))


def _due(call: Call, task: Task, deadlines: bool) -> Move | None:
    """How to make the next move, None if nothing is due."""
    state = call.state(task.spec.task_id)
    if state.status == TaskStatus.PUBLISHED:
        return _start_due(call, task, state) if deadlines else None
    if deadlines and (late := overdue(call, state)):
        return partial(dismiss, call, late)
    if state.status != TaskStatus.RUNNING:
        return None
    move = _round_due(call, task, state, current_round(call, state), deadlines)
    if move is not None or not deadlines:
        return move
    numbers = (state.round,) if state.cancel_requested else (state.round, state.round + 1)
    moves = (_ceremony_due(call, task, number, late) for number in numbers for late in (False, True))
    return next((move for move in moves if move is not None), None)


def _start_due(call: Call, task: Task, state: TaskState) -> Move | None:
    spec = task.spec
    miners = eligible_miners(call, task)
    taken = len(seats(call, task))
    complete = len(miners) == spec.max_miners and taken == len(spec.committee.msp_ids)
    if not complete and not call.passed(state.join_deadline_ms):
        return None
    if taken < spec.committee.threshold:
        return partial(finish, call, task, state, TaskStatus.EXPIRED, TOO_FEW_VERIFIERS)
    return partial(open_round, call, task, state, 1, miners)


def _ceremony_due(call: Call, task: Task, number: int, expired: bool) -> Move | None:
    task_id = task.spec.task_id
    ceremony = call.ledger.get(CEREMONIES, task_id, number)
    if ceremony is None or not under_way(ceremony):
        return None
    if expired and not call.passed(ceremony.deadline_ms):
        return None
    at = (task_id, number, ceremony.attempt)
    found = call.ledger.among(CONTRIBUTIONS, *at, last=seat_numbers(task))
    contributions = {entry.seat: entry for entry in found}
    committee = task.spec.committee
    closing = close_step(ceremony, contributions, len(committee.msp_ids), committee.threshold, expired)
    if closing is None:
        return None
    return partial(_close_step, call, task, ceremony, closing, contributions)


def _close_step(
    call: Call, task: Task, ceremony: Ceremony, closing: StepClosing, contributions: Contributions
) -> None:
    record_missing_steps(call, task, ceremony, closing.missed)
    record_blames(call, task, ceremony, closing.blames, closing.accusers, contributions)
    if under_way(closing.ceremony):
        step = CEREMONY[closing.ceremony.step]
        closing.ceremony.deadline_ms = call.deadline(step.seconds(task.spec.timeouts))
    call.ledger.put(CEREMONIES, closing.ceremony, ceremony.task_id, ceremony.round)


def _round_due(call: Call, task: Task, state: TaskState, round_: Round, deadlines: bool) -> Move | None:
    if round_.phase == Phase.KEY:
        return _key_due(call, task, state, round_, deadlines)
    if round_.phase in CLOSED_BY_ADVANCE and not deadlines:
        return None
    closing = _closing(call, task, round_, expired=False)
    if closing is None and deadlines and call.passed(round_.deadline_ms):
        closing = _closing(call, task, round_, expired=True)
    return None if closing is None else partial(_apply, call, task, state, round_, closing)


def _key_due(call: Call, task: Task, state: TaskState, round_: Round, deadlines: bool) -> Move | None:
    ceremony = call.ledger.get(CEREMONIES, round_.task_id, round_.number)
    if ceremony is None or under_way(ceremony):
        return None
    if ceremony.step == CeremonyStep.KEY_FAILED:
        closing = ended(Outcome.ABORTED, Why.KEY_FAILED)
        return partial(end_round, call, task, state, round_, closing)
    opens_next = round_.number < task.spec.rounds and not state.cancel_requested
    return partial(_begin, call, task, round_, ceremony, opens_next, deadlines)


def _begin(
    call: Call, task: Task, round_: Round, ceremony: Ceremony, opens_next: bool, deadlines: bool
) -> None:
    """The round has its key: miners may commit, and the next round's ceremony opens."""
    load_begin(call, task, round_, opens_next, deadlines)
    round_.seats[:] = ceremony.seats
    round_.collective_key.CopyFrom(ceremony.collective_key)
    if recomputes(task.spec):
        _assign(call, task, round_, ceremony.start_beacon)
    enter(call, task, round_, ROUND[Phase.KEY].next)
    if opens_next:
        open_ceremony(call, task, round_.number + 1)


def _assign(call: Call, task: Task, round_: Round, start_beacon: str) -> None:
    """Say who trains on what: miners keep what they had in the round before, as far as it is drawn."""
    before = call.ledger.get(ROUNDS, round_.task_id, round_.number - 1) if round_.number > 1 else None
    round_.start_beacon = start_beacon
    held = chunks_before(before)
    round_.teams.extend(teams(task.spec.recompute, start_beacon, list(round_.miners), held))


def _closing(call: Call, task: Task, round_: Round, expired: bool) -> Closing | None:
    spec, phase = task.spec, round_.phase
    acting = acts(call, round_, seat_numbers(task))
    if acting is not None:
        acted = {entry.seat: entry for entry in call.ledger.every(acting)}
        return _CLOSING_OF_SEATS[phase](spec, round_, acted, expired)
    if phase == Phase.COMMIT:
        excused = expired and _waits_for_keys(call, spec, round_)
        return close_commit(spec, round_, call.submissions(round_), expired, excused)
    if phase == Phase.REVEAL:
        return close_reveal(spec, call.submissions(round_), expired)
    if phase == Phase.TRACE:
        return close_trace(spec, call.submissions(round_), expired)
    return close_propose(round_, expired) if phase == Phase.PROPOSE else None


def _waits_for_keys(call: Call, spec: TaskSpec, round_: Round) -> bool:
    """Whether the owner of sealed data has given the round's miners no keys."""
    return spec.recompute.sealed and call.ledger.get(GRANTS, round_.task_id, round_.number) is None


def _apply(call: Call, task: Task, state: TaskState, round_: Round, closing: Closing) -> None:
    spec = task.spec
    slashed = closing.slashed_miners + withheld_again(call, round_, closing.withheld)
    if slashed and spec.stakes.miner_slash:
        call.ledger.load(*((STAKES, spec.task_id, miner) for miner in slashed))
    for miner in slashed:
        slash(call, spec.task_id, miner, spec.stakes.miner_slash)
    record_round_faults(call, task, round_, closing.missed, closing.false_votes)
    round_.absentees.extend(closing.absentees)
    lose_places(call, round_, closing.unopened)
    if closing.beacon:
        round_.beacon = closing.beacon
    if closing.selection is not None:
        round_.selection.CopyFrom(closing.selection)
        settle_standing(call, round_, work_of_round(spec))
    if closing.aggregate_ciphertext:
        round_.aggregate_ciphertext = closing.aggregate_ciphertext
        round_.proposers[:] = _lottery(call, round_)
    if closing.next_turn:
        round_.proposer_turn += 1
        round_.ClearField("candidate")
        round_.ballots_shown = False
    if closing.next == Phase.SCREEN:
        authorise_sketches(call, round_)
    if closing.next == Phase.OPEN:
        authorise_aggregate(call, spec, round_)
    if closing.next == Phase.ENDED:
        end_round(call, task, state, round_, closing)
    else:
        enter(call, task, round_, closing.next)


def _lottery(call: Call, round_: Round) -> list[str]:
    miners = [verdict.miner for verdict in round_.selection.verdicts if verdict.weight]
    call.ledger.load(*((MINERS, round_.task_id, miner) for miner in miners))
    chances = [(miner, 1 + participation(call, round_.task_id, miner).work) for miner in miners]
    return draw_order(round_.beacon, chances)
