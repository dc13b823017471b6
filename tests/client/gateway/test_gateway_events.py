"""Streams of events and blocks: in order, whole, once, whatever happens to the connection."""

from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path

import grpc
import pytest
from quorumlearn.gateway import (
    Backoff,
    Checkpoint,
    CheckpointError,
    EventsError,
    FileCheckpointer,
    Gateway,
    Identity,
    MemoryCheckpointer,
    Options,
    Signer,
    connect,
)

from tests.client.gateway.conftest import QUICK
from tests.client.gateway.scripted_peer import CHANNEL, ScriptedPeer


def submit(gateway: Gateway, count: int) -> list[str]:
    """Transaction ids of `count` committed transactions, one a block."""
    contract = gateway.network(CHANNEL).contract("cc")
    return [
        contract.propose("put", "k", str(n)).endorse().submit().status().transaction_id for n in range(count)
    ]


def test_events_come_in_order_with_block_and_payload(gateway: Gateway) -> None:
    ids = submit(gateway, 3)
    with gateway.network(CHANNEL).chaincode_events("cc", start=1) as events:
        got = list(islice(events, 2))
    assert [(e.block, e.transaction_id, e.name, e.payload) for e in got] == [
        (1, ids[1], "called", b"1"),
        (2, ids[2], "called", b"2"),
    ]


def test_without_a_start_come_events_from_after_the_call(gateway: Gateway) -> None:
    submit(gateway, 2)
    with gateway.network(CHANNEL).chaincode_events("cc") as events:
        ids = submit(gateway, 2)
        assert [e.transaction_id for e in islice(events, 2)] == ids


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_cut_connection_loses_and_repeats_nothing(gateway: Gateway, peer: ScriptedPeer, cut: int) -> None:
    ids = submit(gateway, 7)
    peer.cut_after = cut
    network = gateway.network(CHANNEL)
    with network.chaincode_events("cc", start=0) as events:
        assert [e.transaction_id for e in islice(events, 7)] == ids
    assert peer.calls.count("ChaincodeEvents") > 1
    with network.block_events(start=0) as blocks:
        assert [b.header.number for b in islice(blocks, 7)] == list(range(7))
    assert peer.calls.count("Deliver") > 1


def test_events_go_on_when_the_peer_comes_back(alice: tuple[Identity, Signer]) -> None:
    with ScriptedPeer() as first:
        gateway = connect(first.address, *alice, tls_root=None, options=QUICK)
        ids = submit(gateway, 2)
        events = gateway.network(CHANNEL).chaincode_events("cc", start=0)
        assert [e.transaction_id for e in islice(events, 2)] == ids
    second = ScriptedPeer(first.address)
    second.blocks = first.blocks
    with gateway, second:
        more = submit(gateway, 2)
        assert [e.transaction_id for e in islice(events, 2)] == more


def test_filtered_blocks_come_too(gateway: Gateway) -> None:
    submit(gateway, 3)
    with gateway.network(CHANNEL).block_events(start=1, filtered=True) as blocks:
        assert [b.number for b in islice(blocks, 2)] == [1, 2]


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_checkpoint_goes_before_the_start(gateway: Gateway, tmp_path: Path, kind: str) -> None:
    ids = submit(gateway, 4)
    checkpointer = MemoryCheckpointer() if kind == "memory" else FileCheckpointer(tmp_path / "c.json")
    assert checkpointer.load() is None
    network = gateway.network(CHANNEL)
    seen = []
    for _ in range(4):  # a reader that dies after each event
        with network.chaincode_events("cc", start=0, checkpoint=checkpointer) as events:
            event = next(events)
            seen.append(event.transaction_id)
            checkpointer.save(event.checkpoint)
    assert seen == ids
    with network.block_events(start=0, checkpoint=checkpointer) as blocks:
        assert next(blocks).header.number == 3


@pytest.mark.parametrize("kind", ["memory", "file"])
@pytest.mark.parametrize("longer", [True, False])
def test_a_checkpoint_of_another_ledger_says_so(
    gateway: Gateway, alice: tuple[Identity, Signer], tmp_path: Path, kind: str, longer: bool
) -> None:
    submit(gateway, 3)
    checkpointer = MemoryCheckpointer() if kind == "memory" else FileCheckpointer(tmp_path / "c.json")
    with gateway.network(CHANNEL).chaincode_events("cc", start=1, checkpoint=checkpointer) as events:
        checkpointer.save(next(events).checkpoint)
    with ScriptedPeer() as other, connect(other.address, *alice, tls_root=None, options=QUICK) as elsewhere:
        submit(elsewhere, 5 if longer else 1)
        network = elsewhere.network(CHANNEL)
        for open_stream in (
            lambda: network.chaincode_events("cc", checkpoint=checkpointer),
            lambda: network.block_events(checkpoint=checkpointer),
        ):
            with pytest.raises(CheckpointError, match=r"another ledger.*remove it to begin at the start"):
                open_stream()
    with gateway.network(CHANNEL).chaincode_events("cc", checkpoint=checkpointer) as events:
        assert next(events).block == 2


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_stream_that_is_opened_again_asks_only_for_the_transaction_behind_which_it_goes_on(
    gateway: Gateway, peer: ScriptedPeer, tmp_path: Path, kind: str
) -> None:
    """And one that the gateway resumes by itself asks for nothing."""
    ids = submit(gateway, 4)
    checkpointer = MemoryCheckpointer() if kind == "memory" else FileCheckpointer(tmp_path / "c.json")
    network = gateway.network(CHANNEL)
    seen, asked = [], []
    for cut_after in (None, 1, 1):
        peer.cut_after = cut_after
        before = peer.calls.count("Evaluate")
        with network.chaincode_events("cc", start=0, checkpoint=checkpointer) as events:
            for event in islice(events, 2 if cut_after else 1):
                seen.append(event.transaction_id)
                checkpointer.save(event.checkpoint)
        asked.append(peer.calls.count("Evaluate") - before)
        submit(gateway, 1)
    assert seen[:4] == ids
    assert asked[1:] == [1, 1]
    assert peer.calls.count("ChaincodeEvents") > 3


