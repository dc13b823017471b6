"""One transaction's simulation: what it read and what it would write.

Semantics as Fabric's lock-based simulator: reads see the snapshot only, never the transaction's own writes;
every read records its version, every range scan what it returned (against phantoms); an empty value deletes;
setting metadata replaces all metadata of the key; after a paged query there are no writes and the other way
round. The read-write set is serialised in one order (namespaces and keys sorted), so that honest endorsers
produce equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from quorumlearn_network.devnet.blocks import Version
from quorumlearn_network.devnet.config import SYSTEM_CHAINCODES
from quorumlearn_network.devnet.envelope import ledger_write
from quorumlearn_network.devnet.errors import SimulationError
from quorumlearn_network.devnet.ledger import Snapshot
from quorumlearn_network.devnet.ranges import RangeReads
from quorumlearn_network.devnet.store import VersionedValue

VALIDATION_PARAMETER = "VALIDATION_PARAMETER"


@dataclass
class _Namespace:
    reads: dict[str, Version | None] = field(default_factory=dict)
    ranges: list[kv_rwset_pb2.RangeQueryInfo] = field(default_factory=list)
    writes: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class Interest:
    """Which policies the written keys of one namespace are under: see `layouts`."""

    namespace: str
    chaincode_policy: bool
    key_policies: frozenset[bytes]


class RangeIterator:
    """The results of one range query; what has been taken is recorded in the simulation."""

    def __init__(
        self,
        namespace: str,
        start: str,
        end: str,
        found: Iterator[tuple[str, VersionedValue]],
        page_size: int,
    ) -> None:
        self.namespace = namespace
        self.info = kv_rwset_pb2.RangeQueryInfo(start_key=start)
        self.reads = RangeReads()
        self._end = end
        self._found = found
        self._left = page_size if page_size > 0 else -1

    def next(self) -> bytes | None:
        """The next queryresult.KV, serialised, or None at the end."""
        entry = None if self._left == 0 else next(self._found, None)
        if entry is None:
            self.info.itr_exhausted = True
            self.info.end_key = self._end
            return None
        self._left -= 1
        key, found = entry
        self.reads.add(key, found.version)
        self.info.end_key = key
        result: bytes = kv_query_result_pb2.KV(
            namespace=self.namespace, key=key, value=found.value
        ).SerializeToString()
        return result

    def bookmark(self) -> str:
        """Where the next page begins; empty at the end."""
        entry = next(self._found, None)
        return "" if entry is None else entry[0]


class HistoryIterator:
    """The modifications of one key, newest first, read from the blocks that hold them."""

    def __init__(self, snapshot: Snapshot, namespace: str, key: str) -> None:
        self._snapshot = snapshot
        self._namespace = namespace
        self._key = key
        self._places = iter(snapshot.history(namespace, key))

    def next(self) -> bytes | None:
        """The next queryresult.KeyModification, serialised, or None at the end."""
        place = next(self._places, None)
        if place is None:
            return None
        envelope = self._snapshot.block(place[0]).data.data[place[1]]
        header, write = ledger_write(envelope, self._namespace, self._key)
        modification = kv_query_result_pb2.KeyModification(
            tx_id=header.tx_id, value=write.value, timestamp=header.timestamp, is_delete=write.is_delete
        )
        result: bytes = modification.SerializeToString()
        return result

    def bookmark(self) -> str:
        return ""


class Simulator:
    """The ledger as one simulated transaction sees it. Keys and namespaces are text, values bytes."""

    def __init__(self, snapshot: Snapshot, txid: str) -> None:
        self._snapshot = snapshot
        self._txid = txid
        self._namespaces: dict[str, _Namespace] = {}
        self._iterators: list[RangeIterator] = []
        self._wrote = False
        self._paged = False
        self._written: dict[str, tuple[bool, set[bytes]]] = {}

    def get(self, namespace: str, key: str) -> bytes:
        """The committed value, empty if there is none."""
        found = self._read(namespace, key)
        return b"" if found is None else found.value

    def get_many(self, namespace: str, keys: Sequence[str]) -> list[bytes]:
        """`get` of several keys, in their order."""
        found = self._snapshot.get_many(namespace, keys)
        for key, one in zip(keys, found, strict=True):
            self.note_read(namespace, key, None if one is None else one.version)
        return [b"" if one is None else one.value for one in found]

    def metadata(self, namespace: str, key: str) -> dict[str, bytes]:
        found = self._read(namespace, key)
        return {} if found is None else read_metadata(found.metadata)

    def note_read(self, namespace: str, key: str, version: Version | None) -> None:
        """Record a read whose version is already known."""
        self._namespace(namespace).reads.setdefault(key, version)

    def put(self, namespace: str, key: str, value: bytes) -> None:
        """Write; an empty value deletes the key."""
        self._before_write()
        self._namespace(namespace).writes[key] = value
        self._note_policy(namespace, key)

    def put_metadata(self, namespace: str, key: str, name: str, value: bytes) -> None:
        self._before_write()
        self._namespace(namespace).metadata[key] = {name: value}
        self._note_policy(namespace, key)

    def scan(self, namespace: str, start: str, end: str) -> RangeIterator:
        return self._scan(namespace, start, end, 0)

    def scan_page(self, namespace: str, start: str, end: str, page_size: int) -> RangeIterator:
        """A paged scan. SimulationError in a transaction that has written."""
        if self._wrote:
            raise SimulationError(
                f"txid [{self._txid}]: unsuppored transaction. "
                "Paginated queries are supported only in a read-only transaction"
            )
        self._paged = True
        return self._scan(namespace, start, end, page_size)

    def history(self, namespace: str, key: str) -> HistoryIterator:
        return HistoryIterator(self._snapshot, namespace, key)

    def results(self) -> bytes:
        """The TxReadWriteSet, serialised. Call it once, at the end."""
        seen: set[tuple[str, str, str, bool]] = set()
        for iterator in self._iterators:
            iterator.reads.finish(iterator.info)
            info = iterator.info
            mark = (iterator.namespace, info.start_key, info.end_key, info.itr_exhausted)
            if mark not in seen:
                seen.add(mark)
                self._namespace(iterator.namespace).ranges.append(info)
        return read_write_set({name: _kv_set(entry) for name, entry in self._namespaces.items()})

    def interests(self) -> list[Interest]:
        """Per namespace that counts for endorsement: is the chaincode's policy needed, and which key
        policies.
        """
        found = []
        for name in sorted(self._namespaces.keys() - SYSTEM_CHAINCODES):
            needed, policies = self._written.get(name, (True, set()))
            if needed or policies:
                found.append(Interest(name, needed, frozenset(policies)))
        return found

    def _read(self, namespace: str, key: str) -> VersionedValue | None:
        found = self._snapshot.get(namespace, key)
        self.note_read(namespace, key, None if found is None else found.version)
        return found

    def _scan(self, namespace: str, start: str, end: str, page_size: int) -> RangeIterator:
        iterator = RangeIterator(namespace, start, end, self._snapshot.scan(namespace, start, end), page_size)
        self._iterators.append(iterator)
        return iterator

    def _before_write(self) -> None:
        if self._paged:
            raise SimulationError(
                f"txid [{self._txid}]: unsuppored transaction. "
                "Transaction has already performed a paginated query. Writes are not allowed"
            )
        self._wrote = True

    def _note_policy(self, namespace: str, key: str) -> None:
        found = self._snapshot.get(namespace, key)
        policy = b"" if found is None else read_metadata(found.metadata).get(VALIDATION_PARAMETER, b"")
        needed, policies = self._written.get(namespace, (False, set()))
        if policy:
            policies.add(policy)
        self._written[namespace] = (needed or not policy, policies)

    def _namespace(self, name: str) -> _Namespace:
        return self._namespaces.setdefault(name, _Namespace())


def read_write_set(namespaces: dict[str, kv_rwset_pb2.KVRWSet]) -> bytes:
    """A TxReadWriteSet, serialised, namespaces sorted."""
    result: bytes = rwset_pb2.TxReadWriteSet(
        data_model=rwset_pb2.TxReadWriteSet.KV,
        ns_rwset=[
            rwset_pb2.NsReadWriteSet(namespace=name, rwset=namespaces[name].SerializeToString())
            for name in sorted(namespaces)
        ],
    ).SerializeToString()
    return result


def read_metadata(data: bytes) -> dict[str, bytes]:
    """The metadata of a key, as the state holds it (a KVMetadataWrite)."""
    return {entry.name: entry.value for entry in kv_rwset_pb2.KVMetadataWrite.FromString(data).entries}


def _kv_set(entry: _Namespace) -> kv_rwset_pb2.KVRWSet:
    reads = []
    for key in sorted(entry.reads, key=str.encode):
        version = entry.reads[key]
        read = kv_rwset_pb2.KVRead(key=key)
        if version is not None:
            read.version.CopyFrom(kv_rwset_pb2.Version(block_num=version[0], tx_num=version[1]))
        reads.append(read)
    return kv_rwset_pb2.KVRWSet(
        reads=reads,
        range_queries_info=entry.ranges,
        writes=[
            kv_rwset_pb2.KVWrite(key=key, is_delete=not entry.writes[key], value=entry.writes[key])
            for key in sorted(entry.writes, key=str.encode)
        ],
        metadata_writes=[
            kv_rwset_pb2.KVMetadataWrite(
                key=key,
                entries=[
                    kv_rwset_pb2.KVMetadataEntry(name=name, value=value)
                    for name, value in sorted(entry.metadata[key].items())
                ],
            )
            for key in sorted(entry.metadata, key=str.encode)
        ],
    )
