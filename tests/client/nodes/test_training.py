"""What training or loading dies of costs one round of one miner; so does an update that the task's bound would make another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import REGISTRY
from quorumlearn import ckks, learning
from quorumlearn.learning import DataMissing, Samples, get_workload
from quorumlearn.nodes.encryption import clipped, parameters_of, record_of
from quorumlearn.nodes.models import workload_of, workload_record
from quorumlearn.nodes.training import MOST_CLIPPED
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from structlog.testing import capture_logs

from tests.client.nodes.seats import Ledger, miner_in, no_samples

CONFIG = {"batch_size": "32"}
ME = "M/a"
PUBLIC = ["bottom", "top"]


@pytest.fixture(scope="module")
def spec() -> t.TaskSpec:
    size = learning.size_of(get_workload("mnist-cnn", CONFIG).shapes)
    parameters = ckks.Parameters.choose(size, seats=3, threshold=2)
    made = t.TaskSpec(
        task_id="trained",
        ckks=record_of(parameters),
        workload=workload_record(get_workload("mnist-cnn", CONFIG), PUBLIC),
    )
    made.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
    return made


def view_of(spec: t.TaskSpec, number: int, model: object) -> b.TaskView:
    now = b.Round(task_id=spec.task_id, number=number, phase=b.KEY, miners=[ME])
    now.base.digest = f"{number:02d}" * 32
    now.base.model.CopyFrom(model)  # type: ignore[arg-type]
    state = t.TaskState(task_id=spec.task_id, status=t.RUNNING, round=number)
    return b.TaskView(task=t.Task(spec=spec), state=state, round=now, miners=[ME])


def some_samples(_: object = None) -> Samples:
    random = np.random.default_rng(1)
    images = random.random((64, 1, 28, 28), dtype=np.float32)
    return Samples(images, random.integers(0, 10, 64))


def broken_device(_: object = None) -> Samples:
    raise RuntimeError("the device is gone")


def no_data(_: object = None) -> Samples:
    raise DataMissing("there is no train-images-idx3-ubyte")


def no_memory(_: object = None) -> Samples:
    raise MemoryError("cannot allocate 7 GiB")


@pytest.mark.parametrize("shard", [broken_device, no_data, no_memory, no_samples])
def test_what_training_dies_of_costs_the_round_and_the_next_is_tried(
    tmp_path: Path, spec: t.TaskSpec, shard: Callable[[learning.Workload], learning.Data]
) -> None:
    miner = miner_in(tmp_path, Ledger(), shard, me=ME)
    model = miner.store.put(learning.to_bytes(workload_of(spec).initial_model(spec.seed)))
    with capture_logs() as logs:
        for _ in range(2):
            assert not miner.act(view_of(spec, 1, model))
    (said,) = [one for one in logs if one["event"] == "sits the round out"]
    assert said["kind"]
    assert said["error"]
    assert "training.py:" in said["at"]
    miner.trainer.shard = some_samples
    assert not miner.act(view_of(spec, 1, model))
    learned = miner.trainer.workshop.find
    assert learned(spec.task_id, 1, ME) is None
    assert not miner.act(view_of(spec, 2, model))
    assert learned(spec.task_id, 2, ME) is not None


def shares() -> dict[str, float]:
    labels = {"task": "trained"}
    return {
        part: REGISTRY.get_sample_value(f"quorumlearn_clipped_ratio_{part}", labels) or 0.0
        for part in ("count", "sum")
    }


@pytest.mark.parametrize(("beyond", "sent"), [(0.0, True), (0.009, True), (0.02, False), (1.0, False)])
def test_an_update_beyond_the_bound_is_counted_and_sent_only_if_little_of_it_is(
    tmp_path: Path, spec: t.TaskSpec, monkeypatch: pytest.MonkeyPatch, beyond: float, sent: bool
) -> None:
    """As a training that diverged and is still finite: 1e11."""
    size = spec.ckks.update_size
    update = np.full(size, 0.25)
    update[: round(beyond * size)] = 1e11
    before = shares()
    miner = miner_in(tmp_path, Ledger(), some_samples, me=ME)
    model = miner.store.put(learning.to_bytes(workload_of(spec).initial_model(spec.seed)))
    monkeypatch.setattr(learning, "difference", lambda *_: update)
    with capture_logs() as logs:
        miner.act(view_of(spec, 1, model))
    assert (miner.trainer.workshop.find(spec.task_id, 1, ME) is not None) == sent
    assert shares()["count"] == before["count"] + 1
    assert shares()["sum"] - before["sum"] == pytest.approx(beyond, abs=1e-4)
    said = [one for one in logs if one["event"] in {"clipped", "sits the round out"}]
    assert [one["event"] for one in said] == (
        ["sits the round out"] if not sent else ["clipped"] * (beyond > 0)
    )
    if not sent:
        assert "1e+11" in said[0]["error"]
        assert f"{MOST_CLIPPED:.0%}" in said[0]["error"]
        assert "encryption.bound" in said[0]["error"]


def test_what_is_counted_as_clipped_is_what_quantising_changes(spec: t.TaskSpec) -> None:
    parameters = parameters_of(spec)
    bound = parameters.bound_steps / 2**parameters.step_bits
    update: NDArray[np.float64] = np.zeros(parameters.update_size)
    update[:4] = [bound, -bound, np.nextafter(bound, 2 * bound), -2 * bound]
    assert clipped(update, parameters) == 2
    steps = ckks.quantise(update, parameters)
    assert list(steps[:4]) == [parameters.bound_steps * sign for sign in (1, -1, 1, -1)]
