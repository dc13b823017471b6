"""Journals belong to a ledger: those of another are set aside, said so, and come back with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.nodes.journal import Journal, JournalError
from quorumlearn.nodes.ledgers import settle
from structlog.testing import capture_logs

ONE, OTHER = "1a" * 32, "2b" * 32


def entries(state: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(state)): path.read_bytes()
        for path in sorted(state.rglob("*"))
        if path.is_file() and path.name != ".ledger"
    }


def joined(state: Path, user: str) -> None:
    Journal(state).below(user).below("task").put("joined", b"1")


def test_the_same_ledger_keeps_its_journals(tmp_path: Path) -> None:
    settle(tmp_path, ONE)
    joined(tmp_path, "miner1")
    with capture_logs() as logs:
        settle(tmp_path, ONE)
    assert entries(tmp_path) == {"miner1/task/joined": b"1"}
    assert logs == []


def test_journals_of_another_ledger_are_set_aside_and_nothing_is_lost(tmp_path: Path) -> None:
    settle(tmp_path, ONE)
    joined(tmp_path, "miner1")
    joined(tmp_path, "User1@org1.example.com")
    with capture_logs() as logs:
        settle(tmp_path, OTHER)
    aside = f"@ledger-{ONE[:12]}"
    assert set(entries(tmp_path)) == {
        f"{aside}/miner1/task/joined",
        f"{aside}/User1@org1.example.com/task/joined",
    }
    (said,) = logs
    assert (said["log_level"], said["aside"]) == ("warning", aside)
    assert said["users"] == ["User1@org1.example.com", "miner1"]
    joined(tmp_path, "miner2")
    settle(tmp_path, ONE)
    assert set(entries(tmp_path)) == {
        "miner1/task/joined",
        "User1@org1.example.com/task/joined",
        f"@ledger-{OTHER[:12]}/miner2/task/joined",
    }


def test_a_node_killed_while_it_sets_aside_goes_on_with_it(tmp_path: Path) -> None:
    settle(tmp_path, ONE)
    joined(tmp_path, "a")
    joined(tmp_path, "b")
    aside = tmp_path / f"@ledger-{ONE[:12]}"
    aside.mkdir()
    (tmp_path / "a").rename(aside / "a")
    settle(tmp_path, OTHER)
    assert set(entries(tmp_path)) == {f"{aside.name}/{user}/task/joined" for user in ("a", "b")}


def test_journals_that_name_no_ledger_are_kept_and_said_to_be(tmp_path: Path) -> None:
    joined(tmp_path, "miner1")
    with capture_logs() as logs:
        settle(tmp_path, ONE)
    assert [one["log_level"] for one in logs] == ["warning"]
    assert set(entries(tmp_path)) == {"miner1/task/joined"}
    settle(tmp_path, OTHER)
    assert set(entries(tmp_path)) == {f"@ledger-{ONE[:12]}/miner1/task/joined"}


def test_what_cannot_be_set_aside_is_an_error(tmp_path: Path) -> None:
    settle(tmp_path, ONE)
    joined(tmp_path, "miner1")
    (tmp_path / f"@ledger-{ONE[:12]}").write_text("in the way")
    with pytest.raises(JournalError, match="cannot set aside the journals in"):
        settle(tmp_path, OTHER)
    assert set(entries(tmp_path)) >= {"miner1/task/joined"}
