"""One transaction's requests to its peer, and the rules that they follow.

- One request at a time (the peer drops a second one), also if a contract uses threads of its own.
- Where the peer takes batches (Fabric 3.1), writes wait for the end of the transaction and go in as few
  messages as it allows. A contract sees no difference, as reads never show a transaction's own writes. A
  transaction that fails sends none of them.
- A transaction that succeeds is completed: queries left open are closed, waiting writes sent. After its
  end, or when an answer did not come, every request is refused, so that no late answer is taken for
  another's.

Source: fabric-chaincode-go, `shim/handler.go` and `shim/batch.go`; fabric, `core/chaincode/handler.go`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2, proposal_response_pb2
from google.protobuf.message import DecodeError, Message

from .composite_keys import check_key, check_text
from .errors import InvalidArgumentError, PeerError, PeerLostError
from .queries import Ask, PagedResults, read_bookmark, read_history_entry, read_page, read_pair
from .stub import HistoryEntry, Response

VALIDATION_PARAMETER = "VALIDATION_PARAMETER"
BATCH_BYTES = 4 * 1024 * 1024
"""Waiting writes are sent once they hold this many bytes."""

_shim = chaincode_shim_pb2
_Message = chaincode_shim_pb2.ChaincodeMessage
_Record = chaincode_shim_pb2.WriteRecord
T = TypeVar("T")
Pairs = Iterator[tuple[str, bytes]]
Page = tuple[list[tuple[str, bytes]], str]
"""Keys with their values, and the bookmark of the next page, "" after the last."""


@dataclass(frozen=True)
class PeerOffer:
    """How many writes or reads the peer takes in one message, as announced in READY; 0 for one each."""

    writes: int = 0
    reads: int = 0


class PeerRequests:
    """Requests of one transaction over `ask`. A `collection` of "" means the public state."""

    def __init__(self, transaction_id: str, ask: Ask, offer: PeerOffer) -> None:
        self._transaction_id = transaction_id
        self._ask_peer = ask
        self._offer = offer
        self._turn = threading.Lock()
        self._finished = False
        self._waiting: list[chaincode_shim_pb2.WriteRecord] = []
        self._waiting_bytes = 0
        self._close_queries: list[Callable[[], None]] = []

    def complete(self) -> None:
        """Ends a transaction that succeeded: closes its queries, sends its writes. Raises `PeerError`."""
        for close in self._close_queries:
            close()
        self._flush()
        self.abandon()

    def abandon(self) -> None:
        """Ends the transaction as it is; the peer forgets what it holds for it."""
        self._finished = True

    def get(self, collection: str, key: str) -> bytes:
        """The committed value, b"" if there is none."""
        return self._ask(_Message.GET_STATE, _shim.GetState(key=check_key(key), collection=collection))

    def get_hash(self, collection: str, key: str) -> bytes:
        """The hash of a private value."""
        request = _shim.GetState(key=check_key(key), collection=collection)
        return self._ask(_Message.GET_PRIVATE_DATA_HASH, request)

    def get_many(self, wanted: Sequence[str]) -> list[bytes]:
        """The values of several keys, in as few messages as the peer allows."""
        size = self._offer.reads
        if not size:
            return [self.get("", key) for key in wanted]
        values: list[bytes] = []
        for start in range(0, len(wanted), size):
            values += self._get_batch(wanted[start : start + size])
        return values

    def put(self, collection: str, key: str, value: bytes) -> None:
        """Sets a value. Raises `InvalidArgumentError` for an empty one, which Fabric takes for a deletion."""
        if not value:
            raise InvalidArgumentError("an empty value would delete the key: write a byte, or delete it")
        self._write(_Record(type=_Record.PUT_STATE, key=check_key(key), value=value, collection=collection))

    def delete(self, collection: str, key: str) -> None:
        """Deletes a value."""
        self._write(_Record(type=_Record.DEL_STATE, key=check_key(key), collection=collection))

    def purge(self, collection: str, key: str) -> None:
        """Deletes a private value and its history."""
        self._write(_Record(type=_Record.PURGE_PRIVATE_DATA, key=check_key(key), collection=collection))

    def get_policy(self, collection: str, key: str) -> bytes:
        """The key's endorsement policy, b"" if it has none."""
        request = _shim.GetStateMetadata(key=check_key(key), collection=collection)
        result = _read(_shim.StateMetadataResult, self._ask(_Message.GET_STATE_METADATA, request))
        entries = {entry.metakey: bytes(entry.value) for entry in result.entries}
        return entries.get(VALIDATION_PARAMETER, b"")

    def set_policy(self, collection: str, key: str, policy: bytes) -> None:
        """Sets the key's endorsement policy."""
        metadata = _shim.StateMetadata(metakey=VALIDATION_PARAMETER, value=policy)
        kind = _Record.PUT_STATE_METADATA
        self._write(_Record(type=kind, key=check_key(key), collection=collection, metadata=metadata))

    def range(self, collection: str, bounds: tuple[str, str]) -> Pairs:
        """All pairs of a range."""
        request = _shim.GetStateByRange(startKey=bounds[0], endKey=bounds[1], collection=collection)
        return self._open(_Message.GET_STATE_BY_RANGE, request, read_pair)

    def range_page(self, bounds: tuple[str, str], page_size: int, bookmark: str) -> Page:
        """One page of a range. Raises `InvalidArgumentError` for a bookmark outside it."""
        start, end = bounds
        # The peer starts at the bookmark wherever it lies, so a foreign one would show foreign keys.
        if bookmark and not (start <= bookmark and (not end or bookmark < end)):
            raise InvalidArgumentError(
                "the bookmark lies outside the range: give the one that came with the page"
            )
        metadata = _page_request(page_size, bookmark)
        request = _shim.GetStateByRange(startKey=start, endKey=end, metadata=metadata)
        return self._read_page(_Message.GET_STATE_BY_RANGE, request)

    def query(self, collection: str, query: str) -> Pairs:
        """All pairs of a rich query."""
        request = _shim.GetQueryResult(query=check_text(query), collection=collection)
        return self._open(_Message.GET_QUERY_RESULT, request, read_pair)

    def query_page(self, query: str, page_size: int, bookmark: str) -> Page:
        """One page of a rich query; its bookmarks are the database's own."""
        request = _shim.GetQueryResult(query=check_text(query), metadata=_page_request(page_size, bookmark))
        return self._read_page(_Message.GET_QUERY_RESULT, request)

    def history(self, key: str) -> Iterator[HistoryEntry]:
        """Every change of a key."""
        request = _shim.GetHistoryForKey(key=check_key(key))
        return self._open(_Message.GET_HISTORY_FOR_KEY, request, read_history_entry)

    def invoke(self, name: str, args: Sequence[bytes]) -> Response:
        """Another chaincode's response. Raises `PeerError` if it could not be run."""
        target = chaincode_pb2.ChaincodeID(name=check_text(name))
        call = chaincode_pb2.ChaincodeInput(args=args)
        request = chaincode_pb2.ChaincodeSpec(chaincode_id=target, input=call)
        answer = _read(_Message, self._ask(_Message.INVOKE_CHAINCODE, request))
        if answer.type != _Message.COMPLETED:
            raise PeerError(f"chaincode {name} did not complete: {answer.payload.decode(errors='replace')}")
        response = _read(proposal_response_pb2.Response, answer.payload)
        return Response(response.status, response.message, response.payload)

    def _get_batch(self, batch: Sequence[str]) -> list[bytes]:
        request = _shim.GetStateMultiple(keys=[check_key(key) for key in batch])
        payload = self._ask(_Message.GET_STATE_MULTIPLE, request)
        values = list(_read(_shim.GetStateMultipleResult, payload).values)
        if len(values) != len(batch):
            raise PeerError(f"the peer answered with {len(values)} values for {len(batch)} keys")
        return values

    def _open(self, kind: int, request: Message, read: Callable[[bytes], T]) -> Iterator[T]:
        results = PagedResults(self._ask_bytes, read_page(self._ask(kind, request)), read)
        self._close_queries.append(results.close)
        return results

    def _read_page(self, kind: int, request: Message) -> Page:
        page = read_page(self._ask(kind, request))
        if page.has_more:
            raise PeerError("the peer answered a paginated query with more than one page")
        return [read_pair(result.resultBytes) for result in page.results], read_bookmark(page)

    def _write(self, record: chaincode_shim_pb2.WriteRecord) -> None:
        if not self._offer.writes:
            self._ask(*_single_write(record))
            return
        self._refuse_if_finished()
        self._waiting.append(record)
        self._waiting_bytes += record.ByteSize()
        if len(self._waiting) >= self._offer.writes or self._waiting_bytes >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._ask(_Message.WRITE_BATCH_STATE, _shim.WriteBatchState(rec=waiting))

    def _ask(self, kind: int, request: Message) -> bytes:
        return self._ask_bytes(kind, request.SerializeToString())

    def _ask_bytes(self, kind: int, payload: bytes) -> bytes:
        with self._turn:
            self._refuse_if_finished()
            try:
                return self._ask_peer(kind, payload)
            except PeerLostError:
                self._finished = True
                raise

    def _refuse_if_finished(self) -> None:
        if self._finished:
            raise PeerLostError(f"transaction {self._transaction_id[:8]} is over: its stub answers no more")


