"""What is drawn from a round's beacon (quorumlearn_proto.derived): the order of the proposers.

The lottery draws without replacement. Its numbers are the first 8 bytes, big endian, of SHA-256(LABEL ||
beacon || counter (8 bytes, big endian)) for counter = 0, 1, ...; a number at or above the largest multiple
of the total chance is passed over, so that the remainder is uniform.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

LABEL = b"quorumlearn/lottery/1"
_WORD = 1 << 64


def draw_order(beacon: str, chances: Sequence[tuple[str, int]]) -> list[str]:
    """All names in a random order; each next one is drawn with its chance (at least 1) among those left."""
    words = _words(bytes.fromhex(beacon))
    left = list(chances)
    order = []
    while left:
        ticket = _below(sum(chance for _, chance in left), words)
        for position, (name, chance) in enumerate(left):
            if ticket < chance:
                order.append(name)
                del left[position]
                break
            ticket -= chance
    return order


def _words(beacon: bytes) -> Iterator[int]:
    counter = 0
    while True:
        block = hashlib.sha256(LABEL + beacon + counter.to_bytes(8, "big")).digest()
        yield int.from_bytes(block[:8], "big")
        counter += 1


def _below(total: int, words: Iterator[int]) -> int:
    limit = _WORD - _WORD % total
    return next(word for word in words if word < limit) % total
