"""A gateway peer for tests: Fabric's Gateway and Deliver services over real gRPC, one chaincode that is a
dictionary.

It keeps a chain of real blocks and checks what a peer checks of a client's bytes: transaction ids,
signatures (low S), signed requests. `plan` holds errors to be answered before the real answers, by RPC name;
`hanging` how many of the next calls get no answer; `silent` the organisations behind the peer that give none; `behind` those
whose result is another; `losing` how many of the next submissions the orderer takes and loses.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent import futures
from typing import Any, Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.msp import identities_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    events_pb2,
    events_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf import any_pb2
from google.rpc import status_pb2

CHANNEL = "ch"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def check_signature(creator: bytes, message: bytes, signature: bytes) -> None:
    """As a peer does; raises if it is not the creator's or its s is high."""
    identity = identities_pb2.SerializedIdentity.FromString(creator)
    key = x509.load_pem_x509_certificate(identity.id_bytes).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert utils.decode_dss_signature(signature)[1] <= P256_ORDER // 2, "high S"
    key.verify(signature, message, ec.ECDSA(hashes.SHA256()))


class ScriptedPeer(gateway_pb2_grpc.GatewayServicer, events_pb2_grpc.DeliverServicer):
    """Start it in `with`; `address` is where it answers (without TLS unless `credentials` are given)."""

    def __init__(
        self, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
    ) -> None:
        self.plan: dict[str, deque[tuple[grpc.StatusCode, str, tuple[tuple[str, str, str], ...]]]] = (
            defaultdict(deque)
        )
        self.hanging: dict[str, int] = {}
        self.silent: set[str] = set()
        self.behind: set[str] = set()
        self.losing = 0
        self.codes: deque[int] = deque()
        self.calls: list[str] = []
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.blocks: list[common_pb2.Block] = []
        self.state: dict[str, bytes] = {}
        self.tamper: Any = None
        self.cut_after: int | None = None
        self.statuses: dict[str, tuple[int, int]] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._server = grpc.server(
            futures.ThreadPoolExecutor(32),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.so_reuseport", 0),
                ("grpc.server_handshake_timeout_ms", 1000),  # Fabric's peers drop who is slow at it, too
            ],
        )
        gateway_pb2_grpc.add_GatewayServicer_to_server(self, self._server)
        events_pb2_grpc.add_DeliverServicer_to_server(self, self._server)
        port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        self.address = f"127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._server.stop(0).wait()

    # what a peer does

    def Evaluate(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._begin("Evaluate", request, context)
        self._reach(request.target_organizations or ["OrgMSP"], context)
        args, _ = self._proposal(request)
        if args[0].startswith(b"Get"):
            payload = self._qscc(args, context)
        elif args[0] == b"echo":
            payload = b"|".join(args[1:])
        else:
            payload = self.state.get(args[-1].decode(), b"")
        return gateway_pb2.EvaluateResponse(result=_response(payload))

    def Endorse(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._begin("Endorse", request, context)
        self._reach(request.endorsing_organizations or ["OrgMSP"], context)
        if self.behind & set(request.endorsing_organizations):
            odd = ("p:1", request.endorsing_organizations[-1], "ProposalResponsePayloads do not match")
            _abort(context, grpc.StatusCode.ABORTED, "failed to collect enough endorsements", [odd])
        args, proposal = self._proposal(request)
        event = chaincode_event_pb2.ChaincodeEvent(
            chaincode_id="cc", tx_id=request.transaction_id, event_name="called", payload=args[-1][:64]
        )
        action = proposal_pb2.ChaincodeAction(
            response=_response(b"done:" + args[-1][:64]), events=event.SerializeToString()
        )
        prp = proposal_response_pb2.ProposalResponsePayload(extension=action.SerializeToString())
        payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        payload.TransientMap.clear()
        cap = transaction_pb2.ChaincodeActionPayload(chaincode_proposal_payload=payload.SerializeToString())
        cap.action.proposal_response_payload = prp.SerializeToString()
        header = common_pb2.Header.FromString(proposal.header)
        transaction = transaction_pb2.Transaction()
        transaction.actions.add(header=header.signature_header, payload=cap.SerializeToString())
        prepared = common_pb2.Payload(header=header, data=transaction.SerializeToString())
        if self.tamper is not None:
            self.tamper(prepared)
        envelope = common_pb2.Envelope(payload=prepared.SerializeToString())
        return gateway_pb2.EndorseResponse(prepared_transaction=envelope)

    def Submit(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._begin("Submit", request, context)
        envelope = request.prepared_transaction
        payload = common_pb2.Payload.FromString(envelope.payload)
        creator = common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator
        check_signature(creator, envelope.payload, envelope.signature)
        code = self.codes.popleft() if self.codes else 0
        with self._changed:
            if self.losing:
                self.losing -= 1
            elif request.transaction_id not in self.statuses:
                self.add_block([envelope.SerializeToString()], [code])
                self.statuses[request.transaction_id] = (code, len(self.blocks) - 1)
        return gateway_pb2.SubmitResponse()

    def CommitStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._begin("CommitStatus", request, context)
        inner = gateway_pb2.CommitStatusRequest.FromString(request.request)
        check_signature(inner.identity, request.request, request.signature)
        with self._changed:
            while inner.transaction_id not in self.statuses:
                if self._stopping or not context.is_active():
                    context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")
                self._changed.wait(0.05)
        code, number = self.statuses[inner.transaction_id]
        return gateway_pb2.CommitStatusResponse(result=code, block_number=number)

    def ChaincodeEvents(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._begin("ChaincodeEvents", request, context)
        inner = gateway_pb2.ChaincodeEventsRequest.FromString(request.request)
        check_signature(inner.identity, request.request, request.signature)
        waiting = inner.after_transaction_id
        for sent, block in enumerate(self._blocks_from(inner.start_position.specified.number, context)):
            response = gateway_pb2.ChaincodeEventsResponse(block_number=block.header.number)
            for event in _events(block):
                if waiting:
                    waiting = "" if event.tx_id == waiting else waiting
                else:
                    response.events.append(event)
            yield response
            if self.cut_after is not None and sent + 1 >= self.cut_after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

    def Deliver(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for sent, block in enumerate(self._delivered("Deliver", requests, context)):
            yield events_pb2.DeliverResponse(block=block)
            if self.cut_after is not None and sent + 1 >= self.cut_after:
                yield events_pb2.DeliverResponse(status=common_pb2.SERVICE_UNAVAILABLE)
                return

    def DeliverFiltered(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for block in self._delivered("DeliverFiltered", requests, context):
            yield events_pb2.DeliverResponse(
                filtered_block=events_pb2.FilteredBlock(channel_id=CHANNEL, number=block.header.number)
            )

    # what a test does

    def add_block(self, envelopes: list[bytes], codes: list[int]) -> None:
        block = common_pb2.Block(data=common_pb2.BlockData(data=envelopes))
        block.header.number = len(self.blocks)
        block.header.data_hash = hashlib.sha256(b"".join(envelopes)).digest()
        block.metadata.metadata.extend([b"", b"", bytes(codes), b"", b""])
        with self._changed:
            self.blocks.append(block)
            self._changed.notify_all()

    def fail(self, rpc: str, status: grpc.StatusCode, message: str, *details: tuple[str, str, str]) -> None:
        """Answer the next call of `rpc` with an error; `details` are (address, MSP id, message)."""
        self.plan[rpc].append((status, message, details))

    # parts

    def _begin(self, rpc: str, request: Any, context: grpc.ServicerContext) -> None:
        self.calls.append(rpc)
        self.requests[rpc].append(request)
        if self.plan[rpc]:
            _abort(context, *self.plan[rpc].popleft())
        if self.hanging.get(rpc):
            self.hanging[rpc] -= 1
            self._hang(context)

    def _reach(self, organisations: Iterable[str], context: grpc.ServicerContext) -> None:
        if self.silent & set(organisations):
            self._hang(context)

    def _hang(self, context: grpc.ServicerContext) -> None:
        with self._changed:
            while context.is_active() and not self._stopping:
                self._changed.wait(0.05)
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")

    def _proposal(self, request: Any) -> tuple[list[bytes], Any]:
        signed = request.proposed_transaction
        proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        channel = common_pb2.ChannelHeader.FromString(header.channel_header)
        signature = common_pb2.SignatureHeader.FromString(header.signature_header)
        check_signature(signature.creator, signed.proposal_bytes, signed.signature)
        assert channel.tx_id == hashlib.sha256(signature.nonce + signature.creator).hexdigest()
        assert channel.tx_id == request.transaction_id
        assert channel.channel_id == request.channel_id == CHANNEL
        payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        spec = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
        return list(spec.input.args), proposal

    def _qscc(self, args: list[bytes], context: grpc.ServicerContext) -> bytes:
        if args[0].endswith(b"ID") and args[2].decode() not in self.statuses:
            txid = args[2].decode()
            context.abort(grpc.StatusCode.UNKNOWN, f"error no such transaction ID [{txid}] in index")
        if args[0] == b"GetChainInfo":
            data: bytes = ledger_pb2.BlockchainInfo(height=len(self.blocks)).SerializeToString()
        elif args[0] == b"GetBlockByNumber":
            data = self.blocks[int(args[2])].SerializeToString()
        elif args[0] == b"GetTransactionByID":
            code, number = self.statuses[args[2].decode()]
            envelope = common_pb2.Envelope.FromString(self.blocks[number].data.data[0])
            read = transaction_pb2.ProcessedTransaction(transactionEnvelope=envelope, validationCode=code)
            data = read.SerializeToString()
        else:
            data = self.blocks[self.statuses[args[2].decode()][1]].SerializeToString()
        return data

    def _delivered(self, rpc: str, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        envelope = next(requests)
        self._begin(rpc, envelope, context)
        payload = common_pb2.Payload.FromString(envelope.payload)
        creator = common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator
        check_signature(creator, envelope.payload, envelope.signature)
        seek = ab_pb2.SeekInfo.FromString(payload.data)
        return self._blocks_from(seek.start.specified.number, context)

    def _blocks_from(self, number: int, context: grpc.ServicerContext) -> Iterator[Any]:
        while context.is_active():
            with self._changed:
                if self._stopping:
                    return
                if number >= len(self.blocks):
                    self._changed.wait(0.05)
                    continue
                block = self.blocks[number]
            yield block
            number += 1


def _abort(
    context: grpc.ServicerContext,
    status: grpc.StatusCode,
    message: str,
    details: Iterable[tuple[str, str, str]],
) -> None:
    body = status_pb2.Status(code=status.value[0], message=message)
    for address, msp_id, text in details:
        packed = any_pb2.Any()
        packed.Pack(gateway_pb2.ErrorDetail(address=address, msp_id=msp_id, message=text))
        body.details.append(packed)
    if body.details:
        context.set_trailing_metadata((("grpc-status-details-bin", body.SerializeToString()),))
    context.abort(status, message)


def _response(payload: bytes) -> Any:
    return proposal_response_pb2.Response(status=200, payload=payload)


def _events(block: Any) -> Iterator[Any]:
    for data in block.data.data:
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(data).payload)
        action = transaction_pb2.Transaction.FromString(payload.data).actions[0]
        inner = transaction_pb2.ChaincodeActionPayload.FromString(action.payload).action
        prp = proposal_response_pb2.ProposalResponsePayload.FromString(inner.proposal_response_payload)
        done = proposal_pb2.ChaincodeAction.FromString(prp.extension)
        yield chaincode_event_pb2.ChaincodeEvent.FromString(done.events)
