"""Arithmetic modulo primes of at most 60 bits on numpy arrays, their bit packing, and SHAKE-256 streams.

Rules:
- an array of residues is uint64, its last two axes are (primes, N); the primes come as a column (primes, 1);
- every residue handed in is below its prime; every residue handed out is too;
- a product is exact: its quotient is estimated in float64, the rest follows in wrap-around 64-bit integers. The estimate
  is good to far less than one where one factor has at most 32 bits, so a wide factor is taken in two limbs of 30;
- bits are packed little-endian, residue after residue, with no gap.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Residues = NDArray[np.uint64]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

MAX_PRIME_BITS = 60
"""SEAL's limit, and that of two limbs."""
_LIMB = 30
_LOW = np.uint64((1 << _LIMB) - 1)
_WORD = 64
_SURE_BITS = 51
"""Up to here the estimate of a product's quotient is wrong by less than one before it is cut to an integer."""
_SINGLE_BITS = 50
"""Up to here `dot` takes residues whole: the estimates of so many sums of `_GROUP` are off by few primes."""
_GROUP = 128
_AT_ONCE = 1 << 16
"""So many values of an operand are worked on at once, to stay in the caches."""


def column(primes: Sequence[int]) -> Residues:
    """The primes as a column (primes, 1), ready to broadcast over residues."""
    return np.array(primes, dtype=np.uint64)[:, None]


def multiply(a: Residues, b: Residues, q: Residues) -> Residues:
    """a * b modulo q, exact, element by element; shapes broadcast. Fastest where b is the smaller."""
    inverse = 1.0 / q.astype(np.float64)
    if int(q.max()).bit_length() > _SURE_BITS:
        # a = high 2^30 + low, so a b is high (2^30 b) + low b: two quotients below 2^30
        upper = _scaled(b, 1 << _LIMB, q)
        high, low = (a >> np.uint64(_LIMB)).view(np.int64), (a & _LOW).view(np.int64)
        estimate = high.astype(np.float64) * (upper * inverse)
        estimate += low.astype(np.float64) * (b * inverse)
        product = high * upper.view(np.int64)
        product += low * b.view(np.int64)
        return _rest(product, estimate, q)
    estimate = a.astype(np.float64) * b.astype(np.float64)
    estimate *= inverse
    rest = a * b
    rest -= estimate.astype(np.int64).view(np.uint64) * q
    np.minimum(rest, rest + q, out=rest)
    np.minimum(rest, rest - q, out=rest)
    return rest


def scale(a: Residues, factor: int, primes: Sequence[int]) -> Residues:
    """a times a Python integer of any size and sign, modulo the primes."""
    if abs(factor) <= 1 << _LIMB:
        return _scaled(a, factor, column(primes))
    return multiply(a, constant(factor, primes), column(primes))


def _scaled(a: Residues, factor: int, q: Residues) -> Residues:
    """a times an integer of at most 31 bits."""
    return _rest(
        a.view(np.int64) * np.int64(factor), a.astype(np.float64) * (factor / q.astype(np.float64)), q
    )


def _rest(product: Integers, estimate: Floats, q: Residues) -> Residues:
    """The residues of products, known modulo 2^64, whose quotients by q are known to less than a half."""
    product -= np.rint(estimate, out=estimate).astype(np.int64) * q.view(np.int64)
    rest = product.view(np.uint64)  # within +-q: below zero it wraps, and is the larger of the two
    np.minimum(rest, rest + q, out=rest)
    return rest


def halved(a: Residues, q: Residues) -> Integers:
    """Residues as signed integers in -q/2..q/2: what `dot` wants of its second operand."""
    signed = a.view(np.int64)
    column_ = q.view(np.int64)
    out: Integers = signed - column_ * (signed > column_ >> 1)
    return out


def dot(a: Residues, b: Integers, q: Residues) -> Residues:
    """Sums over the first axis of a (J, primes, N) and of `halved` b (M, J, primes, N): residues (M, primes, N), exact.

    Many times as fast as `multiply`: products are added up before they are reduced.
    """
    out = np.zeros((len(b), *a.shape[1:]), dtype=np.uint64)
    for i in range(len(q)):
        for at in range(0, len(a), _GROUP):
            part = _dot_group(a[at : at + _GROUP, i], b[:, at : at + _GROUP, i], q[i])
            out[:, i] = add(out[:, i], part, q[i])
    return out


