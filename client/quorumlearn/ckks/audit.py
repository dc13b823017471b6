"""What one dealer of a failed ceremony did wrong, from its public share and the shares that were opened.

A failed attempt's key protects nothing, so its shares may be seen. Rules, in the order they are checked:
- the public share b_i and every opened share are polynomials of these parameters;
- the shares lie on one polynomial of degree below t: exactly, for dealt shares carry no noise;
- its value at 0, the secret s_i, is ternary;
- b_i = -(a s_i + e_i) with no coefficient of e_i above `keys.ERROR_BOUND`.

Any t opened shares are enough: an honest dealing passes with whichever they are, and of a false one there is
either no such polynomial or one whose secret does not fit.

Source: Mouchet et al. 2021, protocol 1; Shamir 1979.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.ckks.errors import MalformedKey, MalformedShare, ParameterError
from quorumlearn.ckks.keys import ERROR_BOUND, common_polynomial, read_public, read_share
from quorumlearn.ckks.parameters import Parameters


class Wrong(Enum):
    """Which of a dealer's two artifacts is at fault."""

    PUBLIC_SHARE = "public share"
    DEALING = "dealing"


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a dealing, and why, for people."""

    wrong: Wrong
    why: str


def audit_dealing(
    p: Parameters, common_seed: bytes, public: bytes, shares: Mapping[int, bytes]
) -> Flaw | None:
    """The first thing wrong with a dealing, None if there is nothing.

    `common_seed` as in `new_key_share`; `public` is the dealer's public share, `shares` are those opened, by the
    seat they were dealt to. Raises ParameterError for fewer than t shares, or for seats that are none.
    """
    if len(shares) < p.threshold or not all(1 <= seat <= p.seats for seat in shares):
        raise ParameterError(
            f"shares of seats {sorted(shares)}: {p.threshold} or more of seats 1 to {p.seats} are needed"
        )
    try:
        shown = read_public(p, public)
    except MalformedKey as error:
        return Flaw(Wrong.PUBLIC_SHARE, str(error))
    parts: dict[int, r.Residues] = {}
    for seat, data in sorted(shares.items()):
        try:
            parts[seat] = read_share(p, data)
        except MalformedShare as error:
            return Flaw(Wrong.DEALING, f"to seat {seat}: {error}")
    known = sorted(parts)[: p.threshold]
    for seat in sorted(parts)[p.threshold :]:
        if not np.array_equal(_value_at(p, parts, known, seat), parts[seat]):
            return Flaw(
                Wrong.DEALING,
                f"the shares of seats {[*known, seat]} lie on no polynomial of degree {p.threshold - 1}",
            )
    secret = _value_at(p, parts, known, 0)
    if _largest(p, secret) > 1:
        return Flaw(Wrong.DEALING, f"the shares of seats {known} give a secret that is not ternary")
    q = r.column(p.primes)
    error_ = r.add(shown, r.multiply(common_polynomial(p, common_seed), secret, q), q)
    largest = _largest(p, error_)
    if largest > ERROR_BOUND:
        return Flaw(
            Wrong.PUBLIC_SHARE,
            f"it is not of the secret dealt: the error reaches {largest:.3g}, honest ones {ERROR_BOUND}",
        )
    return None


def _value_at(p: Parameters, parts: Mapping[int, r.Residues], known: Sequence[int], at: int) -> r.Residues:
    """The value at `at` of the polynomial through the shares of the seats `known`: (primes, N)."""
    q = r.column(p.primes)
    total = np.zeros((len(p.primes), p.poly_modulus_degree), dtype=np.uint64)
    for seat, part in zip(known, shamir.lagrange(known, at), strict=True):
        factor = np.array(
            [[part.numerator * pow(part.denominator, -1, prime) % prime] for prime in p.primes],
            dtype=np.uint64,
        )
        total = r.add(total, r.multiply(parts[seat], factor, q), q)
    return total


def _largest(p: Parameters, polynomial: r.Residues) -> float:
    """The largest coefficient, without sign, of a polynomial (primes, N) in NTT form."""
    coefficients = seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, polynomial[None])[0]
    return float(np.abs(r.centred(coefficients, p.primes)).max())
