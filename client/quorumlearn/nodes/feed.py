"""The ledger's state of each task, kept fresh by chaincode events: one reading serves all identities of a process.

Rules: the events only say that something changed; the truth is always read with blocks:View. A reader says which events it
waits for (nodes.triggers). Without events (a peer that is away) the view is read again every few seconds.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import TaskView
from quorumlearn_proto.event_pb2 import LedgerEvent

from quorumlearn.gateway import Checkpoint, GatewayError, MemoryCheckpointer, Network
from quorumlearn.nodes import metrics
from quorumlearn.nodes.market import Market

REREAD_SECONDS = 5.0
AWAY_SECONDS = 1.0
"""How often a peer that is away is asked, by whoever waits for it."""
KEPT_EVENTS = 1024
"""Who waits since longer ago is woken."""

Wakes = Callable[[Sequence[LedgerEvent]], bool]
"""Whether events, all since a mark, are worth looking at the ledger for."""


class TaskFeed:
    """The view of one task, shared by threads."""

    def __init__(self, task: str, market: Market, clock: Callable[[], float] = time.time) -> None:
        self.task = task
        self._market = market
        self._clock = clock
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._changes = 1
        self._events: deque[LedgerEvent] = deque(maxlen=KEPT_EVENTS)
        self._told = 0
        self._closed = False
        self._read_changes = 0
        self._read_at = 0.0
        self._view = TaskView()

    def notify(self, event: LedgerEvent) -> None:
        """An event told of a change of this task."""
        with self._changed:
            self._changes += 1
            self._told += 1
            self._events.append(event)
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def view(self) -> TaskView:
        """The state no older than the last event, read from the ledger at most once for all who ask."""
        with self._reading:
            with self._changed:
                changes = self._changes
            if changes != self._read_changes or self._stale():
                self._view = self._market.view(self.task)
                metrics.seen(self._view)
                self._read_changes = changes
                self._read_at = self._clock()
            return self._view

    @property
    def last(self) -> TaskView | None:
        """The state as it was last read; None before."""
        return self._view if self._read_changes else None

    def expire(self) -> None:
        """The next reading asks the ledger: after one's own transaction or a refusal."""
        with self._changed:
            self._changes += 1

    def mark(self) -> int:
        """A place to wait from: take it before reading the view."""
        with self._changed:
            return self._told

    def wait(self, mark: int, seconds: float, wakes: Wakes) -> None:
        """Until what happened since `mark` wakes the caller, the feed is closed, or `seconds` have passed."""

        def woken() -> bool:
            if self._closed or self._told - mark > KEPT_EVENTS:
                return True
            return self._told > mark and wakes(self._since(mark))

        with self._changed:
            self._changed.wait_for(woken, timeout=seconds)

    def since(self, mark: int) -> list[LedgerEvent]:
        """What happened since `mark`, as far as it is kept."""
        with self._changed:
            return self._since(mark)

    def _since(self, mark: int) -> list[LedgerEvent]:
        return list(islice(self._events, max(0, len(self._events) - (self._told - mark)), None))

    def _stale(self) -> bool:
        due = next_deadline(self._view)
        now = self._clock()
        return now - self._read_at > REREAD_SECONDS or (
            due is not None and self._read_at * 1000 <= due < now * 1000
        )


@dataclass(frozen=True)
class News:
    """What has happened since a view was read; without a feed nothing has, as far as anybody knows."""

    feed: TaskFeed | None = None
    mark: int = 0

    def __call__(self) -> Sequence[LedgerEvent]:
        return () if self.feed is None else self.feed.since(self.mark)

    def wait(self, seconds: float, until: Wakes) -> None:
        """For so long at most, until what has happened is what is waited for."""
        if self.feed is not None:
            self.feed.wait(self.mark, seconds, until)


no_news = News()


def listen(
    network: Network,
    chaincode: str,
    told: Callable[[LedgerEvent], None],
    lost: Callable[[GatewayError], None],
    stop: threading.Event,
) -> None:
    """Tell of each of the chaincode's events until `stop`; reconnects and resumes by itself, after saying what was `lost`.

    What is told while the peer is away is told when it is back. Closing the gateway ends the waiting.
    """
    place = MemoryCheckpointer()
    while not stop.is_set():
        try:
            if place.load() is None:
                place.save(Checkpoint(network.chain_info().height))
            with network.chaincode_events(chaincode, checkpoint=place) as events:
                for event in events:
                    told(canonical.from_json(LedgerEvent, event.payload))
                    place.save(event.checkpoint)
        except GatewayError as error:
            if not stop.is_set():
                lost(error)
                stop.wait(AWAY_SECONDS)


@contextmanager
def followed(network: Network, chaincode: str, task: str, market: Market) -> Iterator[TaskFeed]:
    """A feed of one task that the chaincode's events keep fresh while the block runs.

    Without events the ledger is read every few seconds; if the peer is away, that says so.
    """
    feed, stop = TaskFeed(task, market), threading.Event()

    def told(event: LedgerEvent) -> None:
        if event.task_id == task:
            feed.notify(event)

    def lost(error: GatewayError) -> None:
        """Told by the next reading, too."""

    listening = (network, chaincode, told, lost, stop)
    threading.Thread(target=listen, args=listening, name="events", daemon=True).start()
    try:
        yield feed
    finally:
        stop.set()
        feed.close()


def next_deadline(view: TaskView, after_ms: int = 0) -> int | None:
    """When the next phase falls to its outcome, in milliseconds since 1970; of those after `after_ms`."""
    deadlines = [view.round.deadline_ms, view.state.join_deadline_ms if not view.round.number else 0]
    deadlines += [ceremony.deadline_ms for ceremony in view.ceremonies]
    deadlines += [challenge.deadline_ms for challenge in view.challenges]
    return min((deadline for deadline in deadlines if deadline > after_ms), default=None)
