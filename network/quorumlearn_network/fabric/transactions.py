"""Talking to peers and orderers directly, as an organisation's administrator does.

A proposal goes to the endorsers of named peers, not through a gateway, so that nothing here waits for peers to have
heard of one another; the transaction goes to whichever orderer takes it; the peer then says how it was validated.

    call       a query: one peer's answer, nothing is ordered
    transact   endorsed by every peer that is named, ordered, committed

Rules: a node that does not answer is an UnreachableError, one that says no a RefusedError; a transaction that is
not valid in the end is refused, with Fabric's name of the code.

Source: Fabric's peer/peer.proto (Endorser), orderer/ab.proto (AtomicBroadcast), gateway/gateway.proto.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.orderer import ab_pb2_grpc
from fabric_protos.peer import (
    chaincode_pb2,
    peer_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)

from quorumlearn_network.devnet.blocks import transaction_id
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.fabric.errors import (
    BehindError,
    DisagreementError,
    FabricError,
    RefusedError,
    UnreachableError,
)
from quorumlearn_network.fabric.settings import MESSAGE_BYTES
from quorumlearn_network.folder import Waiting

CALL_S = 60.0
_ORDER_S, _COMMIT_S = 10.0, 20.0
_DOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""CANCELLED is a deadline, too: a peer keeps it as well, and may end the call first."""

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A node to talk to: its name, host:port from here, and the file of its TLS authority."""

    name: str
    address: str
    authority: Path


@dataclass(frozen=True)
class Proposal:
    """A signed call of a chaincode function, and the parts that the transaction repeats."""

    transaction: str
    channel: str
    asked: str
    header: bytes
    payload: bytes
    signed: proposal_pb2.SignedProposal


def propose(
    signer: SigningIdentity, channel: str, chaincode: str, function: str, *args: bytes | str
) -> Proposal:
    """A signed proposal; `channel` is empty for what concerns a peer and no channel."""
    nonce = os.urandom(24)
    chaincode_id = chaincode_pb2.ChaincodeID(name=chaincode)
    txid = transaction_id(nonce, signer.serialized)
    channel_header = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION,
        channel_id=channel,
        tx_id=txid,
        extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_id).SerializeToString(),
    )
    channel_header.timestamp.FromNanoseconds(time.time_ns())
    header = common_pb2.Header(
        channel_header=channel_header.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(
            creator=signer.serialized, nonce=nonce
        ).SerializeToString(),
    ).SerializeToString()
    values = [function.encode(), *(arg.encode() if isinstance(arg, str) else arg for arg in args)]
    invocation = chaincode_pb2.ChaincodeInvocationSpec(
        chaincode_spec=chaincode_pb2.ChaincodeSpec(
            chaincode_id=chaincode_id, input=chaincode_pb2.ChaincodeInput(args=values)
        )
    )
    payload = proposal_pb2.ChaincodeProposalPayload(input=invocation.SerializeToString()).SerializeToString()
    proposal = proposal_pb2.Proposal(header=header, payload=payload).SerializeToString()
    signed = proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=signer.sign(proposal))
    return Proposal(txid, channel, f"{chaincode} {function}", header, payload, signed)


def call(
    peer: Target, signer: SigningIdentity, channel: str, chaincode: str, function: str, *args: bytes | str
) -> bytes:
    """One peer's answer to a function."""
    proposal = propose(signer, channel, chaincode, function, *args)
    payload: bytes = endorsed(peer, proposal).response.payload
    return payload


