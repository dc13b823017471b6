"""Where the devnet differs from Fabric on purpose: why, and what it answers instead."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.observing import Observation


@dataclass(frozen=True)
class Difference:
    """A case that the devnet answers in its own way."""

    reason: str
    devnet: Observation


def _no_peer(chaincode: str) -> Observation:
    sentence = f"no peers available to evaluate chaincode {chaincode} in channel quorumlearn"
    return {"code": "FAILED_PRECONDITION", "message": sentence}


DIFFERENCES: dict[str, Difference] = {
    "System chaincodes: cscc: the channels that a peer is on": Difference(
        "it has one channel and no cscc", _no_peer("cscc")
    ),
    "System chaincodes: _lifecycle: a chaincode's definition": Difference(
        "it takes definitions from its configuration, and writes them to the ledger without _lifecycle's functions",
        _no_peer("_lifecycle"),
    ),
}
