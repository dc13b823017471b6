"""Contracts, nodes, a node's file and its journal take the same names: what one makes, the others can read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from quorumlearn.nodes.config import IdentityConfig
from quorumlearn.nodes.journal import Journal, JournalError
from quorumlearn_chaincode.contracts.arguments import identity
from quorumlearn_chaincode.contracts.errors import Refusal
from quorumlearn_proto.accounts import is_account, is_name

NAMES = ["a", "7", "User1@org1.example.com", "x" * 64, "A-b_c.d"]
NO_NAMES = ["", "x" * 65, ".hidden", "@a", "-a", "a b", "a/b", "a\n", "\u00e4"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_taken_everywhere(tmp_path: Path, name: str) -> None:
    assert is_name(name)
    account = f"OrgMSP/{name}"
    assert is_account(account)
    assert identity("account", account) == account
    assert IdentityConfig(user=name, role="miner").user == name
    Journal(tmp_path).below(account).put("joined", b"1")
    assert Journal(tmp_path).get(f"{account}/joined") == b"1"


@pytest.mark.parametrize("name", NO_NAMES)
def test_no_name_is_taken_anywhere(tmp_path: Path, name: str) -> None:
    assert not is_name(name)
    account = f"OrgMSP/{name}"
    assert not is_account(account)
    with pytest.raises(Refusal, match="1 to 64 of"):
        identity("account", account)
    with pytest.raises(ValidationError):
        IdentityConfig(user=name, role="miner")
    if "/" not in name:  # an entry may lie deeper
        with pytest.raises(JournalError, match="1 to 64 of"):
            Journal(tmp_path).put(account, b"")
