"""Encrypted updates: making them, reading foreign ones strictly, adding them up.

Rules:
- an update is `chunks` ciphertexts of two polynomials at data level, in NTT form, residues in one numpy
  array;
- values sit in the polynomials' coefficients: one integer of grid steps each, times 2^shift (see packing);
- encryption is SEAL's public-key encryption of zero plus the message, so it is randomised;
- a foreign container is only ever parsed into checked residues; its bytes never reach SEAL;
- a sum is a function of ciphertexts alone, the same bytes for everybody who adds the same in any order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal
from quorumlearn.ckks.container import Kind, read, write
from quorumlearn.ckks.errors import MalformedCiphertext, ParameterError
from quorumlearn.ckks.keys import read_key
from quorumlearn.ckks.packing import check_values, encode
from quorumlearn.ckks.parameters import Parameters

_BATCH = 15


@dataclass(frozen=True, eq=False)
class Ciphertexts:
    """Ciphertexts under one collective key: residues (chunks, 2, data primes, N), NTT form, read-only.

    size: how many values they hold: update_size, or N for the ceremony's test.
    """

    parameters: Parameters
    residues: r.Residues
    size: int
    kind: Kind = Kind.UPDATE

    def __repr__(self) -> str:
        return f"Ciphertexts({self.kind.name.lower()}, {self.size} values, {len(self.residues)} chunks)"

    def to_bytes(self) -> bytes:
        """The container; for an update exactly `parameters.update_bytes` long."""
        flat = self.residues.reshape(-1, *self.residues.shape[2:])
        return write(self.parameters, self.kind, flat)

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.to_bytes()).digest()

    def digest(self) -> bytes:
        """SHA-256 of `to_bytes()`."""
        return self._digest


def frozen(p: Parameters, residues: r.Residues, size: int, kind: Kind = Kind.UPDATE) -> Ciphertexts:
    """Ciphertexts whose array nobody can write to any more."""
    residues.setflags(write=False)
    return Ciphertexts(p, residues, size, kind)


def encrypt(p: Parameters, key: bytes, values: r.Integers) -> bytes:
    """The container of a fresh encryption of (d,) integers of grid steps, `p.update_bytes` long.

    Raises QuantiseError for values that are not on the grid or outside the bound, MalformedKey for a bad key.
    """
    check_values(p, values)
    encryptor = seal.Encryptor(p.poly_modulus_degree, p.coeff_modulus_bits, read_key(p, key))
    q = r.column(p.data_primes)
    out = np.empty((p.chunks, 2, len(p.data_primes), p.poly_modulus_degree), dtype=np.uint64)
    for at in range(0, p.chunks, _BATCH):
        messages = encode(p, values, at, min(at + _BATCH, p.chunks))
        for i, message in enumerate(seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, messages)):
            zero = encryptor.zero()
            out[at + i, 0] = r.add(zero[0], message, q)
            out[at + i, 1] = zero[1]
    return Ciphertexts(p, out, p.update_size).to_bytes()


def parse(p: Parameters, data: bytes) -> Ciphertexts:
    """Foreign bytes as ciphertexts of an update.

    Raises MalformedCiphertext, with the reason, for a wrong length or header, a residue not below its prime,
    or a second polynomial that is zero modulo a prime (which would show its message).
    """
    polynomials, _ = read(p, Kind.UPDATE, data, MalformedCiphertext, count=2 * p.chunks)
    residues = polynomials.reshape(p.chunks, 2, *polynomials.shape[1:])
    open_ = ~residues[:, 1].any(axis=-1)
    if open_.any():
        raise MalformedCiphertext(
            f"ciphertext {int(open_.any(axis=-1).argmax())} has no mask: its c1 is zero"
        )
    return frozen(p, residues, p.update_size)


def aggregate(p: Parameters, items: Iterable[tuple[int, Ciphertexts]]) -> Ciphertexts:
    """The sum of weight times ciphertexts, one item held at a time; weight 0 leaves an item out.

    Raises ParameterError for a negative weight, a sum of weights that is 0 or above `max_weight_sum`, or
    ciphertexts of other parameters.
    """
    q = r.column(p.data_primes)
    shape = (p.chunks, 2, len(p.data_primes), p.poly_modulus_degree)
    total = np.zeros(shape, dtype=np.uint64)
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
            factor = r.constant(weight, p.data_primes)
            for chunk, addend in zip(total, item.residues, strict=True):
                chunk[...] = r.add(chunk, addend if weight == 1 else r.multiply(addend, factor, q), q)
    if weights == 0:
        raise ParameterError("every weight is 0: there is nothing to add up")
    return frozen(p, total, p.update_size)
