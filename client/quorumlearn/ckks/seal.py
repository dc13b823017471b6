"""The only module that computes with Microsoft SEAL (TenSEAL's `sealapi`); how SEAL keeps its objects, `seal_layout` knows.

Rules:
- SEAL finds the primes, draws a seat's secret and transforms; it sees own secrets, own messages and residues already
  checked to be below their primes, never foreign bytes;
- coefficients are written to a new ciphertext, and residues copied out of one, where SEAL keeps them, if `seal_layout` knows
  where; otherwise, and for all other objects, by SEAL's own save and load;
- arrays here are (polynomials, primes, N) residues; "NTT form" is SEAL's: value i is the polynomial at
  psi^(2 * bitreverse(i) + 1), psi the smallest primitive 2N-th root of unity modulo the prime.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tenseal.sealapi as api

from quorumlearn.ckks import seal_layout as layout
from quorumlearn.ckks.errors import ParameterError
from quorumlearn.ckks.residues import Residues

_BATCH = 15
"""SEAL takes ciphertexts of up to 16 polynomials; one may be needed to keep them from looking transparent."""


@dataclass(frozen=True)
class Ring:
    """A SEAL context and its primes."""

    context: Any
    degree: int
    primes: tuple[int, ...]


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
        residues = layout.in_place(ciphertext)
        if residues is not None:
            for i, prime in enumerate(order):
                residues[: len(polynomials), i] = polynomials[:, prime]
            residues[len(polynomials) :] = guard
            return ciphertext
    body = layout.ciphertext_body(parms_id, np.take(polynomials, order, axis=1), guard, ntt=ntt)
    return layout.load(ciphertext, where.context, *body)


def _read_out(ciphertext: Any, out: Residues, order: Sequence[int]) -> None:
    """The first polynomials of a ciphertext into `out`, whose primes it has in this order."""
    residues = layout.in_place(ciphertext)
    if residues is None:
        size = ciphertext.size() * out[0].size
        residues = layout.polynomials_of(layout.save(ciphertext, layout.CIPHERTEXT + 8 * size))
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
    head = struct.pack("<4QQd", *parms_id, key[0].size, 1.0) + layout.wrap(8 + 8 * key[0].size)
    head += struct.pack("<Q", key[0].size)
    b, a = (layout.load(api.Plaintext(), where.context, head, one[order]) for one in key)
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
    body = layout.save(api.KeyGenerator(where.context).secret_key(), layout.SECRET + 8 * len(bits) * degree)
    return np.frombuffer(body, dtype="<u8", offset=layout.SECRET).reshape(len(bits), degree).astype(np.uint64)
