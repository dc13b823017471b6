"""A miner whose update rounds to nothing does not submit it: verifiers could not tell it from a free rider's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import structlog
from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.models import workload_record
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import Head

from tests.client.nodes.seats import miner_in

ME = "AMSP/miner1"


class NoContract:
    """A ledger that is to hear nothing."""

    def evaluate(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)


def view(store: ArtifactStore, learning_rate: str) -> b.TaskView:
    """A first round before its commits, while its key is made."""
    workload = learning.get_workload("mnist-cnn", {"learning_rate": learning_rate})
    size = learning.size_of(workload.shapes)
    spec = t.TaskSpec(
        task_id="slow",
        rounds=1,
        workload=workload_record(workload, workload.blocks),
        committee=t.Committee(msp_ids=["V1", "V2", "V3"], threshold=2),
        ckks=record_of(ckks.Parameters.named("fast", size, seats=3, threshold=2)),
    )
    model = store.put(learning.to_bytes(workload.initial_model(0)))
    return b.TaskView(
        task=t.Task(spec=spec),
        state=t.TaskState(status=t.RUNNING),
        miners=[ME],
        round=b.Round(
            task_id="slow", number=1, phase=b.KEY, miners=[ME], base=Head(digest="aa" * 32, model=model)
        ),
    )


def made(folder: Path) -> Miner:
    random = np.random.default_rng(1)
    own = learning.Samples(random.random((40, 1, 28, 28)).astype(np.float32), random.integers(0, 10, 40))
    return miner_in(folder, NoContract(), lambda _: own, me=ME)


def test_an_update_of_nothing_sits_the_round_out_and_says_why(tmp_path: Path) -> None:
    one = made(tmp_path)
    seen = view(one.store, "1e-09")
    with structlog.testing.capture_logs() as logs:
        assert not one.act(seen)
        assert not one.act(seen)  # once a round is enough
    (said,) = logs
    assert said["event"] == "sits the round out"
    assert "rounds to zero on the task's grid" in said["error"]


def test_whoever_learned_anything_is_ready_to_commit(tmp_path: Path) -> None:
    one = made(tmp_path)
    seen = view(one.store, "0.1")
    with structlog.testing.capture_logs() as logs:
        one.act(seen)
    assert [said["event"] for said in logs] == ["trained"]
    assert one.trainer.workshop.find("slow", 1, ME) is not None
