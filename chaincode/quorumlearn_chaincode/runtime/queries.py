"""Results that come from the peer in pages: ranges, rich queries, histories.

The peer answers a query with a first page, `has_more` and an id; QUERY_STATE_NEXT brings the next page. It
forgets a query that was read to its end; one that was not is closed with QUERY_STATE_CLOSE, at the latest
when the transaction ends. Source: fabric `core/chaincode/handler.go` and `query_response_generator.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import chaincode_shim_pb2
from google.protobuf.message import DecodeError

from .errors import PeerError
from .stub import HistoryEntry

T = TypeVar("T")
Ask = Callable[[int, bytes], bytes]
"""Sends a request (its message type, its payload) and waits for the payload of the peer's RESPONSE."""

_Message = chaincode_shim_pb2.ChaincodeMessage


class PagedResults(Generic[T], Iterator[T]):
    """Iterates over a query's results, asking for the next page when one is used up."""

    def __init__(self, ask: Ask, first: chaincode_shim_pb2.QueryResponse, read: Callable[[bytes], T]) -> None:
        self._ask = ask
        self._read = read
        self._page = first
        self._position = 0

    @property
    def is_open(self) -> bool:
        """Whether the peer still holds this query."""
        return bool(self._page.has_more)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._position == len(self._page.results):
            if not self._page.has_more:
                raise StopIteration
            self._turn_page()
        result = self._page.results[self._position]
        self._position += 1
        return self._read(result.resultBytes)

    def close(self) -> None:
        """Tells the peer to forget the query; no result follows."""
        query, was_open = self._page.id, self.is_open
        self._page = chaincode_shim_pb2.QueryResponse()
        self._position = 0
        if was_open:
            request = chaincode_shim_pb2.QueryStateClose(id=query)
            self._ask(_Message.QUERY_STATE_CLOSE, request.SerializeToString())

    def _turn_page(self) -> None:
        request = chaincode_shim_pb2.QueryStateNext(id=self._page.id)
        page = read_page(self._ask(_Message.QUERY_STATE_NEXT, request.SerializeToString()))
        if not page.results and page.has_more:
            raise PeerError("the peer answered a query with an empty page and the promise of more")
        self._page, self._position = page, 0
        if not page.results:
            raise StopIteration


def read_page(payload: bytes) -> chaincode_shim_pb2.QueryResponse:
    """One page of results. Raises `PeerError` if it cannot be read."""
    try:
        return chaincode_shim_pb2.QueryResponse.FromString(payload)
    except DecodeError:
        raise PeerError(f"the peer answered a query with {len(payload)} unreadable bytes") from None


def read_bookmark(page: chaincode_shim_pb2.QueryResponse) -> str:
    """The bookmark beside a page, "" if none follows. Raises `PeerError` if it cannot be read."""
    try:
        bookmark: str = chaincode_shim_pb2.QueryResponseMetadata.FromString(page.metadata).bookmark
    except DecodeError:
        raise PeerError("the peer answered a query with an unreadable bookmark") from None
    return bookmark


def read_pair(result: bytes) -> tuple[str, bytes]:
    """A key and its value. Raises `PeerError` if they cannot be read."""
    try:
        pair = kv_query_result_pb2.KV.FromString(result)
    except DecodeError:
        raise PeerError(f"the peer answered a query with {len(result)} unreadable bytes") from None
    return pair.key, pair.value


def read_history_entry(result: bytes) -> HistoryEntry:
    """One change of a key. Raises `PeerError` if it cannot be read."""
    try:
        change = kv_query_result_pb2.KeyModification.FromString(result)
    except DecodeError:
        raise PeerError(f"the peer answered a history query with {len(result)} unreadable bytes") from None
    return HistoryEntry(
        transaction_id=change.tx_id,
        value=change.value,
        timestamp_ms=change.timestamp.seconds * 1000 + change.timestamp.nanos // 1_000_000,
        is_delete=change.is_delete,
    )
