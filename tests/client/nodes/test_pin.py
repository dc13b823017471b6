"""A node works by the specification that it joined: it pins the digest, and does nothing while the ledger shows another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from quorumlearn.nodes.feed import News, TaskFeed
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.pin import AlteredTaskError, Pin
from quorumlearn.nodes.worker import Worker
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.derived import spec_digest
from quorumlearn_proto.event_pb2 import LedgerEvent
from structlog.testing import capture_logs


def shown(*, min_aggregate: int = 4, state_follows: bool = False) -> b.TaskView:
    """A task published with sums of four; `state_follows`: whoever changed the record changed the state's digest, too."""
    published, now = (t.TaskSpec(task_id="t", min_aggregate=count) for count in (4, min_aggregate))
    digest = spec_digest(now if state_follows else published)
    return b.TaskView(task=t.Task(spec=now), state=t.TaskState(task_id="t", spec_digest=digest))


@pytest.mark.parametrize("state_follows", [False, True])
def test_another_specification_than_the_pinned_one_is_refused_by_both_digests(
    tmp_path: Path, state_follows: bool
) -> None:
    Pin(Journal(tmp_path)).check(shown())
    again = Pin(Journal(tmp_path))  # a node that was started anew
    altered = shown(min_aggregate=1, state_follows=state_follows)
    with pytest.raises(AlteredTaskError) as caught:
        again.check(altered)
    for one in (shown(), altered):
        assert spec_digest(one.task.spec)[:16] in str(caught.value)
    again.check(shown())


def test_what_the_state_contradicts_is_not_pinned(tmp_path: Path) -> None:
    with pytest.raises(AlteredTaskError):
        Pin(Journal(tmp_path)).check(shown(min_aggregate=1))
    Pin(Journal(tmp_path)).check(shown())


class Ledger:
    """Shows one view after the other, then stops whoever looks."""

    def __init__(self, *views: b.TaskView) -> None:
        self.views = list(views)
        self.sent: list[str] = []
        self.stop = threading.Event()

    def evaluate(self, function: str, *args: str) -> bytes:
        if len(self.views) == 1:
            self.stop.set()
        return self.views.pop(0).SerializeToString()

    def submit(self, function: str, *args: str) -> bytes:
        self.sent.append(function)
        return b""


@dataclass
class Eager:
    """Acts whenever it is let."""

    advance_delay: float | None = 0.0
    next_look: float | None = None
    acted: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def act(self, view: b.TaskView, news: News) -> bool:
        self.acted.append(view.task.spec.min_aggregate)
        return True

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return True

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def finished(self, view: b.TaskView) -> bool:
        self.asked.append(view.task.spec.min_aggregate)
        return False


def test_a_node_does_nothing_in_an_altered_task_says_so_and_goes_on_when_it_is_right_again(
    tmp_path: Path,
) -> None:
    altered = shown(min_aggregate=1, state_follows=True)
    altered.can_advance = True
    ledger, role, journal = Ledger(shown(), altered, shown()), Eager(), Journal(tmp_path)
    journal.put("round-1/update", b"kept")
    market = Market(ledger)
    feed = TaskFeed("t", market)
    with capture_logs() as logs:
        Worker("V1/v", role, feed, market, ledger.stop, check=Pin(journal).check).run()
    assert role.acted == [4, 4]
    assert set(role.asked) == {4}
    assert not ledger.sent
    assert journal.get("round-1/update") == b"kept"
    (said,) = [one for one in logs if one["log_level"] == "error"]
    assert said["event"] == "does nothing in an altered task"
    assert spec_digest(altered.task.spec)[:16] in said["error"]
