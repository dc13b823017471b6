"""A team's chunks are read once from the store, checked, and kept; what is not as the task says is not trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from quorumlearn.artifacts import ArtifactCorrupt, ArtifactMissing
from quorumlearn.nodes.work import datasets
from quorumlearn.nodes.work.chunkcache import ChunkCache
from quorumlearn.nodes.work.chunks import ChunkReader
from quorumlearn.replay import ChunkError
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.client.nodes.sealed_data import CHUNKS, MINERS, TASK, DataSet, chunk

ME = MINERS[1]


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    return DataSet(tmp_path)


def counted(source: str) -> int:
    labels = {"task": TASK, "source": source}
    return int(REGISTRY.get_sample_value("quorumlearn_chunk_bytes_total", labels) or 0)


def read(reader: ChunkReader, view: b.TaskView, first: int | None = None) -> tuple[list[int], int, int]:
    """The targets that the miner gets, and how many bytes came from the store and from its disk."""
    team = next(one for one in view.round.teams if ME in one.miners)
    store, cache = counted("store"), counted("cache")
    targets = reader.samples(view, team, first).targets.tolist()
    return targets, counted("store") - store, counted("cache") - cache


def listed(data: DataSet) -> list[ArtifactRef]:
    return list(datasets.manifest_of_task(data.store, data.spec(), data.ref).chunks)


def test_a_miner_has_its_teams_chunks_in_the_teams_order_or_the_first_of_them(data: DataSet) -> None:
    view = data.view(teams={ME: [4, 0, 2]})
    assert read(data.reader(ME), view)[0] == [*chunk(4), *chunk(0), *chunk(2)]
    assert read(data.reader(ME), view, first=2)[0] == [*chunk(4), *chunk(0)]


def test_what_a_miner_had_in_the_round_before_is_not_fetched_again(data: DataSet) -> None:
    sizes, reader = [one.size for one in listed(data)], data.reader(ME)
    assert read(reader, data.view(1, teams={ME: [0, 1]})) == ([*chunk(0), *chunk(1)], sizes[0] + sizes[1], 0)
    assert read(reader, data.view(2, teams={ME: [1, 5]})) == ([*chunk(1), *chunk(5)], sizes[5], sizes[1])
    again = data.reader(ME)  # of the same node, started again
    assert read(again, data.view(3, teams={ME: [5, 0]})) == ([*chunk(5), *chunk(0)], 0, sizes[5] + sizes[0])


def test_the_disk_holds_no_more_than_it_may_and_loses_what_was_used_longest_ago(data: DataSet) -> None:
    refs = listed(data)
    folder = data.root / "kept"
    cache = ChunkCache(data.store, folder, most=3 * max(one.size for one in refs))
    for number in (0, 1, 2, 0, 3):
        cache.get(refs[number])
    assert [cache.has(one) for one in refs] == [True, False, True, True, False, False]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 3 * max(one.size for one in refs)
    none = ChunkCache(data.store, data.root / "none", most=0)
    assert none.get(refs[0]).from_store
    assert none.get(refs[0]).from_store


def test_a_kept_chunk_that_was_altered_is_fetched_anew(data: DataSet) -> None:
    ref, folder = listed(data)[0], data.root / "kept"
    cache = ChunkCache(data.store, folder, most=1 << 20)
    right = cache.get(ref).data
    (folder / ref.digest).write_bytes(bytes(len(right)))
    assert cache.get(ref).data == right
    assert not cache.get(ref).from_store, "and kept again"


def test_a_disk_that_keeps_nothing_costs_only_what_it_would_save(data: DataSet) -> None:
    (data.root / "kept").write_text("a file where a folder should be")
    cache = ChunkCache(data.store, data.root / "kept", most=1 << 20)
    assert [cache.get(one).from_store for one in listed(data)] == [True] * CHUNKS


def test_what_the_store_lacks_or_has_altered_is_an_error_of_the_store(data: DataSet) -> None:
    refs = listed(data)
    data.store.delete(refs[2])
    path = next((data.root / "store").rglob(refs[3].digest))
    path.write_bytes(bytes(refs[3].size))
    for number, error in ((2, ArtifactMissing), (3, ArtifactCorrupt)):
        with pytest.raises(error):
            read(data.reader(ME), data.view(teams={ME: [number]}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workload": "other"}, "workload 'other'"),
        ({"chunk_samples": 5}, "chunk_samples '5'"),
        ({"version": 0}, "version 0"),
    ],
)
def test_a_list_that_does_not_fit_the_task_is_not_trained_on(
    data: DataSet, change: dict[str, str | int], words: str
) -> None:
    other = datasets.manifest_of_task(data.store, data.spec(), data.ref)
    for name, value in change.items():
        setattr(other, name, value)
    data.ref = datasets.put_manifest(data.store, other)
    with pytest.raises(ChunkError, match=words):
        read(data.reader(ME), data.view())


def test_a_chunk_with_other_samples_than_the_task_says_is_not_trained_on(data: DataSet) -> None:
    other = datasets.manifest_of_task(data.store, data.spec(), data.ref)
    other.chunks[2].CopyFrom(data.store.put(b"no chunk at all"))
    data.ref = datasets.put_manifest(data.store, other)
    with pytest.raises(ChunkError, match="not a chunk"):
        read(data.reader(ME), data.view())


def test_a_seat_has_chunks_before_it_reads_them_and_fetches_them_once(data: DataSet) -> None:
    seat, view, sizes = data.reader("V1MSP/v"), data.view(), [one.size for one in listed(data)]
    team, before = view.round.teams[0], (counted("store"), counted("cache"))
    assert seat.have(view, team, first=1)
    assert counted("store") - before[0] == sizes[0]
    data.store.delete(listed(data)[0])
    assert not seat.have(view, team, first=1)
    assert seat.samples(view, team, first=1).targets.tolist() == chunk(0)
    assert (counted("store") - before[0], counted("cache") - before[1]) == (sizes[0], 0)
    data.store.delete(listed(data)[1])
    with pytest.raises(ArtifactMissing):
        seat.have(view, team)
