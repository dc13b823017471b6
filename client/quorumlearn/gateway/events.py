"""Streams of chaincode events and of blocks that survive a lost connection.

Rules: what is delivered is in ledger order, nothing twice and nothing left out, across any number of
reconnections; a connection is lost when the call ends UNAVAILABLE, CANCELLED, ABORTED or INTERNAL or when
the peer ends the stream, and is tried again with back-off; every other status is final. `close` may come
from any thread and ends the iteration.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2

from quorumlearn.gateway.checkpoint import Checkpoint
from quorumlearn.gateway.connection import Connection
from quorumlearn.gateway.errors import EventsError, from_rpc, status_of
from quorumlearn.gateway.proposal import seek_envelope

T = TypeVar("T")
_LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
    }
)


@dataclass(frozen=True)
class ChaincodeEvent:
    """What a committed transaction's chaincode announced."""

    block: int
    transaction_id: str
    chaincode: str
    name: str
    payload: bytes

    @property
    def checkpoint(self) -> Checkpoint:
        """Where a reader goes on that has dealt with this event."""
        return Checkpoint(self.block, self.transaction_id)


class EventStream(ABC, Generic[T]):
    """An iterator over what a peer streams. One thread iterates; any thread may `close`."""

    def __init__(self, connection: Connection, what: str) -> None:
        self._connection = connection
        self._what = what
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._call: Any = None
        self._received: deque[T] = deque()
        self._delays = self._fresh_delays()
        connection.streams.add(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        """The next item, waited for; StopIteration once closed, EventsError if the stream cannot go on."""
        while not self._received:
            if self._is_closed():
                raise StopIteration
            try:
                response = next(self._running_call())
            except StopIteration:
                self._wait_to_reconnect(None)
            except grpc.RpcError as error:
                if self._is_closed():
                    raise StopIteration from None
                if status_of(error) not in _LOST:
                    raise from_rpc(EventsError, self._what, error, self._connection.endpoint) from error
                self._wait_to_reconnect(error)
            else:
                items = self._unpack(response)
                if items is None:
                    self._wait_to_reconnect(None)
                else:
                    self._received.extend(items)
                    self._delays = self._fresh_delays()
        item = self._received.popleft()
        self._passed(item)
        return item

    def close(self) -> None:
        """End the stream; a thread that waits in it is woken. Twice is once."""
        self._closed.set()
        with self._lock:
            if self._call is not None:
                self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _open(self) -> Any:
        """A new streaming call, from behind what was passed."""

    @abstractmethod
    def _unpack(self, response: Any) -> list[T] | None:
        """The items in a response; None if the peer says that it is about to go."""

    @abstractmethod
    def _passed(self, item: T) -> None:
        """Remember that `item` was delivered."""

    def _is_closed(self) -> bool:
        return self._closed.is_set() or self._connection.closed.is_set()

    def _running_call(self) -> Any:
        with self._lock:
            if self._closed.is_set():
                raise StopIteration
            if self._call is None:
                self._connection.check_open()
                self._call = self._open()
            return self._call

    def _fresh_delays(self) -> Iterator[float]:
        return self._connection.options.reconnect.delays(self._connection.random)

    def _wait_to_reconnect(self, error: grpc.RpcError | None) -> None:
        with self._lock:
            if self._call is not None:
                self._call.cancel()
            self._call = None
        if self._is_closed():
            return
        delay = next(self._delays, None)
        if delay is None:
            endpoint = self._connection.endpoint
            if error is None:
                raise EventsError(f"{self._what}: the peer keeps ending the stream", endpoint=endpoint)
            raise from_rpc(EventsError, self._what, error, endpoint) from error
        self._closed.wait(delay)


class ChaincodeEvents(EventStream[ChaincodeEvent]):
    """The events of one chaincode, from `start` on."""

    def __init__(self, connection: Connection, channel: str, chaincode: str, start: Checkpoint) -> None:
        super().__init__(connection, f"events of {chaincode}")
        self._channel = channel
        self._chaincode = chaincode
        self._position = start

    def _open(self) -> Any:
        position = ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=self._position.block))
        inner = gateway_pb2.ChaincodeEventsRequest(
            channel_id=self._channel,
            chaincode_id=self._chaincode,
            identity=self._connection.identity.creator,
            start_position=position,
            after_transaction_id=self._position.transaction_id,
        ).SerializeToString()
        request = gateway_pb2.SignedChaincodeEventsRequest(
            request=inner, signature=self._connection.signer(inner)
        )
        return self._connection.gateway.ChaincodeEvents(request)

    def _unpack(self, response: Any) -> list[ChaincodeEvent]:
        if not response.events:  # a response holds all that is left of its block
            self._position = Checkpoint(response.block_number + 1)
        return [
            ChaincodeEvent(
                response.block_number, event.tx_id, event.chaincode_id, event.event_name, event.payload
            )
            for event in response.events
        ]

    def _passed(self, item: ChaincodeEvent) -> None:
        self._position = item.checkpoint


class BlockEvents(EventStream[Any]):
    """Blocks (common.Block), or filtered ones (protos.FilteredBlock), one after the other from `start` on."""

    def __init__(self, connection: Connection, channel: str, start: int, filtered: bool) -> None:
        super().__init__(connection, f"blocks of {channel}")
        self._channel = channel
        self._next = start
        self._filtered = filtered

    def _open(self) -> Any:
        connection = self._connection
        data = seek_envelope(
            connection.identity, connection.signer, self._channel, self._next, connection.tls_digest
        )
        rpc = connection.deliver.DeliverFiltered if self._filtered else connection.deliver.Deliver
        return rpc(iter([common_pb2.Envelope.FromString(data)]))

    def _unpack(self, response: Any) -> list[Any] | None:
        if response.WhichOneof("Type") == "status":
            if response.status == common_pb2.SERVICE_UNAVAILABLE:
                return None
            known = common_pb2.Status.DESCRIPTOR.values_by_number
            name = known[response.status].name if response.status in known else str(response.status)
            raise EventsError(f"{self._what}: the peer answers {name}", endpoint=self._connection.endpoint)
        block = response.filtered_block if self._filtered else response.block
        number = block.number if self._filtered else block.header.number
        if number != self._next:
            raise EventsError(
                f"{self._what}: the peer sent block {number} where {self._next} was due",
                endpoint=self._connection.endpoint,
            )
        return [block]

    def _passed(self, item: Any) -> None:
        self._next += 1
