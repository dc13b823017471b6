"""What an update brings beyond the public steps before it.

Everybody knows how the public model moved. Who sends such a step again, with noise to hide it, has the update of an honest miner
in the eyes of a rule by distances, and no work in it. What counts is the part outside the span of the last steps p_1 .. p_m:

    new(x) = |x - P x| / |x|,    P the projection on span(p_1, ..., p_m)

A sketch keeps it, for it is linear and nearly keeps lengths and angles (Johnson and Lindenstrauss 1984): of k numbers an update that
has nothing to do with the steps shows sqrt(1 - m / k).

How much is usual depends on the training: with short steps honest updates, too, go nearly the way of the last ones. So an update is
held against the others of its round, against the (f + 1)-th largest part: f cheats cannot raise that above an honest one, and riders
cannot lower it while f + 1 miners work.

Nothing is rounded: coordinates become whole numbers by a power of two, and whole numbers are added, multiplied and compared. So a last
bit, which depends on the order of a machine's sums, decides nothing, and whether the steps are nearly the same does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, sqrt

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


def lacking(
    vectors: Vectors, known: Vectors, byzantine: int, least: float
) -> list[tuple[float, float] | None]:
    """For each vector None, or if it brings less than `least` of what is usual what it brings and what is wanted, for people."""
    squares = new_squares(vectors, known)
    if not squares:
        return []
    usual = sorted(squares, reverse=True)[min(byzantine, len(squares) - 1)]
    wanted = Fraction(least) ** 2 * usual
    return [None if one >= wanted else (sqrt(one), sqrt(wanted)) for one in squares]


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
