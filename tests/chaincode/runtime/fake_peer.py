"""A peer for the runtime's tests: dials the service over real gRPC and speaks the peer's side of the stream.

It keeps a state in memory with Fabric's rules: reads see what is committed, keys are ordered by their bytes,
queries come in pages, a paginated query forbids writes. `override` replaces its answer to one kind of request
(for peers that misbehave).
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    chaincode_shim_pb2,
    proposal_pb2,
    proposal_response_pb2,
)

shim = chaincode_shim_pb2
Message = chaincode_shim_pb2.ChaincodeMessage
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
DEADLINE = 20.0


@dataclass
class Outcome:
    """How a transaction ended: the message's type and, if it was COMPLETED, the response in it."""

    kind: int
    status: int
    message: str
    payload: bytes
    event: tuple[str, bytes] | None


@dataclass
class _Simulation:
    """What the peer holds for a transaction under way."""

    outcome: Future[Outcome] = field(default_factory=Future)
    writes: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    policies: dict[tuple[str, str], bytes] = field(default_factory=dict)
    queries: dict[str, list[bytes]] = field(default_factory=dict)
    requests: list[int] = field(default_factory=list)
    paged: bool = False


class FakePeer:
    """One connection. `state` maps (collection, key) to values, "" being the public collection."""

    def __init__(
        self,
        address: str,
        creator: bytes = b"",
        offer: chaincode_pb2.ChaincodeAdditionalParams | None = None,
        accept: bool = True,
        page_size: int = 3,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.state: dict[tuple[str, str], bytes] = {}
        self.policies: dict[tuple[str, str], bytes] = {}
        self.history: dict[str, list[kv_query_result_pb2.KeyModification]] = {}
        self.chaincodes: dict[str, Callable[[Sequence[bytes]], chaincode_shim_pb2.ChaincodeMessage]] = {}
        self.override: dict[int, Callable[[chaincode_shim_pb2.ChaincodeMessage], bytes | str | None]] = {}
        self.simulations: dict[str, _Simulation] = {}
        self.package_id: str | None = None
        self.errors: list[str] = []
        self.echoes: SimpleQueue[chaincode_shim_pb2.ChaincodeMessage] = SimpleQueue()
        self.ended: Future[grpc.StatusCode] = Future()
        self.details = ""
        self.ready = threading.Event()
        self._creator = creator
        self._offer = offer
        self._accept = accept
        self._page_size = page_size
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options=UNLIMITED)
        else:
            self._channel = grpc.secure_channel(address, credentials, options=UNLIMITED)
        self._call = self._channel.stream_stream("/protos.Chaincode/Connect")(  # type: ignore[call-arg]
            iter(self._outgoing.get, None)
        )
        threading.Thread(target=self._read, daemon=True).start()

    def wait_ready(self) -> FakePeer:
        assert self.ready.wait(DEADLINE), f"never ready: {self.errors} {self.details}"
        return self

    def disconnect(self) -> None:
        """Cuts the stream, as a peer that dies does."""
        self._call.cancel()  # type: ignore[no-untyped-call]
        self._channel.close()

    def hang_up(self) -> None:
        """Ends the stream in order."""
        self._outgoing.put(None)

    def send(self, message: chaincode_shim_pb2.ChaincodeMessage | bytes) -> None:
        self._outgoing.put(message if isinstance(message, bytes) else message.SerializeToString())

    def begin(
        self,
        *args: bytes | str,
        transient: Mapping[str, bytes] | None = None,
        timestamp_ms: int | None = None,
        kind: int = Message.TRANSACTION,
        txid: str = "",
        header_type: int = common_pb2.ENDORSER_TRANSACTION,
    ) -> tuple[str, Future[Outcome]]:
        """Starts a transaction; gives its id and its outcome to come."""
        txid = txid or hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        simulation = _Simulation()
        self.simulations[txid] = simulation
        arguments = chaincode_pb2.ChaincodeInput(
            args=[arg.encode() if isinstance(arg, str) else arg for arg in args], is_init=kind == Message.INIT
        )
        header = common_pb2.ChannelHeader(type=header_type, channel_id="channel", tx_id=txid)
        header.timestamp.FromMilliseconds(int(time.time() * 1000) if timestamp_ms is None else timestamp_ms)
        proposal = proposal_pb2.Proposal(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(),
                signature_header=common_pb2.SignatureHeader(
                    creator=self._creator, nonce=b"n" * 24
                ).SerializeToString(),
            ).SerializeToString(),
            payload=proposal_pb2.ChaincodeProposalPayload(
                input=b"", TransientMap=transient or {}
            ).SerializeToString(),
        )
        self.send(
            Message(
                type=kind,
                txid=txid,
                channel_id="channel",
                payload=arguments.SerializeToString(),
                proposal=proposal_pb2.SignedProposal(proposal_bytes=proposal.SerializeToString()),
            )
        )
        return txid, simulation.outcome

    def transact(self, *args: bytes | str, commit: bool = True, **options: object) -> Outcome:
        """Runs a transaction to its end and commits what it wrote, if its status is below 400."""
        txid, future = self.begin(*args, **options)  # type: ignore[arg-type]
        outcome = future.result(DEADLINE)
        if commit and outcome.kind == Message.COMPLETED and outcome.status < 400:
            self.commit(txid)
        return outcome

    def requests_of(self, txid: str) -> list[str]:
        return [Message.Type.Name(kind) for kind in self.simulations[txid].requests]

    def commit(self, txid: str) -> None:
        simulation = self.simulations[txid]
        self.policies.update(simulation.policies)
        for (collection, key), value in simulation.writes.items():
            if value is None:
                self.state.pop((collection, key), None)
            else:
                self.state[collection, key] = value
            change = kv_query_result_pb2.KeyModification(
                tx_id=txid, value=value or b"", is_delete=value is None
            )
            change.timestamp.FromMilliseconds(1_700_000_000_123)
            if not collection:
                self.history.setdefault(key, []).insert(0, change)

    def _read(self) -> None:
        try:
            for raw in self._call:
                self._handle(Message.FromString(raw))
        except grpc.RpcError:
            pass  # the code and its details say the same
        for simulation in self.simulations.values():
            if not simulation.outcome.done():
                simulation.outcome.set_exception(ConnectionError("the chaincode's stream ended"))
        self.details = self._call.details() or ""
        self._outgoing.put(None)
        self.ended.set_result(self._call.code())

    def _handle(self, message: chaincode_shim_pb2.ChaincodeMessage) -> None:
        kind = message.type
        if kind == Message.REGISTER:
            self.package_id = chaincode_pb2.ChaincodeID.FromString(message.payload).name
            if self._accept:
                self.send(Message(type=Message.REGISTERED))
                offer = self._offer.SerializeToString() if self._offer is not None else b""
                self.send(Message(type=Message.READY, payload=offer))
                self.ready.set()
            return
        if kind == Message.KEEPALIVE:
            self.echoes.put(message)
            return
        simulation = self.simulations.get(message.txid)
        if simulation is None:
            self.errors.append(message.payload.decode())
            return
        if kind == Message.COMPLETED:
            response = proposal_response_pb2.Response.FromString(message.payload)
            event = message.chaincode_event if message.HasField("chaincode_event") else None
            pair = (event.event_name, event.payload) if event is not None else None
            simulation.outcome.set_result(
                Outcome(kind, response.status, response.message, response.payload, pair)
            )
            return
        if kind == Message.ERROR:
            simulation.outcome.set_result(Outcome(kind, 500, message.payload.decode(), b"", None))
            return
        simulation.requests.append(kind)
        answer: bytes | str | None
        if kind in self.override:
            answer = self.override[kind](message)
        else:
            try:
                answer = self._answer(message, simulation)
            except PermissionError as refusal:
                answer = f"{Message.Type.Name(kind)} failed: transaction ID: {message.txid}: {refusal}"
        if answer is not None:
            self.reply(message, answer)

    def reply(self, request: chaincode_shim_pb2.ChaincodeMessage, answer: bytes | str) -> None:
        """Answers with a RESPONSE, or with an ERROR for text."""
        kind, payload = (
            (Message.RESPONSE, answer) if isinstance(answer, bytes) else (Message.ERROR, answer.encode())
        )
        self.send(Message(type=kind, payload=payload, txid=request.txid, channel_id=request.channel_id))

    def _answer(self, message: chaincode_shim_pb2.ChaincodeMessage, simulation: _Simulation) -> bytes:
        kind, payload = message.type, message.payload
        if kind == Message.GET_STATE:
            read = shim.GetState.FromString(payload)
            return self.state.get((read.collection, read.key), b"")
        if kind == Message.GET_STATE_MULTIPLE:
            many = shim.GetStateMultiple.FromString(payload)
            values = [self.state.get((many.collection, key), b"") for key in many.keys]
            return bytes(shim.GetStateMultipleResult(values=values).SerializeToString())
        if kind == Message.GET_PRIVATE_DATA_HASH:
            read = shim.GetState.FromString(payload)
            return hashlib.sha256(self.state[read.collection, read.key]).digest()
        if kind in {
            Message.PUT_STATE,
            Message.DEL_STATE,
            Message.PURGE_PRIVATE_DATA,
            Message.PUT_STATE_METADATA,
        }:
            self._write(kind, shim.WriteRecord(**_fields(kind, payload)), simulation)
            return b""
        if kind == Message.WRITE_BATCH_STATE:
            for record in shim.WriteBatchState.FromString(payload).rec:
                self._write(record.type, record, simulation)
            return b""
        if kind == Message.GET_STATE_METADATA:
            read = shim.GetStateMetadata.FromString(payload)
            result = shim.StateMetadataResult()
            if (read.collection, read.key) in self.policies:
                policy = self.policies[read.collection, read.key]
                result.entries.add(metakey="OTHER", value=b"other")
                result.entries.add(metakey="VALIDATION_PARAMETER", value=policy)
            return bytes(result.SerializeToString())
        if kind == Message.GET_STATE_BY_RANGE:
            return self._range(shim.GetStateByRange.FromString(payload), simulation)
        if kind == Message.GET_HISTORY_FOR_KEY:
            key = shim.GetHistoryForKey.FromString(payload).key
            return self._page(
                simulation,
                str(uuid.uuid4()),
                [change.SerializeToString() for change in self.history.get(key, [])],
            )
        if kind == Message.QUERY_STATE_NEXT:
            query = shim.QueryStateNext.FromString(payload).id
            return self._page(simulation, query, simulation.queries.pop(query))
        if kind == Message.QUERY_STATE_CLOSE:
            query = shim.QueryStateClose.FromString(payload).id
            del simulation.queries[query]
            return bytes(shim.QueryResponse(id=query).SerializeToString())
        if kind == Message.GET_QUERY_RESULT:
            raise PermissionError("ExecuteQuery not supported for leveldb")
        if kind == Message.INVOKE_CHAINCODE:
            spec = chaincode_pb2.ChaincodeSpec.FromString(payload)
            if spec.chaincode_id.name not in self.chaincodes:
                raise PermissionError(f"chaincode {spec.chaincode_id.name} not found")
            called = self.chaincodes[spec.chaincode_id.name](list(spec.input.args))
            return bytes(called.SerializeToString())
        raise PermissionError(f"unexpected request {kind}")

    def _write(self, kind: int, record: chaincode_shim_pb2.WriteRecord, simulation: _Simulation) -> None:
        if simulation.paged:
            raise PermissionError(
                "Transaction has already performed a paginated query. Writes are not allowed"
            )
        if not record.key:
            raise PermissionError("Key must not be empty")
        place = (record.collection, record.key)
        if kind == Message.PUT_STATE_METADATA:
            assert record.metadata.metakey == "VALIDATION_PARAMETER"
            simulation.policies[place] = record.metadata.value
        else:
            simulation.writes[place] = record.value if kind == Message.PUT_STATE else None

    def _range(self, request: chaincode_shim_pb2.GetStateByRange, simulation: _Simulation) -> bytes:
        metadata = shim.QueryMetadata.FromString(request.metadata)
        start = (metadata.bookmark or request.startKey).encode()
        end = request.endKey.encode()
        pairs = [
            kv_query_result_pb2.KV(namespace="chaincode", key=key, value=value)
            for (collection, key), value in sorted(self.state.items(), key=lambda item: item[0][1].encode())
            if collection == request.collection and start <= key.encode() and (not end or key.encode() < end)
        ]
        if not metadata.pageSize:
            return self._page(simulation, str(uuid.uuid4()), [pair.SerializeToString() for pair in pairs])
        simulation.paged = True
        page, rest = pairs[: metadata.pageSize], pairs[metadata.pageSize :]
        answer = shim.QueryResponse(
            metadata=shim.QueryResponseMetadata(
                fetched_records_count=len(page), bookmark=rest[0].key if rest else ""
            ).SerializeToString()
        )
        for pair in page:
            answer.results.add(resultBytes=pair.SerializeToString())
        return bytes(answer.SerializeToString())

    def _page(self, simulation: _Simulation, query: str, results: list[bytes]) -> bytes:
        page, rest = results[: self._page_size], results[self._page_size :]
        answer = shim.QueryResponse(id=query, has_more=bool(rest))
        for result in page:
            answer.results.add(resultBytes=result)
        if rest:
            simulation.queries[query] = rest
        return bytes(answer.SerializeToString())


def _fields(kind: int, payload: bytes) -> dict[str, object]:
    """The fields of a single write, as those of a record."""
    if kind == Message.PUT_STATE:
        put = shim.PutState.FromString(payload)
        return {"key": put.key, "value": put.value, "collection": put.collection}
    if kind == Message.PUT_STATE_METADATA:
        metadata = shim.PutStateMetadata.FromString(payload)
        return {"key": metadata.key, "metadata": metadata.metadata, "collection": metadata.collection}
    delete = shim.DelState.FromString(payload)
    return {"key": delete.key, "collection": delete.collection}
