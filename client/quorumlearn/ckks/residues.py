"""Arithmetic modulo primes of at most 56 bits on numpy arrays, their bit packing, and SHAKE-256 streams.

Rules:
- an array of residues is uint64, its last two axes are (primes, N); the primes come as a column (primes, 1);
- every residue handed in is below its prime; every residue handed out is too;
- a product is exact: its quotient is estimated in float64, the rest follows in wrap-around 64-bit integers. An estimate
  of G summed products below 2^(2b-2) is off by at most G (G + 4) 2^(b-55); `_group` picks G so that the rest still
  fits 63 bits with its sign, and `_settle` takes it below its prime;
- bits are packed little-endian, residue after residue, with no gap.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Residues = NDArray[np.uint64]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_PRIME_BITS = 56
"""Above it the rest of a product could leave 63 bits, so wrong is the float64 estimate of its quotient."""
_WORD = 64
_LARGEST_GROUP = 64
_FEW = 1 << 14
"""Below so many values all 64 of a group are packed at once, above it one after the other over all groups."""
_SURE_BITS = 51
"""Up to here that estimate is wrong by less than one before it is cut to an integer."""


def column(primes: Sequence[int]) -> Residues:
    """The primes as a column (primes, 1), ready to broadcast over residues."""
    return np.array(primes, dtype=np.uint64)[:, None]


def multiply(a: Residues, b: Residues, q: Residues) -> Residues:
    """a * b modulo q, exact, element by element; shapes broadcast."""
    inverse = 1.0 / q.astype(np.float64)
    estimate = a.astype(np.float64)
    estimate = estimate * b.astype(np.float64)
    estimate *= inverse
    rest = a * b
    rest -= estimate.astype(np.int64).view(np.uint64) * q
    signed = rest.view(np.int64)
    if int(q.max()).bit_length() > _SURE_BITS:
        _settle(signed, q)
    else:
        signed += q.view(np.int64) * (signed < 0)
        rest -= q * (rest >= q)
    return rest


def _settle(signed: Integers, q: Residues) -> None:
    """Takes integers within +-2^62 below their primes, in place."""
    column_ = q.view(np.int64)
    signed -= np.floor(signed * (1.0 / q.astype(np.float64))).astype(np.int64) * column_
    signed += column_ * (signed < 0)
    signed -= column_ * (signed >= column_)


def halved(a: Residues, q: Residues) -> Integers:
    """Residues as signed integers in -q/2..q/2: what `dot` wants of its operands."""
    signed = a.view(np.int64)
    column_ = q.view(np.int64)
    out: Integers = signed - column_ * (signed > column_ >> 1)
    return out


def quotients(b: Integers, q: Residues) -> Floats:
    """b / q in float64: what `dot` wants of an operand that is used again and again."""
    return b.astype(np.float64) / q.astype(np.float64)


def _group(bits: int) -> int:
    """The largest G with G (G + 4) 2^(2 bits - 55) at most 2^62."""
    room = 2.0 ** (62 + 55 - 2 * bits)
    return max(1, min(_LARGEST_GROUP, int((4 + room) ** 0.5) - 2))


def dot(a: Integers, b: Integers, b_over_q: Floats, q: Residues) -> Residues:
    """Sums over the first axis of a: (J, ...) and b: (M, J, ...) give residues (M, ...), modulo q, exact.

    Both are `halved`, `b_over_q` is `quotients(b, q)`. Many times as fast as `multiply`: one pass for the
    estimate, one for the product.
    """
    many, count = b.shape[:2]
    out = np.zeros((many, *a.shape[1:]), dtype=np.uint64)
    step = _group(int(q.max()).bit_length())
    column_ = q.view(np.int64)
    for at in range(0, count, step):
        part = slice(at, min(at + step, count))
        floats = a[part].astype(np.float64)
        for m in range(many):
            estimate = np.einsum("j...,j...->...", floats, b_over_q[m, part])
            rest = np.einsum("j...,j...->...", a[part], b[m, part])
            rest -= np.rint(estimate).astype(np.int64) * column_
            _settle(rest, q)
            out[m] = add(out[m], rest.view(np.uint64), q)
    return out


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
    column_, wide = q.view(np.int64), values[..., None, :]
    if values.size and max(-int(values.min()), int(values.max())) < int(column_.min()):
        return (wide + column_ * (wide < 0)).view(np.uint64)
    return np.mod(wide, column_).astype(np.uint64)


def below(a: Residues, q: Residues) -> bool:
    """Whether every residue is below its prime."""
    return bool((a < q).all())


def centred(a: Residues, primes: Sequence[int]) -> Floats:
    """The integers in (-Q/2, Q/2) that residues (..., primes, N) stand for, as float64 (..., N).

    Garner's mixed-radix digits, each taken as signed, summed from the top: the relative error stays below
    primes * 2^-52, for small numbers too, whose upper digits are zero.
    """
    digits: list[Integers] = []
    for i, q in enumerate(primes):
        col = np.array([q], dtype=np.uint64)
        digit = a[..., i, :] % col
        for j, lower in enumerate(digits):
            inverse = np.array([pow(primes[j], -1, q)], dtype=np.uint64)
            taken = np.mod(-lower, np.int64(q)).astype(np.uint64)
            digit = multiply(add(digit, taken, col), inverse, col)
        signed = digit.view(np.int64)
        digits.append(signed - np.int64(q) * (signed > q // 2))
    value = digits[-1].astype(np.float64)
    for q, lower in zip(reversed(primes[:-1]), reversed(digits[:-1]), strict=True):
        value = lower.astype(np.float64) + float(q) * value
    return value


def packed_size(primes: Sequence[int], degree: int) -> int:
    """Bytes of one packed polynomial; every 64 residues fill whole words."""
    return sum(-(-degree // _WORD) * q.bit_length() * 8 for q in primes)


def pack_bits(a: Residues, primes: Sequence[int]) -> bytes:
    """Residues (..., primes, N) packed to the bit, prime by prime within a polynomial, zeros up to a multiple of 64."""
    flat = a.reshape(-1, len(primes), a.shape[-1])
    if spare := -a.shape[-1] % _WORD:
        flat = np.pad(flat, ((0, 0), (0, 0), (0, spare)))
    parts = [_pack(flat[:, i], q.bit_length()) for i, q in enumerate(primes)]
    return np.concatenate(parts, axis=1).tobytes()


def unpack_bits(data: bytes | memoryview, primes: Sequence[int], degree: int, polynomials: int) -> Residues:
    """The inverse of `pack_bits`: (polynomials, primes, N rounded up to 64). Length and range are the caller's to check."""
    degree = -(-degree // _WORD) * _WORD
    out = np.empty((polynomials, len(primes), degree), dtype=np.uint64)
    words = np.frombuffer(data, dtype="<u8").reshape(polynomials, -1)
    at = 0
    for i, q in enumerate(primes):
        bits = q.bit_length()
        size = degree * bits // 64
        out[:, i] = _unpack(words[:, at : at + size], bits, degree)
        at += size
    return out


@lru_cache(maxsize=64)
def _places(bits: int) -> tuple[Integers, Residues, Integers]:
    """Of 64 values of so many bits: the word each begins in, its offset there, and which reach into the next."""
    word, offset = np.divmod(np.arange(_WORD) * bits, _WORD)
    return word, offset.astype(np.uint64), np.flatnonzero(offset + bits > _WORD)


def _pack(values: Residues, bits: int) -> Residues:
    """(polynomials, N) to (polynomials, N * bits / 64): each 64 values make `bits` words."""
    place, offset, across = _places(bits)
    if values.size < _FEW:
        groups = values.reshape(-1, _WORD)
        words = np.bitwise_or.reduceat(groups << offset, np.searchsorted(place, np.arange(bits)), axis=1)
        words[:, place[across] + 1] |= groups[:, across] >> (np.uint64(_WORD) - offset[across])
        return words.astype("<u8").reshape(len(values), -1)
    rows = np.ascontiguousarray(values.reshape(-1, _WORD).T)
    words = np.zeros((bits, rows.shape[1]), dtype=np.uint64)
    for i, row in enumerate(rows):
        words[place[i]] |= row << offset[i]
        if offset[i] + bits > _WORD:
            words[place[i] + 1] |= row >> np.uint64(_WORD - int(offset[i]))
    return np.ascontiguousarray(words.T, dtype="<u8").reshape(len(values), -1)


def _unpack(words: Residues, bits: int, degree: int) -> Residues:
    """The inverse of `_pack`."""
    place, offset, across = _places(bits)
    mask = np.uint64((1 << bits) - 1)
    groups = words.reshape(-1, bits)
    if len(groups) * _WORD < _FEW:
        values = groups[:, place].astype(np.uint64) >> offset
        values[:, across] |= groups[:, place[across] + 1] << (np.uint64(_WORD) - offset[across])
        values &= mask
        return values.reshape(-1, degree)
    columns = np.ascontiguousarray(groups.T, dtype=np.uint64)
    rows = np.empty((_WORD, columns.shape[1]), dtype=np.uint64)
    for i in range(_WORD):
        np.right_shift(columns[place[i]], offset[i], out=rows[i])
        if offset[i] + bits > _WORD:
            rows[i] |= columns[place[i] + 1] << np.uint64(_WORD - int(offset[i]))
        rows[i] &= mask
    return np.ascontiguousarray(rows.T).reshape(-1, degree)


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
