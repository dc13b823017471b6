"""The feed: one reading for all who ask, none missed after a change, and the clock where nobody tells of changes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from quorumlearn.gateway import Checkpoint, EventsError, MemoryCheckpointer
from quorumlearn.nodes import feed as feed_module
from quorumlearn.nodes.feed import KEPT_EVENTS, REREAD_SECONDS, TaskFeed, listen, next_deadline
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.triggers import moved
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent

CHANGE = LedgerEvent(kind="blocks:Commit", phase=b.COMMIT)
MOVE = LedgerEvent(kind="blocks:Advance", phase=b.BEACON, moved=True)


class Ledger:
    """A contract that answers blocks:View with a view that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.deadline_ms = 0
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()

    def evaluate(self, function: str, *args: str) -> bytes:
        assert (function, args) == ("blocks:View", ("task", "binary"))
        self.asked += 1
        now = self.asked
        self.entered.set()
        assert self.open.wait(30)
        view = b.TaskView(round=b.Round(number=now, deadline_ms=self.deadline_ms), now_ms=now)
        return view.SerializeToString()

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError(f"the feed submitted {function}")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[TaskFeed, Ledger, Clock]:
    ledger, clock = Ledger(), Clock()
    return TaskFeed("task", Market(ledger), clock), ledger, clock


def test_many_readers_cause_one_reading() -> None:
    feed, ledger, _ = made()
    assert [feed.view().round.number for _ in range(5)] == [1] * 5
    assert ledger.asked == 1


def test_a_change_and_an_own_step_cause_one_more() -> None:
    feed, ledger, _ = made()
    feed.view()
    feed.notify(CHANGE)
    assert feed.view().round.number == 2
    feed.expire()
    assert feed.view().round.number == 3
    assert ledger.asked == 3


def test_a_change_during_a_reading_is_not_lost() -> None:
    feed, ledger, _ = made()
    ledger.open.clear()
    reader = threading.Thread(target=feed.view)
    reader.start()
    assert ledger.entered.wait(30)
    feed.notify(MOVE)  # after the ledger was asked, before its answer came
    ledger.open.set()
    reader.join(30)
    assert feed.view().round.number == 2


def test_without_events_the_view_is_read_again_after_a_while() -> None:
    feed, ledger, clock = made()
    feed.view()
    clock.now += REREAD_SECONDS
    feed.view()
    assert ledger.asked == 1
    clock.now += 0.001
    feed.view()
    assert ledger.asked == 2


def test_a_deadline_that_has_passed_is_seen_at_once() -> None:
    feed, ledger, clock = made()
    ledger.deadline_ms = 1_001_000
    feed.view()
    clock.now = 1001.0
    feed.view()
    assert ledger.asked == 1
    clock.now = 1001.001
    feed.view()
    assert ledger.asked == 2


def test_who_waits_is_woken_by_what_it_waits_for() -> None:
    feed, _, _ = made()
    mark = feed.mark()
    feed.notify(MOVE)
    feed.wait(mark, 30, moved)  # returns at once: the move was after the mark
    mark = feed.mark()
    woken = threading.Event()

    def waits() -> None:
        feed.wait(mark, 30, moved)
        woken.set()

    waiter = threading.Thread(target=waits)
    waiter.start()
    feed.notify(CHANGE)
    assert not woken.is_set()
    feed.notify(MOVE)
    assert woken.wait(30)
    waiter.join(30)


def test_who_waits_is_shown_all_since_its_mark_and_nothing_before() -> None:
    feed, _, _ = made()
    feed.notify(MOVE)
    mark = feed.mark()
    shown: list[list[str]] = []
    feed.notify(CHANGE)
    feed.notify(MOVE)
    feed.wait(mark, 30, lambda events: shown.append([one.kind for one in events]) or True)
    assert shown == [[CHANGE.kind, MOVE.kind]]


def test_who_has_slept_through_more_than_is_kept_is_woken() -> None:
    feed, _, _ = made()
    mark = feed.mark()
    for _ in range(KEPT_EVENTS + 1):
        feed.notify(CHANGE)
    feed.wait(mark, 30, lambda events: False)


def test_nobody_waits_for_a_closed_feed() -> None:
    feed, _, _ = made()
    feed.close()
    feed.wait(feed.mark(), 30, lambda events: False)


def test_a_wait_ends_by_itself() -> None:
    feed, _, _ = made()
    feed.wait(feed.mark(), 0.01, moved)


def test_who_listens_is_told_what_was_lost_and_hears_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "AWAY_SECONDS", 0.0)
    stop, heard, losses, places = threading.Event(), [], [], []
    change, move = (
        SimpleNamespace(payload=canonical.to_json(one), checkpoint=Checkpoint(block))
        for block, one in ((8, CHANGE), (9, MOVE))
    )

    def breaking() -> Iterator[SimpleNamespace]:
        yield change
        raise EventsError("the peer went")

    connections = [EventsError("the peer is away"), breaking(), [move]]

    class Channel:
        def chain_info(self) -> SimpleNamespace:
            return SimpleNamespace(height=7)

        def chaincode_events(self, chaincode: str, checkpoint: MemoryCheckpointer) -> object:
            assert chaincode == "market"
            places.append(checkpoint.load())
            found = connections.pop(0)
            if isinstance(found, EventsError):
                raise found
            return contextlib.nullcontext(found)

    def told(event: LedgerEvent) -> None:
        heard.append(event.kind)
        if event == MOVE:
            stop.set()

    listen(Channel(), "market", told, lambda error: losses.append(str(error)), stop)  # type: ignore[arg-type]
    assert heard == [CHANGE.kind, MOVE.kind]
    assert losses == ["the peer is away", "the peer went"]
    assert places == [Checkpoint(7), Checkpoint(7), Checkpoint(8)]  # nothing is missed in between


def test_the_next_deadline_is_the_earliest_of_what_is_open() -> None:
    view = b.TaskView(state=t.TaskState(join_deadline_ms=50))
    assert next_deadline(view) == 50
    view.round.number = 1  # begun: joining is over
    assert next_deadline(view) is None
    view.round.deadline_ms = 40
    view.ceremonies.add(deadline_ms=30)
    view.challenges.add(deadline_ms=35)
    view.challenges.add()
    assert next_deadline(view) == 30
