"""The key ceremony: a dealerless t-of-v key, fresh for every round.

Seat i draws a ternary secret s_i (SEAL) and an error e_i, and publishes b_i = -(a s_i + e_i). The common
polynomial a comes from a public seed. The collective key is (sum b_i, a), its secret s = sum s_i, which
nobody ever holds: each s_i is dealt by Shamir to all seats, and a seat adds up what it was dealt to its
share of s.

Rules:
- foreign bytes are parsed strictly; secrets show nothing in reprs, logs or errors and do not pickle.

Source: Mouchet et al. 2021 (Multiparty Homomorphic Encryption from Ring-LWE), protocol 1 and section 4.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.ckks.budget import KEY_ERROR_STD
from quorumlearn.ckks.container import Kind, read, write
from quorumlearn.ckks.errors import CkksError, MalformedKey, MalformedShare, ParameterError
from quorumlearn.ckks.parameters import Parameters


def _read_one(p: Parameters, kind: Kind, data: bytes, error: type[CkksError]) -> tuple[r.Residues, bytes]:
    """The one polynomial (primes, N) of a container, and its binding."""
    (polynomials,), binding = read(p, kind, data, error, counts=((1, len(p.primes)),))
    return polynomials[0], binding


class SecretPolynomial:
    """One seat's secret s_i: residues (primes, N), NTT form. Shows nothing of itself."""

    __slots__ = ("_residues",)

    def __init__(self, residues: r.Residues) -> None:
        self._residues = residues

    def __repr__(self) -> str:
        return "SecretPolynomial(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret polynomial is not pickled; write reveal() to a sealed place instead")

    def reveal(self, p: Parameters) -> bytes:
        """The secret as bytes, for the seat's own sealed journal between two steps of the ceremony."""
        return write(p, Kind.SECRET, self._residues[None])

    @staticmethod
    def restore(p: Parameters, data: bytes) -> SecretPolynomial:
        """A secret from `reveal`. Raises MalformedShare."""
        return SecretPolynomial(_read_one(p, Kind.SECRET, data, MalformedShare)[0])

    def erase(self) -> None:
        """Overwrites the secret in place."""
        self._residues[...] = 0

    def residues(self) -> r.Residues:
        """What is shared: (primes, N)."""
        return self._residues


ERROR_BOUND = 40
"""Largest coefficient of a seat's error: 12 standard deviations."""


@dataclass(frozen=True)
class KeyShare:
    """What one seat draws: its secret, and the public share b_i that it commits to and then shows."""

    secret: SecretPolynomial = field(repr=False)
    public: bytes = field(repr=False)


@lru_cache(maxsize=1)
def _gaussian_table() -> r.Residues:
    """Cumulative weights of the discrete Gaussian on -ERROR_BOUND..ERROR_BOUND, scaled to 2^63."""
    points = np.arange(-ERROR_BOUND, ERROR_BOUND + 1, dtype=np.float64)
    weights = np.exp(-(points**2) / (2 * KEY_ERROR_STD**2))
    table: r.Residues = (np.cumsum(weights / weights.sum()) * 2.0**63).astype(np.uint64)
    table[-1] = np.uint64(1 << 63)
    return table


def _gaussian(degree: int) -> r.Integers:
    draws = np.frombuffer(os.urandom(8 * degree), dtype="<u8") >> np.uint64(1)
    return (np.searchsorted(_gaussian_table(), draws, side="right") - ERROR_BOUND).astype(np.int64)


def _seed(common_seed: bytes) -> bytes:
    return r.stream("common seed", common_seed, size=32)


@lru_cache(maxsize=4)
def _common(p: Parameters, seed: bytes) -> r.Residues:
    common = r.public_uniform("common polynomial", seed, p.primes, p.poly_modulus_degree)
    common.setflags(write=False)
    return common


def common_polynomial(p: Parameters, common_seed: bytes) -> r.Residues:
    """The polynomial a of this seed (task, round, attempt): (primes, N), NTT form, read-only."""
    return _common(p, _seed(common_seed))


