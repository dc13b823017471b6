"""The stakes and payments of a ledger in memory, computed again as an auditor does: by other code, from what the contracts answer."""

from __future__ import annotations

from quorumlearn.nodes.audit.records import read
from quorumlearn.nodes.audit.slashes import Finding, findings
from quorumlearn.nodes.market import Market

from tests.chaincode.contracts.ledger_stub import Peer, identity

ANYBODY = identity("OwnerMSP/anyone")


class OnPeer:
    """A contract on the in-memory peer, only to be asked."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def evaluate(self, function: str, *args: str) -> bytes:
        return self.peer.evaluate(ANYBODY, function, *args)

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)


def found(peer: Peer, task: str) -> list[Finding]:
    """Whatever an audit of the task finds to have moved without being due."""
    return findings(read(Market(OnPeer(peer)), task))