def test_a_ledger_made_anew_is_told_although_its_first_block_is_not_asked_for_again(
    alice: tuple[Identity, Signer],
) -> None:
    """Whether the checkpoint is behind a transaction or only in a block."""
    for behind in (True, False):
        checkpointer = MemoryCheckpointer()
        with ScriptedPeer() as first:
            gateway = connect(first.address, *alice, tls_root=None, options=QUICK)
            network = gateway.network(CHANNEL)
            submit(gateway, 2)
            with network.chaincode_events("cc", start=0, checkpoint=checkpointer) as events:
                place = next(events).checkpoint
            checkpointer.save(place if behind else Checkpoint(place.block))
            network.chaincode_events("cc", checkpoint=checkpointer).close()
        with gateway, ScriptedPeer(first.address):
            submit(gateway, 5)
            with pytest.raises(CheckpointError, match="another ledger"):
                network.chaincode_events("cc", checkpoint=checkpointer)


class Kept:
    """A checkpointer of somebody's own."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def load(self) -> Checkpoint:
        return self.checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint


@pytest.mark.parametrize(
    ("beyond", "words"),
    [
        (Checkpoint(4), "is in block 4, and the ledger has 3 blocks"),
        (Checkpoint(9, "a" * 64), "is in block 9, and the ledger has 3 blocks"),
        (Checkpoint(1, "a" * 64), "a" * 64 + ", which the ledger does not hold"),
    ],
)
def test_a_checkpoint_after_which_nothing_can_come_is_an_error_and_not_silence(
    gateway: Gateway, beyond: Checkpoint, words: str
) -> None:
    submit(gateway, 3)
    network = gateway.network(CHANNEL)
    with pytest.raises(CheckpointError, match=words) as caught:
        network.chaincode_events("cc", checkpoint=Kept(beyond))
    assert "remove the checkpoint to begin at the start" in str(caught.value)
    with network.block_events(checkpoint=Kept(Checkpoint(3))) as blocks:
        submit(gateway, 1)
        assert next(blocks).header.number == 3


def test_a_checkpoint_that_an_older_version_wrote_is_taken(gateway: Gateway, tmp_path: Path) -> None:
    first, _ = submit(gateway, 2)
    path = tmp_path / "c.json"
    path.write_text(f'{{"block": 0, "transaction_id": "{first}"}}')
    with gateway.network(CHANNEL).chaincode_events("cc", checkpoint=FileCheckpointer(path)) as events:
        assert next(events).block == 1


def test_an_event_not_dealt_with_comes_again(gateway: Gateway) -> None:
    submit(gateway, 1)
    checkpointer = MemoryCheckpointer()
    network = gateway.network(CHANNEL)
    for _ in range(2):
        with network.chaincode_events("cc", start=0, checkpoint=checkpointer) as events:
            assert next(events).block == 0


@pytest.mark.parametrize("status", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND])
def test_a_final_status_ends_the_stream(
    gateway: Gateway, peer: ScriptedPeer, status: grpc.StatusCode
) -> None:
    peer.fail("ChaincodeEvents", status, "no")
    peer.fail("Deliver", status, "no")
    network = gateway.network(CHANNEL)
    for stream in (network.chaincode_events("cc", start=0), network.block_events(start=0)):
        with stream, pytest.raises(EventsError) as caught:
            next(iter(stream))
        assert caught.value.status is status


def test_reconnecting_ends_when_nobody_answers(alice: tuple[Identity, Signer]) -> None:
    with ScriptedPeer() as gone:
        address = gone.address
    options = Options(reconnect=Backoff(attempts=3, initial_s=0.001, cap_s=0.002))
    with (
        connect(address, *alice, tls_root=None, options=options) as gateway,
        gateway.network(CHANNEL).block_events(start=0) as blocks,
        pytest.raises(EventsError) as caught,
    ):
        next(blocks)
    assert caught.value.unreachable


def test_close_wakes_a_reader(gateway: Gateway) -> None:
    events = gateway.network(CHANNEL).chaincode_events("cc", start=0)
    ended = threading.Event()

    def read() -> None:
        assert list(events) == []
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    events.close()
    reader.join(10)
    assert ended.is_set()
    events.close()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"block": -1, "transaction_id": ""}', '{"block": true, "transaction_id": ""}', "{}"],
)
def test_a_damaged_checkpoint_is_an_error_and_no_new_beginning(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"c\.json"):
        FileCheckpointer(path).load()
    assert path.read_text() == text


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    checkpointer = FileCheckpointer(tmp_path / "c.json")
    checkpointer.save(Checkpoint(5, "t"))
    (tmp_path / "gone").mkdir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        FileCheckpointer(tmp_path / "none" / "c.json").save(Checkpoint(6))
    assert checkpointer.load() == Checkpoint(5, "t")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["c.json"]