def new_key_share(p: Parameters, common_seed: bytes) -> KeyShare:
    """A fresh secret and its public share under the common polynomial of this seed (task, round, attempt)."""
    q = r.column(p.primes)
    secret = seal.new_secret(p.poly_modulus_degree, p.coeff_modulus_bits)
    error = r.from_integers(_gaussian(p.poly_modulus_degree), q)
    noise = seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, error[None])[0]
    public = r.negate(r.add(r.multiply(common_polynomial(p, common_seed), secret, q), noise, q), q)
    return KeyShare(SecretPolynomial(secret), write(p, Kind.PUBLIC_SHARE, public[None]))


def _check_seats(p: Parameters, seats: Sequence[int]) -> None:
    if len(set(seats)) != len(seats) or not all(1 <= seat <= p.seats for seat in seats):
        raise ParameterError(f"seats {list(seats)}: need distinct numbers from 1 to {p.seats}")
    if len(seats) < p.threshold:
        raise ParameterError(f"{len(seats)} seats take part, the threshold is {p.threshold}")


def collective_key(p: Parameters, common_seed: bytes, publics: Mapping[int, bytes]) -> bytes:
    """The collective public key of the seats that take part; the same bytes for everybody.

    Raises MalformedKey for a public share that is not one, naming its seat; ParameterError for fewer than t
    seats.
    """
    _check_seats(p, list(publics))
    q = r.column(p.primes)
    total = np.zeros((len(p.primes), p.poly_modulus_degree), dtype=np.uint64)
    for seat, data in sorted(publics.items()):
        try:
            total = r.add(total, read_public(p, data), q)
        except MalformedKey as error:
            raise MalformedKey(f"seat {seat}: {error}") from None
    _check_hides(total, "collective key")
    return write(p, Kind.COLLECTIVE_KEY, total[None], binding=_seed(common_seed))


def _check_hides(polynomial: r.Residues, name: str) -> None:
    if not polynomial.any(axis=-1).all():
        raise MalformedKey(f"a {name} that is zero modulo a prime protects nothing")


def read_public(p: Parameters, data: bytes) -> r.Residues:
    """A public share (primes, N) from foreign bytes. Raises MalformedKey."""
    public, _ = _read_one(p, Kind.PUBLIC_SHARE, data, MalformedKey)
    _check_hides(public, "public share")
    return public


def read_key(p: Parameters, key: bytes) -> r.Residues:
    """A collective key as residues (2, primes, N), NTT form. Raises MalformedKey."""
    public, seed = _read_one(p, Kind.COLLECTIVE_KEY, key, MalformedKey)
    _check_hides(public, "collective key")
    return np.stack([public, _common(p, seed)])


def deal(p: Parameters, secret: SecretPolynomial, seats: Sequence[int]) -> dict[int, bytes]:
    """One share of this seat's secret for each seat, any t of which give it back. Secret bytes: seal them."""
    _check_seats(p, seats)
    shares = shamir.share(secret.residues(), p.threshold, seats, p.primes)
    return {seat: write(p, Kind.SHARE, share[None]) for seat, share in shares.items()}


def sum_shares(p: Parameters, shares: Sequence[bytes]) -> bytes:
    """This seat's share of the round's secret: the sum of what the participants dealt to it. Secret bytes.

    Raises MalformedShare, naming the share by its place in the sequence.
    """
    if not 1 <= len(shares) <= p.seats:
        raise MalformedShare(f"{len(shares)} shares from {p.seats} seats")
    q = r.column(p.primes)
    total = np.zeros((len(p.primes), p.poly_modulus_degree), dtype=np.uint64)
    for i, data in enumerate(shares):
        try:
            total = r.add(total, read_share(p, data), q)
        except MalformedShare as error:
            raise MalformedShare(f"share {i}: {error}") from None
    return write(p, Kind.SHARE, total[None])


def read_share(p: Parameters, data: bytes) -> r.Residues:
    """A share (primes, N) from bytes. Raises MalformedShare, which shows nothing of it."""
    return _read_one(p, Kind.SHARE, data, MalformedShare)[0]
