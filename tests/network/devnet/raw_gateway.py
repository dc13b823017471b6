"""A gateway client on Fabric's stubs alone, with everything in reach of a test that wants to break it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    events_pb2,
    events_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.rpc import status_pb2
from quorumlearn_network.devnet.msp import SigningIdentity

CHANNEL = "quorumlearn"


@dataclass(frozen=True)
class Committed:
    txid: str
    code: str
    block: int
    result: bytes


class Client:
    """One identity at one organisation's peer."""

    def __init__(self, address: str, tls_ca: Path, signer: SigningIdentity) -> None:
        self.signer = signer
        self.channel = grpc.secure_channel(
            address,
            grpc.ssl_channel_credentials(tls_ca.read_bytes()),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        self.gateway = gateway_pb2_grpc.GatewayStub(self.channel)
        self.deliver = events_pb2_grpc.DeliverStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def propose(
        self,
        *args: str | bytes,
        chaincode: str = "kv",
        transient: dict[str, bytes] | None = None,
        channel: str = CHANNEL,
        txid: str | None = None,
        timestamp: bool = True,
    ) -> tuple[str, proposal_pb2.SignedProposal]:
        nonce = os.urandom(24)
        txid = txid or hashlib.sha256(nonce + self.signer.serialized).hexdigest()
        identifier = chaincode_pb2.ChaincodeID(name=chaincode)
        header = common_pb2.ChannelHeader(
            type=common_pb2.ENDORSER_TRANSACTION,
            channel_id=channel,
            tx_id=txid,
            extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=identifier).SerializeToString(),
        )
        if timestamp:
            header.timestamp.GetCurrentTime()
        encoded = [argument.encode() if isinstance(argument, str) else argument for argument in args]
        specification = chaincode_pb2.ChaincodeInvocationSpec(
            chaincode_spec=chaincode_pb2.ChaincodeSpec(
                chaincode_id=identifier, input=chaincode_pb2.ChaincodeInput(args=encoded)
            )
        )
        signature_header = common_pb2.SignatureHeader(creator=self.signer.serialized, nonce=nonce)
        proposal = proposal_pb2.Proposal(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(),
                signature_header=signature_header.SerializeToString(),
            ).SerializeToString(),
            payload=proposal_pb2.ChaincodeProposalPayload(
                input=specification.SerializeToString(), TransientMap=transient or {}
            ).SerializeToString(),
        ).SerializeToString()
        return txid, proposal_pb2.SignedProposal(
            proposal_bytes=proposal, signature=self.signer.sign(proposal)
        )

    def evaluate(self, *args: str | bytes, orgs: Sequence[str] = (), **options: Any) -> bytes:
        txid, signed = self.propose(*args, **options)
        request = gateway_pb2.EvaluateRequest(
            transaction_id=txid, channel_id=CHANNEL, proposed_transaction=signed, target_organizations=orgs
        )
        return bytes(self.gateway.Evaluate(request, timeout=60).result.payload)

    def endorse(
        self, *args: str | bytes, orgs: Sequence[str] = (), **options: Any
    ) -> tuple[str, common_pb2.Envelope]:
        """Transaction id and envelope, signed."""
        txid, signed = self.propose(*args, **options)
        request = gateway_pb2.EndorseRequest(
            transaction_id=txid, channel_id=CHANNEL, proposed_transaction=signed, endorsing_organizations=orgs
        )
        envelope = self.gateway.Endorse(request, timeout=60).prepared_transaction
        envelope.signature = self.signer.sign(envelope.payload)
        return txid, envelope

    def order(self, txid: str, envelope: common_pb2.Envelope, channel: str = CHANNEL) -> None:
        request = gateway_pb2.SubmitRequest(
            transaction_id=txid, channel_id=channel, prepared_transaction=envelope
        )
        self.gateway.Submit(request, timeout=60)

    def status(self, txid: str, timeout: float = 30) -> tuple[str, int]:
        request = gateway_pb2.CommitStatusRequest(
            channel_id=CHANNEL, transaction_id=txid, identity=self.signer.serialized
        ).SerializeToString()
        signed = gateway_pb2.SignedCommitStatusRequest(request=request, signature=self.signer.sign(request))
        response = self.gateway.CommitStatus(signed, timeout=timeout)
        return transaction_pb2.TxValidationCode.Name(response.result), response.block_number

    def submit(self, *args: str | bytes, orgs: Sequence[str] = (), **options: Any) -> Committed:
        txid, envelope = self.endorse(*args, orgs=orgs, **options)
        self.order(txid, envelope)
        code, block = self.status(txid)
        return Committed(txid, code, block, result_of(envelope))

    def events(
        self, start: int | None = None, after: str = "", chaincode: str = "kv"
    ) -> Iterator[gateway_pb2.ChaincodeEventsResponse]:
        request = gateway_pb2.ChaincodeEventsRequest(
            channel_id=CHANNEL,
            chaincode_id=chaincode,
            identity=self.signer.serialized,
            after_transaction_id=after,
        )
        if start is not None:
            request.start_position.specified.number = start
        data = request.SerializeToString()
        signed = gateway_pb2.SignedChaincodeEventsRequest(request=data, signature=self.signer.sign(data))
        call: Iterator[gateway_pb2.ChaincodeEventsResponse] = self.gateway.ChaincodeEvents(signed, timeout=60)
        return call

    def seek(
        self,
        start: ab_pb2.SeekPosition | None,
        stop: ab_pb2.SeekPosition | None,
        behaviour: int = ab_pb2.SeekInfo.BLOCK_UNTIL_READY,
        channel: str = CHANNEL,
        age: int = 0,
    ) -> common_pb2.Envelope:
        header = common_pb2.ChannelHeader(type=common_pb2.DELIVER_SEEK_INFO, channel_id=channel)
        header.timestamp.GetCurrentTime()
        header.timestamp.seconds -= age
        info = ab_pb2.SeekInfo(start=start, stop=stop, behavior=behaviour)
        signature_header = common_pb2.SignatureHeader(creator=self.signer.serialized, nonce=os.urandom(24))
        payload = common_pb2.Payload(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(),
                signature_header=signature_header.SerializeToString(),
            ),
            data=info.SerializeToString(),
        ).SerializeToString()
        return common_pb2.Envelope(payload=payload, signature=self.signer.sign(payload))

    def blocks(self, envelope: common_pb2.Envelope) -> list[events_pb2.DeliverResponse]:
        return list(self.deliver.Deliver(iter([envelope]), timeout=30))

    def chain_info(self) -> ledger_pb2.BlockchainInfo:
        data = self.evaluate("GetChainInfo", CHANNEL, chaincode="qscc")
        return ledger_pb2.BlockchainInfo.FromString(data)

    def block(self, number: int) -> common_pb2.Block:
        data = self.evaluate("GetBlockByNumber", CHANNEL, str(number), chaincode="qscc")
        return common_pb2.Block.FromString(data)

    def flags(self, number: int) -> list[str]:
        data = self.block(number).metadata.metadata[common_pb2.TRANSACTIONS_FILTER]
        return [transaction_pb2.TxValidationCode.Name(flag) for flag in data]


