"""Read versions, phantoms and the state after a block: Fabric's txmgmt validation.

A transaction conflicts if a key that it read has another version now, or if a range that it scanned would read
otherwise, counting the valid transactions before it in the block.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from quorumlearn_network.devnet.blocks import Update, Version
from quorumlearn_network.devnet.envelope import Code, is_delete
from quorumlearn_network.devnet.ledger import IndexedTransaction
from quorumlearn_network.devnet.ranges import same_reads
from quorumlearn_network.devnet.store import get_state, scan_state

ReadWriteSets = list[tuple[str, kv_rwset_pb2.KVRWSet]]


@dataclass
class Outcome:
    """What a validated block does: its transaction filter, the state after it, and what goes into the
    indexes.
    """

    flags: bytearray
    updates: dict[tuple[str, str], Update] = field(default_factory=dict)
    written: list[tuple[str, str, int]] = field(default_factory=list)
    transactions: list[IndexedTransaction] = field(default_factory=list)


def conflicts(sets: ReadWriteSets, state: sqlite3.Connection, updates: dict[tuple[str, str], Update]) -> int:
    for namespace, entry in sets:
        for read in entry.reads:
            if (namespace, read.key) in updates:
                return int(Code.MVCC_READ_CONFLICT)
            found = get_state(state, namespace, read.key)
            if (found.version if found else None) != _version(read):
                return int(Code.MVCC_READ_CONFLICT)
        for info in entry.range_queries_info:
            if not same_reads(info, _current(namespace, info, state, updates)):
                return int(Code.PHANTOM_READ_CONFLICT)
    return int(Code.VALID)


def _version(read: kv_rwset_pb2.KVRead) -> Version | None:
    if not read.HasField("version"):
        return None
    return int(read.version.block_num), int(read.version.tx_num)


def _current(
    namespace: str,
    info: kv_rwset_pb2.RangeQueryInfo,
    state: sqlite3.Connection,
    updates: dict[tuple[str, str], Update],
) -> Iterator[tuple[str, Version]]:
    """Keys and versions that the range holds now: the committed state, overlaid with this block's updates."""
    end = info.end_key if info.itr_exhausted or not info.end_key else info.end_key + "\x00"
    low, high = info.start_key.encode(), end.encode()
    newer = {
        key: update
        for (name, key), update in updates.items()
        if name == namespace and low <= key.encode() and (not end or key.encode() < high)
    }
    if not newer:
        for key, found in scan_state(state, namespace, info.start_key, end):
            yield key, found.version
        return
    merged = {key: found.version for key, found in scan_state(state, namespace, info.start_key, end)}
    for key, update in newer.items():
        merged[key] = update.version
        if update.value is None:
            del merged[key]
    for key in sorted(merged, key=str.encode):
        yield key, merged[key]


def apply_writes(sets: ReadWriteSets, version: Version, state: sqlite3.Connection, outcome: Outcome) -> None:
    """Fold a valid transaction's writes into the block's updates: a value keeps its metadata, and the
    reverse.
    """
    for namespace, entry in sets:
        values = {write.key: None if is_delete(write) else bytes(write.value) for write in entry.writes}
        metadata = {
            write.key: write.SerializeToString() if write.entries else b"" for write in entry.metadata_writes
        }
        for key in {**values, **metadata}:
            mark = (namespace, key)
            value, stored = _latest(mark, state, outcome.updates)
            if key in values:
                value = values[key]
            elif value is None:
                continue
            kept = metadata.get(key, stored) if value is not None else b""
            outcome.updates[mark] = Update(value, kept, version)
        outcome.written.extend((namespace, key, version[1]) for key in values)


def _latest(
    mark: tuple[str, str], state: sqlite3.Connection, updates: dict[tuple[str, str], Update]
) -> tuple[bytes | None, bytes]:
    newer = updates.get(mark)
    if newer is not None:
        return newer.value, newer.metadata
    found = get_state(state, *mark)
    return (None, b"") if found is None else (found.value, found.metadata)
