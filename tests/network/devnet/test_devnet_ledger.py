"""The ledger file: atomic, verified on opening, stopped by a failing store without losing a committed block."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from fabric_protos.common import common_pb2
from quorumlearn_network.devnet import Devnet, LedgerError
from quorumlearn_network.devnet.blocks import Update, header_hash, new_block, seal
from quorumlearn_network.devnet.errors import LedgerUnavailableError, NotFoundError
from quorumlearn_network.devnet.ledger import IndexedTransaction, Ledger

from tests.network.devnet.conftest import Members, Net, make_config, start_net
from tests.network.devnet.raw_gateway import details_of


def grow(ledger: Ledger, key: str = "k", value: bytes | None = b"v") -> common_pb2.Block:
    number = ledger.height
    block = new_block(number, ledger.last_hash, [f"envelope {number}".encode()], None)
    updates = {("ns", key): Update(value, b"", (number, 0))}
    commit = seal(block, b"\x00", updates, ledger.commit_hash)
    ledger.append(block, commit, updates, [("ns", key, 0)], [IndexedTransaction(f"tx{number}", 0, 0)])
    return block


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path, "ch")
    yield opened
    opened.close()


def test_a_snapshot_keeps_its_height_while_blocks_are_appended(ledger: Ledger) -> None:
    grow(ledger, "k", b"1")
    before = ledger.snapshot()
    grow(ledger, "k", b"2")
    grow(ledger, "j", b"3")
    found = before.get("ns", "k")
    assert found is not None
    assert (found.value, found.version) == (b"1", (0, 0))
    assert [key for key, _ in before.scan("ns", "", "")] == ["k"]
    before.close()
    after = ledger.snapshot()
    assert [key for key, _ in after.scan("ns", "", "")] == ["j", "k"]
    assert after.history("ns", "k") == [(1, 0), (0, 0)]
    after.close()


def test_a_snapshot_closed_in_the_middle_of_a_scan_is_reusable(ledger: Ledger) -> None:
    grow(ledger, "a")
    grow(ledger, "b")
    first = ledger.snapshot()
    next(first.scan("ns", "", ""))
    first.close()
    grow(ledger, "c")
    second = ledger.snapshot()
    assert [key for key, _ in second.scan("ns", "", "")] == ["a", "b", "c"]
    second.close()


def test_reopening_finds_the_same_end(path: Path) -> None:
    ledger = Ledger(path, "ch")
    blocks = [grow(ledger, f"k{i}") for i in range(3)]
    end = (ledger.height, ledger.last_hash, ledger.commit_hash)
    ledger.close()
    again = Ledger(path, "ch")
    assert (again.height, again.last_hash, again.commit_hash) == end
    assert again.last_hash == header_hash(blocks[-1].header)
    assert again.block_number_of_hash(header_hash(blocks[1].header)) == 1
    with pytest.raises(NotFoundError):
        again.block(3)
    again.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blocks SET data = x'ffff' WHERE number = 2",
        "UPDATE blocks SET hash = x'00' WHERE number = 2",
        "UPDATE blocks SET hash = x'00' WHERE number = 1",
        "DELETE FROM blocks WHERE number = 1",
        "DELETE FROM blocks WHERE number < 2",
        "UPDATE meta SET value = '9' WHERE name = 'format'",
        "DROP TABLE blocks",
    ],
)
def test_a_damaged_ledger_is_not_opened(path: Path, damage: str) -> None:
    ledger = Ledger(path, "ch")
    for i in range(3):
        grow(ledger, f"k{i}")
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    with pytest.raises(LedgerError, match="ledger"):
        Ledger(path, "ch")


def test_other_files_and_channels_are_not_opened(path: Path) -> None:
    Ledger(path, "ch").close()
    with pytest.raises(LedgerError, match="is the ledger of channel ch, not of other"):
        Ledger(path, "other")
    text = path.with_name("text")
    text.write_text("not a database at all, but a text of some length\n" * 100)
    with pytest.raises(LedgerError, match="cannot be opened as a ledger"):
        Ledger(text, "ch")
    assert text.read_text().startswith("not a database")


def test_one_process_at_a_time(ledger: Ledger, path: Path) -> None:
    with pytest.raises(LedgerError, match="in use by another devnet"):
        Ledger(path, "ch")


def test_a_full_store_keeps_nothing_of_the_block(ledger: Ledger) -> None:
    grow(ledger, "small")
    end = (ledger.height, ledger.last_hash, ledger.commit_hash)
    pages = ledger.committed().execute("PRAGMA page_count").fetchone()[0]
    ledger.committed().execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(LedgerUnavailableError, match="full"):
        grow(ledger, "large", bytes(1 << 20))
    assert (ledger.height, ledger.last_hash, ledger.commit_hash) == end
    snapshot = ledger.snapshot()
    assert [key for key, _ in snapshot.scan("ns", "", "")] == ["small"]
    snapshot.close()
    assert ledger.transaction("tx1") is None
    ledger.committed().execute("PRAGMA max_page_count = 1000000")
    grow(ledger, "after")
    assert ledger.height == end[0] + 1


def test_a_file_that_is_gone_stops_the_ledger(ledger: Ledger, path: Path) -> None:
    grow(ledger)
    path.rename(path.with_name("moved"))
    with pytest.raises(LedgerUnavailableError, match="gone"):
        grow(ledger)
    path.write_bytes(b"")
    with pytest.raises(LedgerUnavailableError, match="replaced"):
        grow(ledger)


_KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from tests.network.devnet.test_devnet_ledger import grow
from quorumlearn_network.devnet.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), "ch")
while True:
    grow(ledger, f"k{ledger.height}")
    print(ledger.height, flush=True)
"""


