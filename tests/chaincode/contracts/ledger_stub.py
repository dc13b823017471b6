"""An in-memory Fabric peer for contracts: the chaincode's stub, read-write sets, MVCC and phantom checks.

Rules, Fabric's: a transaction reads committed state only, never its own writes; every key read and every
range read is recorded with the versions seen; at commit a transaction whose reads have changed is
discarded; one that raised is never endorsed. `Peer.endorse` simulates, `Peer.commit` validates and writes,
`Peer.submit` does both. `Simulation.messages` counts what a peer that takes batches is asked: several keys in one
message, a range in another, all writes in one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from quorumlearn_chaincode.contracts import Market
from quorumlearn_chaincode.runtime import ClientIdentity, HistoryEntry, Response
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config

MAX_RUNE = "\U0010ffff"


class ConflictError(Exception):
    """A transaction that the peer marks invalid: MVCC_READ_CONFLICT or PHANTOM_READ_CONFLICT."""


@dataclass
class Simulation:
    """What endorsing a transaction gave."""

    transaction_id: str
    timestamp_ms: int
    response: Response = field(default_factory=Response)
    reads: dict[str, int] = field(default_factory=dict)
    ranges: list[tuple[str, str, tuple[tuple[str, int], ...]]] = field(default_factory=list)
    writes: dict[str, bytes] = field(default_factory=dict)
    policies: dict[str, bytes] = field(default_factory=dict)
    event: tuple[str, bytes] | None = None
    asked: list[str] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)
    paged: bool = False
    order: list[str] = field(default_factory=list)


class MemoryStub:
    """The part of the runtime's stub that the contracts may use; anything else is an AttributeError."""

    def __init__(
        self, peer: Peer, client: ClientIdentity, words: Sequence[str], simulation: Simulation
    ) -> None:
        self._peer, self._client, self._words, self._sim = peer, client, list(words), simulation

    @property
    def transaction_id(self) -> str:
        return self._sim.transaction_id

    @property
    def timestamp_ms(self) -> int:
        return self._sim.timestamp_ms

    @property
    def client(self) -> ClientIdentity:
        return self._client

    def function_and_parameters(self) -> tuple[str, list[str]]:
        return self._words[0], self._words[1:]

    def create_composite_key(self, object_type: str, attributes: Sequence[str]) -> str:
        for part in (object_type, *attributes):
            assert "\x00" not in part
            assert MAX_RUNE not in part
        return "\x00" + "".join(part + "\x00" for part in (object_type, *attributes))

    def get_state(self, key: str) -> bytes:
        self._sim.messages["GET_STATE"] += 1
        return self._get(key)

    def get_multiple_states(self, keys: Sequence[str]) -> list[bytes]:
        self._sim.messages["GET_STATE_MULTIPLE"] += 1
        return [self._get(key) for key in keys]

    def _get(self, key: str) -> bytes:
        self._sim.asked.append(key)
        self._sim.reads[key] = self._peer.version(key)
        return self._peer.value(key)

    def put_state(self, key: str, value: bytes) -> None:
        assert value
        self._sim.messages["WRITE_BATCH"] = 1
        self._sim.writes[key] = value
        self._sim.order.append(key)

    def delete_state(self, key: str) -> None:
        self._sim.messages["WRITE_BATCH"] = 1
        self._sim.writes[key] = b""
        self._sim.order.append(key)

    def set_state_validation_parameter(self, key: str, policy: bytes) -> None:
        self._sim.policies[key] = policy

    def set_event(self, name: str, payload: bytes) -> None:
        assert self._sim.event is None, "one event a transaction"
        self._sim.event = (name, payload)

    def get_state_by_partial_composite_key(
        self, object_type: str, attributes: Sequence[str]
    ) -> Iterator[tuple[str, bytes]]:
        self._sim.messages["GET_STATE_BY_RANGE"] += 1
        start = self.create_composite_key(object_type, attributes)
        keys = self._peer.keys(start, start + MAX_RUNE)
        self._sim.ranges.append(
            (start, start + MAX_RUNE, tuple((key, self._peer.version(key)) for key in keys))
        )
        return iter([(key, self._peer.value(key)) for key in keys])

    def get_state_by_partial_composite_key_with_pagination(
        self, object_type: str, attributes: Sequence[str], page_size: int, bookmark: str
    ) -> tuple[list[tuple[str, bytes]], str]:
        self._sim.messages["GET_STATE_BY_RANGE"] += 1
        self._sim.paged = True
        start = self.create_composite_key(object_type, attributes)
        keys = self._peer.keys(bookmark or start, start + MAX_RUNE)
        following = keys[page_size] if len(keys) > page_size else ""
        return [(key, self._peer.value(key)) for key in keys[:page_size]], following

    def get_history_for_key(self, key: str) -> Iterator[HistoryEntry]:
        return iter(reversed(self._peer.history.get(key, [])))


