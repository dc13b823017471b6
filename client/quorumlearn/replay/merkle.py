"""A Merkle tree as in Certificate Transparency: a root commits to a list, and a path shows one entry of it.

Rules:
- an entry is hashed behind a byte 0, two halves behind a byte 1. So no inner node passes for an entry, and no entry for a node;
- a list of n > 1 entries is split after the largest power of two below n. Root and number of entries together fix the list, and the
  number fixes how long each entry's path is.

Source: RFC 6962, section 2.1 (SHA-256).

>>> leaves = [bytes([number]) for number in range(5)]
>>> tree = Tree(leaves)
>>> verify(tree.root, leaves[3], 3, 5, tree.path(3))
True
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two halves by their hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The tree over a list of at least one entry. ValueError for an empty list."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        if not entries:
            raise ValueError("a tree has at least one entry")
        self._levels = [[leaf_hash(entry) for entry in entries]]
        while len(self._levels[-1]) > 1:
            self._levels.append(_above(self._levels[-1]))

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return self._levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        """What leads from an entry to the root: its siblings' hashes, from the entry up. ValueError if there is no such entry."""
        if not 0 <= index < len(self._levels[0]):
            raise ValueError(f"entry {index} of {len(self._levels[0])}")
        found = []
        for level in self._levels[:-1]:
            if (sibling := index ^ 1) < len(level):
                found.append(level[sibling])
            index //= 2
        return found


def path_length(index: int, count: int) -> int:
    """How many hashes the path of an entry has."""
    length = 0
    while count > 1:
        length += (index ^ 1) < count
        index, count = index // 2, (count + 1) // 2
    return length


def verify(expected: bytes, entry: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bool:
    """Whether `siblings` show that entry `index` of the `count` under this root is `entry`; False for whatever is no path."""
    if not 0 <= index < count or len(siblings) != path_length(index, count):
        return False
    if any(len(one) != HASH_BYTES for one in siblings):
        return False
    found, left = leaf_hash(entry), list(siblings)
    while count > 1:
        if (index ^ 1) < count:
            sibling = left.pop(0)
            found = node_hash(sibling, found) if index % 2 else node_hash(found, sibling)
        index, count = index // 2, (count + 1) // 2
    return found == expected


def _above(level: list[bytes]) -> list[bytes]:
    """Pairs, and the last one as it is if it has no partner: the same tree as splitting after the largest power of two."""
    paired = [node_hash(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
    return paired + level[len(paired) * 2 :]
