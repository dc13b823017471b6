"""A state folder says which form it has, and is refused by a version that is too old for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.nodes.config import IdentityConfig, NodeConfig
from quorumlearn.nodes.journal import JournalError
from quorumlearn.nodes.organisation import Organisation
from quorumlearn.nodes.stateformat import FILE, FORM, claim


def test_a_state_folder_is_read_by_no_version_that_is_too_old_for_it(tmp_path: Path) -> None:
    claim(tmp_path, "0.1.0")
    assert (tmp_path / FILE).read_text() == f"{FORM} 0.1.0\n"
    claim(tmp_path, "0.2.0")
    claim(tmp_path, "0.1.0")
    assert (tmp_path / FILE).read_text() == f"{FORM} 0.1.0\n", "a roll-back within one form is one"
    (tmp_path / FILE).write_text(f"{FORM + 1} 0.3.0\n")
    with pytest.raises(
        JournalError, match=f"form {FORM + 1}, written by quorumlearn 0.3.0, and 0.1.0 reads none above"
    ):
        claim(tmp_path, "0.1.0")
    assert (tmp_path / FILE).read_text() == f"{FORM + 1} 0.3.0\n"
    for damaged in ("two\n", "1\n", "1 0.1.0\n1 0.1.0\n", "1" * 200, "\0"):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(JournalError, match="damaged"):
            claim(tmp_path, "0.1.0")


def test_no_node_starts_on_a_later_state(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"{FORM + 1} 0.3.0\n")
    config = NodeConfig(
        organisation=tmp_path,
        store=str(tmp_path),
        state=tmp_path,
        identities=(IdentityConfig(user="vera", role="verifier"),),
    )
    with pytest.raises(JournalError, match=r"run 0\.3\.0 or later until its tasks have ended"):
        Organisation(config)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
