"""The journal keeps whole entries, privately, and forgets on request."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from quorumlearn.nodes.journal import Journal, JournalError


def test_an_entry_is_read_back_and_replaced(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    assert journal.get("round-1/share") is None
    journal.put("round-1/share", b"first")
    journal.put("round-1/share", b"second")
    assert Journal(tmp_path / "j").get("round-1/share") == b"second"
    assert journal.names() == ["round-1"]


def test_entries_and_folders_are_private(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j").below("round-1")
    journal.put("share", b"secret")
    assert stat.S_IMODE((tmp_path / "j" / "round-1" / "share").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "j" / "round-1").stat().st_mode) == 0o700


def test_erasing_overwrites_before_it_unlinks(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.put("round-1/share", b"secret")
    other_name = tmp_path / "hard-link"
    other_name.hardlink_to(tmp_path / "j" / "round-1" / "share")
    journal.erase("round-1")
    assert not (tmp_path / "j" / "round-1").exists()
    assert other_name.read_bytes() == bytes(6)
    journal.erase("round-1")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a/../b", ".hidden", "a//b", "a\0b"])
def test_no_name_leaves_the_journal(tmp_path: Path, name: str) -> None:
    with pytest.raises(JournalError, match="no name"):
        Journal(tmp_path).put(name, b"")


def test_a_failed_write_says_where_and_leaves_the_old_entry(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.put("entry", b"old")
    (tmp_path / "j" / "blocked").write_bytes(b"")
    with pytest.raises(JournalError, match="blocked"):
        journal.put("blocked/entry", b"new")
    assert journal.get("entry") == b"old"
    assert [path.name for path in (tmp_path / "j").iterdir() if path.name.startswith(".")] == []


def test_rounds_are_forgotten_by_number_and_all_of_them_at_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for name in ("round-1/share", "round-2/share", "round-10/share", "joined"):
        journal.put(name, b"1")
    journal.forget_rounds(2)
    assert journal.names() == ["joined", "round-10", "round-2"]
    journal.put("round-1/late", b"1")
    journal.forget_rounds(2)
    assert "round-1" in journal.names()  # nobody looks again for the same round
    journal.forget_rounds(10)
    assert journal.names() == ["joined", "round-10"]
    Journal(tmp_path / "j").forget_rounds()
    assert journal.names() == ["joined"]
