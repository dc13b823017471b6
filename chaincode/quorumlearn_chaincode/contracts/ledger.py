"""One transaction's unit of work: typed records over the stub.

Rules:
- A record is canonical JSON under a composite key; reading one that does not parse is an internal error.
- Every key and every range is read from the peer at most once; this transaction's own writes are laid over what
  was read, since Fabric shows neither a read nor a range its own transaction's writes.
- Asking the peer costs far more than what it answers, so records that are known to be needed are read together.
- Nothing is written before `flush`, which writes in the order of the keys, so that all endorsers write
  alike.
- A key's endorsement policy is set with its first write, and only then: a quorum of the verifier organisations' peers, whatever
  the record. No owner alone, or with fewer of them, changes what others rely on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from quorumlearn_proto import canonical
from quorumlearn_proto.page_pb2 import AccountEntry

from quorumlearn_chaincode.runtime import ChaincodeStub, OutOf, SignedBy, composite_key, policy_bytes

from .arguments import bad
from .tables import ACCOUNTS, CONFIG, M_co, Table, key_parts

M = TypeVar("M", bound=Message)
Place = tuple[Table[Any], *tuple[str | int, ...]]
"""Where a record is: its table and the attributes of its key."""
Last = str | int | tuple[str | int, ...]
"""How a key ends: its last attribute, or several."""

BY_KEY = 64
"""So many more keys in a message cost about what one more message costs."""


@dataclass(frozen=True)
class Possible(Generic[M_co]):
    """Records that there may be: whatever is in the table under these attributes ends with one of `last`."""

    table: Table[M_co]
    attributes: tuple[str | int, ...]
    last: Sequence[Last]

    def places(self) -> list[Place]:
        """Where they may be; none if they are too many to be asked for one by one."""
        if len(self.last) > BY_KEY:
            return []
        return [(self.table, *(*self.attributes, *_parts(last))) for last in self.last]


class Ledger:
    """Reads and buffered writes of one transaction. Records handed out are copies: only `put` changes any."""

    def __init__(self, stub: ChaincodeStub) -> None:
        self._stub = stub
        self._read: dict[str, bytes] = {}
        self._asked: set[str] = set()
        self._ranges: dict[str, list[str]] = {}
        self._written: dict[str, Message | None] = {}

    @property
    def asked(self) -> frozenset[str]:
        """The keys that were to be read one by one or together, not in ranges."""
        return frozenset(self._asked)

    def load(self, *places: Place, expected: Iterable[str] = ()) -> None:
        """Read several records at once, in one message where the peer takes it: whoever then gets them asks no more.

        `expected`: keys that are likely to be asked for later.
        """
        self._load((_key(place[0].name, *place[1:]) for place in places), expected)

    def get(self, table: Table[M], *attributes: str | int) -> M | None:
        """The record under these attributes, None if there is none."""
        key = _key(table.name, *attributes)
        if key in self._written:
            return _copied(table, self._written[key])
        value = self._committed(key)
        return _record(table, value) if value else None

    def put(self, table: Table[M], record: M, *attributes: str | int) -> None:
        """Write the record when the transaction ends."""
        self._written[_key(table.name, *attributes)] = _copy(table, record)

    def create(self, table: Table[M], record: M, *attributes: str | int) -> None:
        """As `put`, under a key that no other transaction can have written: so it is not looked for."""
        self._read.setdefault(_key(table.name, *attributes), b"")
        self.put(table, record, *attributes)

    def delete(self, table: Table[M], *attributes: str | int) -> None:
        """Remove the record when the transaction ends."""
        self._written[_key(table.name, *attributes)] = None

    def written(self, table: Table[M], *attributes: str | int) -> bool:
        """Whether this transaction has written the record."""
        return _key(table.name, *attributes) in self._written

    def scan(self, table: Table[M], *attributes: str | int) -> list[M]:
        """All records whose key begins with these attributes, in the keys' order, own writes included."""
        prefix = _key(table.name, *attributes)
        if prefix not in self._ranges:
            rows = dict(self._stub.get_state_by_partial_composite_key(table.name, key_parts(attributes)))
            self._read |= rows
            self._ranges[prefix] = list(rows)
        found = {key: _record(table, self._read[key]) for key in self._ranges[prefix]}
        for key, record in self._written.items():
            if key.startswith(prefix):
                found.pop(key, None)
                if record is not None:
                    found[key] = _copy(table, record)
        return [found[key] for key in sorted(found)]

    def among(self, table: Table[M], *attributes: str | int, last: Iterable[Last]) -> list[M]:
        """As `scan`, where the key ends with one of `last`: those that there are."""
        places = [(*attributes, *_parts(one)) for one in last]
        self._load(_key(table.name, *place) for place in places)
        found = {_key(table.name, *place): self.get(table, *place) for place in places}
        return [record for _, record in sorted(found.items()) if record is not None]

    def every(self, possible: Possible[M]) -> list[M]:
        """Those of them that there are, in the keys' order: a range where they are too many to be asked for by key."""
        if len(possible.last) > BY_KEY:
            return self.scan(possible.table, *possible.attributes)
        return self.among(possible.table, *possible.attributes, last=possible.last)

    def page(self, table: Table[M], size: int, start: str, *attributes: str | int) -> tuple[list[M], str]:
        """One page of committed records from the key `start`, and the next bookmark. Only for queries."""
        if start and not start.startswith(_key(table.name, *attributes)):
            raise bad("the bookmark belongs to another list: pass this list's last bookmark, or nothing")
        rows, following = self._stub.get_state_by_partial_composite_key_with_pagination(
            table.name, key_parts(attributes), size, start
        )
        return [_record(table, value) for _, value in rows], following.encode().hex()

    def history(self, account: str, limit: int) -> Iterator[AccountEntry]:
        """What an account was after each transaction that changed it, newest first."""
        entries = self._stub.get_history_for_key(_key(ACCOUNTS.name, account))
        for _, entry in zip(range(limit), entries, strict=False):
            yield AccountEntry(
                tx_id=entry.transaction_id,
                at_ms=entry.timestamp_ms,
                account=_record(ACCOUNTS, entry.value),
            )

    def flush(self) -> None:
        """Send every write to the peer."""
        config = self.get(CONFIG)
        if config is None:
            raise RuntimeError("a transaction without a Config has nothing to write")
        quorum = policy_bytes(
            OutOf(config.verifier_quorum, tuple(SignedBy(one) for one in sorted(config.verifier_msps)))
        )
        self._load(self._written)
        for key in sorted(self._written):
            record = self._written[key]
            if record is None:
                if self._committed(key):
                    self._stub.delete_state(key)
                continue
            if not self._committed(key):
                self._stub.set_state_validation_parameter(key, quorum)
            self._stub.put_state(key, canonical.to_json(record))

    def _load(self, keys: Iterable[str], expected: Iterable[str] = ()) -> None:
        named = set(keys)
        self._asked |= named
        wanted = sorted((named | set(expected)) - self._read.keys())
        if len(wanted) > 1:
            self._read.update(zip(wanted, self._stub.get_multiple_states(wanted), strict=True))

    def _committed(self, key: str) -> bytes:
        self._asked.add(key)
        if key not in self._read:
            self._read[key] = self._stub.get_state(key)
        return self._read[key]


@lru_cache(maxsize=8192)
def _key(table: str, *attributes: str | int) -> str:
    """The key of a record; the same few are asked for over and over."""
    return composite_key(table, key_parts(attributes))


@lru_cache(maxsize=512)
def _parsed(table: Table[Message], value: bytes) -> Message:
    """A committed record, shared by transactions and so only ever copied: most read the same few."""
    return canonical.from_json(table.kind, value)


def _record(table: Table[M], value: bytes) -> M:
    return _copy(table, _parsed(table, value))


def _copy(table: Table[M], record: Message) -> M:
    copy = table.kind()
    message: Message = copy
    message.CopyFrom(record)
    return copy


def _copied(table: Table[M], record: Message | None) -> M | None:
    return None if record is None else _copy(table, record)


def _parts(last: Last) -> tuple[str | int, ...]:
    return last if isinstance(last, tuple) else (last,)