class Peer:
    """A channel's state, with a clock that tests set. Every member may be read."""

    def __init__(self) -> None:
        self.clock_ms = 1_700_000_000_000
        self.agreed = ""
        """The digest of the Config that the organisations start their chaincode for; of whichever is first asked for, if empty."""
        self.market = Market(clock_ms=lambda: self.clock_ms, config_digest=lambda: self.agreed)
        self.state: dict[str, tuple[bytes, int]] = {}
        self.policies: dict[str, bytes] = {}
        self.history: dict[str, list[HistoryEntry]] = {}
        self.events: list[tuple[str, bytes]] = []
        self.simulated = Simulation("", 0)
        """The last transaction, also if it was refused."""
        self._numbers = count(1)
        self._height = 0

    def version(self, key: str) -> int:
        return self.state.get(key, (b"", 0))[1]

    def value(self, key: str) -> bytes:
        return self.state.get(key, (b"", 0))[0]

    def keys(self, start: str, end: str) -> list[str]:
        return sorted(key for key in self.state if start <= key < end)

    def endorse(self, client: ClientIdentity, *words: str, timestamp_ms: int | None = None) -> Simulation:
        """Simulate a transaction. Raises what the chaincode raises; the state is untouched in any case."""
        if words[0] == "rewards:Initialise" and not self.agreed:
            with contextlib.suppress(canonical.CanonicalError, IndexError):
                self.agreed = canonical.digest(canonical.from_json(Config, words[1].encode()))
        when = self.clock_ms if timestamp_ms is None else timestamp_ms
        simulation = self.simulated = Simulation(f"{next(self._numbers):064x}", when)
        stub = MemoryStub(self, client, words, simulation)
        simulation.response = self.market.invoke(stub)  # type: ignore[arg-type]
        simulation.messages["COMPLETED"] = 1
        return simulation

    def commit(self, simulation: Simulation) -> Response:
        """Validate and write. Raises `ConflictError`."""
        for key, version in simulation.reads.items():
            if self.version(key) != version:
                raise ConflictError(f"MVCC_READ_CONFLICT {key!r}")
        for start, end, seen in simulation.ranges:
            if tuple((key, self.version(key)) for key in self.keys(start, end)) != seen:
                raise ConflictError(f"PHANTOM_READ_CONFLICT {start!r}")
        assert not (simulation.paged and simulation.writes), "a transaction that pages may not write"
        self._height += 1
        for key, value in simulation.writes.items():
            if value:
                self.state[key] = (value, self._height)
            else:
                del self.state[key]
            entry = HistoryEntry(simulation.transaction_id, value, simulation.timestamp_ms, not value)
            self.history.setdefault(key, []).append(entry)
        self.policies.update(simulation.policies)
        if simulation.event is not None:
            self.events.append(simulation.event)
        return simulation.response

    def submit(self, client: ClientIdentity, *words: str, timestamp_ms: int | None = None) -> Response:
        return self.commit(self.endorse(client, *words, timestamp_ms=timestamp_ms))

    def evaluate(self, client: ClientIdentity, *words: str) -> bytes:
        simulation = self.endorse(client, *words)
        assert not simulation.writes
        assert simulation.event is None
        return simulation.response.payload


def identity(
    account: str, *, role: str | None = None, units: tuple[str, ...] = ("client",)
) -> ClientIdentity:
    """A certificate's identity from `MSP/name`."""
    msp_id, _, name = account.partition("/")
    attributes: Mapping[str, str] = {} if role is None else {"quorumlearn.role": role}
    year = datetime(2020, 1, 1, tzinfo=UTC)
    return ClientIdentity(msp_id, name, attributes, units, year, year.replace(year=2060))
