"""What private trainings cost together, as the report says it: from the number of samples that only they tell."""

from __future__ import annotations

import pytest
from quorumlearn.analysis import report_of
from quorumlearn.learning import get_workload
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

PRIVATE = {"dp_clip": "1.0", "dp_noise": "1.0", "dp_delta": "1e-05", "batch_size": "32"}


def task(config: dict[str, str]) -> t.TaskSpec:
    workload = t.Workload(name="mnist-cnn", config=config, public_blocks=["bottom", "top"])
    return t.TaskSpec(task_id="private", rounds=3, workload=workload)


def view(number: int, counts: dict[str, int | None]) -> b.TaskView:
    """A round in which each miner revealed an update of so many samples, or committed and did not reveal."""
    found = b.TaskView(round=b.Round(task_id="private", number=number, miners=sorted(counts)))
    for name, count in counts.items():
        submission = found.submissions.add(task_id="private", round=number, miner=name)
        if count is not None:
            submission.manifest.CopyFrom(
                b.Manifest(task_id="private", round=number, miner=name, sample_count=count)
            )
    return found


def test_the_report_accounts_for_every_update_that_a_miner_revealed() -> None:
    views = [view(1, {"a": 300, "b": 300}), view(2, {"a": 300, "b": None}), view(3, {"a": 600, "b": None})]
    report = report_of(task(PRIVATE), views, [], {})
    workload = get_workload("mnist-cnn", PRIVATE)
    assert report.delta == 1e-5
    spent = {one.miner: one.epsilon for one in report.miners}
    assert spent == {"a": workload.epsilon([300, 300, 600]), "b": workload.epsilon([300])}
    assert spent["a"] is not None
    assert spent["b"] is not None
    assert spent["a"] > spent["b"] > 0


@pytest.mark.parametrize("config", [{}, {"dp_clip": "no number"}])
def test_a_task_that_is_not_private_or_cannot_be_played_has_no_epsilon(config: dict[str, str]) -> None:
    report = report_of(task(config), [view(1, {"a": 300})], [], {})
    assert report.delta is None
    assert [one.epsilon for one in report.miners] == [None]
