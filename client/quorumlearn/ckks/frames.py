"""What worker processes are asked and what they answer, as plain bytes: nothing here is ever run or unpickled.

A frame is a fixed number of fields, each a length (uint64, little-endian) and so many bytes. Whoever reads one says first how long each
field may be. Residues are uint64, little-endian; their shapes follow from the task's parameters, never from the frame.

A process that foreign bytes have taken over can so send residues of the right shape, or a line of text, and nothing else.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quorumlearn.ckks import residues as r
from quorumlearn.ckks.errors import CkksError
from quorumlearn.ckks.parameters import Parameters

_LENGTH = START = struct.Struct("<Q")
"""A field's length, and the number of the first chunk of values to encrypt."""
MAX_LINE = 1000
"""Bytes of text in an answer."""
Field = bytes | memoryview


class Work(Enum):
    """What a worker is asked for: the first field of a request. The others are the parameters, and two of its own."""

    ENCRYPT = b"encrypt"  # a key; the number of the first chunk and the values
    PREPARE = b"prepare"  # a beacon; nothing
    SKETCH = b"sketch"  # a beacon; somebody's update


class Answer(Enum):
    """The first field of an answer; two others follow it."""

    MADE = b"made"  # two arrays of residues, or nothing
    MALFORMED = b"malformed"  # why the update is none; nothing
    FAILED = b"failed"  # what went wrong; nothing


class BadFrame(CkksError):
    """What came is no frame of the wanted form."""


class Readable(Protocol):
    """A stream of bytes to read from."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...


class Writable(Protocol):
    """A stream of bytes to write to."""

    def write(self, data: Field, /) -> int | None: ...


def send(stream: Writable, *fields: Field) -> None:
    """Write one frame whole. OSError if nobody reads."""
    for one in fields:
        view = memoryview(one).cast("B")
        for part in (memoryview(_LENGTH.pack(len(view))), view):
            rest = part
            while rest:
                rest = rest[stream.write(rest) or 0 :]


def receive(stream: Readable, limits: Sequence[int]) -> list[bytearray]:
    """One frame of as many fields as there are limits. EOFError at the stream's end; BadFrame before a longer field is read."""
    fields = []
    for limit in limits:
        (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
        if length > limit:
            raise BadFrame(f"a field of {length} bytes; at most {limit} are expected here")
        fields.append(_exactly(stream, length))
    return fields


def _exactly(stream: Readable, length: int) -> bytearray:
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        read = stream.readinto(rest)
        if not read:
            raise EOFError("the other end of the pipe has gone")
        rest = rest[read:]
    return data


def packed(array: NDArray[np.uint64] | NDArray[np.int64]) -> memoryview:
    """The array's values, little-endian."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data.cast("B")


def residues(data: bytearray, shape: tuple[int, ...], primes: Sequence[int]) -> r.Residues:
    """The residues in a field: exactly `shape`, whose last axes are (primes, ...), each below its prime. BadFrame otherwise."""
    if len(data) != bytes_of(shape):
        raise BadFrame(f"{len(data)} bytes of residues, not {bytes_of(shape)}")
    found = np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False).reshape(shape)
    if (found >= r.column(primes)).any():
        raise BadFrame("a residue is not below its prime")
    return found


def bytes_of(shape: tuple[int, ...]) -> int:
    """Of an array of this shape, eight for each number."""
    return 8 * int(np.prod(shape))


def parameters_to(p: Parameters) -> bytes:
    return json.dumps(asdict(p)).encode()


def parameters_from(data: bytes) -> Parameters:
    fields = json.loads(data)
    return Parameters(**{**fields, "coeff_modulus_bits": tuple(fields["coeff_modulus_bits"])})


def line(text: str) -> bytes:
    """The text as an answer takes it."""
    return text.encode()[:MAX_LINE]


def text_of(data: bytearray) -> str:
    """An answer's text, whoever wrote it: printable, and not too long."""
    text = data[:MAX_LINE].decode(errors="replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
