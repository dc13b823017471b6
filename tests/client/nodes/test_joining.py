"""A miner stakes nothing before it has what it trains on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn.learning import DataMissing, Samples
from quorumlearn.nodes import miner as module
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from structlog.testing import capture_logs

from tests.client.nodes.seats import WORKLOAD, Ledger, miner_in


def no_data(_: object = None) -> Samples:
    raise DataMissing("there is no train-images-idx3-ubyte")


def some_data(_: object = None) -> Samples:
    return Samples(np.zeros((1, 1, 28, 28), np.float32), np.zeros(1, np.int64))


@pytest.fixture(autouse=True)
def _playable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check_playable", lambda *_, **__: None)


@pytest.mark.parametrize(
    ("behaviour", "shard", "joins"),
    [("honest", some_data, True), ("honest", no_data, False), ("noise", no_data, True)],
)
def test_who_trains_and_has_no_data_does_not_join(
    tmp_path: Path, behaviour: str, shard: object, joins: bool
) -> None:
    ledger = Ledger()
    miner = miner_in(tmp_path, ledger, shard, behaviour=behaviour)  # type: ignore[arg-type]
    view = b.TaskView(
        task=t.Task(spec=t.TaskSpec(task_id="task", workload=WORKLOAD)), state=t.TaskState(status=t.PUBLISHED)
    )
    if joins:
        assert miner.act(view)
        assert ledger.taken == [("tasks:Join", "task")]
    else:
        with pytest.raises(DataMissing):
            miner.act(view)
        assert ledger.taken == []
        assert miner.journal.get("joined") is None


def test_who_joined_before_and_is_no_miner_of_the_task_says_once_that_it_does_not_again(
    tmp_path: Path,
) -> None:
    ledger = Ledger()
    miner = miner_in(tmp_path, ledger, some_data)
    miner.journal.put("joined", b"1")
    view = b.TaskView(
        task=t.Task(spec=t.TaskSpec(task_id="task", workload=WORKLOAD)), state=t.TaskState(status=t.PUBLISHED)
    )
    with capture_logs() as logs:
        assert not miner.act(view)
        assert not miner.act(view)
    assert ledger.taken == []
    assert [(one["log_level"], one["journal"]) for one in logs] == [("warning", str(miner.journal.folder))]
