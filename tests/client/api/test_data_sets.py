"""A data set is cut into chunks that are alike, published, looked at, and sealed anew; the file that describes it makes a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import learning
from quorumlearn.api import data
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.config import ConfigError
from quorumlearn.nodes.recomputing import load_data
from quorumlearn.nodes.tasksettings import DataPart
from quorumlearn.nodes.work import datakeys, datasets
from quorumlearn.nodes.work.datakeys import DataKeysError
from quorumlearn.replay import MOST_CHUNK_BYTES, from_bytes

NAME = "chunked-clinic"
ROWS = 103
MODULE = f"""
from quorumlearn.learning import TorchWorkload, readers
from torch import nn

CLINIC = TorchWorkload({NAME!r}, lambda: nn.Linear(1, 2), load=readers.npz(test=None))
"""


@pytest.fixture(autouse=True)
def source(tmp_path: Path) -> str:
    """Rows sorted by class; each row is its own number."""
    (tmp_path / f"{NAME.replace('-', '_')}.py").write_text(MODULE)
    learning.register(NAME, f"{NAME.replace('-', '_')}:CLINIC", tmp_path)
    rows = np.arange(ROWS, dtype=np.float32)
    np.savez(tmp_path / "rows.npz", inputs=rows[:, None], targets=(rows > ROWS / 2).astype(np.int64))
    return str(tmp_path / "rows.npz")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), organisation="OwnerMSP", create=True)


def rows_of(store: ArtifactStore, published: DataPart) -> list[list[float]]:
    """Each chunk's rows."""
    manifest = data.manifest_in(store, published)
    chunks = [
        from_bytes(store.get(ref, MOST_CHUNK_BYTES), published.chunk_samples) for ref in manifest.chunks
    ]
    return [one.inputs[:, 0].tolist() for one in chunks]


def test_chunks_are_alike_and_hold_each_sample_once(source: str, store: ArtifactStore) -> None:
    made = data.cut(NAME, source, chunks=5)
    assert (made.chunks, made.chunk_samples, made.left_out) == (5, 20, 3)
    told: list[tuple[int, int]] = []
    published = data.publish(made, store, progress=lambda done, of: told.append((done, of)))
    rows = rows_of(store, published)
    assert told == [(number, 5) for number in range(1, 6)]
    assert len({row for chunk in rows for row in chunk}) == 100
    assert all(0 < sum(row > ROWS / 2 for row in chunk) < 20 for chunk in rows), "a chunk of one class"
    assert rows == rows_of(store, data.publish(data.cut(NAME, source, chunk_samples=20), store))
    other = data.publish(data.cut(NAME, source, chunks=5, seed=1), store)
    assert rows != rows_of(store, other)


def test_fewer_chunks_than_there_could_be_may_be_asked_for(source: str, store: ArtifactStore) -> None:
    made = data.cut(NAME, source, chunks=3, chunk_samples=10)
    assert (made.chunks, made.chunk_samples, made.left_out, len(made.samples)) == (3, 10, 73, 30)


def test_the_order_can_be_kept(source: str, store: ArtifactStore) -> None:
    published = data.publish(data.cut(NAME, source, chunks=4, seed=None), store)
    assert rows_of(store, published) == np.arange(100.0).reshape(4, 25).tolist()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "give the number of chunks, the samples of one, or both"),
        ({"chunks": 4, "chunk_samples": 26}, "103 samples cannot be cut into 4 chunks of 26"),
        ({"chunks": 0}, "103 samples cannot be cut"),
        ({"chunks": 104}, "103 samples cannot be cut into 104 chunks"),
        ({"chunk_samples": 104}, "103 samples cannot be cut into chunks of 104"),
    ],
)
def test_what_cannot_be_cut_is_said(source: str, asked: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        data.cut(NAME, source, **asked)  # type: ignore[arg-type]


def test_what_is_written_is_what_a_task_reads(source: str, store: ArtifactStore, tmp_path: Path) -> None:
    published = data.publish(data.cut(NAME, source, chunks=5), store)
    data.write(tmp_path / "clinic.yaml", published)
    assert load_data(tmp_path / "clinic.yaml") == published
    (tmp_path / "wrong.yaml").write_text("chunks: 5\nchunk: 3\n")
    with pytest.raises(ConfigError, match="there is no such key; did you mean chunks"):
        load_data(tmp_path / "wrong.yaml")


def test_a_chunk_that_is_missing_is_shown(source: str, store: ArtifactStore) -> None:
    published = data.publish(data.cut(NAME, source, chunks=5), store)
    assert data.show(published, store).missing == ()
    store.delete(data.manifest_in(store, published).chunks[3])
    held = data.show(published, store)
    assert (held.version, held.missing) == (1, (3,))


def test_sealed_chunks_are_sealed_anew_and_hold_the_same(
    source: str, store: ArtifactStore, tmp_path: Path
) -> None:
    keys = tmp_path / "clinic.keys"
    published = data.publish(data.cut(NAME, source, chunks=5), store, keys)
    before = datakeys.load(keys)
    plain = opened(store, published, keys)
    renewed = data.rotate(published, keys, store)
    after = datakeys.load(keys)
    assert (renewed.version, renewed.chunks) == (2, 5)
    assert not {one.key for one in before.chunks} & {one.key for one in after.chunks}
    assert opened(store, renewed.data, keys) == plain
    assert data.show(renewed.data, store).missing == ()
    assert after.of(datasets.reference_of_manifest(data.manifest_in(store, published))), (
        "a running task's is known"
    )


def test_who_is_revoked_has_its_chunks_sealed_anew_and_no_others(
    source: str, store: ArtifactStore, tmp_path: Path
) -> None:
    keys = tmp_path / "clinic.keys"
    published = data.publish(data.cut(NAME, source, chunks=3), store, keys)
    held = datakeys.load(keys)
    given = [
        held.chunks[0].given("task-1", 1, ["AMSP/a", "BMSP/b"]),
        held.chunks[1].given("task-1", 1, ["BMSP/b"]),
    ]
    datakeys.save(keys, held.renewed(held.manifest, [*given, held.chunks[2]]))
    renewed = data.revoke(published, keys, store, "AMSP/a")
    after = datakeys.load(keys)
    assert (renewed.chunks, after.revoked) == (1, {"AMSP/a"})
    assert [one.key == other.key for one, other in zip(held.chunks, after.chunks, strict=True)] == [
        False,
        True,
        True,
    ]


def test_a_file_of_keys_is_never_overwritten_nor_used_for_other_data(
    source: str, store: ArtifactStore, tmp_path: Path
) -> None:
    keys = tmp_path / "clinic.keys"
    made = data.cut(NAME, source, chunks=3)
    first = data.publish(made, store, keys)
    text = keys.read_bytes()
    with pytest.raises(DataKeysError, match="is there already"):
        data.publish(made, store, keys)
    other = data.publish(made, store, tmp_path / "other.keys")
    with pytest.raises(DataKeysError, match="does not hold the keys of the data set"):
        data.rotate(other, keys, store)
    assert keys.read_bytes() == text
    assert first != other


def opened(store: ArtifactStore, published: DataPart, keys: Path) -> list[bytes]:
    held = datakeys.load(keys)
    manifest = data.manifest_in(store, published, held.manifest)
    return [
        datasets.unsealed(store.get(ref, MOST_CHUNK_BYTES), held.chunks[number].key, manifest, number)
        for number, ref in enumerate(manifest.chunks)
    ]
