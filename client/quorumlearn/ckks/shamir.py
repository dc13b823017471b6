"""Shamir's t-of-v sharing of ring elements, one polynomial of shares for each RNS prime, and its
coefficients.

Rules:
- a seat's number (1..v) is its abscissa; the secret sits at 0;
- a share is a residue array (primes, N); coefficients of the sharing polynomial are uniform modulo each
  prime;
- partial decryptions carry noise, so only *integer* combinations of them are ever taken: a seat multiplies
  its share by `share_factor` before it adds noise, and combining multiplies by `combine_factor`. What opens
  is the message times both factors, for every subset alike.

Source: Shamir 1979; Boneh et al. 2018, section 5.3 (clearing denominators).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks.errors import ParameterError

MAX_SEATS = 12
"""Lagrange coefficients grow with the committee; above it no ring of the standard has room for them."""


@dataclass(frozen=True)
class Clearing:
    """Integer factors and norms that hold for every subset of t of v seats.

    share_factor: clears lambda_0 when a seat's share is written by the secret and any t-1 other shares.
    combine_factor: clears the coefficients that combine any t shares to the secret.
    combine_norm: largest L2 norm of those (uncleared) coefficients.
    honest_norm: largest L2 norm, over coalitions of t-1 seats, of lambda_0 over all other seats.
    """

    share_factor: int
    combine_factor: int
    combine_norm: float
    honest_norm: float


def lagrange(points: Sequence[int], at: int) -> list[Fraction]:
    """Coefficients that give a polynomial of degree < len(points) at `at` from its values at `points`."""
    out = []
    for i in points:
        value = Fraction(1)
        for j in points:
            if j != i:
                value *= Fraction(at - j, i - j)
        out.append(value)
    return out


@lru_cache(maxsize=64)
def clearing(seats: int, threshold: int) -> Clearing:
    """The factors of a committee. Raises ParameterError for an impossible one."""
    if not 1 <= threshold <= seats <= MAX_SEATS:
        raise ParameterError(
            f"threshold {threshold} of {seats} seats: both at least 1, the threshold at most the seats, "
            f"the seats at most {MAX_SEATS}"
        )
    everyone = range(1, seats + 1)
    share_factor, honest = 1, 0.0
    for coalition in combinations(everyone, threshold - 1):
        square = Fraction(0)
        for seat in everyone:
            if seat not in coalition:
                part = lagrange((0, *coalition), seat)[0]
                share_factor = math.lcm(share_factor, part.denominator)
                square += part * part
        honest = max(honest, math.sqrt(square))
    combine_factor, norm = 1, 0.0
    for subset in combinations(everyone, threshold):
        coefficients = lagrange(subset, 0)
        combine_factor = math.lcm(combine_factor, *(c.denominator for c in coefficients))
        norm = max(norm, math.sqrt(sum(c * c for c in coefficients)))
    return Clearing(share_factor, combine_factor, norm, honest)


def combining(seats: int, threshold: int, subset: Sequence[int]) -> list[int]:
    """Integer coefficients that combine the shares of exactly t seats to combine_factor times the secret."""
    factor = clearing(seats, threshold).combine_factor
    return [int(c * factor) for c in lagrange(subset, 0)]


def parity(subset: Sequence[int]) -> list[int]:
    """Integers that take shares of t+1 seats to zero: the divided difference of order t, times a factor."""
    fractions = []
    for i in subset:
        value = Fraction(1)
        for j in subset:
            if j != i:
                value /= i - j
        fractions.append(value)
    factor = math.lcm(*(f.denominator for f in fractions))
    return [int(f * factor) for f in fractions]


def share(
    secret: r.Residues, threshold: int, seats: Sequence[int], primes: Sequence[int]
) -> dict[int, r.Residues]:
    """Shares of a residue array (primes, N) for the given seats."""
    q = r.column(primes)
    higher = [r.secret_uniform(primes, secret.shape[-1]) for _ in range(threshold - 1)]
    out = {}
    for seat in seats:
        value = np.zeros_like(secret)
        for coefficient in reversed(higher):
            value = r.scale(r.add(value, coefficient, q), seat, primes)
        out[seat] = r.add(value, secret, q)
    return out
