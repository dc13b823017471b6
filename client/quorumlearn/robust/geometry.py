"""Norms and distances that come out the same on every machine.

Verifiers vote digests of what follows from these numbers, so their last bits must not depend on a processor,
a BLAS or a number of threads. Only elementwise operations of IEEE 754 are used, and sums are taken by
halving: the second half of an array is added to the first until one number is left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]

BLOCK = 1 << 22  # numbers held at a time in one difference


def halving_sum(values: Vectors) -> Vectors:
    """The sum over the last axis, in a fixed order of additions."""
    width = values.shape[-1]
    if width == 0:
        return np.zeros(values.shape[:-1])
    while width > 1:
        half = (width + 1) // 2
        head = values[..., :half].copy()
        head[..., : width - half] += values[..., half:width]
        values, width = head, half
    return values[..., 0]


def _row_sums(left: Vectors, right: Vectors) -> Vectors:
    """sum_j left_ij right_ij of two (n, k), as (n,)."""
    count, size = left.shape
    sums = np.empty(count)
    rows = max(1, BLOCK // max(1, size))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, count, rows):
            sums[start : start + rows] = halving_sum(left[start : start + rows] * right[start : start + rows])
    return sums


def squared_norms(vectors: Vectors) -> Vectors:
    """|x_i|^2 of each row of (n, k), as (n,); infinite or NaN where a row is not finite or too large."""
    return _row_sums(vectors, vectors)


def squared_distances(vectors: Vectors) -> Vectors:
    """|x_i - x_j|^2 of the rows of (n, k), as a symmetric (n, n) matrix with zeros on its diagonal."""
    count, size = vectors.shape
    distances = np.zeros((count, count))
    rows = max(1, BLOCK // max(1, size))
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(count):
            for start in range(i + 1, count, rows):
                apart = vectors[start : start + rows] - vectors[i]
                distances[i, start : start + rows] = halving_sum(apart * apart)
    return distances + distances.T


def products(vectors: Vectors, other: Vectors) -> Vectors:
    """<x_i, y> of each row of (n, k) with one vector (k,), as (n,)."""
    return _row_sums(vectors, np.broadcast_to(other, vectors.shape))


def combine(coefficients: Vectors, vectors: Vectors) -> Vectors:
    """sum_i c_i x_i, (k,), of coefficients (n,) and the rows of (n, k)."""
    return halving_sum(np.ascontiguousarray((coefficients[:, None] * vectors).T))


def distances_to(vectors: Vectors, point: Vectors) -> Vectors:
    """|x_i - point| of each row of (n, k), as (n,)."""
    return np.sqrt(squared_norms(vectors - point))


def cosine_distances(vectors: Vectors) -> Vectors:
    """1 - cos(x_i, x_j), (n, n), 0 on the diagonal; 1 where a row is zero."""
    norms = np.sqrt(squared_norms(vectors))
    units = vectors / np.where(norms > 0, norms, 1.0)[:, None]
    distances = 1.0 - np.array([products(units, unit) for unit in units])
    np.fill_diagonal(distances, 0.0)
    return distances


def lower_median(values: Vectors) -> float:
    """The lower median of at least one value: one of the values, so that no sum is involved."""
    return float(np.sort(values)[(len(values) - 1) // 2])


def centrality(squared: Vectors) -> Vectors:
    """How far each vector is from a majority: of squared distances (n, n), those to the floor(n / 2)-th
    nearest other, (n,). Fewer than half of the vectors cannot make each other look central by it."""
    middle: Vectors = np.sort(squared, axis=1)[:, len(squared) // 2]
    return middle
