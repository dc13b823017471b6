"""A node keeps what others could remove: its own artifacts are put back, others' updates are fetched when they are told of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from quorumlearn.artifacts import ArtifactStore, reference_of
from quorumlearn.nodes import keeping
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.keeping import Keeper
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent

from tests.client.nodes.committee import Committee, committee_of

MINER = "MinersMSP/miner1"


@pytest.fixture(scope="module")
def committee() -> Iterator[Committee]:
    made = committee_of(3, 2, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "parameters_of", lambda _: made.parameters)  # too small to be safe
        yield made


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(
        str(tmp_path / "store"), organisation="SeatMSP", create=True, copies=tmp_path / "copies"
    )


@contextmanager
def at_work(store: ArtifactStore) -> Iterator[Keeper]:
    keeper, stop = Keeper(store), threading.Event()
    thread = threading.Thread(target=keeper.run, args=(stop,))
    thread.start()
    try:
        yield keeper
    finally:
        stop.set()
        keeper.end()
        thread.join()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def seen(committee: Committee, phase: b.Phase, number: int = 1) -> b.TaskView:
    """What a seat sees of the task."""
    spec = t.TaskSpec(task_id="task", ckks=record_of(committee.parameters))
    spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
    return b.TaskView(task=t.Task(spec=spec), round=b.Round(number=number, phase=phase))


def revealed(*shown: bytes, number: int = 1) -> LedgerEvent:
    return LedgerEvent(
        kind="blocks:Reveal",
        task_id="task",
        round=number,
        actor=MINER,
        status=t.RUNNING,
        shown=[reference_of(one) for one in shown],
    )


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "copies").rglob("*") if path.is_file())


def test_a_seats_node_fetches_a_revealed_update_and_its_salts_however_short_they_are_in_the_store(
    committee: Committee, store: ArtifactStore, tmp_path: Path
) -> None:
    shown = committee.update(next(iter(committee.values.values()))), b"sealed salts"
    author = ArtifactStore(str(tmp_path / "store"), organisation="MinersMSP")
    with at_work(store) as keeper:
        keeper.seated(seen(committee, b.COMMIT))
        keeper.told(revealed(*shown))
        refs = [author.put(one) for one in shown]
        until(lambda: len(copies(tmp_path)) == len(refs))
        for ref, one in zip(refs, shown, strict=True):
            assert author.delete(ref)
            assert store.get(ref, ref.size) == one
        keeper.told(revealed(shown[0], number=2))
        until(lambda: copies(tmp_path) == [])


def test_a_node_that_heard_no_event_fetches_what_it_sees(
    committee: Committee, store: ArtifactStore, tmp_path: Path
) -> None:
    update = committee.update(next(iter(committee.values.values())))
    ref = ArtifactStore(str(tmp_path / "store"), organisation="MinersMSP").put(update)
    view = seen(committee, b.SCREEN)
    view.submissions.add(miner=MINER, manifest=b.Manifest(update=ref))
    view.submissions.add(miner="MinersMSP/miner2")
    with at_work(store) as keeper:
        keeper.seated(view)
        until(lambda: copies(tmp_path) == [ref.digest])


def test_what_was_opened_of_a_training_is_fetched_and_shown_again_until_the_next_round(
    committee: Committee, store: ArtifactStore, tmp_path: Path
) -> None:
    author = ArtifactStore(str(tmp_path / "store"), organisation="MinersMSP")
    ref = author.put(b"opened segments")
    view = seen(committee, b.TRACE)
    view.task.spec.mode = t.RECOMPUTE
    told = revealed(b"opened segments")
    told.kind = "blocks:OpenTrace"
    with at_work(store) as keeper:
        keeper.seated(view)
        keeper.told(told)
        until(lambda: copies(tmp_path) == [ref.digest])
        assert author.delete(ref)
        until(lambda: store.has(ref))
        assert store.delete(ref), "it stands below the name of the node that fetched it"
        until(lambda: store.has(ref))
        keeper.told(revealed(b"", number=2))
        until(lambda: copies(tmp_path) == [])


def test_only_what_a_seat_needs_is_fetched(
    committee: Committee, store: ArtifactStore, tmp_path: Path
) -> None:
    update = committee.update(next(iter(committee.values.values())))
    author = ArtifactStore(str(tmp_path / "store"), organisation="MinersMSP")
    refs = [author.put(update), author.put(update + b"too long")]
    with at_work(store) as keeper:
        keeper.told(revealed(update))
        keeper.seated(seen(committee, b.COMMIT))
        keeper.told(revealed(update + b"too long"))
        other = author.put(bytes(committee.parameters.update_bytes))
        keeper.told(revealed(bytes(committee.parameters.update_bytes)))
        until(lambda: bool(copies(tmp_path)))
    assert copies(tmp_path) == [other.digest]
    assert all(store.has(ref) for ref in refs)


def test_what_was_put_for_a_round_is_put_back_until_the_task_is_over(
    store: ArtifactStore, tmp_path: Path
) -> None:
    with at_work(store) as keeper:
        ref = store.put(b"shown", ("task", 3))
        for _ in range(2):
            assert store.delete(ref)
            until(lambda: store.has(ref))
        keeper.only(["task", "another"])
        assert copies(tmp_path) == [ref.digest]
        keeper.told(LedgerEvent(kind="blocks:VoteBlock", task_id="task", round=3, status=t.COMPLETED))
        assert copies(tmp_path) == []
        store.put(b"shown", ("task", 3))
        keeper.only(["another"])
        assert copies(tmp_path) == []
