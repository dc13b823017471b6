"""Checkpoints: their digests, their bytes, and the log of near ties between two of them.

Rules:
- a digest covers names, types, shapes and every bit of the values, and does not depend on how they are stored. Two states are the same
  if and only if their digests are;
- a checkpoint is known by its number, the digests of weights and optimiser, and that of the near ties of the segment that it ends;
- a log is 9 bytes a tie (step and coordinate, 4 bytes each, big endian; 1 for up, 0 for down), ascending, none twice.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from quorumlearn.learning.exact import ExactTraining, NearTie, State
from quorumlearn.replay import tensors
from quorumlearn.replay.errors import StateError
from quorumlearn.replay.tensors import Arrays, Form, Forms, forms_of

_ARRAYS = b"quorumlearn/arrays/1"
_CHECKPOINT = b"quorumlearn/checkpoint/1"
_TIE = struct.Struct(">IIB")

MOST_TIES = 1_000_000
"""Near ties of one segment, at most: 9 MB. One in 10^9 values is usual."""
NO_TIES = hashlib.sha256(b"").digest()
"""The digest of an empty log."""


@dataclass(frozen=True)
class Checkpoint:
    """What a trace commits to of a checkpoint: its number and three digests of 32 bytes."""

    number: int
    weights: bytes
    optimiser: bytes
    ties: bytes

    @property
    def digest(self) -> bytes:
        """32 bytes: the leaf of this checkpoint."""
        parts = (_CHECKPOINT, self.number.to_bytes(4, "big"), self.weights, self.optimiser, self.ties)
        return hashlib.sha256(b"".join(parts)).digest()


def checkpoint_of(number: int, state: State, ties: bytes = b"") -> Checkpoint:
    """The checkpoint that a state is; `ties` is the log of the segment that ends in it, empty for number 0."""
    return Checkpoint(number, digest(state.weights), digest(state.optimiser), hashlib.sha256(ties).digest())


def digest(arrays: Arrays) -> bytes:
    """SHA-256 over how many arrays there are and, in the order of their names, each one's name, type, shape and values (C order,
    little endian). Lengths stand before what they measure, 8 bytes big endian. StateError for a type that is not stored."""
    state = hashlib.sha256(_ARRAYS)
    state.update(_length(len(arrays)))
    for name in sorted(arrays):
        array = arrays[name]
        code = array.dtype.newbyteorder("<").str
        if code not in tensors.TYPES.values():
            raise StateError(f"{name} is {array.dtype}; stored are {', '.join(tensors.TYPES)}")
        for text in (name.encode(), code.encode()):
            state.update(_length(len(text)) + text)
        state.update(b"".join(_length(size) for size in (array.ndim, *array.shape)))
        state.update(np.ascontiguousarray(array, dtype=code).tobytes())
    return state.digest()


def _length(number: int) -> bytes:
    return number.to_bytes(8, "big")


@dataclass(frozen=True)
class StateForms:
    """The names, types and shapes of a training's states after its first step."""

    weights: Forms
    optimiser: Forms

    @staticmethod
    def of(training: ExactTraining, begin: State) -> StateForms:
        """The optimiser's vectors are of the weights' type."""
        weights = forms_of(begin.weights)
        (dtype,) = {form.dtype for form in weights.values()}
        optimiser = {name: Form(dtype, tuple(shape)) for name, shape in sorted(training.optimiser.items())}
        return StateForms(weights, optimiser)

    @property
    def most_bytes(self) -> int:
        """At least as many bytes as a state of these forms is stored in."""
        return tensors.most_bytes(self.weights) + tensors.most_bytes(self.optimiser)

    def read(self, step: int, weights: bytes, optimiser: bytes) -> State:
        """The state of exactly these forms after `step` steps. StateError says what else the bytes are."""
        return State(
            step,
            _read("weights", weights, self.weights),
            _read("optimiser's state", optimiser, self.optimiser),
        )

    def read_weights(self, data: bytes) -> Arrays:
        """Weights of exactly these forms. StateError says what else the bytes are."""
        return _read("weights", data, self.weights)


def _read(what: str, data: bytes, forms: Forms) -> Arrays:
    try:
        return tensors.from_bytes(data, forms)
    except StateError as error:
        raise StateError(f"{what}: {error}") from error


def ties_to_bytes(ties: Sequence[NearTie]) -> bytes:
    """A log as it is stored. StateError if there are more than MOST_TIES, or they are not ascending."""
    if len(ties) > MOST_TIES:
        raise StateError(
            f"{len(ties)} gradients of a segment were near a middle, at most {MOST_TIES} may be: choose another grid_bits"
        )
    for one, other in pairwise(ties):
        if (one.step, one.coordinate) >= (other.step, other.coordinate):
            raise StateError(f"a near tie of step {other.step} stands after one of step {one.step}")
    return b"".join(_TIE.pack(one.step, one.coordinate, one.up) for one in ties)


def ties_from_bytes(data: bytes) -> tuple[NearTie, ...]:
    """The log in these bytes, read strictly; StateError otherwise."""
    if len(data) > MOST_TIES * _TIE.size:
        raise StateError(f"a log of {len(data)} bytes; at most {MOST_TIES * _TIE.size} are read")
    if len(data) % _TIE.size:
        raise StateError(f"a log of {len(data)} bytes; each near tie has {_TIE.size}")
    found = []
    for step, coordinate, up in _TIE.iter_unpack(data):
        if up > 1:
            raise StateError(f"a near tie that goes {up}; up is 1, down is 0")
        found.append(NearTie(step, coordinate, bool(up)))
    ties_to_bytes(found)
    return tuple(found)
