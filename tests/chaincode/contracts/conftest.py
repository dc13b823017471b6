"""Fixtures of the contracts' tests."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.runtime import Response

from tests.chaincode.contracts.ledger_stub import Peer, Simulation
from tests.chaincode.contracts.market_invariants import a_view_shows_all_that_there_is


@pytest.fixture
def views_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the views to the raw state after every transaction of the test."""
    commit = Peer.commit

    def checked(peer: Peer, simulation: Simulation) -> Response:
        response = commit(peer, simulation)
        a_view_shows_all_that_there_is(peer)
        return response

    monkeypatch.setattr(Peer, "commit", checked)