def specified(number: int) -> ab_pb2.SeekPosition:
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=number))


def content_of(envelope: common_pb2.Envelope) -> transaction_pb2.ChaincodeActionPayload:
    payload = common_pb2.Payload.FromString(envelope.payload)
    transaction = transaction_pb2.Transaction.FromString(payload.data)
    return transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)


def action_of(envelope: common_pb2.Envelope) -> proposal_pb2.ChaincodeAction:
    response = proposal_response_pb2.ProposalResponsePayload.FromString(
        content_of(envelope).action.proposal_response_payload
    )
    return proposal_pb2.ChaincodeAction.FromString(response.extension)


def result_of(envelope: common_pb2.Envelope) -> bytes:
    return bytes(action_of(envelope).response.payload)


def trailing_metadata(error: grpc.RpcError) -> Iterable[tuple[str, bytes]]:
    return ((one.key, one.value) for one in error.trailing_metadata() or ())


def details_of(error: grpc.RpcError) -> list[tuple[str, str]]:
    """(MSP id, message) of each ErrorDetail."""
    for key, value in trailing_metadata(error):
        if key == "grpc-status-details-bin":
            found = []
            for packed in status_pb2.Status.FromString(value).details:
                detail = gateway_pb2.ErrorDetail()
                assert packed.Unpack(detail)
                assert detail.address
                found.append((detail.msp_id, detail.message))
            return found
    return []
