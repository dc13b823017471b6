"""What workloads train and score on: samples as arrays, or whatever a workload reads for itself.

Rules:
1. Nodes look into no data. They ask how many samples there are, and for a digest, which stays on the node.
2. `Samples` is what most workloads take, and what attacks, root sets and divisions (`learning.shards`) work on. Any type and shape
   will do: the workload says in one sentence what does not fit it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.errors import DataCorrupt, ShardError

Array = NDArray[Any]


class Data(Protocol):
    """What a workload trains or scores on."""

    def __len__(self) -> int:
        """The number of samples."""
        ...

    def digest(self) -> str:
        """SHA-256 of all samples, 64 hex digits: what a node's `data_budget` counts by."""
        ...


@dataclass(frozen=True)
class Part:
    """Which part of a data set an identity takes: miners train, verifiers and owners score.

    `text` is `part:` of the identity in its node's file, in the workload's own words, and `identity` its account, MSP/name.
    """

    kind: Literal["train", "test"]
    text: str = ""
    identity: str = ""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples as arrays: inputs (n, ...) of any type, targets (n, ...), as int64 classes or float32 values.

    `notice` says what a user should know of where they came from, or is None. DataCorrupt if the arrays are not as long as each other.
    """

    inputs: Array
    targets: Array
    notice: str | None = None

    def __post_init__(self) -> None:
        if not self.inputs.shape or not self.targets.shape or len(self.inputs) != len(self.targets):
            raise DataCorrupt(
                f"inputs of shape {self.inputs.shape} and targets of shape {self.targets.shape}: each sample has one of both"
            )

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: NDArray[np.int64]) -> Samples:
        """Copies of the samples at `indices`, in that order. ShardError if one is out of range."""
        if len(indices) and (indices.min() < 0 or indices.max() >= len(self)):
            raise ShardError(f"a sample index outside 0..{len(self) - 1}; the shard is of another data set")
        return Samples(self.inputs[indices], self.targets[indices], self.notice)

    @property
    def writeable(self) -> bool:
        """Whether anybody can still change a sample."""
        return self.inputs.flags.writeable or self.targets.flags.writeable

    def protected(self) -> Samples:
        """The same samples; nobody can write to their arrays any more."""
        self.inputs.setflags(write=False)
        self.targets.setflags(write=False)
        return self

    def digest(self) -> str:
        """SHA-256 of types, shapes and values, 64 hex digits."""
        state = hashlib.sha256()
        for part in (self.inputs, self.targets):
            state.update(f"{part.dtype.str} {part.shape} ".encode())
            state.update(np.ascontiguousarray(part).tobytes())
        return state.hexdigest()
