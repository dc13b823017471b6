"""Encrypted updates that no honest miner sends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks

Residues = NDArray[np.uint64]


def zeros(p: ckks.Parameters, key: bytes) -> bytes:
    """A well-formed update that changes nothing."""
    return ckks.encrypt(p, key, np.zeros(p.update_size, dtype=np.int64))


def ones(p: ckks.Parameters, key: bytes) -> bytes:
    """A well-formed update of one step everywhere."""
    return ckks.encrypt(p, key, np.ones(p.update_size, dtype=np.int64))


def with_a_foreign_mask(p: ckks.Parameters, key: bytes) -> bytes:
    """`ones` with one whole step added to its mask: what it holds is now in part the round's secret, in range and on the grid."""
    update = ckks.parse(p, ones(p, key))
    step = np.zeros((1, len(p.primes), p.poly_modulus_degree), dtype=np.uint64)
    step[0, :, 0] = [(1 << p.shift) % q for q in p.primes]
    added = ckks.seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, step)
    mask = update.c1.copy()
    mask[0] = (mask[0] + added[0]) % column(p.primes)
    return made(p, update.c0, mask)


def overflowing(p: ckks.Parameters, key: bytes) -> bytes:
    """Values far beyond the bound: a well-formed encryption of small ones, times a large number."""
    values = np.random.default_rng(1).integers(-100, 101, p.update_size)
    small = ckks.parse(p, ckks.encrypt(p, key, values))

    def scaled(part: Residues, primes: Residues) -> Residues:
        for _ in range(10):
            part = part * np.uint64(997) % primes
        return part

    return made(p, scaled(small.c0, column(p.kept_primes)), scaled(small.c1, column(p.primes)))


def random_residues(p: ckks.Parameters, key: bytes) -> bytes:
    """Residues below their primes that are an encryption of nothing."""
    like = ckks.parse(p, zeros(p, key))
    random = np.random.default_rng(2)
    drawn = [
        random.integers(0, 2**62, part.shape).astype(np.uint64) % column(primes)
        for part, primes in ((like.c0, p.kept_primes), (like.c1, p.primes))
    ]
    return made(p, *drawn)


def in_the_clear(p: ckks.Parameters, key: bytes) -> bytes:
    """Ciphertexts without masks, which show their message to everybody."""
    like = ckks.parse(p, zeros(p, key))
    return made(p, like.c0, np.zeros_like(like.c1))


def over_their_primes(p: ckks.Parameters, key: bytes) -> bytes:
    """The right header and length, and residues that are none."""
    return zeros(p, key)[:-64] + b"\xff" * 64


def made(p: ckks.Parameters, c0: Residues, c1: Residues) -> bytes:
    return ckks.Ciphertexts(p, c0, c1, p.update_size).to_bytes()


def column(primes: tuple[int, ...]) -> Residues:
    return np.array(primes, dtype=np.uint64)[:, np.newaxis]