def test_what_was_reported_survives_kill_9(path: Path) -> None:
    root = str(Path(__file__).resolve().parents[3])
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(path), root], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert process.stdout is not None
    reported = 0
    while reported < 20:
        reported = int(process.stdout.readline())
    process.kill()
    reported = int((process.stdout.read().split() or [str(reported)])[-1])
    process.wait()
    process.stdout.close()
    ledger = Ledger(path, "ch")
    assert ledger.height >= reported
    snapshot = ledger.snapshot()
    assert len(list(snapshot.scan("ns", "", ""))) == ledger.height
    snapshot.close()
    grow(ledger, "after")
    ledger.close()


def test_a_devnet_whose_store_fails_says_so_and_loses_nothing(members: Members, tmp_path: Path) -> None:
    net = start_net(members, tmp_path)
    client = net.client("V1MSP")
    last = client.submit("put", "kept", "1")
    ledger = net.config.ledger
    ledger.rename(ledger.with_name("elsewhere"))
    txid, envelope = client.endorse("put", "lost", "2")
    client.order(txid, envelope)
    with pytest.raises(grpc.RpcError) as failed:
        client.status(txid)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "gone" in str(failed.value.details())
    with pytest.raises(grpc.RpcError) as failed:
        client.order(*client.endorse("put", "lost", "3"))
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    ((msp_id, message),) = details_of(failed.value)
    assert msp_id == "OrdererMSP"
    assert "status=SERVICE_UNAVAILABLE" in message
    assert client.status(last.txid) == ("VALID", last.block)
    assert client.evaluate("get", "kept") == b"1"
    net.devnet.stop()
    ledger.with_name("elsewhere").rename(ledger)
    again = Net(Devnet(net.config), members, net.config, net.services)
    again.devnet.start()
    client = again.client("V1MSP")
    assert client.evaluate("get", "kept") == b"1"
    assert client.submit("put", "lost", "4").block == last.block + 1
    again.close()


def test_a_definition_is_replaced_by_the_next_sequence_only(members: Members, tmp_path: Path) -> None:
    net = start_net(members, tmp_path)
    client = net.client("V1MSP")
    client.submit("put", "kept", "1")
    old = client.endorse("put", "old", "x")
    net.devnet.stop()

    def changed(**changes: object) -> Devnet:
        chaincodes = [
            entry.model_copy(update=changes) if entry.name == "kv" else entry
            for entry in net.config.chaincodes
        ]
        return Devnet(net.config.model_copy(update={"chaincodes": chaincodes}))

    with pytest.raises(LedgerError, match="raise the sequence to 2"):
        changed(policy="OR('V1MSP.peer')").start()
    with pytest.raises(LedgerError, match="the next one is 2"):
        changed(sequence=4).start()
    again = Net(changed(policy="OR('V1MSP.peer')", sequence=2), members, net.config, net.services)
    again.devnet.start()
    client = again.client("V1MSP")
    assert client.evaluate("get", "kept") == b"1"
    assert client.submit("put", "new", "x", orgs=["V1MSP"]).code == "VALID"
    client.order(*old)
    assert client.status(old[0])[0] == "MVCC_READ_CONFLICT"
    again.close()


def test_the_members_of_a_ledger_do_not_change(members: Members, tmp_path: Path) -> None:
    config = make_config(members, tmp_path / "ledger.sqlite", {})
    with Devnet(config):
        pass
    fewer = config.model_copy(update={"organisations": config.organisations[:-1]})
    with pytest.raises(LedgerError, match="V3MSP is a member only in the ledger"):
        Devnet(fewer).start()
    with Devnet(config):
        pass
