"""The loop of one identity in one task: read, derive the next step, do it, again.

A refusal means that the ledger moved on or that the step is already done: the view is read anew. What may pass by itself, and what a
task has got wrong, which is no reason to leave other tasks alone, is in one table (`CURED_BY_WAITING`). It is tried again with growing
pauses, shorter ones again as the deadline comes near. Meanwhile what is due is advanced all the same. In a task whose specification is
not the one that was joined nothing is done (nodes.pin). Anything else (no memory, a fault of a driver or of ours) costs this identity
the step: it is logged with its type, message and place, counted, and tried again in the same way.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
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
from quorumlearn.nodes.committee.ceremony_part import KeptClosedError, LostSecretError
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.failures import counted
from quorumlearn.nodes.feed import AWAY_SECONDS, News, TaskFeed, next_deadline
from quorumlearn.nodes.journal import JournalError
from quorumlearn.nodes.market import Market, Refused
from quorumlearn.nodes.pin import AlteredTaskError
from quorumlearn.nodes.waiting import LongWait, place_of, waits_for
from quorumlearn.nodes.work.datakeys import DataKeysError
from quorumlearn.replay import ChunkError, TraceError
from quorumlearn.robust import RuleError

log = structlog.get_logger()

OF_ONE_STEP: Mapping[type[Exception], str] = {
    GatewayError: "the peer, its chaincode, enough endorsers and the orderers answer",
    ArtifactError: "the store answers, and has what another owes it",
    ExchangeError: "another's part is as the ledger says, or the step is over",
    CkksError: "the parts of others can be used, or the step is over",
    ChunkError: "the task's data can be used, or the round is over",
    TraceError: "the training repeats to the byte, or the round is over",
    DataKeysError: "the file of the owner's content keys can be used",
    KeptClosedError: "the ledger has gone on to another attempt at the key",
    LostSecretError: "the round is over: this seat sits it out",
}
"""Other steps of the same identity go on meanwhile."""
CURED_BY_WAITING: Mapping[type[Exception], str] = {
    **OF_ONE_STEP,
    JournalError: "the state folder can be read and written",
    WorkloadError: "the task is over: its workload cannot be had",
    ModelError: "the task is over: its model cannot be used",
    RuleError: "the task is over: its rule cannot be had",
}
"""What is foreseen, and until when it is tried again. Nothing between the gateway and the worker catches it to do so."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
SHORTEST_PAUSE = 0.1
AFTER_ACTING = 1.0
"""Seconds, beside its advance_delay, after which it looks at what became of its own step if no event tells."""
QUIET_REFUSALS = {"NOT_DUE", "WRONG_PHASE"}


class Role(Protocol):
    """What makes a worker a miner, a verifier or an owner."""

    @property
    def advance_delay(self) -> float | None:
        """Seconds it leaves others to advance the task before it does so itself; None: it never does."""
        ...

    @property
    def next_look(self) -> float | None:
        """When it is to look again although nothing has happened, in seconds since 1970; None: it does not say."""
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
    doubt: Callable[[BaseException], None] = lambda _: None
    """Told of every error: something may be amiss with the whole node (nodes.health)."""
    check: Callable[[TaskView], None] = lambda _: None
    """Raises if the task is none to act in (nodes.pin)."""

    def run(self) -> None:
        waits = LongWait()
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
                found = self.feed.view()
                self.check(found)
                view = found
                if self.role.finished(view):
                    return
                try:
                    acted = self.role.act(view, News(self.feed, mark))
                except Refused:
                    raise
                except (Exception, SystemExit):
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
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever one step of one identity dies of ends nothing else
                if self.stop.is_set():
                    return
                self._failed(error, pause)
                self.feed.expire()
                longest = AWAY_SECONDS if _unreachable(error) else LONGEST_PAUSE
            else:
                self._say_if_long(view, waits)
                done = acted or (view.can_advance and due_since is None)
                seconds = (
                    AFTER_ACTING + (self.role.advance_delay or 0.0) if done else self._until(view, due_since)
                )
                if self.role.next_look is not None:
                    seconds = min(seconds, max(SHORTEST_PAUSE, self.role.next_look - time.time()))
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

    def _say_if_long(self, view: TaskView, waits: LongWait) -> None:
        """Of the threads of an identity the one that may move the task on says what it waits for."""
        if self.role.advance_delay is None or (waited := waits.due(place_of(view))) is None:
            return
        log.info("waits", identity=self.me, task=self.feed.task, seconds=round(waited), what=waits_for(view))

    def _advance(self, view: TaskView, due_since: float | None) -> float | None:
        """Move what is due once this identity's advance_delay is over; returns since when something has been due."""
        advance_delay = self.role.advance_delay
        if not view.can_advance or advance_delay is None:
            return None
        now = time.monotonic()
        since = due_since if due_since is not None else now
        if now - since >= advance_delay:
            self.market.advance(self.feed.task)
            self.feed.expire()
            return None
        return since

    def _until(self, view: TaskView, due_since: float | None) -> float:
        advance_delay = self.role.advance_delay or 0.0
        if due_since is not None:
            return max(0.02, advance_delay - (time.monotonic() - due_since))
        deadline = next_deadline(view)
        if deadline is None:
            return LONGEST_PAUSE
        return min(max(deadline / 1000 - time.time() + advance_delay, SHORTEST_PAUSE), LONGEST_PAUSE)

    def _failed(self, error: BaseException, pause: float) -> None:
        """Count and say what is tried again after so many seconds; where it was, if it is none of what is foreseen."""
        self.doubt(error)
        metrics.RETRIES.labels(self.feed.task).inc()
        about = {"identity": self.me, "task": self.feed.task, "seconds": round(pause, 1)}
        until = next((until for kind, until in CURED_BY_WAITING.items() if isinstance(error, kind)), None)
        if isinstance(error, AlteredTaskError):
            log.error("does nothing in an altered task", **about, error=str(error))
        elif until is not None:
            log.warning("will try again", **about, until=until, error=str(error))
        else:
            log.error("failed, will try again", **about, **counted(self.feed.task, error))

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


def _unreachable(error: BaseException) -> bool:
    return isinstance(error, GatewayError) and error.unreachable


def pause_before(view: TaskView | None, pause: float) -> float:
    """Seconds to wait before a step is tried again: at most half of what is left until the next deadline."""
    now = time.time()
    deadline = next_deadline(view, int(now * 1000)) if view is not None else None
    return pause if deadline is None else min(pause, max(FIRST_PAUSE, (deadline / 1000 - now) / 2))
