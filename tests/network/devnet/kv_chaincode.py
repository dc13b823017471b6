"""A small key-value chaincode as a service, straight on Fabric's stubs: the other end of the stream under test."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    chaincode_shim_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
)
from fabric_protos.peer import chaincode_shim_pb2 as shim

M = shim.ChaincodeMessage


class PeerError(Exception):
    """The peer answered a request with ERROR."""


class Crash(BaseException):
    """The chaincode's stream ends in the middle of a transaction."""


class Stub:
    """One transaction's requests to the peer."""

    def __init__(
        self,
        message: shim.ChaincodeMessage,
        send: Callable[[shim.ChaincodeMessage], None],
        stopped: threading.Event,
    ) -> None:
        self.message = message
        self.args = list(chaincode_pb2.ChaincodeInput.FromString(message.payload).args)
        self.inbox: queue.Queue[shim.ChaincodeMessage] = queue.Queue()
        self.event: chaincode_event_pb2.ChaincodeEvent | None = None
        self.stopped = stopped
        self._send = send

    def ask(self, kind: int, request: object) -> bytes:
        payload = request if isinstance(request, bytes) else request.SerializeToString()  # type: ignore[attr-defined]
        self._send(M(type=kind, payload=payload, txid=self.message.txid, channel_id=self.message.channel_id))
        answer = self.inbox.get(timeout=30)
        if answer.type == M.ERROR:
            raise PeerError(answer.payload.decode())
        return bytes(answer.payload)

    def get(self, key: str, collection: str = "") -> bytes:
        return self.ask(M.GET_STATE, shim.GetState(key=key, collection=collection))

    def put(self, key: str, value: bytes) -> None:
        self.ask(M.PUT_STATE, shim.PutState(key=key, value=value))

    def delete(self, key: str) -> None:
        self.ask(M.DEL_STATE, shim.DelState(key=key))

    def set_policy(self, key: str, policy: bytes) -> None:
        metadata = shim.StateMetadata(metakey="VALIDATION_PARAMETER", value=policy)
        self.ask(M.PUT_STATE_METADATA, shim.PutStateMetadata(key=key, metadata=metadata))

    def policy(self, key: str) -> dict[str, str]:
        found = shim.StateMetadataResult.FromString(
            self.ask(M.GET_STATE_METADATA, shim.GetStateMetadata(key=key))
        )
        return {entry.metakey: entry.value.hex() for entry in found.entries}

    def query(self, kind: int, request: object) -> tuple[list[bytes], shim.QueryResponse, int]:
        """All results of a query, its last response and the number of batches."""
        response = shim.QueryResponse.FromString(self.ask(kind, request))
        results = [entry.resultBytes for entry in response.results]
        batches = 1
        while response.has_more:
            response = shim.QueryResponse.FromString(
                self.ask(M.QUERY_STATE_NEXT, shim.QueryStateNext(id=response.id))
            )
            results += [entry.resultBytes for entry in response.results]
            batches += 1
        return results, response, batches

    def range(self, start: str, end: str) -> list[kv_query_result_pb2.KV]:
        found, _, _ = self.query(M.GET_STATE_BY_RANGE, shim.GetStateByRange(startKey=start, endKey=end))
        return [kv_query_result_pb2.KV.FromString(entry) for entry in found]


