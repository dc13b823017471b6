"""Signed proposals: taking them apart, and what a peer checks before it runs the chaincode.

The checks, their order and their sentences follow Fabric's core/handlers/auth/filter (expiry, clock) and
core/endorser (shape, transaction id, creator, no transaction of that id on the ledger, a creator who may
write). The gateway goes by the chaincode that the invocation names, the peer by the one in the header, as in
Fabric.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2
from google.protobuf.message import DecodeError, Message

from quorumlearn_network.devnet.blocks import transaction_id
from quorumlearn_network.devnet.chain import Chain
from quorumlearn_network.devnet.config import SYSTEM_CHAINCODES
from quorumlearn_network.devnet.errors import (
    IdentityError,
    ProposalError,
    UnauthorisedError,
)
from quorumlearn_network.devnet.msp import Membership

TIME_WINDOW_S = 15 * 60
UNREADABLE = "proto: cannot parse invalid wire-format data"
"""What Go's protobuf says of bytes that are no message."""

_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True)
class Proposal:
    """A signed proposal, taken apart; nothing about it has been checked yet."""

    signed: proposal_pb2.SignedProposal
    header: common_pb2.Header
    channel_header: common_pb2.ChannelHeader
    signature_header: common_pb2.SignatureHeader
    payload: proposal_pb2.ChaincodeProposalPayload
    invocation: chaincode_pb2.ChaincodeInvocationSpec

    @property
    def channel(self) -> str:
        return str(self.channel_header.channel_id)

    @property
    def txid(self) -> str:
        return str(self.channel_header.tx_id)

    @property
    def asked(self) -> str:
        """The chaincode that the gateway looks for peers of."""
        return str(self.invocation.chaincode_spec.chaincode_id.name)

    @property
    def chaincode(self) -> str:
        """The chaincode that a peer runs. ProposalError without a readable extension of the header."""
        extension = _read(proposal_pb2.ChaincodeHeaderExtension, self.channel_header.extension)
        return str(extension.chaincode_id.name)

    @property
    def input(self) -> chaincode_pb2.ChaincodeInput:
        return self.invocation.chaincode_spec.input

    @property
    def has_transient(self) -> bool:
        return len(self.payload.TransientMap) > 0


def unpack_proposal(signed: proposal_pb2.SignedProposal) -> Proposal:
    """Take a proposal apart. ProposalError: it is not one."""
    proposal = _read(proposal_pb2.Proposal, signed.proposal_bytes)
    header = _read(common_pb2.Header, proposal.header)
    channel = _read(common_pb2.ChannelHeader, header.channel_header)
    payload = _read(proposal_pb2.ChaincodeProposalPayload, proposal.payload)
    invocation = _read(chaincode_pb2.ChaincodeInvocationSpec, payload.input)
    signer = _read(common_pb2.SignatureHeader, header.signature_header)
    return Proposal(signed, header, channel, signer, payload, invocation)


def check_named(proposal: Proposal) -> None:
    """ProposalError unless channel and chaincode are named: what Evaluate asks for first."""
    if not proposal.channel:
        raise ProposalError("no channel id provided")
    missing = None
    if not proposal.invocation.HasField("chaincode_spec"):
        missing = "spec"
    elif not proposal.invocation.chaincode_spec.HasField("chaincode_id"):
        missing = "id"
    elif not proposal.asked:
        missing = "name"
    if missing is not None:
        raise ProposalError(f"no chaincode {missing} is provided, channel id [{proposal.channel}]")


def check_admission(proposal: Proposal, membership: Membership) -> None:
    """UnauthorisedError if the creator's certificate has expired, or the proposal's clock is far off."""
    try:
        expired = membership.identity(proposal.signature_header.creator).expired
    except IdentityError:
        expired = False
    if expired:
        raise UnauthorisedError("proposal client identity expired")
    seconds, now = proposal.channel_header.timestamp.seconds, time.time()
    if abs(seconds - now) > TIME_WINDOW_S:
        raise UnauthorisedError(
            f"request unauthorized due to incorrect timestamp {_shown(seconds)}, peer time {_shown(now)}, "
            f"peer.authentication.timewindow {TIME_WINDOW_S // 60}m0s"
        )


def check_proposal(proposal: Proposal, channel: str, membership: Membership, chain: Chain) -> None:
    """Fabric's checks before simulation. ProposalError says which one failed."""
    header, signer = proposal.channel_header, proposal.signature_header
    refused = "error validating proposal: "
    if not proposal.chaincode:
        raise ProposalError("ChaincodeHeaderExtension.ChaincodeId.Name is empty")
    if not proposal.invocation.HasField("chaincode_spec"):
        raise ProposalError("chaincode invocation spec did not contain chaincode spec")
    if not proposal.invocation.chaincode_spec.HasField("input"):
        raise ProposalError("chaincode input did not contain any input")
    if proposal.channel != channel:
        raise ProposalError(f"channel '{proposal.channel}' not found")
    if header.type not in {common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG}:
        raise ProposalError(f"{refused}invalid header type {header.type}")
    if header.epoch != 0:
        raise ProposalError(f"{refused}epoch is non-zero")
    if not signer.nonce:
        raise ProposalError(f"{refused}nonce is empty")
    if not signer.creator:
        raise ProposalError(f"{refused}creator is empty")
    expected = transaction_id(signer.nonce, signer.creator)
    if proposal.txid != expected:
        raise ProposalError(f"{refused}incorrectly computed txid '{proposal.txid}' -- expected '{expected}'")
    if not proposal.signed.signature:
        raise ProposalError(f"{refused}empty signature bytes")
    try:
        creator = membership.identity(signer.creator)
    except IdentityError:
        creator = None
    if creator is None or creator.foreign:
        raise ProposalError(
            f"{refused}access denied: channel [{channel}] creator org unknown, creator is malformed"
        )
    signature = proposal.signed.signature
    if creator.problem is not None or not creator.verify(proposal.signed.proposal_bytes, signature):
        raise ProposalError(f"{refused}access denied: channel [{channel}] creator org [{creator.msp_id}]")
    if chain.ledger.transaction(proposal.txid) is not None:
        raise ProposalError(
            f"duplicate transaction found [{proposal.txid}]. Creator [{signer.creator.hex()}]"
        )
    if proposal.chaincode not in SYSTEM_CHAINCODES and not creator.writes:
        raise ProposalError(denied(channel, "Writers"))


def denied(channel: str, policy: str) -> str:
    """Fabric's sentence for a signature that does not satisfy a policy of the channel's application."""
    return (
        f"Failed evaluating policy on signed data during check policy on channel [{channel}] "
        f"with policy [/Channel/Application/{policy}]: [implicit policy evaluation failed - 0 sub-policies "
        f"were satisfied, but this policy requires 1 of the '{policy}' sub-policies to be satisfied]"
    )


def _read(kind: type[_M], data: bytes) -> _M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise ProposalError(f"error unmarshalling {kind.DESCRIPTOR.name}: {UNREADABLE}") from error


def _shown(seconds: float) -> str:
    """RFC 3339 in whole seconds; what no clock shows as its number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
