"""The stub of one transaction: what its proposal says, and the ledger behind `PeerRequests`.

Implements `ChaincodeStub`; the docstrings are there. Source: fabric-chaincode-go, `shim/stub.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from fabric_protos.peer import chaincode_event_pb2

from .composite_keys import check_text, composite_key, composite_range, simple_range, split_composite_key
from .errors import InvalidArgumentError
from .identity import read_identity
from .proposal import Invocation
from .requests import Page, Pairs, PeerRequests
from .stub import ClientIdentity, HistoryEntry, Response


class Transaction:
    """Implements `ChaincodeStub`. `event` is the last event set, None without one."""

    def __init__(self, invocation: Invocation, requests: PeerRequests) -> None:
        self._invocation = invocation
        self._requests = requests
        self.event: chaincode_event_pb2.ChaincodeEvent | None = None

    # The transaction

    @property
    def transaction_id(self) -> str:
        return self._invocation.transaction_id

    @property
    def channel_id(self) -> str:
        return self._invocation.channel_id

    @property
    def timestamp_ms(self) -> int:
        return self._invocation.timestamp_ms

    @property
    def creator(self) -> bytes:
        return self._invocation.creator

    @cached_property
    def client(self) -> ClientIdentity:
        return read_identity(self._invocation.creator)

    @property
    def transient(self) -> Mapping[str, bytes]:
        return self._invocation.transient

    def args(self) -> list[bytes]:
        return list(self._invocation.args)

    def function_and_parameters(self) -> tuple[str, list[str]]:
        texts = []
        for position, arg in enumerate(self._invocation.args):
            try:
                texts.append(arg.decode())
            except UnicodeDecodeError:
                raise InvalidArgumentError(f"argument {position} is not UTF-8 text") from None
        return (texts[0], texts[1:]) if texts else ("", [])

    # Keys

    def create_composite_key(self, object_type: str, attributes: Sequence[str]) -> str:
        return composite_key(object_type, attributes)

    def split_composite_key(self, key: str) -> tuple[str, list[str]]:
        return split_composite_key(key)

    # State

    def get_state(self, key: str) -> bytes:
        return self._requests.get("", key)

    def get_multiple_states(self, keys: Sequence[str]) -> list[bytes]:
        return self._requests.get_many(keys)

    def put_state(self, key: str, value: bytes) -> None:
        self._requests.put("", key, value)

    def delete_state(self, key: str) -> None:
        self._requests.delete("", key)

    def get_state_by_range(self, start: str, end: str) -> Pairs:
        return self._requests.range("", simple_range(start, end))

    def get_state_by_range_with_pagination(self, start: str, end: str, page_size: int, bookmark: str) -> Page:
        return self._requests.range_page(simple_range(start, end), page_size, bookmark)

    def get_state_by_partial_composite_key(self, object_type: str, attributes: Sequence[str]) -> Pairs:
        return self._requests.range("", composite_range(object_type, attributes))

    def get_state_by_partial_composite_key_with_pagination(
        self, object_type: str, attributes: Sequence[str], page_size: int, bookmark: str
    ) -> Page:
        return self._requests.range_page(composite_range(object_type, attributes), page_size, bookmark)

    def get_query_result(self, query: str) -> Pairs:
        return self._requests.query("", query)

    def get_query_result_with_pagination(self, query: str, page_size: int, bookmark: str) -> Page:
        return self._requests.query_page(query, page_size, bookmark)

    def get_history_for_key(self, key: str) -> Iterator[HistoryEntry]:
        return self._requests.history(key)

    # Key-level endorsement

    def get_state_validation_parameter(self, key: str) -> bytes:
        return self._requests.get_policy("", key)

    def set_state_validation_parameter(self, key: str, policy: bytes) -> None:
        self._requests.set_policy("", key, policy)

    # Private data

    def get_private_data(self, collection: str, key: str) -> bytes:
        return self._requests.get(_named(collection), key)

    def get_private_data_hash(self, collection: str, key: str) -> bytes:
        return self._requests.get_hash(_named(collection), key)

    def put_private_data(self, collection: str, key: str, value: bytes) -> None:
        self._requests.put(_named(collection), key, value)

    def delete_private_data(self, collection: str, key: str) -> None:
        self._requests.delete(_named(collection), key)

    def purge_private_data(self, collection: str, key: str) -> None:
        self._requests.purge(_named(collection), key)

    def get_private_data_by_range(self, collection: str, start: str, end: str) -> Pairs:
        return self._requests.range(_named(collection), simple_range(start, end))

    def get_private_data_by_partial_composite_key(
        self, collection: str, object_type: str, attributes: Sequence[str]
    ) -> Pairs:
        return self._requests.range(_named(collection), composite_range(object_type, attributes))

    def get_private_data_query_result(self, collection: str, query: str) -> Pairs:
        return self._requests.query(_named(collection), query)

    def get_private_data_validation_parameter(self, collection: str, key: str) -> bytes:
        return self._requests.get_policy(_named(collection), key)

    def set_private_data_validation_parameter(self, collection: str, key: str, policy: bytes) -> None:
        self._requests.set_policy(_named(collection), key, policy)

    # Events and other chaincodes

    def set_event(self, name: str, payload: bytes) -> None:
        if not name:
            raise InvalidArgumentError("an event needs a name, and this one's is empty")
        self.event = chaincode_event_pb2.ChaincodeEvent(event_name=check_text(name), payload=payload)

    def invoke_chaincode(self, name: str, args: Sequence[bytes], channel: str = "") -> Response:
        return self._requests.invoke(f"{name}/{channel}" if channel else name, args)


def _named(collection: str) -> str:
    if not collection:
        raise InvalidArgumentError("private data needs the name of its collection, and this one is empty")
    return check_text(collection)