def invoke(stub: Stub) -> bytes:
    name, *args = (argument.decode(errors="replace") for argument in stub.args)
    if name == "put":
        stub.put(args[0], stub.args[2])
        return b"ok"
    if name == "get":
        return stub.get(args[0])
    if name == "delete":
        stub.delete(args[0])
        return b"ok"
    if name == "increment":
        value = int(stub.get(args[0]) or b"0") + 1
        stub.put(args[0], str(value).encode())
        return str(value).encode()
    if name == "own-write":
        stub.put(args[0], b"written in this transaction")
        return stub.get(args[0])
    if name == "fill":
        for i in range(int(args[1])):
            stub.put(f"{args[0]}{i:04}", str(i).encode())
        return b"ok"
    if name == "fill-batch":
        records = [
            shim.WriteRecord(key=f"{args[0]}{i:04}", value=b"batched", type=shim.WriteRecord.PUT_STATE)
            for i in range(int(args[1]))
        ]
        stub.ask(M.WRITE_BATCH_STATE, shim.WriteBatchState(rec=records))
        return b"ok"
    if name == "get-many":
        request = shim.GetStateMultiple(keys=args)
        values = shim.GetStateMultipleResult.FromString(stub.ask(M.GET_STATE_MULTIPLE, request)).values
        return json.dumps([value.decode() for value in values]).encode()
    if name == "range":
        return json.dumps([entry.key for entry in stub.range(args[0], args[1])]).encode()
    if name == "count-into":
        count = str(len(stub.range(args[0], args[1]))).encode()
        stub.put(args[2], count)
        return count
    if name == "batches":
        request = shim.GetStateByRange(startKey=args[0], endKey=args[1])
        found, _, batches = stub.query(M.GET_STATE_BY_RANGE, request)
        return json.dumps([len(found), batches]).encode()
    if name in {"page", "page-and-put"}:
        page = shim.QueryMetadata(pageSize=int(args[2]), bookmark=args[3]).SerializeToString()
        request = shim.GetStateByRange(startKey=args[0], endKey=args[1], metadata=page)
        found, response, _ = stub.query(M.GET_STATE_BY_RANGE, request)
        if name == "page-and-put":
            stub.put("page-and-put", b"x")
        metadata = shim.QueryResponseMetadata.FromString(response.metadata)
        keys = [kv_query_result_pb2.KV.FromString(entry).key for entry in found]
        return json.dumps([keys, metadata.bookmark, metadata.fetched_records_count]).encode()
    if name == "close":
        response = shim.QueryResponse.FromString(
            stub.ask(M.GET_STATE_BY_RANGE, shim.GetStateByRange(startKey=args[0], endKey=args[1]))
        )
        stub.ask(M.QUERY_STATE_CLOSE, shim.QueryStateClose(id=response.id))
        stub.ask(M.QUERY_STATE_NEXT, shim.QueryStateNext(id=response.id))
        return b"not reached"
    if name == "history":
        found, _, _ = stub.query(M.GET_HISTORY_FOR_KEY, shim.GetHistoryForKey(key=args[0]))
        changes = [kv_query_result_pb2.KeyModification.FromString(entry) for entry in found]
        return json.dumps(
            [[c.tx_id, c.value.decode(), c.is_delete, c.timestamp.seconds > 0] for c in changes]
        ).encode()
    if name == "policy":
        stub.set_policy(args[0], stub.args[2])
        return b"ok"
    if name == "put-with-policy":
        stub.put(args[0], stub.args[2])
        stub.set_policy(args[0], stub.args[3])
        return b"ok"
    if name == "get-policy":
        return json.dumps(stub.policy(args[0])).encode()
    if name == "rich":
        stub.ask(M.GET_QUERY_RESULT, shim.GetQueryResult(query=args[0]))
        return b"not reached"
    if name == "private":
        return stub.get(args[0], collection="secrets")
    if name == "call":
        specification = chaincode_pb2.ChaincodeSpec(
            chaincode_id=chaincode_pb2.ChaincodeID(name=args[0]),
            input=chaincode_pb2.ChaincodeInput(args=stub.args[2:]),
        )
        answer = M.FromString(stub.ask(M.INVOKE_CHAINCODE, specification))
        response = proposal_response_pb2.Response.FromString(answer.payload)
        return json.dumps([M.Type.Name(answer.type), response.status, response.payload.decode()]).encode()
    if name == "event":
        stub.event = chaincode_event_pb2.ChaincodeEvent(event_name=args[0], payload=stub.args[2])
        stub.put("last-event", stub.args[2])
        return b"ok"
    if name == "transient":
        proposal = proposal_pb2.Proposal.FromString(stub.message.proposal.proposal_bytes)
        found = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload).TransientMap
        stub.put("had-transient", b"yes")
        return json.dumps({key: found[key].decode() for key in sorted(found)}).encode()
    if name == "differ":
        stub.put("differ", os.urandom(8))
        return b"ok"
    if name == "hang":
        stub.stopped.wait(60)
    if name == "crash":
        raise Crash
    if name == "status":
        raise StatusError(int(args[0]))
    raise ValueError(f"no function {name}")


class StatusError(Exception):
    """Ends the transaction with a response of this status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class KeyValueService:
    """The chaincode as a gRPC server; several peers may connect."""

    def __init__(self, package_id: str, port: int = 0) -> None:
        self.package_id = package_id
        self.registered = threading.Semaphore(0)
        self._stopped = threading.Event()
        self._server = grpc.server(
            ThreadPoolExecutor(32),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        chaincode_shim_pb2_grpc.add_ChaincodeServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self._workers = ThreadPoolExecutor(64)

    def start(self) -> KeyValueService:
        self._server.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        self._server.stop(None).wait()
        self._workers.shutdown(wait=False)

    def Connect(
        self, requests: Iterator[shim.ChaincodeMessage], context: grpc.ServicerContext
    ) -> Iterator[shim.ChaincodeMessage]:
        outgoing: queue.Queue[shim.ChaincodeMessage | None] = queue.Queue()
        identifier = chaincode_pb2.ChaincodeID(name=self.package_id)
        outgoing.put(M(type=M.REGISTER, payload=identifier.SerializeToString()))
        running: dict[str, Stub] = {}

        def run(stub: Stub) -> None:
            done = M(type=M.COMPLETED, txid=stub.message.txid, channel_id=stub.message.channel_id)
            try:
                response = proposal_response_pb2.Response(status=200, payload=invoke(stub))
            except Crash:
                outgoing.put(None)
                return
            except StatusError as error:
                response = proposal_response_pb2.Response(status=error.status, message=str(error))
            except Exception as error:  # noqa: BLE001 - what a chaincode raises is its answer
                response = proposal_response_pb2.Response(
                    status=500, message=f"{type(error).__name__}: {error}"
                )
            done.payload = response.SerializeToString()
            if stub.event is not None:
                done.chaincode_event.CopyFrom(stub.event)
            running.pop(stub.message.txid, None)
            outgoing.put(done)

        def read() -> None:
            try:
                for message in requests:
                    if message.type == M.READY:
                        self.registered.release()
                    elif message.type == M.TRANSACTION:
                        stub = Stub(message, outgoing.put, self._stopped)
                        running[message.txid] = stub
                        self._workers.submit(run, stub)
                    elif message.type in {M.RESPONSE, M.ERROR} and message.txid in running:
                        running[message.txid].inbox.put(message)
            except grpc.RpcError:
                pass
            outgoing.put(None)

        threading.Thread(target=read, daemon=True).start()
        while True:
            message = outgoing.get()
            if message is None:
                return
            yield message
