"""A worker goes on whatever a step dies of, and how long it waits: before it tries again, and before it moves on what others leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from prometheus_client import REGISTRY
from quorumlearn.gateway import CommitStatusError
from quorumlearn.nodes import worker as module
from quorumlearn.nodes.feed import News, TaskFeed, Wakes
from quorumlearn.nodes.journal import JournalError
from quorumlearn.nodes.market import Market, Refused
from quorumlearn.nodes.worker import FIRST_PAUSE, LONGEST_PAUSE, Worker, pause_before
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent
from structlog.testing import capture_logs


def in_seconds(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


def test_pauses_are_cut_short_before_a_deadline_and_not_after_it() -> None:
    assert pause_before(None, LONGEST_PAUSE) == LONGEST_PAUSE
    assert pause_before(b.TaskView(), LONGEST_PAUSE) == LONGEST_PAUSE
    near = b.TaskView(ceremonies=[b.Ceremony(deadline_ms=in_seconds(4))])
    assert FIRST_PAUSE <= pause_before(near, LONGEST_PAUSE) <= 2
    assert pause_before(near, FIRST_PAUSE) == FIRST_PAUSE
    near.round.deadline_ms = in_seconds(-10)
    assert pause_before(near, LONGEST_PAUSE) <= 2
    near.ceremonies[0].deadline_ms = in_seconds(0.1)
    assert pause_before(near, LONGEST_PAUSE) == FIRST_PAUSE
    near.ceremonies[0].deadline_ms = in_seconds(-1)
    assert pause_before(near, LONGEST_PAUSE) == LONGEST_PAUSE
    near.ceremonies[0].deadline_ms = in_seconds(3600)
    assert pause_before(near, LONGEST_PAUSE) == LONGEST_PAUSE


class Frozen:
    """A ledger whose orderers lose whatever they are sent. It stops a worker that has sent too much."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.stop = threading.Event()

    def evaluate(self, function: str, *args: str) -> bytes:
        return b.TaskView().SerializeToString()

    def submit(self, function: str, *args: str) -> bytes:
        self.sent.append(function)
        if len(self.sent) == 2:
            self.stop.set()
        raise CommitStatusError("waiting for the commit: Deadline Exceeded")


class Seat:
    """Is told at its first look of a step that is complete, and has one of its own to do at the second."""

    advance_delay: float | None = 0.0
    next_look: float | None = None

    def __init__(self, market: Market) -> None:
        self.market = market
        self.looks = 0

    def act(self, view: b.TaskView, news: News) -> bool:
        self.looks += 1
        if self.looks == 1:
            assert news.feed is not None
            news.feed.notify(LedgerEvent(kind="blocks:PostSketch"))
            return False
        self.market.join_committee("t")
        return True

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return True

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return True

    def finished(self, view: b.TaskView) -> bool:
        return False


def test_a_step_that_cannot_be_closed_does_not_hold_up_the_own_steps() -> None:
    """Each look at the ledger gets to what this identity has to do, whatever becomes of Advance."""
    ledger = Frozen()
    market = Market(ledger)
    Worker("V1/v", Seat(market), TaskFeed("t", market), market, ledger.stop).run()
    assert ledger.sent == ["blocks:Advance", "tasks:JoinCommittee"]


class Views:
    """A contract that answers every query with a running task."""

    def evaluate(self, function: str, *args: str) -> bytes:
        return b.TaskView(state=t.TaskState(status=t.RUNNING)).SerializeToString()

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)


class Failing:
    """A role that dies of these, one after the other, and is then finished."""

    advance_delay: float | None = 1.0
    next_look: float | None = None

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)

    def act(self, view: b.TaskView, news: News) -> bool:
        raise self.errors.pop(0)

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return True

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def finished(self, view: b.TaskView) -> bool:
        return not self.errors


def test_whatever_a_step_dies_of_is_logged_counted_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.001)
    market, doubted = Market(Views()), []  # type: ignore[var-annotated]
    unforeseen = (
        RuntimeError("CUDA error"),
        MemoryError("7 GiB"),
        KeyError("conv1"),
        SystemExit("no licence"),
    )
    errors = (*unforeseen, JournalError("no space"), Refused("blocks:Commit", "WRONG_PHASE", "too late"))
    work = Worker(
        "M/a", Failing(*errors), TaskFeed("died", market), market, threading.Event(), doubted.append
    )
    with capture_logs() as logs:
        work.run()
    failed = [one for one in logs if one["event"] == "failed, will try again"]
    assert [one["kind"] for one in failed] == ["RuntimeError", "MemoryError", "KeyError", "SystemExit"]
    assert [one["error"] for one in failed] == ["CUDA error", "7 GiB", "'conv1'", "no licence"]
    assert all("test_worker.py:" in one["at"] for one in failed)
    (foreseen,) = (one for one in logs if one["event"] == "will try again")
    assert (foreseen["error"], foreseen["until"]) == ("no space", "the state folder can be read and written")
    assert doubted == list(errors[:-1])
    for error in unforeseen:
        labels = {"task": "died", "kind": type(error).__name__}
        assert REGISTRY.get_sample_value("quorumlearn_failures_total", labels) == 1


