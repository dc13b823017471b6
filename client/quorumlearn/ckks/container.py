"""The frame around everything this package writes: header, optional binding, packed residues.

Layout: magic "QLCK", version 1, kind, two zero bytes, count (uint32, little-endian), digest of the parameters
(32 bytes); then a binding of 0 or 32 bytes, fixed by the kind; then `count` polynomials over the kind's
primes, packed to the bit. The length follows from kind and parameters, so nothing in the bytes sizes an
allocation.
"""

from __future__ import annotations

import struct
from enum import IntEnum

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
_KEY_LEVEL = {Kind.PUBLIC_SHARE, Kind.COLLECTIVE_KEY, Kind.SECRET}


def _primes(p: Parameters, kind: Kind) -> tuple[int, ...]:
    return p.primes if kind in _KEY_LEVEL else p.data_primes


def _header(p: Parameters, kind: Kind, count: int) -> bytes:
    return struct.pack("<4sBBHI", _MAGIC, _VERSION, kind, 0, count) + p.digest


def write(p: Parameters, kind: Kind, polynomials: r.Residues, binding: bytes = b"") -> bytes:
    """A container of (count, primes, N) residues."""
    if len(binding) != (BINDING_BYTES if kind in _BOUND else 0):
        raise ValueError(f"a {_NAMES[kind]} cannot carry a binding of {len(binding)} bytes")
    packed = r.pack_bits(polynomials, _primes(p, kind))
    return _header(p, kind, len(polynomials)) + binding + packed


def read(
    p: Parameters, kind: Kind, data: bytes, error: type[CkksError], *, count: int, length: int | None = None
) -> tuple[r.Residues, bytes]:
    """The (count, primes, N) residues and the binding of foreign bytes.

    `length` is the number of residues of a polynomial, N unless given. Raises `error` for anything but
    exactly what `write` makes, with residues below their primes.
    """
    name = _NAMES[kind]
    if not isinstance(data, bytes):
        raise error(f"a {name} is bytes, not {type(data).__name__}")
    primes = _primes(p, kind)
    length = p.poly_modulus_degree if length is None else length
    bound = BINDING_BYTES if kind in _BOUND else 0
    wanted = HEADER_BYTES + bound + count * r.packed_size(primes, length)
    if len(data) != wanted:
        raise error(f"a {name} of these parameters has {wanted} bytes, not {len(data)}")
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
    body = memoryview(data)[HEADER_BYTES + bound :]
    polynomials = r.unpack_bits(body, primes, length, count)
    bad = polynomials >= r.column(primes)
    if bad.any():
        poly, prime, at = (int(i) for i in next(zip(*bad.nonzero(), strict=True)))
        raise error(f"residue {at} of polynomial {poly} is not below its prime {primes[prime]}")
    return polynomials, data[HEADER_BYTES : HEADER_BYTES + bound]
