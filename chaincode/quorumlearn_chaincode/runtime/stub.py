"""What a chaincode sees of one transaction: the interface that contracts are written against.

Rules, all Fabric's own:
- Reads see the committed state, never this transaction's own writes.
- Every call may raise `PeerError` (the peer refused it) or `PeerLostError` (the peer is gone). A contract
  lets both pass: the transaction then ends with status 500 and writes nothing.
- Calls are synchronous, one at a time; when `invoke` has returned, they are refused.
- A simple key is any non-empty string that does not begin with U+0000, which marks composite keys.
- One event a transaction: the last one set.

Source: fabric-chaincode-go, `shim/interfaces.go`; the names are its names in Python's spelling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Response:
    """What a transaction gives back. With a status of 400 or more nothing of the transaction is endorsed."""

    status: int = 200
    message: str = ""
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class ClientIdentity:
    """Who signed the transaction, by the X.509 certificate in its header; the peer checked the signature.

    `name` is the subject's only common name (the enrolment id), `attributes` are those of the extension
    1.2.3.4.5.6.7.8.1 of Fabric's CA, `organisational_units` the subject's OUs in their order. Times are in
    UTC.
    """

    msp_id: str
    name: str
    attributes: Mapping[str, str]
    organisational_units: tuple[str, ...]
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class HistoryEntry:
    """One committed change of a key: `value` is b"" if it was a deletion, the time is its transaction's."""

    transaction_id: str
    value: bytes = field(repr=False)
    timestamp_ms: int
    is_delete: bool


class ChaincodeStub(Protocol):
    """One transaction's arguments, its submitter, and the ledger as its peer shows it."""

    # The transaction
    @property
    def transaction_id(self) -> str: ...
    @property
    def channel_id(self) -> str: ...
    @property
    def timestamp_ms(self) -> int:
        """The time in the transaction's header, set by the client, in milliseconds since 1970."""
        ...

    @property
    def creator(self) -> bytes:
        """The submitter as a serialised `msp.SerializedIdentity`."""
        ...

    @property
    def client(self) -> ClientIdentity:
        """The submitter, read from `creator`. Raises `IdentityError`."""
        ...

    @property
    def transient(self) -> Mapping[str, bytes]:
        """Data for the endorsers only; it never reaches the ledger. Do not log it."""
        ...

    def args(self) -> list[bytes]:
        """All arguments, the function's name first."""
        ...

    def function_and_parameters(self) -> tuple[str, list[str]]:
        """The arguments as text, the name "" if there are none; not UTF-8 is an `InvalidArgumentError`."""
        ...

    # Keys
    def create_composite_key(self, object_type: str, attributes: Sequence[str]) -> str:
        """Raises `InvalidArgumentError` for an empty type, or for U+0000 or U+10FFFF in a part."""
        ...

    def split_composite_key(self, key: str) -> tuple[str, list[str]]:
        """The object type and the attributes. Raises `InvalidArgumentError` for any other key."""
        ...

    # State
    def get_state(self, key: str) -> bytes:
        """The committed value, b"" if there is none."""
        ...

    def get_multiple_states(self, keys: Sequence[str]) -> list[bytes]:
        """The values of all keys in their order, b"" where there is none; one round trip if the peer can."""
        ...

    def put_state(self, key: str, value: bytes) -> None:
        """Raises `InvalidArgumentError` for an empty value, which Fabric would take for a deletion."""
        ...

    def delete_state(self, key: str) -> None: ...

    def get_state_by_range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Simple keys from `start` (included) to `end` (excluded), in byte order; "" leaves a side open."""
        ...

    def get_state_by_range_with_pagination(
        self, start: str, end: str, page_size: int, bookmark: str
    ) -> tuple[list[tuple[str, bytes]], str]:
        """One page and the next one's bookmark, "" after the last. A transaction that pages may not write."""
        ...

    def get_state_by_partial_composite_key(
        self, object_type: str, attributes: Sequence[str]
    ) -> Iterator[tuple[str, bytes]]:
        """All composite keys that begin with these parts, the key of just these included."""
        ...

    def get_state_by_partial_composite_key_with_pagination(
        self, object_type: str, attributes: Sequence[str], page_size: int, bookmark: str
    ) -> tuple[list[tuple[str, bytes]], str]:
        """One page and the next one's bookmark, "" after the last. A transaction that pages may not write."""
        ...

    def get_query_result(self, query: str) -> Iterator[tuple[str, bytes]]:
        """A rich query; only a peer with CouchDB answers it, it is not checked again at commit."""
        ...

    def get_query_result_with_pagination(
        self, query: str, page_size: int, bookmark: str
    ) -> tuple[list[tuple[str, bytes]], str]: ...

    def get_history_for_key(self, key: str) -> Iterator[HistoryEntry]:
        """Every committed change of the key, newest first."""
        ...

    # Key-level endorsement
    def get_state_validation_parameter(self, key: str) -> bytes:
        """The key's endorsement policy, b"" if it has none of its own."""
        ...

    def set_state_validation_parameter(self, key: str, policy: bytes) -> None:
        """Sets the policy that the next write of this key must satisfy (see `endorsement`)."""
        ...

    # Private data
    def get_private_data(self, collection: str, key: str) -> bytes: ...
    def get_private_data_hash(self, collection: str, key: str) -> bytes: ...
    def put_private_data(self, collection: str, key: str, value: bytes) -> None: ...
    def delete_private_data(self, collection: str, key: str) -> None: ...
    def purge_private_data(self, collection: str, key: str) -> None:
        """Deletes the value and its history from every peer of the collection."""
        ...

    def get_private_data_by_range(
        self, collection: str, start: str, end: str
    ) -> Iterator[tuple[str, bytes]]: ...
    def get_private_data_by_partial_composite_key(
        self, collection: str, object_type: str, attributes: Sequence[str]
    ) -> Iterator[tuple[str, bytes]]: ...
    def get_private_data_query_result(self, collection: str, query: str) -> Iterator[tuple[str, bytes]]: ...
    def get_private_data_validation_parameter(self, collection: str, key: str) -> bytes: ...
    def set_private_data_validation_parameter(self, collection: str, key: str, policy: bytes) -> None: ...

    # Events and other chaincodes
    def set_event(self, name: str, payload: bytes) -> None:
        """The event that the transaction emits once it is committed as valid; `name` must not be empty."""
        ...

    def invoke_chaincode(self, name: str, args: Sequence[bytes], channel: str = "") -> Response:
        """Calls another chaincode in this transaction; on another channel it can only read."""
        ...


class Chaincode(Protocol):
    """What `serve` runs. Both functions run in worker threads, several at a time, and must allow that."""

    def init(self, stub: ChaincodeStub) -> Response:
        """Runs once if the chaincode was committed with init-required."""
        ...

    def invoke(self, stub: ChaincodeStub) -> Response:
        """Runs a transaction. Returns its response, or raises `ChaincodeError` to refuse it."""
        ...
