"""Whole tasks whose trainings are replayed: honest work is paid, and what is no work is not, by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.api import data
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import NodeThread, Stage, assert_settled, payouts, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TASK = "useful"
MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}


@pytest.fixture(scope="module")
def held(stage: Stage) -> Path:
    cut = data.cut("mnist-cnn", str(stage.data), chunk_samples=128)
    few = data.Cut(cut.workload, cut.samples.take(range_of(6 * 128)), 6, 128, 0)
    path = stage.folder / "data.yaml"
    data.write(path, data.publish(few, stage.store))
    return path


def range_of(count: int):
    import numpy as np

    return np.arange(count)


def test_a_task_is_replayed_accepted_and_paid(stage: Stage, held: Path) -> None:
    files = stage.node_files(TASK, MINERS)
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(
            TASK,
            mode="recompute",
            rule={"name": "mean"},
            recompute={"data": str(held), "segment_steps": 2, "drawn": 2},
        )
        view = stage.played(TASK, nodes)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(TASK)] == [b.ACCEPTED] * 2
    assert_settled(stage, TASK, [*MINERS, "verifier1/verifier", "verifier2/verifier", "verifier3/verifier"])
    assert payouts(stage.market(), stage.name("miners1/miner1"), TASK)
