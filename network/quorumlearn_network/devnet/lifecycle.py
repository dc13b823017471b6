"""Chaincode definitions, kept on the ledger where Fabric keeps them.

The namespace `_lifecycle` holds `namespaces/metadata/<name>` and `namespaces/fields/<name>/<field>` in Fabric's own
records. A definition is committed by an endorser transaction of `_lifecycle` that the peers of all organisations
endorse, and is validated under the LifecycleEndorsement policy of the channel's genesis block, so that the ledger
alone says which policy a transaction had to satisfy.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from fabric_protos.common import common_pb2, policies_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    policy_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2, lifecycle_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from quorumlearn_network.devnet.blocks import Version, proposal_hash, transaction_id
from quorumlearn_network.devnet.config import ChaincodeConfig
from quorumlearn_network.devnet.errors import LedgerError
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.devnet.policy import parse_policy, read_policy
from quorumlearn_network.devnet.simulator import read_write_set
from quorumlearn_network.devnet.store import get_state

LIFECYCLE = "_lifecycle"
_FIELDS = ("Sequence", "EndorsementInfo", "ValidationInfo", "Collections")


@dataclass(frozen=True)
class Definition:
    """A committed chaincode definition. `sequence_version` is where the ledger holds its sequence."""

    name: str
    version: str
    sequence: int
    policy: policies_pb2.SignaturePolicyEnvelope
    policy_bytes: bytes
    sequence_version: Version


def sequence_key(name: str) -> str:
    """The key that every transaction of a chaincode reads, so that a new definition conflicts with it."""
    return f"namespaces/fields/{name}/Sequence"


def read_definition(state: sqlite3.Connection, name: str) -> Definition | None:
    """The committed definition of a chaincode. LedgerError if the ledger's record is not one."""
    found = {field: get_state(state, LIFECYCLE, f"namespaces/fields/{name}/{field}") for field in _FIELDS}
    sequence, endorsement, validation = (found[field] for field in _FIELDS[:3])
    if sequence is None:
        return None
    if endorsement is None or validation is None:
        raise LedgerError(f"the ledger's definition of chaincode {name} is incomplete")
    info = chaincode_definition_pb2.ChaincodeEndorsementInfo.FromString(
        db_pb2.StateData.FromString(endorsement.value).Bytes
    )
    rule = chaincode_definition_pb2.ChaincodeValidationInfo.FromString(
        db_pb2.StateData.FromString(validation.value).Bytes
    )
    return Definition(
        name,
        info.version,
        int(db_pb2.StateData.FromString(sequence.value).Int64),
        read_policy(rule.validation_parameter),
        bytes(rule.validation_parameter),
        sequence.version,
    )


def application_policy(config: ChaincodeConfig) -> bytes:
    """The configured policy as a chaincode definition carries it."""
    data: bytes = policy_pb2.ApplicationPolicy(
        signature_policy=parse_policy(config.policy)
    ).SerializeToString()
    return data


def needs_commit(config: ChaincodeConfig, committed: Definition | None) -> bool:
    """Whether the ledger's definition is to be replaced.

    LedgerError if the configuration contradicts the ledger.
    """
    if committed is None:
        if config.sequence != 1:
            raise LedgerError(
                f"chaincode {config.name} has sequence {config.sequence}, but the ledger knows none: "
                "begin with 1"
            )
        return True
    if config.sequence == committed.sequence + 1:
        return True
    if config.sequence != committed.sequence:
        raise LedgerError(
            f"chaincode {config.name} has sequence {config.sequence}, the ledger is at {committed.sequence}: "
            f"the next one is {committed.sequence + 1}"
        )
    if config.version != committed.version or application_policy(config) != committed.policy_bytes:
        raise LedgerError(
            f"chaincode {config.name}: version or policy differ from the ledger's at sequence "
            f"{committed.sequence}: raise the sequence to {committed.sequence + 1}"
        )
    return False


