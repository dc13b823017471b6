"""The ledger's state of each task, kept fresh by chaincode events: one reading serves all identities of a process.

Rules: the events only say that something changed and are resumed from a checkpoint; the truth is always read with
blocks:View. A reader waits for a *move* (the task, its round or a ceremony went on) or, if it asks, for any change. Without
events (a peer that is away) the view is read again every few seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from quorumlearn_proto.block_pb2 import TaskView

from quorumlearn.nodes import metrics
from quorumlearn.nodes.market import Market

REREAD_SECONDS = 5.0

log = structlog.get_logger()


class TaskFeed:
    """The view of one task, shared by threads."""

    def __init__(self, task: str, market: Market, clock: Callable[[], float] = time.time) -> None:
        self.task = task
        self._market = market
        self._clock = clock
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._changes = 1
        self._moves = 1
        self._read_changes = 0
        self._read_at = 0.0
        self._view = TaskView()

    def notify(self, moved: bool) -> None:
        """An event told of a change of this task."""
        with self._changed:
            self._changes += 1
            self._moves += moved
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

    def expire(self) -> None:
        """The next reading asks the ledger: after one's own transaction or a refusal."""
        with self._changed:
            self._changes += 1

    def mark(self) -> tuple[int, int]:
        """A place to wait from: take it before reading the view."""
        with self._changed:
            return self._moves, self._changes

    def wait(self, mark: tuple[int, int], seconds: float, *, any_change: bool = False) -> None:
        """Until something moved since `mark` (or changed, if `any_change`), or `seconds` have passed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._changes != mark[1] if any_change else self._moves != mark[0], timeout=seconds
            )

    def _stale(self) -> bool:
        due = next_deadline(self._view)
        now = self._clock()
        return now - self._read_at > REREAD_SECONDS or (
            due is not None and self._read_at * 1000 <= due < now * 1000
        )


def next_deadline(view: TaskView, after_ms: int = 0) -> int | None:
    """When the next phase falls to its outcome, in milliseconds since 1970; of those after `after_ms`."""
    deadlines = [view.round.deadline_ms, view.state.join_deadline_ms if not view.round.number else 0]
    deadlines += [ceremony.deadline_ms for ceremony in view.ceremonies]
    deadlines += [challenge.deadline_ms for challenge in view.challenges]
    return min((deadline for deadline in deadlines if deadline > after_ms), default=None)
