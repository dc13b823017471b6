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


def _no_collection(request: str, sentence: str) -> Observation:
    refusal = (
        f"chaincode response 500, {request} failed: transaction ID: <transaction>: {sentence}: "
        "private data collections are not supported by the devnet"
    )
    return {
        "code": "UNKNOWN",
        "message": f"evaluate call to endorser returned error: {refusal}",
        "details": [f"OwnerMSP: {refusal}"],
    }


_NOT_FOUND = "collection quorumlearn/kv/secrets could not be found"

DIFFERENCES: dict[str, Difference] = {
    "State and simulation: private data without a collection": Difference(
        "it has no private data collections at all, and says so behind Fabric's words",
        {
            "get": _no_collection("GET_STATE", _NOT_FOUND),
            "hash": _no_collection(
                "GET_PRIVATE_DATA_HASH",
                "collection [secrets] not defined in the collection config for chaincode [kv]",
            ),
            "put": _no_collection("WRITE_BATCH_STATE", _NOT_FOUND),
        },
    ),
    "System chaincodes: cscc: the channels that a peer is on": Difference(
        "it has one channel and no cscc", _no_peer("cscc")
    ),
    "System chaincodes: _lifecycle: a chaincode's definition": Difference(
        "it takes definitions from its configuration, and writes them to the ledger without _lifecycle's functions",
        _no_peer("_lifecycle"),
    ),
}