def commit_transaction(
    channel: str, config: ChaincodeConfig, committed: Definition | None, peers: Sequence[SigningIdentity]
) -> bytes:
    """An envelope that commits `config`, endorsed by all `peers` and signed by the first."""
    arguments = lifecycle_pb2.CommitChaincodeDefinitionArgs(
        sequence=config.sequence,
        name=config.name,
        version=config.version,
        endorsement_plugin="escc",
        validation_plugin="vscc",
        validation_parameter=application_policy(config),
    )
    creator, nonce = peers[0], os.urandom(24)
    timestamp = Timestamp()
    timestamp.GetCurrentTime()
    identifier = chaincode_pb2.ChaincodeID(name=LIFECYCLE)
    channel_header = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION,
        channel_id=channel,
        tx_id=transaction_id(nonce, creator.serialized),
        timestamp=timestamp,
        extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=identifier).SerializeToString(),
    ).SerializeToString()
    signature_header = common_pb2.SignatureHeader(creator=creator.serialized, nonce=nonce).SerializeToString()
    call = chaincode_pb2.ChaincodeInput(args=[b"CommitChaincodeDefinition", arguments.SerializeToString()])
    proposal = proposal_pb2.ChaincodeProposalPayload(
        input=chaincode_pb2.ChaincodeInvocationSpec(
            chaincode_spec=chaincode_pb2.ChaincodeSpec(
                type=chaincode_pb2.ChaincodeSpec.GOLANG, chaincode_id=identifier, input=call
            )
        ).SerializeToString()
    ).SerializeToString()
    action = proposal_pb2.ChaincodeAction(
        results=read_write_set({LIFECYCLE: _writes(config, committed)}),
        response=proposal_response_pb2.Response(status=200),
        chaincode_id=chaincode_pb2.ChaincodeID(name=LIFECYCLE, version="syscc"),
    )
    response = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=proposal_hash(channel_header, signature_header, proposal),
        extension=action.SerializeToString(),
    ).SerializeToString()
    endorsed = transaction_pb2.ChaincodeEndorsedAction(
        proposal_response_payload=response,
        endorsements=[
            proposal_response_pb2.Endorsement(
                endorser=peer.serialized, signature=peer.sign(response + peer.serialized)
            )
            for peer in peers
        ],
    )
    content = transaction_pb2.ChaincodeActionPayload(chaincode_proposal_payload=proposal, action=endorsed)
    transaction = transaction_pb2.Transaction(
        actions=[
            transaction_pb2.TransactionAction(header=signature_header, payload=content.SerializeToString())
        ]
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header(channel_header=channel_header, signature_header=signature_header),
        data=transaction.SerializeToString(),
    ).SerializeToString()
    envelope: bytes = common_pb2.Envelope(
        payload=payload, signature=creator.sign(payload)
    ).SerializeToString()
    return envelope


def _writes(config: ChaincodeConfig, committed: Definition | None) -> kv_rwset_pb2.KVRWSet:
    endorsement = chaincode_definition_pb2.ChaincodeEndorsementInfo(
        version=config.version, endorsement_plugin="escc"
    )
    validation = chaincode_definition_pb2.ChaincodeValidationInfo(
        validation_plugin="vscc", validation_parameter=application_policy(config)
    )
    fields = {
        "Sequence": db_pb2.StateData(Int64=config.sequence),
        "EndorsementInfo": db_pb2.StateData(Bytes=endorsement.SerializeToString()),
        "ValidationInfo": db_pb2.StateData(Bytes=validation.SerializeToString()),
        "Collections": db_pb2.StateData(Bytes=b""),
    }
    written = {
        f"namespaces/fields/{config.name}/{name}": value.SerializeToString() for name, value in fields.items()
    }
    metadata = db_pb2.StateMetadata(datatype="ChaincodeDefinition", fields=list(_FIELDS))
    written[f"namespaces/metadata/{config.name}"] = metadata.SerializeToString()
    read = kv_rwset_pb2.KVRead(key=sequence_key(config.name))
    if committed is not None:
        block, position = committed.sequence_version
        read.version.CopyFrom(kv_rwset_pb2.Version(block_num=block, tx_num=position))
    return kv_rwset_pb2.KVRWSet(
        reads=[read],
        writes=[kv_rwset_pb2.KVWrite(key=key, value=written[key]) for key in sorted(written)],
    )
