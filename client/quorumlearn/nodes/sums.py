"""What a round opens: one sum of its updates or, where pay is by contribution, one for each group. Together they are one artifact, with
one digest and one partial decryption of each seat: those of the sums, one after another in the groups' order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorumlearn import ckks

Values = NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    """The ciphertexts of each sum."""

    parameters: ckks.Parameters
    parts: tuple[ckks.Ciphertexts, ...]

    @classmethod
    def parse(cls, parameters: ckks.Parameters, data: bytes, count: int) -> Sums:
        """Foreign bytes as so many sums. Raises ckks.MalformedCiphertext."""
        return cls(parameters, tuple(ckks.parse(parameters, one) for one in _cut(data, count)))

    def to_bytes(self) -> bytes:
        return b"".join(one.to_bytes() for one in self.parts)

    @property
    def digest(self) -> str:
        """SHA-256 of `to_bytes()`, 64 hex digits."""
        if len(self.parts) == 1:
            return self.parts[0].digest().hex()
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def partial_decrypt(self, share: bytes) -> bytes:
        """A seat's flooded partial decryptions. Raises ckks.MalformedShare for a share of other parameters."""
        return b"".join(ckks.partial_decrypt(self.parameters, share, one) for one in self.parts)

    def check(self, partial: bytes) -> None:
        """Raises ckks.MalformedShare unless the bytes are partial decryptions of these sums; whether right ones, they do not show."""
        for total, part in zip(self.parts, _cut(partial, len(self.parts)), strict=True):
            ckks.check_partial(self.parameters, total, part)

    def open(self, partials: Mapping[int, bytes]) -> Values:
        """The exact integers of the sums, shape (sums, d), by seat's partial decryptions. Raises as ckks.open_partials does."""
        cut = {seat: _cut(partial, len(self.parts)) for seat, partial in partials.items()}
        opened = [
            ckks.open_partials(self.parameters, total, {seat: parts[place] for seat, parts in cut.items()})
            for place, total in enumerate(self.parts)
        ]
        return np.stack(opened)


def _cut(data: bytes, count: int) -> Sequence[bytes]:
    """The bytes in equal parts, and what is left over with the last: who reads a part knows its length."""
    size = len(data) // count
    return [
        *(data[size * place : size * (place + 1)] for place in range(count - 1)),
        data[size * (count - 1) :],
    ]
