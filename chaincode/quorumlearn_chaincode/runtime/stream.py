"""The conversation with one peer: registers, then runs the peer's transactions and carries their requests.

Rules:
- One reader, one writer, and each transaction in a worker thread. Nothing but the writer touches the
  outgoing side.
- CREATED -REGISTERED-> ESTABLISHED -READY-> READY; a message that has no place in the state ends the stream.
- A transaction has at most one request under way. Its answer is found by channel and transaction id; an
  answer that nobody waits for (any more) is dropped.
- When the stream ends, every waiting transaction gets `PeerLostError` at once.
- The log has one line a transaction: function, id, time, status. It never has arguments, payloads or the
  text of an unexpected exception, which may hold either.

Source: fabric-chaincode-go, `shim/handler.go`; fabric, `core/chaincode/handler.go`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from enum import Enum
from functools import partial
from queue import SimpleQueue

import grpc
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2
from google.protobuf.message import DecodeError

from .answers import completion, failure, function_name, printable, stack
from .errors import ChaincodeError, PeerError, PeerLostError
from .proposal import Invocation, read_invocation
from .requests import PeerOffer, PeerRequests
from .settings import ServiceSettings
from .stub import Chaincode, Response
from .transaction import Transaction
from .workers import WorkerPool

DEFAULT_BATCH = 100
"""The size of a batch where the peer offers batches without naming one."""

_log = logging.getLogger(__name__)
_Message = chaincode_shim_pb2.ChaincodeMessage
_Key = tuple[str, str]


class _State(Enum):
    CREATED = "created"
    ESTABLISHED = "established"
    READY = "ready"


class PeerStream:
    """One stream of `protos.Chaincode/Connect`, seen from the chaincode."""

    def __init__(
        self, peer: str, chaincode: Chaincode, settings: ServiceSettings, workers: WorkerPool
    ) -> None:
        self.peer = peer
        self.fault: str | None = None
        self._chaincode = chaincode
        self._settings = settings
        self._workers = workers
        self._state = _State.CREATED
        self._offer = PeerOffer()
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        self._lock = threading.Condition()
        self._running: dict[_Key, Future[bytes] | None] = {}
        self._closed = False
        self._draining = False
        self._registration = threading.Timer(settings.registration_timeout, self._registration_timed_out)
        self._registration.daemon = True

    def outgoing(self) -> Iterator[bytes]:
        """What is to be sent, in order, until the stream is closed."""
        self._registration.start()
        chaincode_id = chaincode_pb2.ChaincodeID(name=self._settings.package_id)
        self._send(_Message(type=_Message.REGISTER, payload=chaincode_id.SerializeToString()))
        while (message := self._outgoing.get()) is not None:
            yield message

    def read(self, incoming: Iterator[bytes]) -> None:
        """Handles what the peer sends until it ends the stream or breaks the protocol."""
        try:
            for raw in incoming:
                fault = self._handle(raw)
                if fault is not None:
                    self._fail(fault)
                    return
        except grpc.RpcError:
            _log.debug("%s: the stream was cut", self.peer)
        finally:
            self.close()

    def close(self) -> None:
        """Ends the stream; transactions that wait for the peer fail now. Any thread may call it."""
        self._registration.cancel()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            waiting = [future for future in self._running.values() if future is not None]
            self._running = dict.fromkeys(self._running)
            self._lock.notify_all()
        for future in waiting:
            future.set_exception(PeerLostError("the peer ended the stream before it answered"))
        self._outgoing.put(None)
        _log.info("%s: disconnected", self.peer)

    def drain(self, deadline: float) -> None:
        """Refuses new transactions, and waits for those under way until `deadline` (monotonic seconds)."""
        with self._lock:
            self._draining = True
            remaining = max(0.0, deadline - time.monotonic())
            self._lock.wait_for(lambda: self._closed or not self._running, remaining)

    # From the peer

    def _handle(self, raw: bytes) -> str | None:
        """Handles one message; returns what is wrong with it if the stream cannot go on."""
        try:
            message = _Message.FromString(raw)
        except DecodeError:
            return f"a message of {len(raw)} bytes is not a ChaincodeMessage"
        kind = message.type
        if kind == _Message.KEEPALIVE:
            self._send(message)
        elif self._state is _State.CREATED and kind == _Message.REGISTERED:
            self._state = _State.ESTABLISHED
        elif self._state is _State.ESTABLISHED and kind == _Message.READY:
            self._become_ready(message.payload)
        elif self._state is _State.READY and kind in {_Message.TRANSACTION, _Message.INIT}:
            self._begin(message)
        elif self._state is _State.READY and kind in {_Message.RESPONSE, _Message.ERROR}:
            self._answer(message)
        else:
            return f"message type {kind} has no place in state {self._state.value}"
        return None

    def _become_ready(self, payload: bytes) -> None:
        self._registration.cancel()
        try:
            offer = chaincode_pb2.ChaincodeAdditionalParams.FromString(payload)
        except DecodeError:
            _log.warning("%s: its READY cannot be read; writes go one at a time", self.peer)
        else:
            self._offer = PeerOffer(
                writes=(offer.max_size_write_batch or DEFAULT_BATCH) if offer.use_write_batch else 0,
                reads=(offer.max_size_get_multiple_keys or DEFAULT_BATCH)
                if offer.use_get_multiple_keys
                else 0,
            )
        self._state = _State.READY
        _log.info("%s: ready, as %s", self.peer, self._settings.package_id)

    def _begin(self, message: chaincode_shim_pb2.ChaincodeMessage) -> None:
        key = (message.channel_id, message.txid)
        refusal = None
        with self._lock:
            if self._draining:
                refusal = "the chaincode service is stopping"
            elif key in self._running:
                refusal = f"transaction {message.txid[:8]} is already under way"
            else:
                self._running[key] = None
        if refusal is not None:
            self._send(failure(message, refusal))
            return
        arrived = time.monotonic()
        self._workers.submit(lambda: self._run(message, arrived))

    def _answer(self, message: chaincode_shim_pb2.ChaincodeMessage) -> None:
        key = (message.channel_id, message.txid)
        with self._lock:
            future = self._running.get(key)
            if future is not None:
                self._running[key] = None
        if future is None:
            _log.warning("%s: an answer for %s that nobody waits for", self.peer, printable(message.txid[:8]))
        elif message.type == _Message.ERROR:
            future.set_exception(PeerError(message.payload.decode(errors="replace")))
        else:
            future.set_result(message.payload)

    # Transactions, in worker threads

    def _run(self, message: chaincode_shim_pb2.ChaincodeMessage, arrived: float) -> None:
        key = (message.channel_id, message.txid)
        started = time.monotonic()
        function = "?"
        with self._lock:
            if self._closed:
                del self._running[key]
                return
        try:
            if started - arrived > self._settings.reply_timeout:
                raise ChaincodeError(f"all {self._workers.size} workers were busy too long: try again later")
            invocation = read_invocation(message)
            function = function_name(invocation)
            answer, status = self._execute(message, invocation)
        except ChaincodeError as error:
            answer, status = failure(message, str(error)), error.status
        except BaseException as error:  # noqa: BLE001 - the peer must get an answer
            _log.error("transaction %s failed:\n%s", printable(message.txid[:8]), stack(error))
            answer, status = completion(message, Response(500, "internal error"), None), 500
        with self._lock:
            del self._running[key]
            self._send(answer)
            self._lock.notify_all()
        milliseconds = (time.monotonic() - started) * 1000
        _log.info("%s %s %.1f ms %d", function, printable(message.txid[:8]), milliseconds, status)

    def _execute(
        self, message: chaincode_shim_pb2.ChaincodeMessage, invocation: Invocation
    ) -> tuple[chaincode_shim_pb2.ChaincodeMessage, int]:
        ask = partial(self._ask, (message.channel_id, message.txid))
        requests = PeerRequests(message.txid, ask, self._offer)
        transaction = Transaction(invocation, requests)
        function = self._chaincode.init if message.type == _Message.INIT else self._chaincode.invoke
        try:
            response = function(transaction)
            if response.status < 400:
                requests.complete()
        except ChaincodeError as error:
            response = Response(error.status, str(error))
        finally:
            requests.abandon()
        return completion(message, response, transaction.event), response.status

    def _ask(self, key: _Key, kind: int, payload: bytes) -> bytes:
        future: Future[bytes] = Future()
        with self._lock:
            if self._closed:
                raise PeerLostError("the peer ended the stream")
            self._running[key] = future
            self._send(_Message(type=kind, payload=payload, channel_id=key[0], txid=key[1]))
        try:
            return future.result(self._settings.reply_timeout)
        except TimeoutError:
            name, timeout = _Message.Type.Name(kind), self._settings.reply_timeout
            raise PeerLostError(f"the peer did not answer {name} within {timeout:g} s") from None

    # To the peer

    def _send(self, message: chaincode_shim_pb2.ChaincodeMessage) -> None:
        self._outgoing.put(message.SerializeToString())

    def _fail(self, fault: str) -> None:
        _log.error("%s: %s; the stream ends", self.peer, fault)
        self.fault = fault
        self._send(_Message(type=_Message.ERROR, payload=fault.encode()))

    def _registration_timed_out(self) -> None:
        if self._state is not _State.READY:
            self.fault = (
                f"the peer did not accept package id {self._settings.package_id} within "
                f"{self._settings.registration_timeout:g} s: "
                "check that CHAINCODE_ID is the id that it shows as installed"
            )
            _log.error("%s: %s", self.peer, self.fault)
            self.close()
