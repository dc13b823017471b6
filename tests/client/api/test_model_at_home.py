"""A model comes home only if the block, its digest and the store's bytes agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn.api import ModelRefused, PublicModel
from quorumlearn.api.model import bring_home
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.learning import to_bytes
from quorumlearn.nodes.market import Market
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.page_pb2 import TaskSummary
from safetensors import safe_open

MODEL = {"top.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


class Contract:
    """A peer that tells what it likes of one task and its block 1."""

    def __init__(self, ref: ArtifactRef) -> None:
        spec = t.TaskSpec(task_id="task", initial_model=ref, workload=t.Workload(name="w", version="3"))
        spec.ckks.update_size = 6
        self.summary = TaskSummary(task=t.Task(spec=spec), state=t.TaskState(task_id="task"))
        self.summary.state.head.height = 1
        self.block = b.Block(
            core=b.BlockCore(task_id="task", height=1, round=1, model=ref), status=b.GOOD_BLOCK
        )
        self.block.digest = canonical.digest(self.block.core)

    def evaluate(self, function: str, *args: str) -> bytes:
        return (self.summary if function == "tasks:Get" else self.block).SerializeToString()

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError("to have a model changes nothing")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), create=True)


def home(contract: Contract, store: ArtifactStore, height: int | None = None) -> PublicModel:
    return bring_home(Market(contract), store, "task", channel="c", genesis="00", height=height)


def test_it_is_the_blocks_with_all_that_says_where_it_is_from(store: ArtifactStore) -> None:
    contract = Contract(store.put(to_bytes(MODEL)))
    found = home(contract, store)
    np.testing.assert_array_equal(found.tensors["top.weight"], MODEL["top.weight"])
    origin = found.provenance
    assert (origin.task, origin.height, origin.block) == ("task", 1, contract.block.digest)
    assert (origin.workload, origin.workload_version, origin.channel, origin.genesis) == ("w", "3", "c", "00")
    assert len(origin.specification) == len(origin.model) == 64


def test_a_peer_that_swaps_the_model_of_a_block_is_caught(store: ArtifactStore) -> None:
    contract = Contract(store.put(to_bytes(MODEL)))
    contract.block.core.model.CopyFrom(store.put(to_bytes({"top.weight": 2 * MODEL["top.weight"]})))
    with pytest.raises(
        ModelRefused, match="block 1 of task, as the peer tells it, is not what its digest says"
    ):
        home(contract, store)


def test_a_peer_that_tells_of_another_block_is_caught(store: ArtifactStore) -> None:
    contract = Contract(store.put(to_bytes(MODEL)))
    contract.block.core.height = 2
    contract.block.digest = canonical.digest(contract.block.core)
    with pytest.raises(ModelRefused, match="is not what its digest says"):
        home(contract, store)


def test_a_reverted_block_has_no_model(store: ArtifactStore) -> None:
    contract = Contract(store.put(to_bytes(MODEL)))
    contract.block.status = b.REVERTED
    with pytest.raises(ModelRefused, match="was reverted"):
        home(contract, store)


@pytest.mark.parametrize("height", [-1, 2])
def test_a_block_that_there_is_not_is_named(store: ArtifactStore, height: int) -> None:
    with pytest.raises(ModelRefused, match=f"has no block {height}; its last is 1"):
        home(Contract(store.put(to_bytes(MODEL))), store, height)


def test_a_file_is_written_whole_or_not_at_all(store: ArtifactStore, tmp_path: Path) -> None:
    found = home(Contract(store.put(to_bytes(MODEL))), store)
    file = tmp_path / "home" / "model.safetensors"
    with pytest.raises(ModelRefused, match="names no file in a folder that there is"):
        found.save(file)
    file.parent.mkdir()
    found.save(file)
    other = PublicModel({"top.weight": np.zeros((1, 1), np.float32)}, found.provenance)
    with pytest.raises(ModelRefused, match="is there already"):
        other.save(file)
    with safe_open(file, framework="numpy") as opened:
        np.testing.assert_array_equal(opened.get_tensor("top.weight"), MODEL["top.weight"])
        assert opened.metadata() == found.provenance.as_text()
    other.save(file, overwrite=True)
    with safe_open(file, framework="numpy") as opened:
        assert opened.get_tensor("top.weight").shape == (1, 1)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
