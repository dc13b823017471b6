"""A miner's side: train with checkpoints, commit to them by a root, and open what the beacon draws.

Rules:
- every checkpoint's digests are kept, and of the states themselves each m-th and the last, so that they take no more than `most_bytes`
  (but always room for two). A state in between is had by training again from the nearest kept one before it;
- what is kept is written whole or not at all, the state before the record that names it. Stopped anywhere, a training goes on from the
  last state kept. One that does not have its digest any more counts as not there;
- what is opened leads to the root, or is not opened: TraceError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from quorumlearn_proto.artifact_pb2 import CheckpointLeaf, OpenedCheckpoint, OpenedSegment, TraceOpening

from quorumlearn.learning import OnStep
from quorumlearn.learning.exact import State
from quorumlearn.replay import merkle, tensors
from quorumlearn.replay.errors import StateError, TraceError
from quorumlearn.replay.states import Checkpoint, checkpoint_of, ties_from_bytes, ties_to_bytes
from quorumlearn.replay.work import Work

MOST_KEPT_BYTES = 1 << 28
_MOST_KEPT = 256
_RECORD = "record"


class Keeping(Protocol):
    """Where a trace keeps its states: entries by name, written whole or not at all. A node's journal is one."""

    def put(self, name: str, data: bytes) -> None: ...

    def get(self, name: str) -> bytes | None: ...


@dataclass(frozen=True)
class Committed:
    """The checkpoints of a training, from 0, and the log of near ties (bytes) that leads to each."""

    checkpoints: tuple[Checkpoint, ...]
    logs: tuple[bytes, ...] = field(repr=False)

    @cached_property
    def tree(self) -> merkle.Tree:
        """Its entries are the checkpoints' digests."""
        return merkle.Tree([one.digest for one in self.checkpoints])

    @property
    def root(self) -> str:
        """The tree's root, 64 hex digits: Manifest.trace_root."""
        return self.tree.root.hex()

    def until(self, number: int) -> Committed:
        """These up to one of them."""
        return Committed(self.checkpoints[: number + 1], self.logs[: number + 1])

    def leaf(self, number: int) -> CheckpointLeaf:
        """A checkpoint's digests and its path."""
        one = self.checkpoints[number]
        path = self.tree.path(number)
        return CheckpointLeaf(weights=one.weights, optimiser=one.optimiser, ties=one.ties, path=path)

    def open(
        self, drawn: Sequence[int], state_of: Callable[[int], State], said: TraceOpening
    ) -> TraceOpening:
        """What is `said` of task, round, miner and salt, with the drawn items in it: segments from 1, and the last checkpoint, which is
        one more than there are segments and always there. `state_of` gives a checkpoint's state by its number."""
        last = len(self.checkpoints) - 1
        opening = TraceOpening()
        opening.CopyFrom(said)
        for number in sorted(set(drawn) - {last + 1}):
            if not 1 <= number <= last:
                raise TraceError(f"segment {number} was drawn of {last}")
            segment = OpenedSegment(number=number, end=self.leaf(number), ties=self.logs[number])
            if number > 1:
                state = state_of(number - 1)
                segment.start.weights = tensors.to_bytes(state.weights)
                segment.start.optimiser = tensors.to_bytes(state.optimiser)
                segment.start.leaf.CopyFrom(self.leaf(number - 1))
            opening.segments.append(segment)
        weights = tensors.to_bytes(state_of(last).weights)
        opening.last.CopyFrom(OpenedCheckpoint(weights=weights, leaf=self.leaf(last)))
        return opening


@dataclass(frozen=True, eq=False)
class Trace:
    """A training that was done, and what can be opened of it. `loss` is that of its last segment."""

    work: Work
    committed: Committed
    last: State = field(repr=False)
    loss: float
    kept: Kept = field(repr=False)

    @property
    def root(self) -> str:
        """64 hex digits: Manifest.trace_root."""
        return self.committed.root

    def open(
        self,
        drawn: Sequence[int],
        *,
        task_id: str,
        number: int,
        miner: str,
        salt: bytes,
        on_step: OnStep | None = None,
    ) -> TraceOpening:
        """The opening of the drawn items in round `number`, with the salt (32 bytes) of the miner's claim.

        States that were not kept are trained again; `on_step` as in training. TraceError if that does not give the checkpoint that was
        committed, or an item is none of this training.
        """
        states = {self.work.segments: self.last}
        near = (0, self.work.begin)
        for wanted in sorted({one - 1 for one in drawn if 1 < one <= self.work.segments}):
            near = wanted, self._state(wanted, near, on_step)
            states[wanted] = near[1]
        said = TraceOpening(task_id=task_id, round=number, miner=miner, salt=salt)
        return self.committed.open(drawn, states.__getitem__, said)

    def _state(self, wanted: int, near: tuple[int, State], on_step: OnStep | None) -> State:
        """A checkpoint's state: as it was kept, or trained again from the nearest one before that is at hand."""
        place, state = near
        for number in range(wanted, place, -1):
            kept = self.kept.state(self.committed, number)
            if kept is not None:
                place, state = number, kept
                break
        for number in range(place + 1, wanted + 1):
            log = self.committed.logs[number]
            state = self.work.run(state, number, ties_from_bytes(log), on_step).end
            if checkpoint_of(number, state, log) != self.committed.checkpoints[number]:
                raise TraceError(
                    f"segment {number}, trained again, ends in another checkpoint: this machine does not repeat its own training"
                )
        return state