class Clock:
    """In place of the worker's `time`: only waiting takes any."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    monotonic = time


class QuickFeed(TaskFeed):
    """Whoever waits is back at once, so much later, and reads the ledger anew."""

    def __init__(self, market: Market, clock: Clock) -> None:
        super().__init__("t", market, clock.time)
        self.clock = clock

    def wait(self, mark: int, seconds: float, wakes: Wakes) -> None:
        self.clock.now += seconds
        self.expire()


class QuickStop(threading.Event):
    """The same for the pauses after an error."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.now += timeout or 0.0
        return self.is_set()


class Due:
    """A ledger on which the task can be moved on at some times, and that takes note of when it was."""

    def __init__(self, clock: Clock, due: Callable[[float], bool]) -> None:
        self.clock, self.due = clock, due
        self.advanced: list[float] = []

    def evaluate(self, function: str, *args: str) -> bytes:
        return b.TaskView(
            state=t.TaskState(status=t.RUNNING), can_advance=self.due(self.clock.now)
        ).SerializeToString()

    def submit(self, function: str, *args: str) -> bytes:
        assert function == "blocks:Advance"
        self.advanced.append(self.clock.now)
        return b""


class Onlooker:
    """A role with nothing of its own to do, or that fails at it each time. It looks every so many seconds, until it has looked often."""

    def __init__(
        self, clock: Clock, advance_delay: float | None, *, looks: int, every: float, error: Exception | None
    ) -> None:
        self.clock, self.looks, self.every, self.error = clock, looks, every, error
        self.advance_delay = advance_delay

    @property
    def next_look(self) -> float | None:
        return self.clock.now + self.every

    def act(self, view: b.TaskView, news: News) -> bool:
        self.looks -= 1
        if self.error is not None:
            raise self.error
        return False

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return True

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def finished(self, view: b.TaskView) -> bool:
        return self.looks <= 0


def advances(
    monkeypatch: pytest.MonkeyPatch,
    advance_delay: float | None,
    due: Callable[[float], bool],
    *,
    looks: int,
    every: float = 1.0,
    error: Exception | None = None,
) -> list[float]:
    """When somebody of this advance_delay moves the task on, in seconds from its first look."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    ledger = Due(clock, due)
    market = Market(ledger)
    role = Onlooker(clock, advance_delay, looks=looks, every=every, error=error)
    failures: list[BaseException] = []
    Worker("V/v", role, QuickFeed(market, clock), market, QuickStop(clock), failures.append).run()
    assert set(failures) <= {error}
    return ledger.advanced


def always(_: float) -> bool:
    return True


def test_what_is_due_is_left_to_others_for_exactly_the_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advances(monkeypatch, 3.0, always, looks=5) == [3.0]
    assert advances(monkeypatch, 3.0, always, looks=3) == []
    assert advances(monkeypatch, 3.0, always, looks=3, every=60.0) == [3.0]


def test_without_a_delay_it_moves_on_at_once_and_never_where_that_is_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert advances(monkeypatch, 0.0, always, looks=2) == [0.0]
    assert advances(monkeypatch, None, always, looks=20) == []
    assert advances(monkeypatch, 0.0, lambda _: False, looks=20) == []


def test_the_delay_begins_anew_when_others_have_moved_the_task_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Due from 0 to 2, and then from 4."""
    assert advances(monkeypatch, 3.0, lambda now: not 2 <= now < 4, looks=9) == [7.0]


@pytest.mark.parametrize("error", [JournalError("no space"), RuntimeError("CUDA error")])
def test_what_is_due_is_moved_on_although_the_own_step_fails_each_time(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert advances(monkeypatch, 0.0, always, looks=2, error=error)[0] == 0.0
    (first, *_) = advances(monkeypatch, 3.0, always, looks=9, error=error)
    assert 3.0 <= first <= 3.0 + LONGEST_PAUSE
    assert advances(monkeypatch, None, always, looks=9, error=error) == []
