"""Arithmetic modulo primes of at most 51 bits on numpy arrays, their bit packing, and SHAKE-256 streams.

Rules:
- an array of residues is uint64, its last two axes are (primes, N); the primes come as a column (primes, 1);
- every residue handed in is below its prime; every residue handed out is too;
- a product is exact: its quotient is estimated in float64 (three roundings, so wrong by less than
  2^51 * 3 * 2^-53 < 1 before it is cut to an integer), the rest follows in wrap-around uint64;
- bits are packed little-endian, residue after residue, with no gap.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Residues = NDArray[np.uint64]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_PRIME_BITS = 51
"""Above it the float64 estimate of a quotient could be wrong by more than one."""


def column(primes: Sequence[int]) -> Residues:
    """The primes as a column (primes, 1), ready to broadcast over residues."""
    return np.array(primes, dtype=np.uint64)[:, None]


def multiply(a: Residues, b: Residues, q: Residues) -> Residues:
    """a * b modulo q, exact, element by element; shapes broadcast."""
    estimate = a.astype(np.float64)
    estimate = estimate * b.astype(np.float64)
    estimate *= 1.0 / q.astype(np.float64)
    rest = a * b
    rest -= estimate.astype(np.uint64) * q
    signed = rest.view(np.int64)
    signed += q.view(np.int64) * (signed < 0)
    rest -= q * (rest >= q)
    return rest


def add(a: Residues, b: Residues, q: Residues) -> Residues:
    """a + b modulo q."""
    total = a + b
    total -= q * (total >= q)
    return total


def negate(a: Residues, q: Residues) -> Residues:
    """-a modulo q."""
    return np.where(a == 0, a, q - a)


def constant(value: int, primes: Sequence[int]) -> Residues:
    """A Python integer of any size and sign as a column of residues."""
    return np.array([value % q for q in primes], dtype=np.uint64)[:, None]


def from_integers(values: Integers, q: Residues) -> Residues:
    """Signed integers (..., N) as residues (..., primes, N)."""
    return np.mod(values[..., None, :], q.view(np.int64)).astype(np.uint64)


def below(a: Residues, q: Residues) -> bool:
    """Whether every residue is below its prime."""
    return bool((a < q).all())


def centred(a: Residues, primes: Sequence[int]) -> Floats:
    """The integers in (-Q/2, Q/2] that residues (..., primes, N) stand for, as float64 (..., N).

    Garner's mixed-radix digits, the top one taken as signed, summed from the top: each step is exact or
    rounds a number that no later step cancels, so the relative error stays below primes * 2^-52.
    The sign is the top digit's: within Q / (last prime) of the ends, where no opened number may lie, it may be wrong.
    """
    digits: list[Residues] = []
    for i, q in enumerate(primes):
        col = np.array([q], dtype=np.uint64)
        digit = a[..., i, :] % col
        for j, digit_j in enumerate(digits):
            inverse = np.array([pow(primes[j], -1, q)], dtype=np.uint64)
            digit = multiply(add(digit, negate(digit_j % col, col), col), inverse, col)
        digits.append(digit)
    top = digits[-1].astype(np.int64)
    value = (top - np.int64(primes[-1]) * (top > primes[-1] // 2)).astype(np.float64)
    for q, digit in zip(reversed(primes[:-1]), reversed(digits[:-1]), strict=True):
        value = digit.astype(np.float64) + float(q) * value
    return value


def packed_size(primes: Sequence[int], degree: int) -> int:
    """Bytes of one packed polynomial."""
    return sum(degree * q.bit_length() // 8 for q in primes)


def pack_bits(a: Residues, primes: Sequence[int]) -> bytes:
    """Residues (..., primes, N) packed to the bit; N is a multiple of 8."""
    degree = a.shape[-1]
    flat = a.reshape(-1, len(primes), degree)
    parts: list[bytes] = []
    for poly in flat:
        for i, q in enumerate(primes):
            bits = q.bit_length()
            octets = np.ascontiguousarray(poly[i], dtype="<u8").view(np.uint8).reshape(degree, 8)
            if bits % 8 == 0:
                parts.append(octets[:, : bits // 8].tobytes())
            else:
                used = np.unpackbits(octets[:, : bits // 8 + 1], axis=1, bitorder="little")[:, :bits]
                parts.append(np.packbits(used, bitorder="little").tobytes())
    return b"".join(parts)


def unpack_bits(data: bytes | memoryview, primes: Sequence[int], degree: int, polynomials: int) -> Residues:
    """The inverse of `pack_bits`: (polynomials, primes, N). Length and range are the caller's to check."""
    out = np.empty((polynomials, len(primes), degree), dtype=np.uint64)
    raw = np.frombuffer(data, dtype=np.uint8)
    at = 0
    for poly in out:
        for i, q in enumerate(primes):
            bits = q.bit_length()
            size = degree * bits // 8
            part = raw[at : at + size]
            at += size
            octets = np.zeros((degree, 8), dtype=np.uint8)
            if bits % 8 == 0:
                octets[:, : bits // 8] = part.reshape(degree, bits // 8)
            else:
                row = np.zeros((degree, (bits // 8 + 1) * 8), dtype=np.uint8)
                row[:, :bits] = np.unpackbits(part, bitorder="little").reshape(degree, bits)
                octets[:, : bits // 8 + 1] = np.packbits(row, axis=1, bitorder="little")
            poly[i] = octets.view("<u8")[:, 0]
    return out


def stream(domain: str, *parts: bytes, size: int) -> bytes:
    """`size` bytes of SHAKE-256 over the domain and the parts, each with its length before it."""
    shake = hashlib.shake_256()
    for part in (b"quorumlearn.ckks/" + domain.encode(), *parts):
        shake.update(len(part).to_bytes(8, "little"))
        shake.update(part)
    return shake.digest(size)


def _accept(words: Residues, q: int) -> Residues:
    masked = words & np.uint64((1 << q.bit_length()) - 1)
    return masked[masked < np.uint64(q)]


def public_uniform(domain: str, seed: bytes, primes: Sequence[int], degree: int) -> Residues:
    """(primes, N) residues, uniform, from a public seed.

    For each prime: 64-bit little-endian words of SHAKE-256(domain, seed, index of the prime), cut to the
    prime's bits, those not below the prime passed over.
    """
    out = np.empty((len(primes), degree), dtype=np.uint64)
    for i, q in enumerate(primes):
        words = degree + degree // 8 + 64
        while True:
            data = stream(domain, seed, i.to_bytes(4, "little"), size=8 * words)
            taken = _accept(np.frombuffer(data, dtype="<u8"), q)
            if len(taken) >= degree:
                break
            words *= 2
        out[i] = taken[:degree]
    return out


def secret_uniform(primes: Sequence[int], degree: int) -> Residues:
    """(primes, N) residues, uniform, from the operating system's generator."""
    out = np.empty((len(primes), degree), dtype=np.uint64)
    for i, q in enumerate(primes):
        have = 0
        while have < degree:
            taken = _accept(np.frombuffer(os.urandom(8 * (degree - have + 64)), dtype="<u8"), q)
            taken = taken[: degree - have]
            out[i, have : have + len(taken)] = taken
            have += len(taken)
    return out
