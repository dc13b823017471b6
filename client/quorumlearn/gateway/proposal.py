"""The bytes of transactions: proposals, what peers prepare from them, and what is read back. Pure functions.

Source: Fabric's protobufs (peer/proposal.proto, peer/transaction.proto) and the transaction id of its
documentation: hex SHA-256 of nonce || creator.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError

from quorumlearn.gateway.identity import Identity, Signer

NONCE_BYTES = 24
ENVELOPE_OVERHEAD = 8192
"""Room for certificates, signatures and keys read, in bytes, when a size is estimated."""
_LAST_BLOCK = 2**64 - 1


class MismatchError(ValueError):
    """A peer handed back something else than it was asked for."""


@dataclass(frozen=True)
class SignedBytes:
    """A proposal as it is sent, with what is needed to check the answer."""

    transaction_id: str
    channel: str
    chaincode: str
    signed: bytes = field(repr=False)  # a serialised peer.SignedProposal, transient data and all
    header: bytes = field(repr=False)
    invocation: bytes = field(repr=False)
    estimated_envelope_bytes: int = 0


def build_proposal(
    identity: Identity,
    signer: Signer,
    channel: str,
    chaincode: str,
    args: Sequence[bytes],
    transient: Mapping[str, bytes],
) -> SignedBytes:
    """A signed proposal to call `chaincode` with `args` (the function's name first), with a fresh nonce."""
    nonce, creator = os.urandom(NONCE_BYTES), identity.creator
    transaction_id = hashlib.sha256(nonce + creator).hexdigest()
    chaincode_id = chaincode_pb2.ChaincodeID(name=chaincode)
    extension = proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_id)
    channel_header = _channel_header(common_pb2.ENDORSER_TRANSACTION, channel)
    channel_header.tx_id = transaction_id
    channel_header.extension = extension.SerializeToString()
    header = common_pb2.Header(
        channel_header=channel_header.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString(),
    ).SerializeToString()
    invocation = chaincode_pb2.ChaincodeInvocationSpec(
        chaincode_spec=chaincode_pb2.ChaincodeSpec(
            chaincode_id=chaincode_id, input=chaincode_pb2.ChaincodeInput(args=args)
        )
    ).SerializeToString()
    payload = proposal_pb2.ChaincodeProposalPayload(input=invocation, TransientMap=dict(transient))
    proposal = proposal_pb2.Proposal(header=header, payload=payload.SerializeToString()).SerializeToString()
    signed = proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=signer(proposal))
    estimate = len(header) + len(invocation) + sum(map(len, args)) + ENVELOPE_OVERHEAD
    return SignedBytes(
        transaction_id, channel, chaincode, signed.SerializeToString(), header, invocation, estimate
    )


def read_prepared(proposal: SignedBytes, payload: bytes) -> bytes:
    """The chaincode's result in the payload a gateway peer prepared for signing.

    MismatchError unless it is the transaction of `proposal`: a client must not sign another.
    """
    try:
        read = common_pb2.Payload.FromString(payload)
        header = common_pb2.Header.FromString(proposal.header)
        transaction = transaction_pb2.Transaction.FromString(read.data)
        if read.header != header:
            raise MismatchError("the header of the prepared transaction is not that of the proposal")
        if len(transaction.actions) != 1:
            raise MismatchError(f"the prepared transaction has {len(transaction.actions)} actions, not 1")
        action = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
        proposed = proposal_pb2.ChaincodeProposalPayload.FromString(action.chaincode_proposal_payload)
        if proposed.input != proposal.invocation or proposed.TransientMap:
            raise MismatchError("the call in the prepared transaction is not that of the proposal")
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            action.action.proposal_response_payload
        )
        result: bytes = proposal_pb2.ChaincodeAction.FromString(response.extension).response.payload
    except DecodeError as error:
        raise MismatchError("the prepared transaction is malformed") from error
    return result


def seek_envelope(
    identity: Identity, signer: Signer, channel: str, start: int, tls_digest: bytes = b""
) -> bytes:
    """A signed common.Envelope that asks the peer's Deliver service for all blocks from `start` on. `tls_digest` is that of the
    certificate with which the client's end of the connection shows itself, if it does.
    """
    position = ab_pb2.SeekPosition
    seek = ab_pb2.SeekInfo(
        start=position(specified=ab_pb2.SeekSpecified(number=start)),
        stop=position(specified=ab_pb2.SeekSpecified(number=_LAST_BLOCK)),
        behavior=ab_pb2.SeekInfo.BLOCK_UNTIL_READY,
    )
    signature_header = common_pb2.SignatureHeader(creator=identity.creator, nonce=os.urandom(NONCE_BYTES))
    channel_header = _channel_header(common_pb2.DELIVER_SEEK_INFO, channel)
    channel_header.tls_cert_hash = tls_digest
    header = common_pb2.Header(
        channel_header=channel_header.SerializeToString(),
        signature_header=signature_header.SerializeToString(),
    )
    payload = common_pb2.Payload(header=header, data=seek.SerializeToString()).SerializeToString()
    data: bytes = common_pb2.Envelope(payload=payload, signature=signer(payload)).SerializeToString()
    return data


def _channel_header(kind: int, channel: str) -> common_pb2.ChannelHeader:
    header = common_pb2.ChannelHeader(type=kind, channel_id=channel)
    header.timestamp.FromNanoseconds(time.time_ns())
    return header
