"""How a model begins, without torch: drawn from a public seed, and the same on every processor.

`uniform` draws whole numbers and rounds once, which IEEE 754 fixes. Torch's own `uniform_` does not: its vector code differs from one
kind of processor to the other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quorumlearn.seeds import stream


def uniform(seed: int, purpose: str, shape: tuple[int, ...], bound: float) -> NDArray[np.float32]:
    """float32 of this shape, evenly between -bound and bound: an odd number of 25 bits, which float32 holds, times one factor."""
    words = np.frombuffer(stream(4 * math.prod(shape), purpose, seed), dtype="<u4")
    odd = (2 * (words >> 8).astype(np.int32) + 1 - (1 << 24)).astype(np.float32)
    return (odd * np.float32(bound / (1 << 24))).reshape(shape)
