"""What a node does next: pure functions from the ledger's view (and what its journal holds) to one step.

There is no second copy of the truth: a step is derived anew from the ledger each time, so a node that was killed anywhere
goes on by asking again. Each function returns the first step that is open to its identity now, or None when it is somebody
else's turn. The contract decides whether a step is allowed; these functions only know when it makes sense to try.
"""

from __future__ import annotations

from enum import Enum

from google.protobuf.message import Message
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.protocol import CEREMONY, ROUND, Actor, RoundStep
from quorumlearn_proto.recompute import recomputes, replays

LIVE = (t.PUBLISHED, t.RUNNING)


class Step(Enum):
    """One thing that an identity does."""

    JOIN = "join"
    TRAIN = "train"
    COMMIT = "commit"
    REVEAL = "reveal"
    TRACE = "open trace"
    PROPOSE = "propose"
    TAKE_SEAT = "take seat"
    KEY_COMMIT = "commit key share"
    KEY_REVEAL = "reveal key share"
    KEY_TEST = "test key"
    KEY_CONFIRM = "confirm key"
    KEY_OPEN = "open sealing key"
    KEY_BLAME = "vote whose fault"
    LEAVE_SEAT = "leave seat"
    BEACON = "reveal beacon"
    REPLAY = "replay training"
    SCREEN = "sketch updates"
    SELECT = "vote weights"
    OPEN = "decrypt aggregate"
    CHECK = "check decryptions"
    VALIDATE = "score candidate"
    SHOW = "show ballots"
    JUDGE = "judge challenge"


def ended(view: b.TaskView) -> bool:
    return view.state.status not in LIVE


def miner_step(view: b.TaskView, me: str, *, trained: bool, ready: bool) -> Step | None:
    """`trained`: the round's update exists in memory; `ready`: its ciphertext and manifest are in the journal."""
    if ended(view):
        return None
    if me not in view.miners:
        return Step.JOIN if queue_is_open(view) else None
    now = view.round
    mine = submission(view, me)
    if now.phase == b.KEY and recomputes(view.task.spec):
        return None  # what its training draws from is not out yet
    if now.phase in (b.KEY, b.COMMIT) and me in now.miners:
        if ROUND[b.COMMIT].done(mine):
            return None
        if not (trained or ready):
            return Step.TRAIN
        return Step.COMMIT if now.phase == b.COMMIT else None
    if now.phase == b.REVEAL:
        return Step.REVEAL if mine is not None and not ROUND[b.REVEAL].done(mine) else None
    if now.phase == b.TRACE:
        return Step.TRACE if mine is not None and is_revealed(mine) and not is_opened(mine) else None
    if now.phase == b.PROPOSE and now.proposers[now.proposer_turn] == me:
        return Step.PROPOSE
    return None


def queue_is_open(view: b.TaskView) -> bool:
    """Whether a miner may join, or leave while it waits: not while the task is due to start or its round to end."""
    return not view.can_advance and (view.state.status == t.PUBLISHED or view.round.phase == b.COMMIT)


def verifier_steps(
    view: b.TaskView, me: str, msp_id: str, *, seated: bool = False, leaving: bool = False
) -> list[tuple[Step, int]]:
    """Open steps and their round (of a challenge: the height): the round under way first, then the next round's ceremony.

    Once the task has ended only challenges are left. `seated`: it has held a seat of this task, so that one that it has no
    more is not taken again; `leaving`: it is to leave the committee, and acts until its last round is over.
    """
    seat = seat_of(view, me)
    if ended(view):
        return [] if seat is None else _challenge_steps(view, seat)
    if seat is None:
        return [(Step.TAKE_SEAT, 0)] if not (seated or leaving) and _may_take(view, msp_id) else []
    steps = []
    if leaving and not next(one for one in view.seats if one.seat == seat).leaves_after:
        steps.append((Step.LEAVE_SEAT, 0))
    if (step := round_step(view, seat)) is not None:
        steps.append((step, view.round.number))
    for ceremony in sorted(view.ceremonies, key=lambda one: one.round):
        if (step := key_step(view, ceremony, seat)) is not None:
            steps.append((step, ceremony.round))
    return steps + _challenge_steps(view, seat)


def _may_take(view: b.TaskView, msp_id: str) -> bool:
    """Whether a seat is free for a verifier of this organisation: its own at any time, another's once the task runs."""
    committee = view.task.spec.committee
    if any(held.verifier.partition("/")[0] == msp_id for held in view.seats):
        return False
    if msp_id in committee.msp_ids:
        return list(committee.msp_ids).index(msp_id) + 1 in view.free_seats
    running = view.state.status == t.RUNNING
    return running and msp_id in committee.reserve_msp_ids and len(view.free_seats) > 0


