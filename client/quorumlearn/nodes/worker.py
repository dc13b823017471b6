"""The loop of one identity in one task: read, derive the next step, do it, again.

A refusal means that the ledger moved on or that the step is already done: the view is read anew. What may pass by itself (a
peer or a store that is away, a neighbour's artifact that is late) is tried again with growing pauses, shorter ones again as the
deadline comes near, and so is what a task has got wrong (a model or a rule that is none): that is no reason to leave other tasks
alone. Meanwhile what is due is advanced all the same. Anything else is a fault of ours: it ends the worker with its traceback in
the log and the node with an error.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog
from quorumlearn_proto.block_pb2 import TaskView
from quorumlearn_proto.event_pb2 import LedgerEvent

from quorumlearn.artifacts import ArtifactError
from quorumlearn.ckks import CkksError
from quorumlearn.gateway import GatewayError
from quorumlearn.learning import ModelError, WorkloadError
from quorumlearn.nodes import metrics
from quorumlearn.nodes.ceremony import KeptClosedError, LostSecretError
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.feed import AWAY_SECONDS, News, TaskFeed, next_deadline
from quorumlearn.nodes.journal import JournalError
from quorumlearn.nodes.market import Market, Refused
from quorumlearn.robust import RuleError

log = structlog.get_logger()

TRANSIENT = (
    GatewayError,
    ArtifactError,
    ExchangeError,
    CkksError,
    LostSecretError,
    KeptClosedError,
    JournalError,
)
TASK_FAULTS = (WorkloadError, ModelError, RuleError)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
AFTER_ACTING = 1.0
"""Seconds, beside its patience, after which it looks at what became of its own step if no event tells."""
QUIET_REFUSALS = {"NOT_DUE", "WRONG_PHASE"}


class Role(Protocol):
    """What makes a worker a miner, a verifier or an owner."""

    @property
    def patience(self) -> float:
        """Seconds it leaves others to advance the task before it does so itself."""
        ...

    def act(self, view: TaskView, news: News) -> bool:
        """Do what is open to it now: True if it changed the ledger."""
        ...

    def wakes(self, view: TaskView, events: Sequence[LedgerEvent]) -> bool:
        """Whether what happened since the view was read may have something in it for this role."""
        ...

    def sees_due(self, view: TaskView, events: Sequence[LedgerEvent]) -> bool:
        """Whether it is for this role to move the task on, and these events say that it can be, without another look."""
        ...

    def finished(self, view: TaskView) -> bool:
        """Nothing is left to do in this task."""
        ...


@dataclass(frozen=True)
class Worker:
    """One identity in one task, to be run in a thread of its own."""

    me: str
    role: Role
    feed: TaskFeed
    market: Market
    stop: threading.Event

    def run(self) -> None:
        pause = FIRST_PAUSE
        due_since: float | None = None
        view: TaskView | None = None
        mark = self.feed.mark()
        while not self.stop.is_set():
            due = view is not None and self.role.sees_due(view, self.feed.since(mark))
            mark = self.feed.mark()
            try:
                if due:
                    self._close_step()
                view = self.feed.view()
                if self.role.finished(view):
                    return
                try:
                    acted = self.role.act(view, News(self.feed, mark))
                except (*TRANSIENT, *TASK_FAULTS):
                    due_since = self._advance(view, due_since)
                    raise
                if self.role.finished(view):
                    return
                if acted:
                    self.feed.expire()
                    pause, due_since = FIRST_PAUSE, None
                else:
                    due_since = self._advance(view, due_since)
            except Refused as refusal:
                self._refused(refusal)
                self.feed.expire()
                due_since = None
                longest = LONGEST_PAUSE
            except (*TRANSIENT, *TASK_FAULTS) as error:
                if self.stop.is_set():
                    return
                metrics.RETRIES.labels(self.feed.task).inc()
                log.warning(
                    "will try again",
                    identity=self.me,
                    task=self.feed.task,
                    seconds=round(pause, 1),
                    error=str(error),
                )
                self.feed.expire()
                longest = AWAY_SECONDS if _unreachable(error) else LONGEST_PAUSE
            else:
                done = acted or (view.can_advance and due_since is None)
                seconds = AFTER_ACTING + self.role.patience if done else self._until(view, due_since)
                self.feed.wait(mark, seconds, partial(self.role.wakes, view))
                continue
            self.stop.wait(pause_before(view, min(pause, longest) * random.uniform(0.5, 1.0)))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _close_step(self) -> None:
        """Move on what is complete. If that fails, it is due again later; the identity's own steps do not wait for it."""
        try:
            self.market.advance(self.feed.task)
        except GatewayError as error:
            log.warning("not advanced", identity=self.me, task=self.feed.task, error=str(error))
        self.feed.expire()

    def _advance(self, view: TaskView, due_since: float | None) -> float | None:
        """Move what is due once this identity's patience is over; returns since when something has been due."""
        if not view.can_advance:
            return None
        now = time.monotonic()
        since = due_since if due_since is not None else now
        if now - since >= self.role.patience:
            self.market.advance(self.feed.task)
            self.feed.expire()
            return None
        return since

    def _until(self, view: TaskView, due_since: float | None) -> float:
        if due_since is not None:
            return max(0.02, self.role.patience - (time.monotonic() - due_since))
        deadline = next_deadline(view)
        if deadline is None:
            return LONGEST_PAUSE
        return min(max(deadline / 1000 - time.time() + self.role.patience, 0.1), LONGEST_PAUSE)

    def _refused(self, refusal: Refused) -> None:
        if refusal.code not in QUIET_REFUSALS:
            log.warning(
                "refused",
                identity=self.me,
                task=self.feed.task,
                function=refusal.function,
                code=refusal.code,
                sentence=refusal.sentence,
            )


def _unreachable(error: Exception) -> bool:
    return isinstance(error, GatewayError) and error.unreachable


def pause_before(view: TaskView | None, pause: float) -> float:
    """Seconds to wait before a step is tried again: at most half of what is left until the next deadline."""
    now = time.time()
    deadline = next_deadline(view, int(now * 1000)) if view is not None else None
    return pause if deadline is None else min(pause, max(FIRST_PAUSE, (deadline / 1000 - now) / 2))
