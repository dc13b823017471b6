"""What others leave in the store is read only as far as the task's own shapes go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactError, ArtifactStore, ArtifactTooLarge
from quorumlearn.artifacts.folder import Folder
from quorumlearn.nodes import candidate, exchange, models, rootset, screening, taskfile
from quorumlearn.nodes.committee.attempt import Attempt, Faulty
from quorumlearn.nodes.encryption import parameters_of, polynomial_bytes
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import PartialDecryption
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import TaskSpec

from tests.client.nodes.test_rootset import file_of

GIB = 1 << 30


@pytest.fixture(scope="module")
def spec() -> TaskSpec:
    one = ArtifactRef(digest="ab" * 32, size=1)
    return taskfile.spec_of(file_of(root="iid:0/2@7"), one, one)


READERS: dict[str, Callable[[ArtifactStore, TaskSpec, ArtifactRef], object]] = {
    "a model": models.load_public,
    "an update": lambda store, spec, ref: screening.fetch_update(
        store, parameters_of(spec), b.Submission(manifest=b.Manifest(update=ref))
    ),
    "a root set": lambda store, spec, ref: rootset.load(store, ref),
    "a partial decryption": lambda store, spec, ref: exchange.get(
        store, PartialDecryption, ref, polynomial_bytes(parameters_of(spec), parameters_of(spec).chunks)
    ),
    "a share of a key": lambda store, spec, ref: Attempt(
        parameters_of(spec), store, "task", 1, 1, {1: b.KeyContribution(public_share=ref)}
    ).public_share(1),
}


@pytest.mark.parametrize("what", READERS)
def test_what_is_far_too_long_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: TaskSpec, what: str
) -> None:
    store = ArtifactStore(str(tmp_path), create=True)
    ref = store.put(what.encode())
    place = next(tmp_path.rglob(ref.digest))
    with place.open("r+b") as file:
        file.truncate(GIB)
    monkeypatch.setattr(Folder, "read", lambda *_: pytest.fail(f"read {what}"))
    with pytest.raises((ArtifactTooLarge, ckks.MalformedCiphertext, Faulty)) as refused:
        READERS[what](store, spec, ArtifactRef(digest=ref.digest, size=GIB))
    assert str(GIB) in str(refused.value)
    with pytest.raises((ArtifactError, ckks.MalformedCiphertext, Faulty)):
        READERS[what](store, spec, ref)  # the ledger says it is short, and it is not


def test_no_model_of_a_task_is_longer_than_what_is_read(spec: TaskSpec) -> None:
    shapes = learning.public_shapes(models.workload_of(spec).shapes, spec.workload.public_blocks)
    public, _ = learning.split(models.workload_of(spec).initial_model(0), spec.workload.public_blocks)
    size = learning.size_of(shapes)
    assert len(learning.to_bytes(public)) <= learning.most_bytes(size) == 4 * size + learning.MOST_HEADER


def test_an_aggregate_has_the_length_that_the_parameters_give(tmp_path: Path, spec: TaskSpec) -> None:
    """The ledger names it by digest alone."""
    store = ArtifactStore(str(tmp_path), create=True)
    ref = store.put(b"sum")
    with next(tmp_path.rglob(ref.digest)).open("r+b") as file:
        file.truncate(GIB)
    with pytest.raises(ArtifactError, match=str(parameters_of(spec).update_bytes)):
        candidate.aggregate_of(store, parameters_of(spec), b.Round(aggregate_ciphertext=ref.digest))
