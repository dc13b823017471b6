"""A node that cannot write says so, begins nothing new, and recovers by itself."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY
from quorumlearn.artifacts import ArtifactMissing, ArtifactStore, StoreUnavailable
from quorumlearn.learning import Samples
from quorumlearn.nodes import health as module
from quorumlearn.nodes import metrics
from quorumlearn.nodes import miner as miner_module
from quorumlearn.nodes.health import Health
from quorumlearn.nodes.journal import Journal, JournalError
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef
from structlog.testing import capture_logs

from tests.client.nodes.seats import WORKLOAD, Ledger, miner_in, verifier_in_seat, view_of_seats


@pytest.fixture
def health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Health:
    """It looks each time that it is asked."""
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    (tmp_path / "store").mkdir()
    return Health(Journal(tmp_path / "state"), ArtifactStore(str(tmp_path / "store")))


@contextmanager
def gone(folder: Path) -> Iterator[None]:
    """A file stands where the folder was: nobody can write there, root neither."""
    away = folder.with_name("away")
    folder.rename(away)
    folder.write_text("")
    yield
    folder.unlink()
    away.rename(folder)


def writable(where: str) -> float | None:
    return REGISTRY.get_sample_value("quorumlearn_writable", {"where": where})


@pytest.mark.parametrize(("where", "other"), [("state", "store"), ("store", "state")])
def test_what_cannot_be_written_is_said_once_and_gone_when_it_can(
    tmp_path: Path, health: Health, where: str, other: str
) -> None:
    assert health.may_begin()
    assert (writable(where), writable(other)) == (1, 1)
    with capture_logs() as logs:
        with gone(tmp_path / where):
            assert not health.may_begin()
            assert not health.may_begin()
            assert (writable(where), writable(other)) == (0, 1)
            (problem,) = health.problems
            assert str(tmp_path / where) in problem
        assert health.may_begin()
    assert [(one["event"], one["where"]) for one in logs] == [
        ("cannot write, begins nothing new", where),
        ("can write again", where),
    ]
    assert health.problems == []
    assert writable(where) == 1


def test_looking_leaves_nothing_behind(tmp_path: Path, health: Health) -> None:
    assert health.may_begin()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


class KeepingStore(ArtifactStore):
    """It takes artifacts and lets nobody remove one."""

    def delete(self, ref: ArtifactRef) -> bool:
        raise StoreUnavailable("access denied")


def test_a_store_in_which_nothing_may_be_removed_keeps_one_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    store = KeepingStore(str(tmp_path / "store"), create=True)
    health = Health(Journal(tmp_path / "state"), store)
    assert health.may_begin()
    assert health.may_begin()
    assert len([path for path in (tmp_path / "store").rglob("*") if path.is_file()]) == 1


def test_a_finding_counts_for_a_while(
    tmp_path: Path, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 60.0)
    assert health.may_begin()
    with gone(tmp_path / "store"):
        assert health.may_begin()


@pytest.mark.parametrize(
    ("error", "looks"),
    [
        (JournalError("no space left on device"), True),
        (StoreUnavailable("read-only file system"), True),
        (ArtifactMissing("a neighbour is late"), False),
        (RuntimeError("something else"), False),
    ],
)
def test_a_write_that_failed_is_looked_into_at_once(health: Health, error: Exception, looks: bool) -> None:
    health.doubt(error)
    assert health.doubted == looks


def test_the_watch_sees_a_store_that_comes_back(
    tmp_path: Path, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNWELL_SECONDS", 0.02)
    stop = threading.Event()
    watching = threading.Thread(target=health.watch, args=(stop,))
    with gone(tmp_path / "store"):
        watching.start()
        until(lambda: bool(health.problems))
    until(lambda: not health.problems)
    stop.set()
    health.end()
    watching.join(10)
    assert not watching.is_alive()


def until(holds: object) -> None:
    deadline = time.monotonic() + 30
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_health_is_served_beside_the_metrics(tmp_path: Path, health: Health) -> None:
    port = metrics.serve("127.0.0.1", 0, lambda: health.problems)
    address = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{address}/healthz", timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"well\n")
    with gone(tmp_path / "store"):
        health.may_begin()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{address}/healthz", timeout=10)
        assert caught.value.code == 503
        assert str(tmp_path / "store") in caught.value.read().decode()
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
        assert 'quorumlearn_writable{where="store"} 0.0' in answer.read().decode()


def test_a_miner_that_cannot_write_joins_nothing_and_commits_to_nothing(
    tmp_path: Path, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(miner_module, "check_playable", lambda *_, **__: None)
    ledger = Ledger()
    miner = miner_in(tmp_path / "miner", ledger, lambda _: Samples(np.zeros(0), np.zeros(0)))
    miner.may_begin = health.may_begin
    published = b.TaskView(
        task=t.Task(spec=t.TaskSpec(task_id="task", workload=WORKLOAD)), state=t.TaskState(status=t.PUBLISHED)
    )
    running = b.TaskView(
        task=t.Task(spec=t.TaskSpec(task_id="task", workload=WORKLOAD)),
        state=t.TaskState(status=t.RUNNING),
        round=b.Round(number=1, phase=b.COMMIT, miners=[miner.me]),
        miners=[miner.me],
    )
    miner.journal.put("round-1/manifest", b"{}")
    with gone(tmp_path / "store"):
        assert not miner.act(published)
        assert not miner.act(running)
        assert ledger.taken == []
    assert miner.act(published)
    assert miner.act(running)
    assert [one[0] for one in ledger.taken] == ["tasks:Join", "blocks:Commit"]


def test_a_verifier_that_cannot_write_takes_no_seat(tmp_path: Path, health: Health) -> None:
    ledger = Ledger()
    view = view_of_seats(b.COMMIT)
    del view.seats[0]
    view.state.status = t.PUBLISHED
    view.free_seats.append(1)
    seat = verifier_in_seat(1, tmp_path / "node", ledger)
    seat.may_begin = health.may_begin
    with gone(tmp_path / "store"):
        assert not seat.act(view)
    assert ledger.taken == []
