"""Reads what a transaction's signed proposal says beside its arguments: who, when, and the transient data.

The peer has checked the proposal's signature, its transaction id and its channel. Source: Fabric's
`peer/proposal.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2, proposal_pb2
from google.protobuf.message import DecodeError

from .errors import InvalidArgumentError


@dataclass(frozen=True)
class Invocation:
    """One transaction as the peer sent it. Arguments and transient data stay out of its repr."""

    transaction_id: str
    channel_id: str
    args: tuple[bytes, ...] = field(repr=False)
    creator: bytes = field(repr=False)
    timestamp_ms: int
    transient: Mapping[str, bytes] = field(repr=False)


def read_invocation(message: chaincode_shim_pb2.ChaincodeMessage) -> Invocation:
    """The invocation in a TRANSACTION or INIT. Raises `InvalidArgumentError` if it cannot be read."""
    if not message.proposal.proposal_bytes:
        raise InvalidArgumentError("the peer sent a transaction without its signed proposal")
    try:
        arguments = chaincode_pb2.ChaincodeInput.FromString(message.payload)
        proposal = proposal_pb2.Proposal.FromString(message.proposal.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
        signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
        payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
    except DecodeError:
        raise InvalidArgumentError("the peer sent a transaction that cannot be read") from None
    if channel_header.type != common_pb2.ENDORSER_TRANSACTION:
        raise InvalidArgumentError(
            f"the proposal's header type is {channel_header.type}, not ENDORSER_TRANSACTION"
        )
    timestamp = channel_header.timestamp
    return Invocation(
        transaction_id=message.txid,
        channel_id=message.channel_id,
        args=tuple(arguments.args),
        creator=signature_header.creator,
        timestamp_ms=timestamp.seconds * 1000 + timestamp.nanos // 1_000_000,
        transient=MappingProxyType(dict(payload.TransientMap)),
    )
