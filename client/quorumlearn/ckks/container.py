"""The frame around everything this package writes: header, optional binding, packed residues.

Layout: magic "QLCK", version 1, kind, two zero bytes, count (uint32, little-endian), digest of the parameters
(32 bytes); then a binding of 0 or 32 bytes, fixed by the kind; then `count` polynomials in sections of the same
primes (an update: every c1 over all primes, then every c0 over those it is kept in), packed to the bit. The
length follows from kind and parameters, so nothing in the bytes sizes an allocation.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks.errors import CkksError
from quorumlearn.ckks.parameters import HEADER_BYTES, Parameters

_MAGIC = b"QLCK"
_VERSION = 1
BINDING_BYTES = 32


class Kind(IntEnum):
    """What a container holds."""

    UPDATE = 1
    PUBLIC_SHARE = 2
    COLLECTIVE_KEY = 3
    SHARE = 4
    PARTIAL = 5
    SKETCH_SHARE = 6
    TEST = 7
    SECRET = 8


_NAMES = {kind: kind.name.lower().replace("_", " ") for kind in Kind}
_BOUND = {Kind.COLLECTIVE_KEY, Kind.PARTIAL, Kind.SKETCH_SHARE}


def _header(p: Parameters, kind: Kind, count: int) -> bytes:
    return struct.pack("<4sBBHI", _MAGIC, _VERSION, kind, 0, count) + p.digest


def write(p: Parameters, kind: Kind, *sections: r.Residues, binding: bytes = b"") -> bytes:
    """A container of sections of (polynomials, primes, N) residues, each over the last so many primes."""
    if len(binding) != (BINDING_BYTES if kind in _BOUND else 0):
        raise ValueError(f"a {_NAMES[kind]} cannot carry a binding of {len(binding)} bytes")
    packed = [r.pack_bits(part, p.primes[-part.shape[1] :]) for part in sections]
    return b"".join([_header(p, kind, sum(len(part) for part in sections)), binding, *packed])


def read(
    p: Parameters,
    kind: Kind,
    data: bytes,
    error: type[CkksError],
    *,
    counts: Sequence[tuple[int, int]],
    length: int | None = None,
) -> tuple[list[r.Residues], bytes]:
    """The sections, (polynomials, primes, N) residues each, and the binding of foreign bytes.

    `counts` are each section's polynomials and how many of the last primes they are over; `length` the number of
    residues of a polynomial, N unless given. Raises `error` for anything but exactly what `write` makes, with
    residues below their primes.
    """
    name = _NAMES[kind]
    if not isinstance(data, bytes):
        raise error(f"a {name} is bytes, not {type(data).__name__}")
    length = p.poly_modulus_degree if length is None else length
    start = HEADER_BYTES + (BINDING_BYTES if kind in _BOUND else 0)
    sizes = [count * r.packed_size(p.primes[-primes:], length) for count, primes in counts]
    if len(data) != start + sum(sizes):
        raise error(f"a {name} of these parameters has {start + sum(sizes)} bytes, not {len(data)}")
    _check_header(p, kind, data, error, sum(count for count, _ in counts))
    sections, at = [], start
    for (count, primes), size in zip(counts, sizes, strict=True):
        sections.append(_section(p.primes[-primes:], data, at, count, length, error))
        at += size
    return sections, data[HEADER_BYTES:start]


def _check_header(p: Parameters, kind: Kind, data: bytes, error: type[CkksError], count: int) -> None:
    name = _NAMES[kind]
    header = _header(p, kind, count)
    for start, end, what in (
        (0, 4, "magic"),
        (4, 5, "version"),
        (5, 6, "kind"),
        (6, 8, "zero bytes"),
        (8, 12, "count"),
    ):
        if data[start:end] != header[start:end]:
            raise error(f"a {name} has {what} {header[start:end].hex()}, not {data[start:end].hex()}")
    if data[12:HEADER_BYTES] != header[12:]:
        raise error(f"this {name} was made under other parameters (digest {data[12:20].hex()}...)")


def _section(
    primes: tuple[int, ...], data: bytes, at: int, count: int, length: int, error: type[CkksError]
) -> r.Residues:
    end = at + count * r.packed_size(primes, length)
    polynomials = r.unpack_bits(memoryview(data)[at:end], primes, length, count)
    if (polynomials.max(axis=-1) >= np.array(primes, dtype=np.uint64)).any():
        bad = polynomials >= r.column(primes)
        poly, prime, place = (int(i) for i in next(zip(*bad.nonzero(), strict=True)))
        raise error(f"residue {place} of polynomial {poly} is not below its prime {primes[prime]}")
    if polynomials[..., length:].any():
        raise error("the residues that fill the last word are not zero")
    return polynomials[..., :length]
