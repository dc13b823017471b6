"""Every derived seed of QuorumLearn comes from here, so that a run repeats from one number.

A seed for a purpose is SHA-256 over the parts that name it, each with its length in front (so that no two lists of
parts collide), cut to 63 bits: it fits every generator in use (numpy, torch, Python).

>>> derive(7, "train", "OrgMSP/miner1", 3) == derive(7, "train", "OrgMSP/miner1", 3)
True
"""

from __future__ import annotations

import hashlib
import hmac


def derive(*parts: int | str) -> int:
    """A seed in [0, 2^63) for the purpose that `parts` name."""
    return int.from_bytes(_hash(parts)[:8], "big") >> 1


def public(*parts: int | str) -> bytes:
    """32 bytes that anybody can derive, for the purpose that `parts` name."""
    return _hash(parts)


def stream(size: int, *parts: int | str) -> bytes:
    """So many bytes for the purpose that `parts` name (SHAKE-256), the same on every machine."""
    return hashlib.shake_256(_hash(parts)).digest(size)


def secret(key: bytes, *parts: int | str) -> bytes:
    """32 bytes that nobody without `key` can guess, for the purpose that `parts` name (HMAC-SHA-256)."""
    return hmac.new(key, _hash(parts), hashlib.sha256).digest()


def _hash(parts: tuple[int | str, ...]) -> bytes:
    state = hashlib.sha256()
    for part in parts:
        data = str(part).encode()
        state.update(len(data).to_bytes(8, "big") + data)
    return state.digest()