def _dot_group(a: Residues, b: Integers, q: Residues) -> Residues:
    """`dot` modulo one prime of at most `_GROUP` rows: (J, N) and (M, J, N) give (M, N).

    A limb below 2^30 (a residue below 2^50) times a halved residue has a quotient below 2^29 (2^49). The float64 sum of
    128 such is off by less than 2^(29 + 7 - 53 + 8) = 2^-9 (2^11, which leaves a rest below 2^61).
    """
    prime = int(q[0])
    limbs = 1 if prime.bit_length() <= _SINGLE_BITS else 2
    rest = np.zeros((limbs, len(b), a.shape[-1]), dtype=np.int64)
    estimate = np.zeros(rest.shape)
    blocks = list(_blocks(len(a), 2 * a.shape[-1]))  # of b it is several times as many values
    held = np.empty((len(b), blocks[0].stop, a.shape[-1]))
    for some in blocks:
        rows, those = a[some], b[:, some]
        floats = held[:, : len(rows)]
        floats[...] = those
        for i, part in enumerate((rows,) if limbs == 1 else (rows & _LOW, rows >> np.uint64(_LIMB))):
            signed = part.view(np.int64)
            rest[i] += np.einsum("jn,mjn->mn", signed, those)
            estimate[i] += np.einsum("jn,mjn->mn", signed.astype(np.float64), floats)
    estimate /= prime
    rest -= np.rint(estimate, out=estimate).astype(np.int64) * q.view(np.int64)
    parts = _rest(rest, rest / prime, q)
    return parts[0] if limbs == 1 else add(parts[0], _scaled(parts[1], 1 << _LIMB, q), q)


def add(a: Residues, b: Residues, q: Residues) -> Residues:
    """a + b modulo q."""
    total = a + b
    np.minimum(total, total - q, out=total)  # below zero it wraps, and is the larger of the two
    return total


def negate(a: Residues, q: Residues) -> Residues:
    """-a modulo q."""
    return np.where(a == 0, a, q - a)


def constant(value: int, primes: Sequence[int]) -> Residues:
    """A Python integer of any size and sign as a column of residues."""
    return np.array([value % q for q in primes], dtype=np.uint64)[:, None]


def from_integers(values: Integers, q: Residues) -> Residues:
    """Signed integers (..., N) below 2^60 as residues (..., primes, N)."""
    column_, wide = q.view(np.int64), values[..., None, :]
    if values.size and max(-int(values.min()), int(values.max())) < int(column_.min()):
        return np.minimum(wide.view(np.uint64), (wide + column_).view(np.uint64))
    return _rest(wide + 0 * column_, wide * (1.0 / q.astype(np.float64)), q)


def multiples(values: Integers, factor: int, primes: Sequence[int]) -> Residues:
    """Signed integers (..., N) below 2^32, times a Python integer of any size, as residues (..., primes, N)."""
    q = column(primes)
    by = constant(factor, primes).view(np.int64)
    wide = values[..., None, :]
    return _rest(wide * by, wide * (by / q.astype(np.float64)), q)


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
    size = packed_size(primes, flat.shape[-1])
    data = np.zeros(len(flat) * size + 8, dtype=np.uint8)
    for some in _blocks(len(flat), flat.shape[-1]):
        start = some.start * size
        for i, q in enumerate(primes):
            bits = q.bit_length()
            groups = flat[some, i].reshape(some.stop - some.start, -1, 8)
            for at in range(8):
                first, after, offset = _windows(data, start, bits, at, groups.shape[:2], size)
                first |= groups[..., at] << offset
                if after is not None:
                    after |= (groups[..., at] >> (np.uint64(_WORD) - offset)).astype(np.uint8)
            start += groups[0].size * bits // 8
    return data[:-8].tobytes()


def unpack_bits(data: bytes | memoryview, primes: Sequence[int], degree: int, polynomials: int) -> Residues:
    """The inverse of `pack_bits`: (polynomials, primes, N rounded up to 64). Length and range are the caller's to check."""
    degree = -(-degree // _WORD) * _WORD
    out = np.empty((polynomials, len(primes), degree), dtype=np.uint64)
    size, packed = packed_size(primes, degree), np.frombuffer(data, dtype=np.uint8)
    for some in _blocks(polynomials, degree):
        block = np.append(packed[some.start * size : some.stop * size], np.zeros(8, dtype=np.uint8))
        start = 0
        for i, q in enumerate(primes):
            bits = q.bit_length()
            groups = out[some, i].reshape(some.stop - some.start, -1, 8)
            mask = np.uint64((1 << bits) - 1)
            for at in range(8):
                first, after, offset = _windows(block, start, bits, at, groups.shape[:2], size)
                value = first >> offset
                if after is not None:
                    value |= after.astype(np.uint64) << (np.uint64(_WORD) - offset)
                np.bitwise_and(value, mask, out=groups[..., at])
            start += degree * bits // 8
    return out


def _blocks(polynomials: int, degree: int) -> Iterator[slice]:
    """All polynomials, so many at once that they stay in the caches."""
    step = max(1, _AT_ONCE // degree)
    return (slice(at, min(at + step, polynomials)) for at in range(0, polynomials, step))


def _windows(
    data: Bytes, start: int, bits: int, i: int, shape: tuple[int, int], size: int
) -> tuple[Residues, Bytes | None, np.uint64]:
    """Of every 8 values of so many bits, which fill `bits` bytes, number i: the 8 bytes in which it begins, the byte after
    them if it reaches that far, and its offset. Both are views (polynomials, groups); a polynomial has `size` bytes.
    """
    at, offset = divmod(i * bits, 8)
    first: Residues = np.ndarray(shape, "<u8", data, start + at, (size, bits))
    across = offset + bits > _WORD
    after = np.ndarray(shape, np.uint8, data, start + at + 8, (size, bits)) if across else None
    return first, after, np.uint64(offset)


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