def train(
    work: Work, keeping: Keeping, *, most_bytes: int = MOST_KEPT_BYTES, on_step: OnStep | None = None
) -> Trace:
    """Do a training, or go on with it where its last kept checkpoint stands.

    `on_step(done, of)` is called after each step; an exception that it raises ends the training and passes through, and so do those of
    training and of `keeping`. TraceError if more values are near ties than a log may hold, or numbers do not stay finite.
    """
    kept = Kept(work, keeping, most_bytes)
    committed, state, loss = kept.resume()
    checkpoints, logs = list(committed.checkpoints), list(committed.logs)
    for number in range(len(checkpoints), work.segments + 1):
        stretch = work.run(state, number, None, on_step)
        state, loss = stretch.end, stretch.loss
        try:
            logs.append(ties_to_bytes(stretch.ties))
            checkpoints.append(checkpoint_of(number, state, logs[-1]))
            if kept.keeps(number):
                kept.keep(Committed(tuple(checkpoints), tuple(logs)), state, loss)
        except StateError as error:
            raise TraceError(f"after step {state.step} of {work.steps}: {error}") from error
    return Trace(work, Committed(tuple(checkpoints), tuple(logs)), state, loss, kept)


@dataclass(frozen=True, eq=False)
class Kept:
    """A training's states on their way to and from where they are kept."""

    work: Work
    keeping: Keeping
    most_bytes: int

    def keeps(self, number: int) -> bool:
        """Whether this checkpoint's state is kept: each m-th and the last."""
        room = min(_MOST_KEPT, self.most_bytes // self.work.forms.most_bytes)
        every = -(-self.work.segments // max(1, room - 1))
        return number % every == 0 or number == self.work.segments

    def keep(self, committed: Committed, state: State, loss: float) -> None:
        """Keep the last of these checkpoints, then the record of all. StateError if it holds numbers that are not finite."""
        weights, optimiser = tensors.to_bytes(state.weights), tensors.to_bytes(state.optimiser)
        name = _name(len(committed.checkpoints) - 1)
        self.keeping.put(name, len(weights).to_bytes(8, "big") + weights + optimiser)
        record = {
            "work": self.work.digest,
            "loss": loss,
            "checkpoints": [
                [one.weights.hex(), one.optimiser.hex(), one.ties.hex()] for one in committed.checkpoints
            ],
            "logs": [log.hex() for log in committed.logs],
        }
        self.keeping.put(_RECORD, json.dumps(record).encode())

    def resume(self) -> tuple[Committed, State, float]:
        """What was done before, up to the last state that is still there; from the base if there is none."""
        found = self._record()
        if found is not None:
            committed, loss = found
            for number in range(len(committed.checkpoints) - 1, 0, -1):
                state = self.state(committed, number)
                if state is not None:
                    return committed.until(number), state, loss
        return Committed((self.work.first,), (b"",)), self.work.begin, 0.0

    def state(self, committed: Committed, number: int) -> State | None:
        """A kept state; None if it was not kept, or is not what it was."""
        data = self.keeping.get(_name(number)) if self.keeps(number) else None
        if data is None:
            return None
        length = 8 + int.from_bytes(data[:8], "big")
        try:
            state = self.work.forms.read(self.work.step_of(number), data[8:length], data[length:])
        except StateError:
            return None
        same = checkpoint_of(number, state, committed.logs[number]) == committed.checkpoints[number]
        return state if same else None

    def _record(self) -> tuple[Committed, float] | None:
        data = self.keeping.get(_RECORD)
        if data is None:
            return None
        try:
            record = json.loads(data)
            checkpoints = tuple(
                Checkpoint(number, *map(bytes.fromhex, digests))
                for number, digests in enumerate(record["checkpoints"])
            )
            logs = tuple(map(bytes.fromhex, record["logs"]))
            known, loss = record["work"], float(record["loss"])
        except (ValueError, KeyError, TypeError):
            return None
        if known != self.work.digest or len(logs) != len(checkpoints):
            return None
        return Committed(checkpoints, logs), loss


def _name(number: int) -> str:
    return f"state-{number}"
