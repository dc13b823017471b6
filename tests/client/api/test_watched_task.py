"""Watching from Python: it ends with the task, by its timeout, or by Ctrl-C, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from quorumlearn.api import Task, WatchTimeout
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.feed import TaskFeed
from quorumlearn.nodes.market import Market
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t


class Contract:
    """A ledger with one task, of which rounds end one by one each time that its view is read."""

    def __init__(self, rounds: int, ends: bool) -> None:
        self.number, self.rounds, self.ends = 0, rounds, ends

    def evaluate(self, function: str, *args: str) -> bytes:
        if function == "blocks:RoundView":
            return _view(int(args[1]), b.ENDED, t.RUNNING).SerializeToString()
        assert function == "blocks:View"
        self.number = min(self.number + 1, self.rounds)
        over = self.ends and self.number == self.rounds
        return _view(
            self.number, b.ENDED if over else b.COMMIT, t.COMPLETED if over else t.RUNNING
        ).SerializeToString()

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError("watching changes nothing")


class Ledger:
    """A connection to that ledger, whose events are lost: the feed reads again whenever it is asked."""

    channel, genesis = "quorumlearn", "0" * 64

    def __init__(self, contract: Contract, feed: type[TaskFeed] = TaskFeed) -> None:
        self.contracts = Market(contract)
        self.open = 0
        self._feed = feed

    @property
    def store(self) -> ArtifactStore:
        raise AssertionError("watching reads no artifacts")

    @contextmanager
    def followed(self, task: str) -> Iterator[tuple[Market, TaskFeed]]:
        self.open += 1
        times = iter(range(0, 10**9, 10))  # each look is seconds after the one before
        try:
            yield self.contracts, self._feed(task, self.contracts, lambda: float(next(times)))
        finally:
            self.open -= 1


def _view(number: int, phase: b.Phase, status: t.TaskStatus) -> b.TaskView:
    state = t.TaskState(task_id="task", status=status, round=number)
    round_ = b.Round(task_id="task", number=number, phase=phase)
    if phase == b.ENDED:
        round_.outcome, round_.reason = b.ABORTED, "NO_SELECTION"
    return b.TaskView(task=t.Task(spec=t.TaskSpec(task_id="task", rounds=9)), state=state, round=round_)


def test_each_round_is_given_once_and_the_last_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorumlearn.api.watching.REREAD_SECONDS", 0.0)
    ledger = Ledger(Contract(4, ends=True))
    rounds = list(Task("task", ledger).watch())
    assert [one.number for one in rounds] == [1, 2, 3, 4]
    assert {one.outcome for one in rounds} == {"ABORTED"}
    assert rounds[0].reason.startswith("NO_SELECTION: ")
    assert rounds[0].block is None
    assert [one.number for one in Task("task", Ledger(Contract(4, ends=True))).watch(after=2)] == [3, 4]
    assert ledger.open == 0


def test_a_watch_that_hears_of_no_round_for_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorumlearn.api.watching.REREAD_SECONDS", 0.0)
    ledger = Ledger(Contract(3, ends=False))
    given = []
    with pytest.raises(WatchTimeout, match=r"no round of task has ended in 0\.05 s; it still goes on"):
        for one in Task("task", ledger).watch(timeout=0.05):
            given.append(one.number)
    assert given == [1, 2]
    assert ledger.open == 0


def test_ctrl_c_only_ends_the_watching() -> None:
    class Interrupted(TaskFeed):
        def wait(self, *_: object) -> None:
            raise KeyboardInterrupt

    ledger = Ledger(Contract(3, ends=False), Interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(Task("task", ledger).watch())
    assert ledger.open == 0


def test_who_leaves_the_loop_has_left_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorumlearn.api.watching.REREAD_SECONDS", 0.0)
    ledger = Ledger(Contract(4, ends=True))
    watch = Task("task", ledger).watch()
    assert next(iter(watch)).number == 1
    assert ledger.open == 1
    watch.close()  # type: ignore[attr-defined]  # as a loop that is left does
    assert ledger.open == 0
