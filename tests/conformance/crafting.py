"""Proposals and envelopes that no honest client sends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import utils
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2
from quorumlearn_network.devnet.msp import SigningIdentity

from tests.network.devnet.raw_gateway import CHANNEL, Client, content_of

CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class HighS:
    """Signs as its identity does, but with the other S."""

    def __init__(self, signer: SigningIdentity) -> None:
        self.serialized = signer.serialized
        self._signer = signer

    def sign(self, data: bytes) -> bytes:
        r, s = utils.decode_dss_signature(self._signer.sign(data))
        return utils.encode_dss_signature(r, CURVE_ORDER - s)


class OtherData:
    """Signs something else than what it is given."""

    def __init__(self, signer: SigningIdentity) -> None:
        self.serialized = signer.serialized
        self._signer = signer

    def sign(self, data: bytes) -> bytes:
        return self._signer.sign(b"something else")


@dataclass
class Parts:
    """A proposal taken apart, to be changed."""

    header: common_pb2.Header
    channel: common_pb2.ChannelHeader
    signer: common_pb2.SignatureHeader
    payload: proposal_pb2.ChaincodeProposalPayload


def proposed(
    client: Client, change: Callable[[Parts], None], *args: str
) -> tuple[str, proposal_pb2.SignedProposal]:
    """A proposal with its parts changed, signed after that, and its transaction id."""
    _, signed = client.propose(*(args or ("nothing",)))
    proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    parts = Parts(
        header,
        common_pb2.ChannelHeader.FromString(header.channel_header),
        common_pb2.SignatureHeader.FromString(header.signature_header),
        proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload),
    )
    change(parts)
    header.channel_header = parts.channel.SerializeToString()
    header.signature_header = parts.signer.SerializeToString()
    proposal.header = header.SerializeToString()
    proposal.payload = parts.payload.SerializeToString()
    data = proposal.SerializeToString()
    return parts.channel.tx_id, proposal_pb2.SignedProposal(
        proposal_bytes=data, signature=client.signer.sign(data)
    )


def renamed(parts: Parts) -> None:
    """Gives a proposal the transaction id that its nonce and creator have now."""
    parts.channel.tx_id = hashlib.sha256(parts.signer.nonce + parts.signer.creator).hexdigest()


def evaluated(
    client: Client, txid: str, signed: proposal_pb2.SignedProposal, orgs: Sequence[str] = ()
) -> bytes:
    """Evaluate a proposal as it is."""
    channel = channel_of(signed)
    request = gateway_pb2.EvaluateRequest(
        transaction_id=txid, channel_id=channel, proposed_transaction=signed, target_organizations=orgs
    )
    return bytes(client.gateway.Evaluate(request, timeout=30).result.payload)


def endorsed(
    client: Client, txid: str, signed: proposal_pb2.SignedProposal, orgs: Sequence[str] = ()
) -> bytes:
    """Endorse a proposal as it is; the prepared payload."""
    request = gateway_pb2.EndorseRequest(
        transaction_id=txid,
        channel_id=channel_of(signed),
        proposed_transaction=signed,
        endorsing_organizations=orgs,
    )
    return bytes(client.gateway.Endorse(request, timeout=30).prepared_transaction.payload)


def channel_of(signed: proposal_pb2.SignedProposal) -> str:
    proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    return str(common_pb2.ChannelHeader.FromString(header.channel_header).channel_id) or CHANNEL


def with_payload(
    client: Client, envelope: common_pb2.Envelope, change: Callable[[common_pb2.Payload], None]
) -> common_pb2.Envelope:
    """The envelope with its payload changed, signed again."""
    payload = common_pb2.Payload.FromString(envelope.payload)
    change(payload)
    data = payload.SerializeToString()
    return common_pb2.Envelope(payload=data, signature=client.signer.sign(data))


def with_header(
    client: Client, envelope: common_pb2.Envelope, change: Callable[[common_pb2.ChannelHeader], None]
) -> common_pb2.Envelope:
    """The envelope with its channel header changed, signed again."""

    def apply(payload: common_pb2.Payload) -> None:
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        change(header)
        payload.header.channel_header = header.SerializeToString()

    return with_payload(client, envelope, apply)


def with_content(
    client: Client,
    envelope: common_pb2.Envelope,
    change: Callable[[transaction_pb2.ChaincodeActionPayload], None],
) -> common_pb2.Envelope:
    """The envelope with what was endorsed changed, signed again by the client only."""
    content = content_of(envelope)
    change(content)

    def apply(payload: common_pb2.Payload) -> None:
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        transaction.actions[0].payload = content.SerializeToString()
        payload.data = transaction.SerializeToString()

    return with_payload(client, envelope, apply)


def colluded(
    client: Client,
    envelope: common_pb2.Envelope,
    change: Callable[[proposal_pb2.ChaincodeAction], None],
    peers: Sequence[SigningIdentity],
) -> common_pb2.Envelope:
    """The envelope with its results changed, endorsed again by peers that would sign anything."""

    def apply(content: transaction_pb2.ChaincodeActionPayload) -> None:
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            content.action.proposal_response_payload
        )
        action = proposal_pb2.ChaincodeAction.FromString(response.extension)
        change(action)
        response.extension = action.SerializeToString()
        data = response.SerializeToString()
        content.action.proposal_response_payload = data
        del content.action.endorsements[:]
        for peer in peers:
            content.action.endorsements.add(
                endorser=peer.serialized, signature=peer.sign(data + peer.serialized)
            )

    return with_content(client, envelope, apply)
