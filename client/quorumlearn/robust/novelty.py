"""What an update brings beyond the public steps before it.

Everybody knows how the public model moved. Who sends such a step again, with noise to hide it, has the update of an honest miner
in the eyes of a rule by distances, and no work in it. What counts is the part outside the span of the last steps p_1 .. p_m:

    new(x) = |x - P x| / |x|,    P the projection on span(p_1, ..., p_m)

A sketch keeps it, for it is linear and nearly keeps lengths and angles (Johnson and Lindenstrauss 1984): of k numbers an update that
has nothing to do with the steps shows sqrt(1 - m / k).

Nothing is rounded: coordinates become whole numbers by a power of two, and whole numbers are added, multiplied and compared. So a last
bit, which depends on the order of a machine's sums, decides nothing, and whether the steps are nearly the same does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd

import numpy as np
from numpy.typing import NDArray

from quorumlearn.robust.geometry import Vectors

Whole = NDArray[np.object_]
_MANTISSA = 52


def new_squares(vectors: Vectors, known: Vectors) -> list[Fraction]:
    """new(x)^2 of each of the finite, nonzero vectors (n, k), exactly; `known` are the steps, (m, k)."""
    basis = _orthogonal([_whole(row) for row in known])
    out = []
    for vector in map(_whole, vectors):
        whole = Fraction(int(vector @ vector))
        inside = sum((Fraction(int(vector @ one) ** 2, int(one @ one)) for one in basis), Fraction(0))
        out.append(1 - inside / whole)
    return out


def _whole(row: Vectors) -> Whole:
    """The row times a power of two, as whole numbers of at most 52 bits: the same on every machine."""
    exponent = int(np.frexp(np.abs(row).max())[1])
    whole: Whole = np.rint(np.ldexp(row, _MANTISSA - exponent)).astype(np.int64).astype(object)
    return whole


def _orthogonal(rows: Sequence[Whole]) -> list[Whole]:
    """Whole vectors at right angles with the rows' span (Gram and Schmidt, without fractions)."""
    basis: list[Whole] = []
    for row in rows:
        left = row
        for one in basis:
            left = int(one @ one) * left - int(left @ one) * one
            divisor = gcd(*left)
            left = left // max(1, divisor)
        if left.any():
            basis.append(left)
    return basis