def transact(
    peers: Sequence[Target],
    orderers: Sequence[Target],
    signer: SigningIdentity,
    proposal: Proposal,
) -> None:
    """Have every one of `peers` endorse, order it, and wait until the first of them has committed it.

    DisagreementError if they endorse different results; UnreachableError if it is not committed in time, for an orderer that
    ends may lose what it took: ask whether it is done, and else do it again.
    """
    answers = [endorsed(peer, proposal) for peer in peers]
    first = answers[0]
    for peer, answer in zip(peers, answers, strict=True):
        if answer.payload != first.payload:
            raise DisagreementError(f"{peer.name} and {peers[0].name} disagree about {proposal.asked}")
    action = transaction_pb2.ChaincodeEndorsedAction(
        proposal_response_payload=first.payload, endorsements=[answer.endorsement for answer in answers]
    )
    header = common_pb2.Header.FromString(proposal.header)
    transaction = transaction_pb2.Transaction(
        actions=[
            transaction_pb2.TransactionAction(
                header=header.signature_header,
                payload=transaction_pb2.ChaincodeActionPayload(
                    chaincode_proposal_payload=proposal.payload, action=action
                ).SerializeToString(),
            )
        ]
    )
    payload = common_pb2.Payload(header=header, data=transaction.SerializeToString()).SerializeToString()
    broadcast(
        orderers,
        common_pb2.Envelope(payload=payload, signature=signer.sign(payload)),
        proposal.asked,
    )
    code = _validation(peers[0], signer, proposal)
    if code != transaction_pb2.VALID:
        kind = BehindError if code == transaction_pb2.MVCC_READ_CONFLICT else RefusedError
        raise kind("the channel", proposal.asked, transaction_pb2.TxValidationCode.Name(code))


def broadcast(orderers: Sequence[Target], envelope: common_pb2.Envelope, asked: str) -> None:
    """Hand an envelope to the first orderer that takes it; UnreachableError if none does, as while they have no leader."""
    problem = UnreachableError("there is no orderer")
    for orderer in orderers:
        try:
            with _channel(orderer) as channel, _reached(orderer, asked):
                stream = ab_pb2_grpc.AtomicBroadcastStub(channel).Broadcast(
                    iter((envelope,)), timeout=_ORDER_S
                )
                answer = next(iter(stream))
        except UnreachableError as error:
            problem = error
            continue
        if answer.status == common_pb2.SUCCESS:
            return
        if answer.status != common_pb2.SERVICE_UNAVAILABLE:
            raise RefusedError(orderer.name, asked, answer.info or common_pb2.Status.Name(answer.status))
        problem = UnreachableError(f"{orderer.name} cannot order {asked} yet: {answer.info}")
    raise problem


def persist(attempt: Callable[[], T], waiting: Waiting, also: tuple[type[FabricError], ...] = ()) -> T:
    """What `attempt` returns, tried again while nodes do not answer (or raise `also`), until it is late."""
    while True:
        try:
            return attempt()
        except FabricError as error:
            if not isinstance(error, (UnreachableError, *also)) or waiting.late:
                raise
            waiting.pause(str(error))


def endorsed(peer: Target, proposal: Proposal) -> proposal_response_pb2.ProposalResponse:
    """One peer's signed answer to a proposal."""
    with _channel(peer) as channel, _reached(peer, proposal.asked):
        answer = peer_pb2_grpc.EndorserStub(channel).ProcessProposal(proposal.signed, timeout=CALL_S)
    if not 200 <= answer.response.status < 400:
        raise RefusedError(peer.name, proposal.asked, answer.response.message)
    return answer


def _validation(peer: Target, signer: SigningIdentity, proposal: Proposal) -> int:
    inner = gateway_pb2.CommitStatusRequest(
        transaction_id=proposal.transaction, channel_id=proposal.channel, identity=signer.serialized
    ).SerializeToString()
    request = gateway_pb2.SignedCommitStatusRequest(request=inner, signature=signer.sign(inner))
    with _channel(peer) as channel, _reached(peer, f"the commit of {proposal.asked}"):
        answer = gateway_pb2_grpc.GatewayStub(channel).CommitStatus(request, timeout=_COMMIT_S)
    return int(answer.result)


@contextmanager
def _channel(target: Target) -> Iterator[grpc.Channel]:
    try:
        credentials = grpc.ssl_channel_credentials(target.authority.read_bytes())
    except FileNotFoundError:
        raise FabricError(
            f"{target.authority} is missing; the organisation of {target.name} hands it out"
        ) from None
    options = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]
    with grpc.secure_channel(target.address, credentials, options=options) as channel:
        yield channel


@contextmanager
def _reached(target: Target, asked: str) -> Iterator[None]:
    try:
        yield
    except StopIteration:
        raise UnreachableError(f"{target.name} at {target.address} ended the stream of {asked}") from None
    except grpc.RpcError as error:
        details = error.details() or error.code().name
        if error.code() in _DOWN:
            raise UnreachableError(
                f"{target.name} at {target.address} does not answer {asked}: {details}"
            ) from None
        raise RefusedError(target.name, asked, details) from None
