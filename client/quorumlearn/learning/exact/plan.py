"""What an exact training needs of a workload, whatever kind it is: the tensors by name, how they move, and a step's loss."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quorumlearn.learning.data import Samples
from quorumlearn.learning.exact.optimisers import Rule

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """Shapes of what trains and of the buffers that travel, each in the order of their names, and a rule for each that trains."""

    trained: Shapes
    buffers: Shapes
    rules: Mapping[str, Rule | None]


class Subject(Protocol):
    """A model in the middle of a training, and its data."""

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """What trains, by name: tensors of which `.data` and `.grad` may be set."""
        ...

    def buffer(self, name: str) -> Tensor:
        """A buffer as it is now."""
        ...

    def learn(self, batch: NDArray[np.int64], step: int) -> float:
        """Leave the gradients of the mean loss over these samples; that loss."""
        ...


class Plan(Protocol):
    """A workload that can be trained exactly."""

    @property
    def name(self) -> str: ...

    @property
    def epochs(self) -> int: ...

    @property
    def layout(self) -> Layout: ...

    def opened(self, data: Samples, seed: bytes, dtype: torch.dtype) -> AbstractContextManager[Subject]:
        """The workload's model in `dtype`, with data to train it on. The caller gives it its weights."""
        ...
