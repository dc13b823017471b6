"""How batches are cut, after Fabric's blockcutter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_network.devnet.config import BatchConfig
from quorumlearn_network.devnet.orderer import Batcher


def batcher(messages: int = 500, preferred: int = 100) -> Batcher:
    return Batcher(
        BatchConfig(
            timeout_ms=1, max_messages=messages, preferred_max_bytes=preferred, absolute_max_bytes=1000
        )
    )


def test_the_count_ends_a_batch() -> None:
    cutter = batcher(messages=2)
    assert cutter.add(b"a", 1) == []
    assert cutter.add(b"b", 1) == [[b"a", b"b"]]
    assert not cutter.pending


def test_a_message_that_would_overflow_begins_the_next_batch() -> None:
    cutter = batcher()
    assert cutter.add(b"a", 60) == []
    assert cutter.add(b"b", 60) == [[b"a"]]
    assert cutter.pending
    assert cutter.cut() == [[b"b"]]


def test_a_large_message_is_alone_in_its_block() -> None:
    cutter = batcher()
    cutter.add(b"a", 1)
    assert cutter.add(b"large", 101) == [[b"a"], [b"large"]]
    assert not cutter.pending
    assert cutter.cut() == []


@given(
    sizes=st.lists(st.integers(1, 200), max_size=60),
    messages=st.integers(1, 10),
    preferred=st.integers(1, 200),
)
def test_every_message_is_in_one_batch_in_order_and_within_the_limits(
    sizes: list[int], messages: int, preferred: int
) -> None:
    cutter = batcher(messages, preferred)
    batches: list[list[bytes]] = []
    for i, size in enumerate(sizes):
        batches += cutter.add(str(i).encode(), size)
    batches += cutter.cut()
    assert [int(message) for batch in batches for message in batch] == list(range(len(sizes)))
    for batch in batches:
        assert 0 < len(batch) <= messages
        assert len(batch) == 1 or sum(sizes[int(message)] for message in batch) <= preferred
