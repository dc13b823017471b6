"""What a range query records, and when it still holds."""

from __future__ import annotations

import hashlib

from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn_network.devnet.blocks import Version
from quorumlearn_network.devnet.ranges import RangeReads, same_reads

Entries = list[tuple[str, Version]]


def entries_of(count: int) -> Entries:
    return [(f"k{i:05}", (i // 7, i % 7)) for i in range(count)]


def recorded(entries: Entries, degree: int = 50) -> kv_rwset_pb2.RangeQueryInfo:
    reads = RangeReads(degree)
    for key, version in entries:
        reads.add(key, version)
    info = kv_rwset_pb2.RangeQueryInfo()
    reads.finish(info)
    return info


def leaf(entries: Entries) -> bytes:
    reads = [
        kv_rwset_pb2.KVRead(key=key, version=kv_rwset_pb2.Version(block_num=block, tx_num=position))
        for key, (block, position) in entries
    ]
    return hashlib.sha256(kv_rwset_pb2.QueryReads(kv_reads=reads).SerializeToString()).digest()


def test_up_to_fifty_reads_are_listed() -> None:
    info = recorded(entries_of(50))
    assert info.WhichOneof("reads_info") == "raw_reads"
    assert len(info.raw_reads.kv_reads) == 50
    assert recorded([]).WhichOneof("reads_info") is None


def test_more_are_summarised_in_chunks_of_one_more_than_the_degree() -> None:
    entries = entries_of(120)
    info = recorded(entries)
    assert info.reads_merkle_hashes.max_degree == 50
    assert info.reads_merkle_hashes.max_level == 1
    assert list(info.reads_merkle_hashes.max_level_hashes) == [
        leaf(entries[:51]),
        leaf(entries[51:102]),
        leaf(entries[102:]),
    ]


def test_levels_fold_as_in_fabric() -> None:
    entries = entries_of(12)
    info = recorded(entries, degree=2)
    leaves = [leaf(entries[i : i + 3]) for i in range(0, 12, 3)]
    parent = hashlib.sha256(b"".join(leaves[:3])).digest()
    assert info.reads_merkle_hashes.max_level == 2
    assert list(info.reads_merkle_hashes.max_level_hashes) == [parent, leaves[3]]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 400), degree=st.integers(2, 50), data=st.data())
def test_any_difference_is_seen(count: int, degree: int, data: st.DataObject) -> None:
    entries = entries_of(count)
    info = recorded(entries, degree)
    if info.WhichOneof("reads_info") != "reads_merkle_hashes":
        info = recorded(entries)
    assert same_reads(info, entries)
    changed = list(entries)
    kind = data.draw(st.sampled_from(["extra", "missing", "version"])) if entries else "extra"
    place = data.draw(st.integers(0, max(0, count - 1)))
    if kind == "extra":
        changed.insert(place, (f"k{place:05}x", (0, 0)))
    elif kind == "missing":
        del changed[place]
    else:
        changed[place] = (changed[place][0], (10_000, 0))
    assert not same_reads(info, changed)


def test_a_summary_of_degree_one_is_never_the_same() -> None:
    info = kv_rwset_pb2.RangeQueryInfo()
    info.reads_merkle_hashes.max_degree = 1
    assert not same_reads(info, entries_of(3))
