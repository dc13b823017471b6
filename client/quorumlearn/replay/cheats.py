"""Miners that would be paid for less than the work, played on this room's functions: for trials, and for miners that play them on a ledger.

Each function takes the work that was assigned and gives what the cheat submits, as `Played`: a root, the values that it encrypts, and what
it opens when items are drawn. Seats check it like any other. `false` says which items were not done as assigned: so whoever counts how
often a cheat is found knows what to expect, 1 - C(n - w, q) / C(n, q) for w false segments of n and q drawn.

The published spoofs of proof of learning are in `spoofs`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto.artifact_pb2 import TraceOpening

from quorumlearn import ckks, learning
from quorumlearn.learning.exact import ExactTraining, NearTie, State, Stretch, WrongTie
from quorumlearn.replay.states import checkpoint_of, ties_from_bytes, ties_to_bytes
from quorumlearn.replay.tensors import Arrays
from quorumlearn.replay.trace import Committed
from quorumlearn.replay.work import Work, steps_of

Values = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Played:
    """What a miner submits: its checkpoints with their states, and the update in grid steps (d,) that it encrypts and claims.

    false: the items that are not as assigned, segments from 1, and one more than there are segments for the update.
    """

    committed: Committed
    states: tuple[State, ...] = field(repr=False)
    values: Values = field(repr=False)
    false: frozenset[int]

    @property
    def root(self) -> str:
        """64 hex digits: Manifest.trace_root."""
        return self.committed.root

    def open(
        self, drawn: Sequence[int], *, task_id: str, number: int, miner: str, salt: bytes
    ) -> TraceOpening:
        """What the cheat opens, as `Trace.open`."""
        said = TraceOpening(task_id=task_id, round=number, miner=miner, salt=salt)
        return self.committed.open(drawn, self.states.__getitem__, said)


class Forging:
    """Checkpoints one after the other, each of them trained or made up."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.states = [work.begin]
        self._logs: list[tuple[NearTie, ...]] = [()]
        self._false: set[int] = set()

    @property
    def last(self) -> State:
        return self.states[-1]

    @property
    def next(self) -> int:
        """The number of the checkpoint that comes next."""
        return len(self.states)

    def train(self) -> None:
        """Do the next segment as assigned, from the last checkpoint."""
        stretch = self.work.run(self.last, self.next, None)
        self._add(stretch.end, stretch.ties)

    def make_up(
        self, weights: Arrays, optimiser: Arrays | None = None, ties: tuple[NearTie, ...] = ()
    ) -> None:
        """Say that the next segment ends in these weights, and in this optimiser's state or the last one."""
        self._false.add(self.next)
        kept = optimiser or self.last.optimiser
        empty = {name: np.zeros(form.shape, form.dtype) for name, form in self.work.forms.optimiser.items()}
        self._add(State(self.work.step_of(self.next), weights, kept or empty), ties)

    def played(self, parameters: ckks.Parameters) -> Played:
        """What is submitted, once there is a last checkpoint: with the update that it is the last checkpoint of."""
        logs = [ties_to_bytes(ties) for ties in self._logs]
        checkpoints = [
            checkpoint_of(at, *both) for at, both in enumerate(zip(self.states, logs, strict=True))
        ]
        values = steps_of(self.work.base, self.last.weights, parameters, self.work.seed)
        committed = Committed(tuple(checkpoints), tuple(logs))
        return Played(committed, tuple(self.states), values, frozenset(self._false))

    def _add(self, state: State, ties: tuple[NearTie, ...]) -> None:
        self.states.append(state)
        self._logs.append(ties)


def honest(work: Work, parameters: ckks.Parameters) -> Played:
    """All of the work."""
    forging = Forging(work)
    while forging.next <= work.segments:
        forging.train()
    return forging.played(parameters)


class Way(Enum):
    """How the end of a segment is had that was not trained."""

    REPEAT = "the checkpoint before it again"
    EXTRAPOLATE = "the step of the last trained segment again"
    INTERPOLATE = "on a line through the whole stretch that is skipped"


def skipping(work: Work, parameters: ckks.Parameters, skipped: Collection[int], way: Way) -> Played:
    """Train all segments but these, and go on from what stands in their place.

    INTERPOLATE guesses where each stretch of neighbouring skipped segments ends, by the mean step of the segments that were trained so far
    (of the first one, if none was), and puts its checkpoints on the line there.
    """
    forging = Forging(work)
    steps = []
    if 1 in skipped and way is not Way.REPEAT:
        steps.append(less(work.run(work.begin, 1, None).end.weights, work.begin.weights))
    while (number := forging.next) <= work.segments:
        before = forging.last.weights
        if number not in skipped:
            forging.train()
            steps.append(less(forging.last.weights, before))
        elif way is Way.REPEAT:
            forging.make_up(before)
        elif way is Way.EXTRAPOLATE:
            forging.make_up(plus(before, steps[-1]))
        else:
            length = next(at for at in range(1, work.segments + 2) if number + at not in skipped)
            mean = {name: np.mean([one[name] for one in steps], axis=0) for name in before}
            for at in range(1, length + 1):
                forging.make_up(plus(before, mean, at))
    return forging.played(parameters)