def _single_write(record: chaincode_shim_pb2.WriteRecord) -> tuple[int, Message]:
    """The request that a peer without batches takes for one write."""
    key, collection = record.key, record.collection
    if record.type == _Record.PUT_STATE:
        return _Message.PUT_STATE, _shim.PutState(key=key, value=record.value, collection=collection)
    if record.type == _Record.DEL_STATE:
        return _Message.DEL_STATE, _shim.DelState(key=key, collection=collection)
    if record.type == _Record.PURGE_PRIVATE_DATA:
        return _Message.PURGE_PRIVATE_DATA, _shim.PurgePrivateState(key=key, collection=collection)
    request = _shim.PutStateMetadata(key=key, collection=collection, metadata=record.metadata)
    return _Message.PUT_STATE_METADATA, request


def _page_request(page_size: int, bookmark: str) -> bytes:
    if not 1 <= page_size < 2**31:
        raise InvalidArgumentError(f"page size {page_size} is out of range: give one from 1 to {2**31 - 1}")
    request = _shim.QueryMetadata(pageSize=page_size, bookmark=check_text(bookmark))
    return bytes(request.SerializeToString())


M = TypeVar("M", bound=Message)


def _read(kind: type[M], payload: bytes) -> M:
    try:
        return kind.FromString(payload)
    except DecodeError:
        raise PeerError(f"the peer answered with {len(payload)} bytes that are no {kind.__name__}") from None
