"""The first seat leaves the others a moment to act, so that its own part closes the step; the others leave nobody any."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import verifier
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.feed import News, TaskFeed
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import NOTHING, Along
from quorumlearn.nodes.verifier import Verifier
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent

SEATS = (1, 2, 3)


class Recorder:
    """A market that notes whether a beacon was said to close its step."""

    def __init__(self) -> None:
        self.pending: list[bool] = []

    def reveal_beacon(self, task: str, number: int, secret: bytes, along: Along = NOTHING) -> None:
        self.pending.append(along.pending)


def view_in_beacon() -> b.TaskView:
    """Three seats that have yet to reveal their parts of round 1's beacon."""
    spec = t.TaskSpec(
        task_id="task", ckks=record_of(ckks.Parameters.choose(300, seats=len(SEATS), threshold=2))
    )
    spec.committee.CopyFrom(t.Committee(msp_ids=[f"V{seat}" for seat in SEATS], threshold=2))
    view = b.TaskView(task=t.Task(spec=spec), state=t.TaskState(task_id="task", status=t.RUNNING, round=1))
    view.round.CopyFrom(b.Round(task_id="task", number=1, phase=b.BEACON, seats=SEATS))
    view.ceremonies.add(round=1, attempt=1, step=b.KEY_READY, seats=SEATS)
    for seat in SEATS:
        view.seats.add(seat=seat, verifier=f"V{seat}/v")
        view.contributions.add(round=1, attempt=1, seat=seat)
    return view


def seat(number: int, folder: Path, market: Recorder) -> Verifier:
    journal = Journal(folder / f"seat-{number}")
    journal.put("round-1/attempt-1/beacon", bytes(32))
    (folder / "store").mkdir(exist_ok=True)
    return Verifier(
        me=f"V{number}/v",
        msp_id=f"V{number}",
        market=market,  # type: ignore[arg-type]
        store=ArtifactStore((folder / "store").as_uri()),
        journal=journal,
        test_set=lambda: None,  # type: ignore[arg-type, return-value]
        position=lambda _: (0, 0),
        workers=ckks.Workers(0),
    )


def revealed(number: int) -> LedgerEvent:
    return LedgerEvent(
        kind="blocks:RevealBeacon", actor=f"V{number}/v", status=t.RUNNING, phase=b.BEACON, round=1
    )


def test_the_first_seat_closes_the_step_that_the_others_act_in_while_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "GATHER_SECONDS", 60)
    market, feed, view = Recorder(), TaskFeed("task", None), view_in_beacon()  # type: ignore[arg-type]
    news = News(feed, feed.mark())
    acting = threading.Thread(target=seat(1, tmp_path, market).act, args=(view, news))
    acting.start()
    feed.notify(revealed(3))
    assert market.pending == []  # seat 2 has yet to act
    feed.notify(revealed(2))
    acting.join(30)
    assert market.pending == [False]


def test_the_first_seat_waits_for_nobody_for_long_and_the_others_do_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "GATHER_SECONDS", 0.01)
    market, feed, view = Recorder(), TaskFeed("task", None), view_in_beacon()  # type: ignore[arg-type]
    seat(1, tmp_path, market).act(view, News(feed, feed.mark()))
    monkeypatch.setattr(verifier, "GATHER_SECONDS", 60)
    news = News(feed, feed.mark())
    seat(2, tmp_path, market).act(view, news)
    feed.notify(revealed(1))
    feed.notify(revealed(2))
    seat(3, tmp_path, market).act(view, news)
    assert market.pending == [True, True, False]


def test_the_first_seat_does_not_wait_once_the_task_has_moved_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "GATHER_SECONDS", 60)
    market, feed, view = Recorder(), TaskFeed("task", None), view_in_beacon()  # type: ignore[arg-type]
    news = News(feed, feed.mark())
    feed.notify(LedgerEvent(kind="blocks:Advance", status=t.RUNNING, phase=b.REVEAL, round=1, moved=True))
    seat(1, tmp_path, market).act(view, news)
    assert market.pending == [True]