def thinning(work: Work, parameters: ckks.Parameters, left_out: int) -> Played:
    """Leave out so many steps at the end of each segment, or as many as it has but one."""
    forging = Forging(work)
    while (number := forging.next) <= work.segments:
        start, end = work.step_of(number - 1), work.step_of(number)
        until = max(start + 1, end - left_out)
        if until == end:
            forging.train()
            continue
        done = work.training.run(forging.last, work.data, seed=work.seed, total=work.steps, until=until)
        forging.make_up(done.end.weights, done.end.optimiser, done.ties)
    return forging.played(parameters)


def other_work(work: Work, parameters: ckks.Parameters, done: Work) -> Played:
    """Do other work than was assigned, all of it: on other data, on fewer of them, from another seed, at another learning rate, in another
    arithmetic. The update is brought onto the grid as the assigned seed has it. False is each segment that ends elsewhere than the assigned
    work would from the same checkpoint."""
    forging = Forging(replace(work, training=done.training, data=done.data, seed=done.seed))
    while forging.next <= work.segments:
        forging.train()
    return _passed_off(work, parameters, forging.played(parameters))


def fewer_samples(data: learning.Samples, count: int) -> learning.Samples:
    """As many samples as there were, but only the first so many of them, again and again: to train on with `other_work`."""
    return data.take(np.arange(len(data)) % count)


def copied(work: Work, parameters: ckks.Parameters, other: Played) -> Played:
    """Another miner's trace, of a team with other chunks or another seed, and its update, brought onto the grid as the own seed has it."""
    return _passed_off(work, parameters, other)


def public_step(
    work: Work, parameters: ckks.Parameters, step: learning.Update, noise: float, drawn: np.random.Generator
) -> Played:
    """The last public step (d,) again, with noise of this part of its norm, and checkpoints on the line to it. Nothing is trained."""
    scale = noise * float(np.linalg.norm(step)) / max(1.0, len(step) ** 0.5)
    whole = step + drawn.normal(0, scale, len(step))
    forging = Forging(work)
    begin = work.begin.weights
    while (number := forging.next) <= work.segments:
        forging.make_up(plus(begin, _shaped(whole, begin), number / work.segments))
    return forging.played(parameters)


def other_update(played: Played, values: Values) -> Played:
    """The trace of one training, and the encrypted update of something else."""
    last = len(played.states)
    return replace(played, values=values, false=played.false | {last})


@dataclass(frozen=True)
class Disguised:
    """Float32 passed off as portable work, an `ExactTraining` to be used with `other_work`: trained in float32 as it comes (`cheap`), and
    each checkpoint shown in float64, as `due` has them."""

    due: ExactTraining
    cheap: ExactTraining

    @property
    def profile(self) -> str:
        return self.due.profile

    @property
    def weights(self) -> learning.Shapes:
        return self.due.weights

    @property
    def optimiser(self) -> learning.Shapes:
        return self.due.optimiser

    def begin(self, base: learning.Model) -> State:
        return self.due.begin(base)

    def run(
        self,
        state: State,
        data: learning.Samples,
        *,
        seed: bytes,
        total: int,
        until: int,
        ties: Sequence[NearTie] | None = None,
        on_step: learning.OnStep | None = None,
    ) -> Stretch:
        start = _typed(state, np.dtype(np.float32))
        done = self.cheap.run(start, data, seed=seed, total=total, until=until, ties=ties, on_step=on_step)
        return replace(done, end=_typed(done.end, np.dtype(np.float64)))


def _typed(state: State, dtype: np.dtype[np.floating]) -> State:
    parts = [
        {name: one.astype(dtype) for name, one in part.items()} for part in (state.weights, state.optimiser)
    ]
    return State(state.step, *parts)


def _passed_off(work: Work, parameters: ckks.Parameters, played: Played) -> Played:
    """The checkpoints of some training as those of this work: what comes of them, and which segments end elsewhere than its own would."""
    found = set()
    for number in range(1, len(played.states)):
        ties = ties_from_bytes(played.committed.logs[number])
        try:
            end = work.run(played.states[number - 1], number, ties).end
        except WrongTie:
            found.add(number)
        else:
            found |= {number} if end != played.states[number] else set()
    values = steps_of(work.base, played.states[-1].weights, parameters, work.seed)
    return replace(played, values=values, false=frozenset(found))


def less(one: Arrays, other: Arrays) -> Arrays:
    """one - other, name by name."""
    return {name: one[name] - other[name] for name in one}


def plus(one: Arrays, other: Arrays, times: float = 1) -> Arrays:
    """one + other x times, name by name, in one's types."""
    return {name: one[name] + (other[name] * times).astype(one[name].dtype) for name in one}


def _shaped(flat: learning.Update, like: Arrays) -> Arrays:
    shaped, at = {}, 0
    for name in sorted(like):
        shaped[name] = flat[at : at + like[name].size].reshape(like[name].shape)
        at += like[name].size
    return shaped
