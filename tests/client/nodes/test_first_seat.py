"""The first seat leaves the others a moment to act, so that its own part closes the step; the others leave nobody any."""

from __future__ import annotations

import threading
from pathlib import Path

from quorumlearn.nodes.feed import News, TaskFeed, Wakes
from quorumlearn.nodes.market import NO_OPTIONS, StepOptions
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent

from tests.client.nodes.seats import keys_of, verifier_in_seat, view_of_seats


class Recorder:
    """A market that notes whether a beacon, or a step of a key, was said to close its step."""

    def __init__(self) -> None:
        self.pending: list[bool] = []

    def reveal_beacon(self, task: str, number: int, secret: bytes, options: StepOptions = NO_OPTIONS) -> None:
        self.pending.append(options.pending)

    def key_step(self, function: str, ceremony: object, given: b.KeyContribution, pending: bool) -> None:
        self.pending.append(pending)


class WaitedFor(TaskFeed):
    """The others act as soon as somebody waits for them, and not before."""

    def __init__(self, acts: list[LedgerEvent]) -> None:
        super().__init__("task", None)  # type: ignore[arg-type]
        self.acts = acts

    def wait(self, mark: int, seconds: float, wakes: Wakes) -> None:
        for event in self.acts:
            self.notify(event)
        super().wait(mark, seconds, wakes)


class Patient:
    """A seat that waits a minute for the others, if it is one that waits; both of its threads act."""

    def __init__(self, number: int, folder: Path, market: Recorder, view: b.TaskView, news: News) -> None:
        rounds = verifier_in_seat(number, folder, market, gather_seconds=60)
        keys = keys_of(rounds)

        def act() -> None:
            rounds.act(view, news)
            keys.act(view, news)

        self._acting = threading.Thread(target=act, daemon=True)
        self._acting.start()

    def has_acted(self) -> bool:
        self._acting.join(30)
        return not self._acting.is_alive()


def revealed(number: int) -> LedgerEvent:
    return LedgerEvent(
        kind="blocks:RevealBeacon", actor=f"V{number}/v", status=t.RUNNING, phase=b.BEACON, round=1
    )


def test_the_first_seat_closes_the_step_that_the_others_act_in_while_it_waits(tmp_path: Path) -> None:
    market, feed, view = Recorder(), TaskFeed("task", None), view_of_seats(b.BEACON)  # type: ignore[arg-type]
    first = Patient(1, tmp_path, market, view, News(feed, feed.mark()))
    feed.notify(revealed(3))
    assert market.pending == []  # seat 2 has yet to act
    feed.notify(revealed(2))
    assert first.has_acted()
    assert market.pending == [False]


def test_the_first_seat_waits_for_nobody_for_long_and_the_others_do_not_wait(tmp_path: Path) -> None:
    market, feed, view = Recorder(), TaskFeed("task", None), view_of_seats(b.BEACON)  # type: ignore[arg-type]
    news = News(feed, feed.mark())
    verifier_in_seat(1, tmp_path, market, gather_seconds=0.01).act(view, news)
    assert Patient(2, tmp_path, market, view, news).has_acted()
    feed.notify(revealed(1))
    feed.notify(revealed(2))
    assert Patient(3, tmp_path, market, view, news).has_acted()
    assert market.pending == [True, True, False]


def test_the_first_seat_does_not_wait_once_the_task_has_moved_on(tmp_path: Path) -> None:
    market, feed, view = Recorder(), TaskFeed("task", None), view_of_seats(b.BEACON)  # type: ignore[arg-type]
    news = News(feed, feed.mark())
    feed.notify(LedgerEvent(kind="blocks:Advance", status=t.RUNNING, phase=b.REVEAL, round=1, moved=True))
    assert Patient(1, tmp_path, market, view, news).has_acted()
    assert market.pending == [True]


def test_the_first_seat_closes_the_steps_of_a_key_too_and_the_others_do_not_wait(tmp_path: Path) -> None:
    acts = [
        LedgerEvent(kind="blocks:CommitKey", actor=f"V{number}/v", status=t.RUNNING, round=1)
        for number in (2, 3)
    ]
    market, feed, view = Recorder(), WaitedFor(acts), view_of_seats(b.KEY)
    view.ceremonies[0].step = b.KEY_COMMIT
    del view.contributions[:]
    news = News(feed, feed.mark())
    assert Patient(2, tmp_path, market, view, news).has_acted()
    assert market.pending == [True]
    assert Patient(1, tmp_path, market, view, news).has_acted()
    assert market.pending == [True, False]