def _challenge_steps(view: b.TaskView, seat: int) -> list[tuple[Step, int]]:
    return [
        (Step.JUDGE, challenge.height)
        for challenge in view.challenges
        if seat not in {ballot.seat for ballot in challenge.ballots}
    ]


def round_step(view: b.TaskView, seat: int) -> Step | None:
    """What is open to the seat in the round under way."""
    now = view.round
    if seat not in now.seats:
        return None
    if now.phase == b.PROPOSE:
        return Step.CHECK if ROUND[b.OPEN].done(screening(view, seat)) else None
    if now.phase == b.VALIDATE:
        return _ballot_step(view, seat)
    step = ROUND.get(now.phase)
    if step is None or step.actor is not Actor.SEATS or step.done(seats_record(view, step, seat)):
        return None
    return Step[step.name]


def _ballot_step(view: b.TaskView, seat: int) -> Step | None:
    """Fix a ballot as long as none is shown; show it once all are fixed, or half of the time is over."""
    now, own = view.round, ballot(view, seat)
    if own is None:
        return None if now.ballots_shown else Step.VALIDATE
    if own.reason:
        return None
    all_fixed = all(ballot(view, other) is not None for other in now.seats)
    late = view.now_ms >= ballots_wait_until_ms(view)
    return Step.SHOW if all_fixed or now.ballots_shown or late else None


def ballots_wait_until_ms(view: b.TaskView) -> int:
    """When half of the time of VALIDATE is over, in milliseconds since 1970: ballots are shown then without those that are missing."""
    return view.round.deadline_ms - seconds_of(view, view.round) * 500


def ballot(view: b.TaskView, seat: int) -> b.Ballot | None:
    """The seat's on the present candidate, fixed or shown."""
    return next((one for one in view.ballots if one.seat == seat), None)


def seats_record(view: b.TaskView, step: RoundStep, seat: int) -> Message | None:
    """What the view shows of a seat's part in one of the round's steps."""
    if step.record is b.KeyContribution:
        return contribution(view, view.round.number, seat)
    if step.record is b.Screening:
        return screening(view, seat)
    return ballot(view, seat)


def key_step(view: b.TaskView, ceremony: b.Ceremony, seat: int) -> Step | None:
    """What is open to the seat in a ceremony."""
    step = CEREMONY.get(ceremony.step)
    if step is None or seat not in ceremony.seats or step.done(contribution(view, ceremony.round, seat)):
        return None
    return Step[step.name]


KEY_STEPS = {Step[step.name]: step for step in CEREMONY.values()}
"""What an identity does in a ceremony, and the protocol's step that it is."""


def yet_to_act(view: b.TaskView, number: int) -> set[str]:
    """The verifiers that have yet to do what is open in this round, or, while it waits for its key, in its ceremony."""
    if number == view.round.number and view.round.phase != b.KEY:
        return {seat.verifier for seat in view.seats if round_step(view, seat.seat) is not None}
    ceremony = ceremony_of(view, number)
    return {seat.verifier for seat in view.seats if key_step(view, ceremony, seat.seat) is not None}


def seconds_of(view: b.TaskView, at: b.Round | b.Ceremony) -> int:
    """How long the phase that a round is in may take, or the step that a ceremony is at."""
    step = ROUND[at.phase] if isinstance(at, b.Round) else CEREMONY[at.step]
    return step.seconds(view.task.spec.timeouts)


def seat_of(view: b.TaskView, me: str) -> int | None:
    return next((seat.seat for seat in view.seats if seat.verifier == me), None)


def submission(view: b.TaskView, miner: str) -> b.Submission | None:
    return next((one for one in view.submissions if one.miner == miner), None)


def is_revealed(one: b.Submission) -> bool:
    return ROUND[b.REVEAL].done(one)


def is_opened(one: b.Submission) -> bool:
    """Whether a training's trace was opened."""
    return ROUND[b.TRACE].done(one)


def sketched(view: b.TaskView) -> list[b.Submission]:
    """The submissions whose updates are sketched, as the view has them: those revealed and, where the committee replays, opened."""
    replayed = replays(view.task.spec)
    return [one for one in view.submissions if is_revealed(one) and (is_opened(one) or not replayed)]


def screening(view: b.TaskView, seat: int) -> b.Screening | None:
    return next((one for one in view.screenings if one.seat == seat), None)


def ceremony_of(view: b.TaskView, number: int) -> b.Ceremony:
    return next(one for one in view.ceremonies if one.round == number)


def contributions(view: b.TaskView, number: int) -> dict[int, b.KeyContribution]:
    """By seat, those of the current attempt of the round's ceremony."""
    return {part.seat: part for part in view.contributions if part.round == number}


def contribution(view: b.TaskView, number: int, seat: int) -> b.KeyContribution | None:
    return contributions(view, number).get(seat)
