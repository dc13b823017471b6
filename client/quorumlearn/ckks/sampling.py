"""What encryption draws: ternary secrets and small errors, by ChaCha20 under a fresh key of the operating system's for each draw.

Rules:
- a ternary coefficient is -1, 0 or 1, each exactly a third: bytes below 255 modulo 3, the others passed over;
- an error is centred binomial of 42 bits (standard deviation 3.24), the distribution SEAL and others encrypt with: the
  number of ones among 42 fair bits, minus 21;
- what was drawn is in nothing that is returned but as the polynomials asked for.

Source: Alkim et al. 2016 (NewHope), 4: centred binomial errors; RFC 8439: ChaCha20.
"""

from __future__ import annotations

import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from quorumlearn.ckks.residues import Integers

BINOMIAL_BITS = 42
"""Bits of an error: its variance is a quarter of them."""


def expand(key: bytes, size: int) -> bytes:
    """`size` bytes of ChaCha20 under a key of 32 bytes that is used for nothing else: as good as the key, and many times as fast as
    hashing."""
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(size))


def _random(size: int) -> bytes:
    """As good as os.urandom, and several times as fast."""
    return expand(os.urandom(32), size)


def ternary(count: int, degree: int) -> Integers:
    """(count, N) coefficients, uniform in -1, 0, 1."""
    wanted = count * degree
    drawn = np.empty(0, dtype=np.uint8)
    while len(drawn) < wanted:
        more = np.frombuffer(_random(wanted - len(drawn) + 64), dtype=np.uint8)
        drawn = np.concatenate([drawn, more[more < 255]])
    return (drawn[:wanted] % np.uint8(3)).astype(np.int64).reshape(count, degree) - 1


def binomial(count: int, degree: int) -> Integers:
    """(count, N) errors."""
    words = np.frombuffer(_random(8 * count * degree), dtype="<u8") >> np.uint64(64 - BINOMIAL_BITS)
    ones: Integers = np.bitwise_count(words).astype(np.int64)
    return ones.reshape(count, degree) - BINOMIAL_BITS // 2
