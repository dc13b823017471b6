"""What a training that can be replayed is: all that fixes its bytes, and where its checkpoints lie. And what update comes of it.

Rules:
- a training of S steps has a checkpoint 0, its base with an optimiser that has seen nothing, and one after each k steps; the last comes
  after step S, however many are left;
- the update is the last checkpoint minus the base in float64, in the order of `learning.flatten`, brought onto the task's grid by
  randomness that follows from the seed. Miners and seats compute it here, alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto.block_pb2 import Round
from quorumlearn_proto.recompute import rounding_key, team_of, training_seed
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning
from quorumlearn.learning import OnStep
from quorumlearn.learning.exact import ExactTraining, NearTie, State, Stretch
from quorumlearn.replay.chunks import joined
from quorumlearn.replay.errors import TraceError
from quorumlearn.replay.states import Checkpoint, StateForms, checkpoint_of, digest
from quorumlearn.replay.tensors import Arrays

SEED_BYTES = 32


@dataclass(frozen=True, eq=False)
class Work:
    """One training.

    base: the head's public model, which is all of the model.
    data: the team's chunks, one after the other, as many as are trained on.
    seed: 32 bytes, recompute.training_seed.
    steps, segment_steps: S and k. TraceError where one is below 1, or the seed is not as long.
    """

    training: ExactTraining
    base: learning.Model = field(repr=False)
    data: learning.Samples = field(repr=False)
    seed: bytes
    steps: int
    segment_steps: int

    def __post_init__(self) -> None:
        if self.steps < 1 or self.segment_steps < 1:
            raise TraceError(
                f"{self.steps} steps, a checkpoint each {self.segment_steps}: both are 1 or more"
            )
        if len(self.seed) != SEED_BYTES:
            raise TraceError(f"a seed of {len(self.seed)} bytes; it has {SEED_BYTES}")

    @property
    def segments(self) -> int:
        """n, the number of the last checkpoint."""
        return -(-self.steps // self.segment_steps)

    @property
    def last_item(self) -> int:
        """The item that stands for the update: one more than there are segments."""
        return self.segments + 1

    def step_of(self, number: int) -> int:
        """How many steps are done at a checkpoint."""
        return min(number * self.segment_steps, self.steps)

    def run(
        self, state: State, number: int, ties: Sequence[NearTie] | None, on_step: OnStep | None = None
    ) -> Stretch:
        """Train from a checkpoint to that of this number; see `ExactTraining.run`."""
        until = self.step_of(number)
        return self.training.run(
            state, self.data, seed=self.seed, total=self.steps, until=until, ties=ties, on_step=on_step
        )

    @cached_property
    def begin(self) -> State:
        """Checkpoint 0."""
        return self.training.begin(self.base)

    @cached_property
    def first(self) -> Checkpoint:
        """What a trace commits to of checkpoint 0."""
        return checkpoint_of(0, self.begin)

    @cached_property
    def forms(self) -> StateForms:
        """Of every checkpoint but the first."""
        return StateForms.of(self.training, self.begin)

    @cached_property
    def digest(self) -> str:
        """64 hex digits by which a trace that was begun is known again: those of all that fixes its bytes."""
        whole = hashlib.sha256(b"quorumlearn/work/1")
        for part in (digest(self.begin.weights), digest(self.begin.optimiser), self.seed):
            whole.update(part)
        whole.update(
            f"{self.data.digest()} {self.steps} {self.segment_steps} {self.training.profile}".encode()
        )
        return whole.hexdigest()


def work_of(
    spec: TaskSpec,
    now: Round,
    miner: str,
    steps: int,
    *,
    training: ExactTraining,
    base: learning.Model,
    chunks: Sequence[learning.Samples],
) -> Work:
    """What a miner's training of so many steps is in this round: on the first of its team's `chunks` that so many steps take.

    TraceError if steps are no multiple of the task's chunk_steps, or more than the chunks make; KeyError if the miner has no team;
    ChunkError if the chunks do not go together.
    """
    asked = spec.recompute
    count, rest = divmod(steps, asked.chunk_steps)
    if rest or not 1 <= count <= len(chunks):
        raise TraceError(
            f"{steps} steps; a training has {asked.chunk_steps} for each of its chunks, of which there are {len(chunks)}"
        )
    number, _ = team_of(now, miner)
    return Work(
        training, base, joined(chunks[:count]), training_seed(now, number), steps, asked.segment_steps
    )


def update_of(base: learning.Model, last: Arrays) -> learning.Update:
    """What training changed: last - base, float64 (d,) in the model's own units, tensor after tensor in the order of their names.

    ModelError if they do not have the same tensors.
    """
    if {name: array.shape for name, array in last.items()} != learning.shapes_of(base):
        raise learning.ModelError("the last checkpoint and the base have different tensors")
    parts = [last[name].astype(np.float64).ravel() for name in sorted(last)]
    return np.concatenate(parts) - learning.flatten(base)


def steps_of(
    base: learning.Model, last: Arrays, parameters: ckks.Parameters, seed: bytes
) -> NDArray[np.int64]:
    """The update in grid steps, int64 (d,): what a miner encrypts, and a seat sketches. ModelError as `update_of`; ckks.QuantiseError for
    an update of another size, or that is not finite."""
    with np.errstate(over="ignore"):
        return ckks.quantise(update_of(base, last), parameters, rounding_key(seed))
