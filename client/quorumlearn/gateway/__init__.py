"""A client of Hyperledger Fabric's Gateway service (Fabric 2.4 and later) for Python.

The ladder of nouns is that of the official clients for Go, Node and Java:

    from pathlib import Path
    from quorumlearn.gateway import connect_profile

    with connect_profile(Path("connection.json"), Path("users/alice/msp")) as gateway:
        network = gateway.network("mychannel")
        contract = network.contract("basic")
        contract.submit("CreateAsset", "asset1", "blue")
        print(contract.evaluate("ReadAsset", "asset1"))
        with network.chaincode_events("basic", start=0) as events:
            for event in events:
                print(event.block, event.name)

It knows nothing of learning. Errors are types of `GatewayError`, one a step, with each peer's own message.
"""

from quorumlearn.gateway.blocks import (
    BlockError,
    BlockRecord,
    TransactionRecord,
    read_block,
    read_transaction,
)
from quorumlearn.gateway.checkpoint import Checkpoint, Checkpointer, FileCheckpointer, MemoryCheckpointer
from quorumlearn.gateway.client_tls import ClientTls
from quorumlearn.gateway.contract import Commit, Contract, Endorsers, Proposal, Status, Transaction
from quorumlearn.gateway.credentials import load_msp, load_pair
from quorumlearn.gateway.errors import (
    CheckpointError,
    ClosedError,
    CommitError,
    CommitStatusError,
    CredentialError,
    EndorseError,
    EvaluateError,
    EventsError,
    GatewayError,
    PeerError,
    SizeError,
    SubmitError,
)
from quorumlearn.gateway.events import BlockEvents, ChaincodeEvent, ChaincodeEvents
from quorumlearn.gateway.gateway import Gateway, connect, connect_peer, connect_profile
from quorumlearn.gateway.identity import Identity, Signer
from quorumlearn.gateway.network import Network
from quorumlearn.gateway.options import Backoff, Options, Timeouts
from quorumlearn.gateway.profile import Peer, find_profile, read_profile
from quorumlearn.gateway.settings import ConnectionSettings, CredentialSettings, load_connection

__all__ = [
    "Backoff",
    "BlockError",
    "BlockEvents",
    "BlockRecord",
    "ChaincodeEvent",
    "ChaincodeEvents",
    "Checkpoint",
    "CheckpointError",
    "Checkpointer",
    "ClientTls",
    "ClosedError",
    "Commit",
    "CommitError",
    "CommitStatusError",
    "ConnectionSettings",
    "Contract",
    "CredentialError",
    "CredentialSettings",
    "EndorseError",
    "Endorsers",
    "EvaluateError",
    "EventsError",
    "FileCheckpointer",
    "Gateway",
    "GatewayError",
    "Identity",
    "MemoryCheckpointer",
    "Network",
    "Options",
    "Peer",
    "PeerError",
    "Proposal",
    "Signer",
    "SizeError",
    "Status",
    "SubmitError",
    "Timeouts",
    "Transaction",
    "TransactionRecord",
    "connect",
    "connect_peer",
    "connect_profile",
    "find_profile",
    "load_connection",
    "load_msp",
    "load_pair",
    "read_block",
    "read_profile",
    "read_transaction",
]
