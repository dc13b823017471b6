"""Committees with their keys, made once for each parameter set and shared by the tests of encryption."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal


@dataclass(frozen=True)
class Committee:
    """A finished ceremony: everything every seat holds."""

    p: ckks.Parameters
    keys: dict[int, ckks.KeyShare]
    key: bytes
    shares: dict[int, bytes]

    def encrypt(self, values: np.ndarray) -> ckks.Ciphertexts:
        return ckks.parse(self.p, ckks.encrypt(self.p, self.key, values))

    def partials(self, c: ckks.Ciphertexts) -> dict[int, bytes]:
        return {seat: ckks.partial_decrypt(self.p, share, c) for seat, share in self.shares.items()}

    def sketch_shares(self, plan: ckks.SketchPlan, s: ckks.SketchCiphertext) -> dict[int, bytes]:
        return {seat: ckks.sketch_share(self.p, plan, share, s) for seat, share in self.shares.items()}

    def values(self, seed: int, bound: int | None = None) -> np.ndarray:
        bound = self.p.bound_steps if bound is None else bound
        return np.random.default_rng(seed).integers(-bound, bound + 1, self.p.update_size)

    def raw_secret(self) -> np.ndarray:
        """The sum of all secrets, which no party ever holds: (primes, N), NTT form."""
        q = r.column(self.p.primes)
        total = np.zeros((len(self.p.primes), self.p.poly_modulus_degree), dtype=np.uint64)
        for share in self.keys.values():
            total = r.add(total, share.secret.residues(), q)
        return total

    def plus(self, c: ckks.Ciphertexts, chunk: int, coefficients: dict[int, int]) -> ckks.Ciphertexts:
        """`c` with integers added to single coefficients of a chunk's plaintext, as a cheat would."""
        p = self.p
        unit = math.prod(p.primes[: p.dropped])
        poly = np.zeros((1, len(p.kept_primes), p.poly_modulus_degree), dtype=np.uint64)
        for at, value in coefficients.items():
            poly[0, :, at] = [(2 * value + unit) // (2 * unit) % q for q in p.kept_primes]
        out = c.c0.copy()
        addend = seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, poly, p.dropped)[0]
        out[chunk] = r.add(out[chunk], addend, r.column(p.kept_primes))
        return ckks.parse(p, ckks.Ciphertexts(p, out, c.c1, c.size).to_bytes())


def ceremony(p: ckks.Parameters, seed: bytes = b"task/1/round/1") -> Committee:
    seats = range(1, p.seats + 1)
    keys = {seat: ckks.new_key_share(p, seed) for seat in seats}
    dealt = {seat: ckks.deal(p, key.secret, seats) for seat, key in keys.items()}
    return Committee(
        p=p,
        keys=keys,
        key=ckks.collective_key(p, seed, {seat: key.public for seat, key in keys.items()}),
        shares={to: ckks.sum_shares(p, [dealt[seat][to] for seat in seats]) for to in seats},
    )


@lru_cache(maxsize=32)
def _small(seats: int, threshold: int, update_size: int, sketch_size: int) -> Committee:
    return ceremony(
        ckks.Parameters.choose(
            update_size, seats=seats, threshold=threshold, sketch_size=sketch_size, minimum_security_bits=0
        )
    )


@pytest.fixture(scope="session")
def small() -> Callable[..., Committee]:
    """Committees at a ring too small to protect anything, with two chunks and a bit: fast."""

    def make(seats: int = 3, threshold: int = 2, update_size: int = 2100, sketch_size: int = 64) -> Committee:
        return _small(seats, threshold, update_size, sketch_size)

    return make


@pytest.fixture(scope="session")
def real() -> Committee:
    """A committee at a secure parameter set, two ciphertexts an update."""
    return ceremony(ckks.Parameters.choose(9000, seats=3, threshold=2))


@pytest.fixture(scope="session")
def new_round() -> Callable[[Committee, bytes], Committee]:
    """The same parameters with fresh keys under another seed."""
    return lambda committee, seed: ceremony(committee.p, seed)
