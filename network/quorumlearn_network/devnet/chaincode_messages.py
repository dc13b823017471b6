"""What a chaincode may ask its peer during a transaction, and the answers (core/chaincode/handler of Fabric).

Every request is answered by a RESPONSE or an ERROR whose text goes to the chaincode. Query results go in
batches of 100; a paged query answers its page with a bookmark. Private data is refused as Fabric refuses a
collection that the chaincode's definition does not have, with a word on why; rich queries as on LevelDB.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from fabric_protos.peer import chaincode_shim_pb2 as shim
from google.protobuf.message import DecodeError, Message

from quorumlearn_network.devnet.errors import SimulationError
from quorumlearn_network.devnet.simulator import HistoryIterator, RangeIterator, Simulator

BATCH = 100
_NO_COLLECTIONS = ": private data collections are not supported by the devnet"
TOTAL_QUERY_LIMIT = 100_000
MAX_WRITE_BATCH = 1000


@dataclass
class _Query:
    iterator: RangeIterator | HistoryIterator
    pending: list[bytes] = field(default_factory=list)
    total: int = 0


class TransactionLedger:
    """The ledger behind one transaction of one chaincode: the simulation and its open queries."""

    def __init__(self, simulator: Simulator, channel: str, namespace: str) -> None:
        self.simulator = simulator
        self.channel = channel
        self.namespace = namespace
        self._queries: dict[str, _Query] = {}

    def answer(self, message: shim.ChaincodeMessage) -> bytes:
        """The payload of the RESPONSE to a request. SimulationError is its refusal."""
        handler = self._HANDLERS.get(message.type)
        if handler is None:
            raise SimulationError(f"unknown message type {message.type}")
        kind, respond = handler
        try:
            request = kind.FromString(message.payload)
        except DecodeError as error:
            raise SimulationError(f"unmarshal failed: {error}") from error
        return respond(self, request)

    def _get(self, request: shim.GetState) -> bytes:
        self._public(request.collection)
        return self.simulator.get(self.namespace, request.key)

    def _get_multiple(self, request: shim.GetStateMultiple) -> bytes:
        self._public(request.collection)
        values = self.simulator.get_many(self.namespace, list(request.keys))
        return _bytes(shim.GetStateMultipleResult(values=values))

    def _put(self, request: shim.PutState) -> bytes:
        self._public(request.collection)
        self.simulator.put(self.namespace, request.key, request.value)
        return b""

    def _delete(self, request: shim.DelState) -> bytes:
        self._public(request.collection)
        self.simulator.put(self.namespace, request.key, b"")
        return b""

    def _get_metadata(self, request: shim.GetStateMetadata) -> bytes:
        self._public(request.collection)
        found = self.simulator.metadata(self.namespace, request.key)
        entries = [shim.StateMetadata(metakey=name, value=value) for name, value in sorted(found.items())]
        return _bytes(shim.StateMetadataResult(entries=entries))

    def _put_metadata(self, request: shim.PutStateMetadata) -> bytes:
        self._public(request.collection)
        metadata = request.metadata
        self.simulator.put_metadata(self.namespace, request.key, metadata.metakey, metadata.value)
        return b""

    def _write_batch(self, request: shim.WriteBatchState) -> bytes:
        kinds = shim.WriteRecord
        for record in request.rec:
            if record.type == kinds.PUT_STATE:
                self._put(shim.PutState(key=record.key, value=record.value, collection=record.collection))
            elif record.type == kinds.DEL_STATE:
                self._delete(shim.DelState(key=record.key, collection=record.collection))
            elif record.type == kinds.PUT_STATE_METADATA:
                self._put_metadata(
                    shim.PutStateMetadata(
                        key=record.key, collection=record.collection, metadata=record.metadata
                    )
                )
            elif record.type == kinds.PURGE_PRIVATE_DATA:
                self._purge(shim.PurgePrivateState(key=record.key, collection=record.collection))
            else:
                raise SimulationError("unknown operation type")
        return b""

    def _range(self, request: shim.GetStateByRange) -> bytes:
        self._public(request.collection)
        try:
            page = shim.QueryMetadata.FromString(request.metadata)
        except DecodeError as error:
            raise SimulationError(f"unmarshal failed: {error}") from error
        paged = page.pageSize != 0 or page.bookmark != ""
        if paged:
            start = page.bookmark or request.startKey
            iterator = self.simulator.scan_page(self.namespace, start, request.endKey, page.pageSize)
        else:
            iterator = self.simulator.scan(self.namespace, request.startKey, request.endKey)
        limit = min(page.pageSize, TOTAL_QUERY_LIMIT) if page.pageSize > 0 else TOTAL_QUERY_LIMIT
        return self._begin(iterator, paged, limit)

    def _history(self, request: shim.GetHistoryForKey) -> bytes:
        return self._begin(self.simulator.history(self.namespace, request.key), False, TOTAL_QUERY_LIMIT)

    def _next(self, request: shim.QueryStateNext) -> bytes:
        query = self._queries.get(request.id)
        if query is None:
            raise SimulationError("query iterator not found")
        return self._batch(request.id, query, False, TOTAL_QUERY_LIMIT)

    def _close(self, request: shim.QueryStateClose) -> bytes:
        self._queries.pop(request.id, None)
        return _bytes(shim.QueryResponse(has_more=False, id=request.id))

    def _rich_query(self, request: shim.GetQueryResult) -> bytes:
        self._public(request.collection)
        raise SimulationError("ExecuteQuery not supported for leveldb")

    def _private_hash(self, request: shim.GetState) -> bytes:
        raise SimulationError(
            f"collection [{request.collection}] not defined in the collection config for chaincode "
            f"[{self.namespace}]{_NO_COLLECTIONS}"
        )

    def _purge(self, request: shim.PurgePrivateState) -> bytes:
        if not request.collection:
            raise SimulationError("only applicable for private data")
        self._public(request.collection)
        return b""

    def _public(self, collection: str) -> None:
        if collection:
            place = f"{self.channel}/{self.namespace}/{collection}"
            raise SimulationError(f"collection {place} could not be found{_NO_COLLECTIONS}")

    def _begin(self, iterator: RangeIterator | HistoryIterator, paged: bool, limit: int) -> bytes:
        name = uuid.uuid4().hex
        self._queries[name] = _Query(iterator)
        return self._batch(name, self._queries[name], paged, limit)

    def _batch(self, name: str, query: _Query, paged: bool, limit: int) -> bytes:
        while query.total < limit:
            entry = query.iterator.next()
            if entry is None:
                break
            query.total += 1
            if not paged and len(query.pending) == BATCH:
                batch, query.pending = query.pending, [entry]
                return _bytes(shim.QueryResponse(results=_results(batch), has_more=True, id=name))
            query.pending.append(entry)
        del self._queries[name]
        response = shim.QueryResponse(results=_results(query.pending), has_more=False, id=name)
        if paged:
            response.metadata = shim.QueryResponseMetadata(
                fetched_records_count=query.total, bookmark=query.iterator.bookmark()
            ).SerializeToString()
        return _bytes(response)

    _HANDLERS: ClassVar[Mapping[int, tuple[type[Message], Callable[..., bytes]]]] = {
        shim.ChaincodeMessage.GET_STATE: (shim.GetState, _get),
        shim.ChaincodeMessage.GET_STATE_MULTIPLE: (shim.GetStateMultiple, _get_multiple),
        shim.ChaincodeMessage.PUT_STATE: (shim.PutState, _put),
        shim.ChaincodeMessage.DEL_STATE: (shim.DelState, _delete),
        shim.ChaincodeMessage.GET_STATE_METADATA: (shim.GetStateMetadata, _get_metadata),
        shim.ChaincodeMessage.PUT_STATE_METADATA: (shim.PutStateMetadata, _put_metadata),
        shim.ChaincodeMessage.WRITE_BATCH_STATE: (shim.WriteBatchState, _write_batch),
        shim.ChaincodeMessage.GET_STATE_BY_RANGE: (shim.GetStateByRange, _range),
        shim.ChaincodeMessage.GET_HISTORY_FOR_KEY: (shim.GetHistoryForKey, _history),
        shim.ChaincodeMessage.QUERY_STATE_NEXT: (shim.QueryStateNext, _next),
        shim.ChaincodeMessage.QUERY_STATE_CLOSE: (shim.QueryStateClose, _close),
        shim.ChaincodeMessage.GET_QUERY_RESULT: (shim.GetQueryResult, _rich_query),
        shim.ChaincodeMessage.GET_PRIVATE_DATA_HASH: (shim.GetState, _private_hash),
        shim.ChaincodeMessage.PURGE_PRIVATE_DATA: (shim.PurgePrivateState, _purge),
    }


def _results(batch: list[bytes]) -> list[shim.QueryResultBytes]:
    return [shim.QueryResultBytes(resultBytes=entry) for entry in batch]


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()
