"""Data come in chunks of one size, which others read strictly; a sealed one opens at its place with its key alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.learning import Samples
from quorumlearn.replay import (
    SEALED_MORE,
    ChunkError,
    Place,
    SealError,
    check_manifest,
    chunks_of,
    from_bytes,
    joined,
    manifest_of,
    most_manifest_bytes,
    new_key,
    open_chunk,
    seal_chunk,
    tensors,
    to_bytes,
)
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import Recompute

DATA = Samples(np.arange(44, dtype=np.uint8).reshape(11, 2, 2), np.arange(11))


@given(st.integers(1, 11))
def test_each_chunk_has_as_many_samples_and_the_rest_is_left_out(size: int) -> None:
    chunks = list(chunks_of(DATA, size))
    assert [len(one) for one in chunks] == [size] * (11 // size)
    back = joined([from_bytes(to_bytes(one), size) for one in chunks])
    assert back.digest() == DATA.take(np.arange(11 // size * size)).digest()


def test_data_too_few_for_a_chunk_are_refused() -> None:
    for size in (0, 12):
        with pytest.raises(ChunkError, match=f"chunks of {size} samples from 11"):
            list(chunks_of(DATA, size))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"inputs": np.zeros((4, 2))}, "holds inputs, targets"),
        ({"inputs": np.zeros((4, 2)), "targets": np.zeros(4), "more": np.zeros(4)}, "holds inputs, targets"),
        ({"inputs": np.zeros((3, 2)), "targets": np.zeros(4)}, "has 4 samples"),
        ({"inputs": np.zeros((4, 2)), "targets": np.zeros(5)}, "has 4 samples"),
        ({"inputs": np.zeros((4, 2)), "targets": np.zeros(())}, "has 4 samples"),
    ],
)
def test_arrays_that_are_no_chunk_are_refused(arrays: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(ChunkError, match=said):
        from_bytes(tensors.to_bytes(arrays), 4)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_chunk_are_refused(data: bytes) -> None:
    with pytest.raises(ChunkError):
        from_bytes(data, 4)


def test_samples_that_cannot_be_stored_are_refused() -> None:
    for inputs in (np.array(["text"]), np.array([np.nan])):
        with pytest.raises(ChunkError, match="cannot be stored"):
            to_bytes(Samples(inputs, np.zeros(1)))


def test_chunks_that_do_not_go_together_are_refused() -> None:
    one = Samples(np.zeros((2, 3)), np.zeros(2))
    for other in (
        Samples(np.zeros((2, 4)), np.zeros(2)),
        Samples(np.zeros((2, 3), np.float32), np.zeros(2)),
        Samples(np.zeros((2, 3)), np.zeros(2, int)),
    ):
        with pytest.raises(ChunkError, match="chunk 1"):
            joined([one, other])
    with pytest.raises(ChunkError, match="one chunk at least"):
        joined([])


ASKED = Recompute(chunks=3, chunk_samples=5)
REFS = [ArtifactRef(digest=f"{number:064x}", size=100) for number in range(3)]


def test_a_list_of_chunks_is_what_the_task_says() -> None:
    manifest = manifest_of("mnist-cnn", 5, REFS)
    data = manifest.SerializeToString(deterministic=True)
    assert len(data) <= most_manifest_bytes(ASKED)
    assert check_manifest(data, ASKED, "mnist-cnn") == manifest
    with pytest.raises(ChunkError, match="workload"):
        check_manifest(data, ASKED, "mnist-mlp")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (manifest_of("w", 5, REFS[:2]), "number of chunks '2'"),
        (manifest_of("w", 4, REFS), "chunk_samples '4'"),
        (manifest_of("w", 5, REFS, 0), "version 0"),
        (manifest_of("w", 5, [*REFS[:2], ArtifactRef(digest="../x", size=3)]), "chunk 2 has digest"),
        (manifest_of("w", 5, [*REFS[:2], ArtifactRef(digest="0" * 64, size=1 << 40)]), "chunk 2 has digest"),
        (manifest_of("w", 5, [*REFS[:2], ArtifactRef(digest="0" * 64, size=-1)]), "chunk 2 has digest"),
    ],
)
def test_a_list_that_says_otherwise_is_refused(manifest, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ChunkError, match=said):
        check_manifest(manifest.SerializeToString(), ASKED, "w")


def test_bytes_that_are_no_list_are_refused() -> None:
    for data in (b"\xff", bytes(most_manifest_bytes(ASKED) + 1)):
        with pytest.raises(ChunkError):
            check_manifest(data, ASKED, "w")
    for refs in ([], REFS[:1] * 65_537):
        with pytest.raises(ChunkError, match="1 to 65536"):
            manifest_of("w", 5, refs)


PLACE = Place("w", 5, 2, 1)


def test_a_sealed_chunk_opens_with_its_key_at_its_place() -> None:
    key = new_key()
    sealed = seal_chunk(b"samples", key, PLACE)
    assert open_chunk(sealed, key, PLACE) == b"samples"
    assert len(sealed) == len(b"samples") + SEALED_MORE
    assert sealed != seal_chunk(b"samples", key, PLACE)
    assert Place.of(manifest_of("w", 5, REFS), 2) == PLACE


@pytest.mark.parametrize(
    "place", [Place("v", 5, 2, 1), Place("w", 4, 2, 1), Place("w", 5, 1, 1), Place("w", 5, 2, 2)]
)
def test_a_sealed_chunk_opens_nowhere_else(place: Place) -> None:
    key = new_key()
    with pytest.raises(SealError, match="does not open"):
        open_chunk(seal_chunk(b"samples", key, PLACE), key, place)


def test_an_altered_chunk_and_another_key_open_nothing() -> None:
    key = new_key()
    sealed = seal_chunk(b"samples", key, PLACE)
    for at in (0, 12, len(sealed) - 1):
        with pytest.raises(SealError, match="does not open"):
            open_chunk(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], key, PLACE)
    with pytest.raises(SealError, match="does not open"):
        open_chunk(sealed, new_key(), PLACE)
    with pytest.raises(SealError, match="27 bytes"):
        open_chunk(sealed[:27], key, PLACE)
    for wrong in (b"", key[:16]):
        with pytest.raises(SealError, match="32 bytes"):
            seal_chunk(b"", wrong, PLACE)
