"""What can go wrong with a network of Fabric nodes, one type for each thing a person can do about it."""

from __future__ import annotations

from quorumlearn_network.errors import NetworkError


class FabricError(NetworkError):
    """Something about a Fabric network; the message says what and how to go on."""


class UnreachableError(FabricError):
    """A node that does not answer: start it, or wait."""


class RefusedError(FabricError):
    """A node that answers no. `reason` is its own sentence."""

    def __init__(self, node: str, asked: str, reason: str) -> None:
        super().__init__(f"{node} refused {asked}: {reason}")
        self.reason = reason


class BehindError(RefusedError):
    """A transaction that a peer endorsed before it had read all blocks: ask again."""


class DisagreementError(FabricError):
    """Peers that endorsed different results: one has yet to read a block that the other has. Ask again."""


class MissingError(FabricError):
    """An executable, a container engine or an image that this machine does not have."""
