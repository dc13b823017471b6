"""The round's random beacon, and what is drawn from it: the order of the proposers.

The beacon is SHA-256 over `seat (4 bytes, big endian) || secret (32 bytes)` of the seats that revealed, by
seat. Each committed to SHA-256 of its secret together with its key, before a miner committed to anything.

The lottery draws without replacement. Its numbers are the first 8 bytes, big endian, of SHA-256(LABEL ||
beacon || counter (8 bytes, big endian)) for counter = 0, 1, ...; a number at or above the largest multiple
of the total chance is passed over, so that the remainder is uniform.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

LABEL = b"quorumlearn/lottery/1"
_WORD = 1 << 64


def combine(secrets: Mapping[int, str]) -> str:
    """The beacon, 64 hex digits, from each seat's revealed secret in hex."""
    parts = hashlib.sha256()
    for seat in sorted(secrets):
        parts.update(seat.to_bytes(4, "big") + bytes.fromhex(secrets[seat]))
    return parts.hexdigest()


def opens(commitment: str, secret: str) -> bool:
    """Whether the hex secret is what the commitment was made to."""
    return hashlib.sha256(bytes.fromhex(secret)).hexdigest() == commitment


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
