"""Drawing from a beacon: whole numbers that everybody who knows it draws alike.

The numbers are the first 8 bytes, big endian, of SHA-256(label || beacon || counter (8 bytes, big endian)) for counter = 0, 1, ...; a
number at or above the largest multiple of the total is passed over, so that the remainder is uniform. A label ends in what it is drawn
for, each part with its length in front (`labelled`), so that no two draws share their numbers.

>>> sample(words(b"a label", "00" * 32), range(5), 5) == sample(words(b"a label", "00" * 32), range(5), 5)
True
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
_WORD = 1 << 64


def labelled(label: bytes, *parts: str | int) -> bytes:
    """The label of a draw for what `parts` name."""
    texts = [str(part).encode() for part in parts]
    return label + b"".join(len(text).to_bytes(4, "big") + text for text in texts)


def words(label: bytes, beacon: str) -> Iterator[int]:
    """Numbers below 2^64, without end; the beacon in hex."""
    known, counter = bytes.fromhex(beacon), 0
    while True:
        yield int.from_bytes(hashlib.sha256(label + known + counter.to_bytes(8, "big")).digest()[:8], "big")
        counter += 1


def below(total: int, drawn: Iterator[int]) -> int:
    """One number, 0 to total - 1."""
    limit = _WORD - _WORD % total
    return next(word for word in drawn if word < limit) % total


def sample(drawn: Iterator[int], population: Sequence[T], count: int) -> list[T]:
    """So many of the population, or all if there are fewer, each at most once, in the order in which they are drawn.

    Takes as long as what is drawn is, however large the population: the shuffle of Fisher and Yates, which keeps what it has moved.
    """
    found: list[T] = []
    moved: dict[int, int] = {}
    size = len(population)
    for last in range(size - 1, size - 1 - min(count, size), -1):
        place = below(last + 1, drawn)
        found.append(population[moved.get(place, place)])
        moved[place] = moved.pop(last, last)
    return found
