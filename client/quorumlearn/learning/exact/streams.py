"""Randomness that is the same on every processor: whole numbers of a counter-based generator, under a key of (seed, purpose, number).

Torch's `uniform_` and `normal_` take other paths through a generator where the processor has other instructions; Philox (Salmon et al.,
"Parallel Random Numbers: As Easy as 1, 2, 3", https://doi.org/10.1145/2063384.2063405) as numpy has it is integers only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.data import Samples
from quorumlearn.learning.errors import TrainingError
from quorumlearn.seeds import secret

_KEY_BYTES = 16


def words(seed: bytes, purpose: str, number: int, count: int) -> NDArray[np.uint64]:
    """So many numbers of 64 bits, (count,)."""
    key = int.from_bytes(secret(seed, purpose, number)[:_KEY_BYTES], "big")
    return np.random.Philox(key=key).random_raw(count)


def integer(seed: bytes, purpose: str, number: int) -> int:
    """One number below 2^256, for generators that take a seed."""
    return int.from_bytes(secret(seed, purpose, number), "big")


class Batches:
    """Which samples each step takes: an epoch takes each once, in batches whose sizes differ by one at most."""

    def __init__(self, data: Samples, seed: bytes, total: int, epochs: int) -> None:
        """TrainingError if so many steps cannot be divided into epochs, or an epoch's samples into its steps."""
        if total < 1 or total % epochs:
            raise TrainingError(
                f"{total} steps of {epochs} epochs: an exact training takes equally many steps in each epoch"
            )
        self._an_epoch = total // epochs
        if self._an_epoch > len(data):
            raise TrainingError(
                f"{len(data)} samples for {self._an_epoch} steps an epoch; each step takes a sample at least"
            )
        self._samples = len(data)
        self._seed = seed
        self._epoch = -1
        self._batches: list[NDArray[np.int64]] = []

    def of(self, step: int) -> NDArray[np.int64]:
        """Indices of the samples of a step, (b,)."""
        epoch, within = divmod(step, self._an_epoch)
        if epoch != self._epoch:
            drawn = words(self._seed, "order of batches", epoch, self._samples)
            self._batches = np.array_split(np.argsort(drawn, kind="stable"), self._an_epoch)
            self._epoch = epoch
        return self._batches[within]
