"""The only module that touches Microsoft SEAL (TenSEAL's `sealapi`).

Rules:
- SEAL finds the primes, draws a seat's secret and transforms; it sees own secrets, own messages and residues already
  checked to be below their primes, never foreign bytes;
- coefficients are written to a new ciphertext, and residues copied out of one, where SEAL keeps them, if it keeps them as
  this module knows (`_in_place`): SEAL's save compresses with zstd, which takes three times as long as a transform;
- else, and for all other objects, SEAL's own save and load, which know file names only: each call has a file
  of its own in memory (memfd) where the system has it, else in a private temporary folder; nothing is shared
  between calls, threads or processes;
- arrays here are (polynomials, primes, N) residues; "NTT form" is SEAL's: value i is the polynomial at
  psi^(2 * bitreverse(i) + 1), psi the smallest primitive 2N-th root of unity modulo the prime.

Layout of a saved object, SEAL 4: a header of 16 bytes (magic 0xA15E, header size, version, compression mode,
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
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as api
import zstandard

from quorumlearn.ckks.errors import CkksError, ParameterError
from quorumlearn.ckks.residues import Residues

_FIELDS = struct.Struct("<4Q?7x3Qd6Q")
"""A ciphertext of SEAL 4 in memory: parms_id, NTT flag, polynomials, N, primes, scale, correction factor, then the array of its
residues: memory pool (two words), capacity, size, address."""
_PYBIND = "__pybind11_module_local_v4_"
"""pybind11 of this version keeps a C++ object's address in the first word after the Python object's header."""
_MAGIC = b"\x5e\xa1"
_HEADER = 16
_CIPHERTEXT = 97
_SECRET = 72
_BATCH = 15
"""SEAL takes ciphertexts of up to 16 polynomials; one may be needed to keep them from looking transparent."""


@dataclass(frozen=True)
class Ring:
    """A SEAL context and its primes."""

    context: Any
    degree: int
    primes: tuple[int, ...]


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


def _save(thing: Any, body_size: int) -> bytes:
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


def _wrap(size: int) -> bytes:
    """The header of a body of this many bytes, not compressed."""
    return _prefix() + struct.pack("<Q", _HEADER + size)


def _load(thing: Any, context: Any, *pieces: bytes | Residues) -> Any:
    """`thing` from a body that is written piece by piece, without a copy of what is large."""
    parts: list[bytes | memoryview] = [
        piece if isinstance(piece, bytes) else piece.data.cast("B") for piece in pieces
    ]
    with _private_file() as path:
        with Path(path).open("wb", buffering=0) as file:
            parts.insert(0, _wrap(sum(len(part) for part in parts)))
            for part in parts:
                if file.write(part) != len(part):
                    raise CkksError("no room for a ciphertext in memory or in the temporary folder")
        thing.load(context, path)
    return thing


def _ciphertext_body(
    parms_id: Sequence[int], *polynomials: Residues, ntt: bool
) -> tuple[bytes | Residues, ...]:
    """The body, in pieces, of a ciphertext of (size, primes, N) polynomials, given in one array or in several."""
    _, primes, degree = polynomials[0].shape
    size = sum(len(part) for part in polynomials)
    head = struct.pack("<4QB3QdQ", *parms_id, int(ntt), size, degree, primes, 1.0, 1)
    count = size * primes * degree
    head += _wrap(8 + 8 * count) + struct.pack("<Q", count)
    return (head, *(np.ascontiguousarray(part, dtype="<u8") for part in polynomials if len(part)))


def _polynomials(body: bytes) -> Residues:
    size, degree, primes = struct.unpack_from("<3Q", body, 33)
    values = np.frombuffer(body, dtype="<u8", offset=_CIPHERTEXT)
    return values.reshape(size, primes, degree).astype(np.uint64, copy=False)


def _context(degree: int, moduli: list[Any], *, chain: bool = False) -> Any:
    """`chain`: with a level for each prime that may be divided away."""
    parameters = api.EncryptionParameters(api.SCHEME_TYPE.CKKS)
    parameters.set_poly_modulus_degree(degree)
    parameters.set_coeff_modulus(moduli)
    # One level below the keys is always made.
    # Security is judged by Parameters.check, which knows the whole picture; SEAL is not asked a second time.
    context = api.SEALContext(parameters, chain, api.SEC_LEVEL_TYPE.NONE)
    if not context.parameters_set():
        raise ParameterError(f"SEAL refuses N = {degree}: {context.parameters_error_message()}")
    return context


def _create(degree: int, bits: Sequence[int]) -> list[Any]:
    try:
        return list(api.CoeffModulus.Create(degree, list(bits)))
    except (ValueError, RuntimeError) as error:
        raise ParameterError(f"no primes of {list(bits)} bits for N = {degree}: {error}") from error


@lru_cache(maxsize=1024)
def primes(degree: int, bits: tuple[int, ...]) -> tuple[int, ...]:
    """Those of `ring`, without the tables of a context, which take a hundred times as long. Raises ParameterError as it does."""
    return tuple(modulus.value() for modulus in _create(degree, bits))


@lru_cache(maxsize=32)
def ring(degree: int, bits: tuple[int, ...]) -> Ring:
    """The context of these parameters. Raises ParameterError where SEAL finds no such primes."""
    moduli = _create(degree, bits)
    return Ring(_context(degree, moduli), degree, tuple(m.value() for m in moduli))


@lru_cache(maxsize=32)
def _transform_ring(degree: int, bits: tuple[int, ...], start: int, stop: int) -> Ring:
    """These primes of `ring` and a spare one: SEAL transforms only where one prime is gone already."""
    moduli, spare = _with_spare(degree, bits)
    moduli = [*moduli[start:stop], spare]
    return Ring(_context(degree, moduli), degree, tuple(m.value() for m in moduli))


def _with_spare(degree: int, bits: tuple[int, ...]) -> tuple[list[Any], Any]:
    """The primes of `ring`, and one that is none of them."""
    moduli = _create(degree, bits)
    known = {m.value() for m in moduli}
    return moduli, next(m for m in _create(degree, (*bits, bits[-1])) if m.value() not in known)


def _loaded(where: Ring, polynomials: Residues, order: Sequence[int], *, ntt: bool) -> Any:
    """A ciphertext of up to `_BATCH` polynomials, their primes in this order, and of one more where SEAL would refuse it as zero but for
    its first.

    That one is half the modulus all over: it is not zero once a prime is divided away, either.
    """
    primes = where.primes[: len(order)]
    half = np.array([[math.prod(primes) // 2 % q] for q in primes], dtype=np.uint64)
    guard = np.broadcast_to(half, (0 if polynomials[1:].any() else 1, *polynomials.shape[1:]))
    parms_id, ciphertext = where.context.first_parms_id(), api.Ciphertext()
    if not ntt:
        ciphertext.resize(where.context, parms_id, len(polynomials) + len(guard))
        residues = _in_place(ciphertext)
        if residues is not None:
            for i, prime in enumerate(order):
                residues[: len(polynomials), i] = polynomials[:, prime]
            residues[len(polynomials) :] = guard
            return ciphertext
    body = _ciphertext_body(parms_id, np.take(polynomials, order, axis=1), guard, ntt=ntt)
    return _load(ciphertext, where.context, *body)


def _in_place(ciphertext: Any) -> Residues | None:
    """The residues (polynomials, primes, N) where SEAL keeps them, to be used no longer than the ciphertext; None where this module does
    not know how they are kept.

    No residue is read unless all that stands before them is what SEAL itself says of the ciphertext.
    """
    if not any(name.startswith(_PYBIND) for name in dir(type(ciphertext))):
        return None
    address = ctypes.c_size_t.from_address(id(ciphertext) + object.__basicsize__).value
    *parms_id, ntt, size, degree, primes, scale, _, _, _, capacity, count, data = _FIELDS.unpack(
        ctypes.string_at(address, _FIELDS.size)
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


def _read_out(ciphertext: Any, out: Residues, order: Sequence[int]) -> None:
    """The first polynomials of a ciphertext into `out`, whose primes it has in this order."""
    residues = _in_place(ciphertext)
    if residues is None:
        size = ciphertext.size() * out[0].size
        residues = _polynomials(_save(ciphertext, _CIPHERTEXT + 8 * size))
    for i, prime in enumerate(order):
        out[:, prime] = residues[: len(out), i]


def _transform(where: Ring, polynomials: Residues, *, forward: bool) -> Residues:
    out = np.empty_like(polynomials)
    evaluator, order = api.Evaluator(where.context), range(polynomials.shape[1])
    for at in range(0, len(polynomials), _BATCH):
        ciphertext = _loaded(where, polynomials[at : at + _BATCH], order, ntt=not forward)
        if forward:
            evaluator.transform_to_ntt_inplace(ciphertext)
        else:
            evaluator.transform_from_ntt_inplace(ciphertext)
        _read_out(ciphertext, out[at : at + _BATCH], order)
    return out


def to_ntt(degree: int, bits: tuple[int, ...], polynomials: Residues, start: int = 0) -> Residues:
    """(m, primes, N) coefficients to NTT form, modulo as many of the primes from number `start`."""
    return _transform(
        _transform_ring(degree, bits, start, start + polynomials.shape[1]), polynomials, forward=True
    )


def from_ntt(degree: int, bits: tuple[int, ...], polynomials: Residues, start: int = 0) -> Residues:
    """(m, primes, N) in NTT form to coefficients, modulo as many of the primes from number `start`."""
    return _transform(
        _transform_ring(degree, bits, start, start + polynomials.shape[1]), polynomials, forward=False
    )


def encrypted(
    degree: int,
    bits: tuple[int, ...],
    dropped: int,
    key: Residues,
    factors: Residues,
    errors: Residues,
    messages: Residues,
) -> tuple[Residues, Residues]:
    """(b u + m) / the `dropped` leading primes, rounded, (n, kept primes, N), and a u + e, (n, primes, N), both in NTT form.

    key: (b, a) in NTT form, (2, primes, N); factors u, errors e and messages m: (n, primes, N) coefficients. One pass through SEAL.
    """
    where = _encryption_ring(degree, bits, dropped)
    evaluator, parms_id = api.Evaluator(where.context), where.context.first_parms_id()
    order = _kept_first(len(bits), dropped)
    head = struct.pack("<4QQd", *parms_id, key[0].size, 1.0) + _wrap(8 + 8 * key[0].size)
    head += struct.pack("<Q", key[0].size)
    b, a = (_load(api.Plaintext(), where.context, head, one[order]) for one in key)
    heads = np.empty((len(factors), len(bits) - dropped, degree), dtype=np.uint64)
    masks = np.empty_like(factors)
    for at in range(0, len(factors), _BATCH):
        u, e, m = (
            _loaded(where, part[at : at + _BATCH], order, ntt=False) for part in (factors, errors, messages)
        )
        for one in (u, e, m):
            evaluator.transform_to_ntt_inplace(one)
        mask = api.Ciphertext()
        evaluator.multiply_plain(u, a, mask)
        evaluator.add_inplace(mask, e)
        _read_out(mask, masks[at : at + _BATCH], order)
        evaluator.multiply_plain_inplace(u, b)
        evaluator.add_inplace(u, m)
        for _ in range(dropped):
            evaluator.rescale_to_next_inplace(u)
        _read_out(u, heads[at : at + _BATCH], range(heads.shape[1]))
    return heads, masks


def _kept_first(primes: int, dropped: int) -> list[int]:
    """Numbers of the primes with the leading ones at the end, the first of them last: there SEAL divides them away, one by one."""
    return [*range(dropped, primes), *reversed(range(dropped))]


@lru_cache(maxsize=8)
def _encryption_ring(degree: int, bits: tuple[int, ...], dropped: int) -> Ring:
    """The primes of `ring` in the order of `_kept_first`, and a spare one."""
    moduli, spare = _with_spare(degree, bits)
    moduli = [*(moduli[i] for i in _kept_first(len(bits), dropped)), spare]
    return Ring(_context(degree, moduli, chain=True), degree, tuple(m.value() for m in moduli))


def new_secret(degree: int, bits: tuple[int, ...]) -> Residues:
    """A fresh uniform ternary secret key of SEAL's, (primes, N), NTT form."""
    where = ring(degree, bits)
    body = _save(api.KeyGenerator(where.context).secret_key(), _SECRET + 8 * len(bits) * degree)
    return np.frombuffer(body, dtype="<u8", offset=_SECRET).reshape(len(bits), degree).astype(np.uint64)
