"""What a range query read, as it goes into the read-write set, and the check for phantoms.

Up to 50 results are listed as they are; more are summarised by a Merkle tree of degree 50 over SHA-256 of
their serialised chunks (Fabric's rwsetutil, RangeQueryResultsHelper), so that a long scan costs the block
little.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from quorumlearn_network.devnet.blocks import Version

MAX_DEGREE = 50


class RangeReads:
    """Collects the reads of one range query, in order."""

    def __init__(self, max_degree: int = MAX_DEGREE) -> None:
        self._degree = max_degree
        self._pending: list[kv_rwset_pb2.KVRead] = []
        self._levels: dict[int, list[bytes]] = {}
        self._top = 1

    def add(self, key: str, version: Version) -> None:
        self._pending.append(
            kv_rwset_pb2.KVRead(
                key=key, version=kv_rwset_pb2.Version(block_num=version[0], tx_num=version[1])
            )
        )
        if len(self._pending) > self._degree:
            self._hash_pending()

    def finish(self, info: kv_rwset_pb2.RangeQueryInfo) -> None:
        """Write the reads, listed or summarised, into `info`."""
        if not self._levels:
            if self._pending:
                info.raw_reads.kv_reads.extend(self._pending)
            return
        if self._pending:
            self._hash_pending()
        level = 1
        while level < self._top:
            hashes = self._levels.pop(level, [])
            level += 1
            if hashes:
                self._levels.setdefault(level, []).append(
                    hashes[0] if len(hashes) == 1 else _combined(hashes)
                )
        if len(self._levels[self._top]) > self._degree:
            hashes = self._levels.pop(self._top)
            self._top += 1
            self._levels[self._top] = [_combined(hashes)]
        info.reads_merkle_hashes.max_degree = self._degree
        info.reads_merkle_hashes.max_level = self._top
        info.reads_merkle_hashes.max_level_hashes.extend(self._levels[self._top])

    def _hash_pending(self) -> None:
        chunk = kv_rwset_pb2.QueryReads(kv_reads=self._pending).SerializeToString()
        self._pending = []
        level = 1
        self._levels.setdefault(level, []).append(hashlib.sha256(chunk).digest())
        while len(self._levels[level]) > self._degree:
            hashes = self._levels.pop(level)
            level += 1
            self._levels.setdefault(level, []).append(_combined(hashes))
            self._top = max(self._top, level)


def same_reads(info: kv_rwset_pb2.RangeQueryInfo, current: Iterable[tuple[str, Version]]) -> bool:
    """Whether the range that `info` records reads the same now: `current`, keys and versions in order."""
    summarised = info.WhichOneof("reads_info") == "reads_merkle_hashes"
    degree = int(info.reads_merkle_hashes.max_degree) if summarised else MAX_DEGREE
    if summarised and degree < 2:
        return False
    again = RangeReads(degree) if summarised else None
    listed: list[tuple[str, Version]] = []
    limit = len(info.raw_reads.kv_reads)
    for key, version in current:
        if again is not None:
            again.add(key, version)
        elif len(listed) >= limit:
            return False
        else:
            listed.append((key, version))
    if again is None:
        recorded = [
            (read.key, (int(read.version.block_num), int(read.version.tx_num)))
            for read in info.raw_reads.kv_reads
        ]
        return listed == recorded
    now = kv_rwset_pb2.RangeQueryInfo()
    again.finish(now)
    return bool(now.reads_merkle_hashes == info.reads_merkle_hashes)


def _combined(hashes: Iterable[bytes]) -> bytes:
    return hashlib.sha256(b"".join(hashes)).digest()
