"""What an exact training is given and gives: states, stretches of steps between them, and near ties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.data import Samples
from quorumlearn.learning.model import Model
from quorumlearn.learning.workload import OnStep

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class State:
    """A checkpoint: all that the next step depends on besides data, seed and settings.

    `step`: how many steps are done. `weights`: every tensor that travels, buffers too, by name. `optimiser`: its vectors over all that
    trains, by name; empty before the first step. All are float64 where training is portable, float32 where it is not. States are equal
    if their bytes are.
    """

    step: int
    weights: Arrays
    optimiser: Arrays

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, State)
            and self.step == other.step
            and _same(self.weights, other.weights)
            and _same(self.optimiser, other.optimiser)
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, order=True)
class NearTie:
    """A value within rounding error of the middle between two grid points, and the side that it was put on.

    `step` is counted from 0. `coordinate` counts from 0 through the trained tensors in the order of their names, each row by row, and then
    through the buffers in the order of theirs. `up`: to the grid point above.
    """

    step: int
    coordinate: int
    up: bool


@dataclass(frozen=True)
class Stretch:
    """Steps that were done: where they ended, their near ties in order, and what only they can tell.

    `receipt`: 32 bytes, a chain of SHA-256 over what each step used, on its grid. `loss`: mean over all samples of the stretch; it is
    no part of what is the same everywhere.
    """

    end: State
    ties: tuple[NearTie, ...]
    receipt: bytes
    loss: float


class ExactTraining(Protocol):
    """A workload's training, step by step and the same to the byte."""

    @property
    def profile(self) -> str:
        """SHA-256 in hexadecimal of this process's numeric profile, on which the bytes depend; empty where training is portable."""
        ...

    @property
    def weights(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of a state's weights, in the order of their names."""
        ...

    @property
    def optimiser(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of a state's optimiser after the first step; nothing is in it before."""
        ...

    def begin(self, base: Model) -> State:
        """The state before the first step. ModelError if the model is not of this workload."""
        ...

    def run(
        self,
        state: State,
        data: Samples,
        *,
        seed: bytes,
        total: int,
        until: int,
        ties: Sequence[NearTie] | None = None,
        on_step: OnStep | None = None,
    ) -> Stretch:
        """Do the steps from `state.step` to `until`, of a training of `total` steps; `on_step(done, total)` is called after each.

        ties: None to log near ties; otherwise the log that is replayed, and the same ties come back.

        WrongTie if an entry of the log is not near a middle, not of these steps, or not in order. ModelError if the state is not of this
        workload. TrainingError if the data do not fit it, the steps cannot be divided so, or numbers do not stay finite or fit the grid.
        WorkloadError if the module does what cannot be replayed.
        """
        ...


def _same(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and np.ascontiguousarray(one[name]).tobytes() == np.ascontiguousarray(other[name]).tobytes()
        for name in one
    )
