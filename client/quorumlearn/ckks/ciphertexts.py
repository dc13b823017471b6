"""Encrypted updates: making them, reading foreign ones strictly, adding them up.

Rules:
- an update is `chunks` ciphertexts (c0, c1) in NTT form; c1 modulo all primes, c0 divided by the product of the
  leading primes (`Parameters.dropped`), rounded, and kept modulo the others: what is lost is smaller than the
  flooding, and as c0 is public it betrays nothing;
- values sit in the polynomials' coefficients: one integer of grid steps each, times 2^shift (see packing);
- encryption is the usual one of Ring-LWE, (b u + e0 + m, a u + e1) with everything but the message fresh (see sampling);
- a foreign container is only ever parsed into checked residues; its bytes never reach SEAL;
- a sum is a function of ciphertexts alone, the same bytes for everybody who adds the same in any order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks import sampling, seal
from quorumlearn.ckks.container import Kind, read, write
from quorumlearn.ckks.errors import MalformedCiphertext, ParameterError
from quorumlearn.ckks.keys import read_key
from quorumlearn.ckks.packing import check_values, encode_part
from quorumlearn.ckks.parameters import Parameters

_BATCH = 15


@dataclass(frozen=True, eq=False)
class Ciphertexts:
    """Ciphertexts under one collective key, NTT form, read-only: c0 (chunks, kept primes, N), c1 (chunks, primes, N).

    size: how many values they hold: update_size, or N for the ceremony's test.
    """

    parameters: Parameters
    c0: r.Residues
    c1: r.Residues
    size: int
    kind: Kind = Kind.UPDATE

    def __repr__(self) -> str:
        return f"Ciphertexts({self.kind.name.lower()}, {self.size} values, {len(self.c1)} chunks)"

    def to_bytes(self) -> bytes:
        """The container; for an update exactly `parameters.update_bytes` long."""
        return write(self.parameters, self.kind, self.c1, self.c0)

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def digest(self) -> bytes:
        """SHA-256 of `to_bytes()`."""
        return self._digest


def frozen(p: Parameters, c0: r.Residues, c1: r.Residues, size: int, kind: Kind = Kind.UPDATE) -> Ciphertexts:
    """Ciphertexts whose arrays nobody can write to any more."""
    c0.setflags(write=False)
    c1.setflags(write=False)
    return Ciphertexts(p, c0, c1, size, kind)


def stored(p: Parameters, c0: r.Residues) -> r.Residues:
    """c0 as it is stored, (m, kept primes, N) in NTT form: c0 / dropped primes, rounded.

    c0: (m, primes, N) coefficients. Divided is by one prime after the other, each time rounded off is a centred residue.
    """
    for i, prime in enumerate(p.primes[: p.dropped]):
        later = r.column(p.primes[i + 1 :])
        digit = c0[:, 0].astype(np.int64)
        digit -= prime * (digit > prime // 2)
        inverse = np.array([[pow(prime, -1, q)] for q in p.primes[i + 1 :]], dtype=np.uint64)
        c0 = r.multiply(r.add(c0[:, 1:], r.from_integers(-digit, later), later), inverse, later)
    return seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, c0, p.dropped)


def lifted(p: Parameters, c0: r.Residues) -> r.Residues:
    """(..., kept primes, N) of a stored c0 times the dropped primes: (..., primes, N), zero modulo these."""
    out = np.zeros((*c0.shape[:-2], len(p.primes), c0.shape[-1]), dtype=np.uint64)
    out[..., p.dropped :, :] = r.scale(c0, math.prod(p.primes[: p.dropped]), p.kept_primes)
    return out


def encrypt(p: Parameters, key: bytes, values: r.Integers) -> bytes:
    """The container of a fresh encryption of (d,) integers of grid steps, `p.update_bytes` long.

    Raises QuantiseError for values that are not on the grid or outside the bound, MalformedKey for a bad key.
    """
    check_values(p, values)
    return Ciphertexts(p, *encrypt_part(p, key, values, 0), p.update_size).to_bytes()


def encrypt_part(p: Parameters, key: bytes, values: r.Integers, start: int) -> tuple[r.Residues, r.Residues]:
    """c0 (chunks, kept primes, N) and c1 (chunks, primes, N) of checked values that begin with chunk `start`."""
    degree = p.poly_modulus_degree
    chunks, public = -(-len(values) // degree), read_key(p, key)
    c0 = np.empty((chunks, len(p.kept_primes), degree), dtype=np.uint64)
    c1 = np.empty((chunks, len(p.primes), degree), dtype=np.uint64)
    for at in range(0, chunks, _BATCH):
        end = min(at + _BATCH, chunks)
        messages = encode_part(p, values[at * degree : end * degree], start + at)
        c0[at:end], c1[at:end] = hidden(p, public, messages, p.dropped)
    return c0, c1


def hidden(
    p: Parameters, public: r.Residues, messages: r.Residues, dropped: int
) -> tuple[r.Residues, r.Residues]:
    """Fresh encryptions of messages (n, primes, N), coefficients, under (b, a), in NTT form: b u + e0 + m over all but the `dropped`
    leading primes, which it is divided by, and a u + e1."""
    count, degree, q = len(messages), p.poly_modulus_degree, r.column(p.primes)
    u = r.from_integers(sampling.ternary(count, degree), q)
    e0, e1 = (r.from_integers(sampling.binomial(count, degree), q) for _ in range(2))
    noisy = r.add(messages, e0, q)
    return seal.encrypted(degree, p.coeff_modulus_bits, dropped, public, u, e1, noisy)


def parse(p: Parameters, data: bytes) -> Ciphertexts:
    """Foreign bytes as ciphertexts of an update.

    Raises MalformedCiphertext, with the reason, for a wrong length or header, a residue not below its prime,
    or a second polynomial that is zero modulo a prime (which would show its message).
    """
    counts = ((p.chunks, len(p.primes)), (p.chunks, len(p.kept_primes)))
    (c1, c0), _ = read(p, Kind.UPDATE, data, MalformedCiphertext, counts=counts)
    open_ = c1.max(axis=-1) == 0
    if open_.any():
        raise MalformedCiphertext(
            f"ciphertext {int(open_.any(axis=-1).argmax())} has no mask: its c1 is zero"
        )
    return frozen(p, c0, c1, p.update_size)


def aggregate(p: Parameters, items: Iterable[tuple[int, Ciphertexts]]) -> Ciphertexts:
    """The sum of weight times ciphertexts, one item held at a time; weight 0 leaves an item out.

    Raises ParameterError for a negative weight, a sum of weights that is 0 or above `max_weight_sum`, or
    ciphertexts of other parameters.
    """
    totals = (
        np.zeros((p.chunks, len(p.kept_primes), p.poly_modulus_degree), dtype=np.uint64),
        np.zeros((p.chunks, len(p.primes), p.poly_modulus_degree), dtype=np.uint64),
    )
    weights = 0
    for weight, item in items:
        if isinstance(weight, bool) or not isinstance(weight, int) or weight < 0:
            raise ParameterError(f"weight {weight!r}: weights are integers from 0")
        if item.parameters != p or item.kind is not Kind.UPDATE:
            raise ParameterError(
                f"{item!r} is not an update of these parameters and cannot be added to others"
            )
        weights += weight
        if weights > p.max_weight_sum:
            raise ParameterError(f"weights add up to {weights} or more, max_weight_sum is {p.max_weight_sum}")
        if weight:
            _accumulate(p.kept_primes, totals[0], weight, item.c0)
            _accumulate(p.primes, totals[1], weight, item.c1)
    if weights == 0:
        raise ParameterError("every weight is 0: there is nothing to add up")
    return frozen(p, *totals, p.update_size)


def _accumulate(primes: tuple[int, ...], total: r.Residues, weight: int, addends: r.Residues) -> None:
    q = r.column(primes)
    for chunk, addend in zip(total, addends, strict=True):
        chunk[...] = r.add(chunk, addend if weight == 1 else r.scale(addend, weight, primes), q)
