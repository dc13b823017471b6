"""How SEAL 4 keeps its objects, in files and in memory: what goes in and comes out of them (`seal` computes with them).

- SEAL's own save and load know file names only: each call has a file of its own in memory (memfd) where the system has it, else in a
  private temporary folder; nothing is shared between calls, threads or processes;
- `in_place` shows a ciphertext's residues where SEAL keeps them, if it keeps them as this module knows: SEAL's save compresses with
  zstd, which takes three times as long as a transform.

Layout of a saved object: a header of 16 bytes (magic 0xA15E, header size, version, compression mode,
total size as uint64), then the body, compressed by zstd on save, accepted plain on load. Body of a
ciphertext: parms_id 32, NTT flag 1, polynomials 8, N 8, primes 8, scale 8, correction 8, then an array: header 16,
count 8, residues. Body of a secret key: parms_id 32, count 8, scale 8, then an array.
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as api
import zstandard

from quorumlearn.ckks.errors import CkksError
from quorumlearn.ckks.residues import Residues

FIELDS = struct.Struct("<4Q?7x3Qd6Q")
"""A ciphertext of SEAL 4 in memory: parms_id, NTT flag, polynomials, N, primes, scale, correction factor, then the array of its
residues: memory pool (two words), capacity, size, address."""
PYBIND = "__pybind11_module_local_v4_"
"""pybind11 of this version keeps a C++ object's address in the first word after the Python object's header."""
CIPHERTEXT, SECRET = 97, 72
"""Bytes of a body before its residues."""
_MAGIC = b"\x5e\xa1"
_HEADER = 16


@lru_cache(maxsize=1)
def _descriptors_have_names() -> bool:
    return Path("/proc/self/fd").is_dir()


@contextmanager
def _private_file() -> Iterator[str]:
    if hasattr(os, "memfd_create") and _descriptors_have_names():
        descriptor = os.memfd_create("quorumlearn", os.MFD_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "object")


def save(thing: Any, body_size: int) -> bytes:
    """The body of an object, which has this many bytes."""
    with _private_file() as path:
        thing.save(path)
        data = Path(path).read_bytes()
    size = struct.unpack_from("<Q", data, 8)[0] if len(data) >= _HEADER else -1
    if data[:2] != _MAGIC or size != len(data):
        raise CkksError("SEAL saved an object in a form this version does not know; use tenseal 0.3.18")
    if data[5] == 0:
        return data[_HEADER:]
    if data[5] == 2:
        body = memoryview(data)[_HEADER:]
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=body_size)
    raise CkksError(f"SEAL saved with compression mode {data[5]}; only none and zstd are known")


@lru_cache(maxsize=1)
def _prefix() -> bytes:
    """Magic, header size and version as this SEAL writes them, and compression mode none."""
    with _private_file() as path:
        api.Plaintext().save(path)
        return Path(path).read_bytes()[:5] + bytes(3)


def wrap(size: int) -> bytes:
    """The header of a body of this many bytes, not compressed."""
    return _prefix() + struct.pack("<Q", _HEADER + size)


def load(thing: Any, context: Any, *pieces: bytes | Residues) -> Any:
    """`thing` from a body that is written piece by piece, without a copy of what is large."""
    parts: list[bytes | memoryview] = [
        piece if isinstance(piece, bytes) else piece.data.cast("B") for piece in pieces
    ]
    with _private_file() as path:
        with Path(path).open("wb", buffering=0) as file:
            parts.insert(0, wrap(sum(len(part) for part in parts)))
            for part in parts:
                if file.write(part) != len(part):
                    raise CkksError("no room for a ciphertext in memory or in the temporary folder")
        thing.load(context, path)
    return thing


def ciphertext_body(
    parms_id: Sequence[int], *polynomials: Residues, ntt: bool
) -> tuple[bytes | Residues, ...]:
    """The body, in pieces, of a ciphertext of (size, primes, N) polynomials, given in one array or in several."""
    _, primes, degree = polynomials[0].shape
    size = sum(len(part) for part in polynomials)
    head = struct.pack("<4QB3QdQ", *parms_id, int(ntt), size, degree, primes, 1.0, 1)
    count = size * primes * degree
    head += wrap(8 + 8 * count) + struct.pack("<Q", count)
    return (head, *(np.ascontiguousarray(part, dtype="<u8") for part in polynomials if len(part)))


def polynomials_of(body: bytes) -> Residues:
    size, degree, primes = struct.unpack_from("<3Q", body, 33)
    values = np.frombuffer(body, dtype="<u8", offset=CIPHERTEXT)
    return values.reshape(size, primes, degree).astype(np.uint64, copy=False)


def in_place(ciphertext: Any) -> Residues | None:
    """The residues (polynomials, primes, N) where SEAL keeps them, to be used no longer than the ciphertext; None where this module does
    not know how they are kept.

    No residue is read unless all that stands before them is what SEAL itself says of the ciphertext.
    """
    if not any(name.startswith(PYBIND) for name in dir(type(ciphertext))):
        return None
    address = ctypes.c_size_t.from_address(id(ciphertext) + object.__basicsize__).value
    *parms_id, ntt, size, degree, primes, scale, _, _, _, capacity, count, data = FIELDS.unpack(
        ctypes.string_at(address, FIELDS.size)
    )
    shape = (ciphertext.size(), ciphertext.coeff_modulus_size(), ciphertext.poly_modulus_degree())
    told = (list(ciphertext.parms_id()), ciphertext.is_ntt_form(), ciphertext.scale)
    if (
        (parms_id, ntt, scale) != told
        or (size, primes, degree) != shape
        or not math.prod(shape) == count <= capacity
    ):
        return None
    return np.ctypeslib.as_array((ctypes.c_uint64 * count).from_address(data)).reshape(shape)
