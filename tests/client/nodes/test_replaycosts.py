"""What a replayed task takes of a node is said before it stakes: steps, replays, data, and whether its bytes are the seats'."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.nodes.replaycosts import what_it_takes
from quorumlearn.nodes.work import datasets
from quorumlearn.replay import ChunkError
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.client.nodes.sealed_data import CHUNKS, SAMPLES, DataSet

HERE = "ab" * 32


@pytest.fixture(autouse=True)
def profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "quorumlearn.nodes.work.exactness.profile_of",
        lambda spec: HERE if spec.recompute.exactness == t.PROFILE else "",
    )


def asked(data: DataSet, exactness: t.Exactness = t.PORTABLE, *, seats_read: bool = False) -> b.TaskView:
    view = data.view(seats_read=seats_read)
    recompute = view.task.spec.recompute
    recompute.chunk_steps, recompute.segment_steps, recompute.segments = 10, 2, 3
    recompute.exactness, recompute.replicas = exactness, 2
    return view


def test_of_public_data_it_says_steps_replays_and_what_is_there(tmp_path: Path) -> None:
    data = DataSet(tmp_path)
    assert list(what_it_takes(data.store, asked(data))) == [
        f"a miner trains 20 steps a round, on 2 of {CHUNKS} chunks of {SAMPLES} samples",
        "its training gives the same bytes on every processor, and this node can do it",
        "each training is replayed to 60.0% of its steps, over all seats; a seat replays 0.90 trainings a round",
        f"of its chunks {CHUNKS} of {CHUNKS} are in {data.store.shown}",
    ]
    data.store.delete(datasets.manifest_of_task(data.store, data.spec(), data.ref).chunks[4])
    assert list(what_it_takes(data.store, asked(data)))[-1].startswith(
        f"of its chunks {CHUNKS - 1} of {CHUNKS}"
    )


def test_of_sealed_data_it_says_who_confirms_and_who_gives_keys(tmp_path: Path) -> None:
    data = DataSet(tmp_path, sealed=True)
    said = list(what_it_takes(data.store, asked(data)))
    assert "no seat reads the data: 2 miners of a team confirm each other" in said
    assert said[-1].startswith("its data are sealed, and its owner gives keys each round; ")
    assert not any("a seat replays" in one for one in said)
    assert any("a seat replays" in one for one in what_it_takes(data.store, asked(data, seats_read=True)))


@pytest.mark.parametrize(
    ("sharing", "words"),
    [(1, "so nobody could confirm its training"), (2, "so its training can be confirmed")],
)
def test_it_counts_the_seats_with_this_nodes_numeric_profile(
    tmp_path: Path, sharing: int, words: str
) -> None:
    data = DataSet(tmp_path)
    view = asked(data, t.PROFILE)
    before = list(what_it_takes(data.store, view))[1]
    assert (
        before
        == "this node's numeric profile is abababababab; which seats share it is known once the task runs, and 2 have to"
    )
    view.ceremonies.add(round=1, seats=[1, 2])
    for part in view.contributions:
        part.profile = HERE if part.seat <= sharing else "cd" * 32
    said = list(what_it_takes(data.store, view))[1]
    assert (
        said
        == f"this node's numeric profile is abababababab: {sharing} of 2 seats share it, and replays take 2, {words}"
    )


def test_a_robust_task_takes_none_of_this(tmp_path: Path) -> None:
    view = b.TaskView(task=t.Task(spec=t.TaskSpec(mode=t.ROBUST)))
    assert not list(what_it_takes(DataSet(tmp_path).store, view))


def test_before_it_stakes_a_node_looks_whether_the_data_are_there(tmp_path: Path) -> None:
    data = DataSet(tmp_path)
    datasets.check_there(data.store, data.spec())
    listed = datasets.manifest_of_task(data.store, data.spec(), data.ref)
    data.store.delete(listed.chunks[3])
    with pytest.raises(ArtifactMissing):
        datasets.check_there(data.store, data.spec())
    listed.chunks[3].CopyFrom(data.store.put(b"none"))
    for number in range(CHUNKS):
        listed.chunks[number].CopyFrom(listed.chunks[3])
    data.ref = datasets.put_manifest(data.store, listed)
    with pytest.raises(ChunkError, match="not a chunk"):
        datasets.check_there(data.store, data.spec())
    data.store.delete(data.ref)
    with pytest.raises(ArtifactMissing):
        datasets.check_there(data.store, data.spec())


def test_sealed_chunks_may_have_been_replaced_since_the_task_was_published(tmp_path: Path) -> None:
    data = DataSet(tmp_path, sealed=True)
    for ref in datasets.manifest_of_task(data.store, data.spec(), data.ref).chunks:
        data.store.delete(ref)
    datasets.check_there(data.store, data.spec())
