"""Training learns, repeats to the last bit in any process, and leaves the rest of the process alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from quorumlearn.learning import (
    WORKLOADS,
    DigitsSource,
    ModelError,
    Samples,
    TrainingError,
    Workload,
    WorkloadError,
    apply_update,
    difference,
    from_bytes,
    get_workload,
    iid,
    load_digits,
    shapes_of,
    size_of,
    split,
    to_bytes,
)
from quorumlearn.learning.determinism import repeatable

from tests.client.learning.patches import samples


@pytest.fixture(params=WORKLOADS)
def workload(request: pytest.FixtureRequest) -> Workload:
    return get_workload(request.param, {"batch_size": "20"})


def test_sizes_are_those_of_the_papers() -> None:
    cnn, mlp = get_workload("mnist-cnn", {}), get_workload("mnist-mlp", {})
    assert size_of(cnn.shapes) == 51_154
    assert size_of(mlp.shapes) == 633_226
    top = sum(int(np.prod(mlp.shapes[name])) for name in mlp.tensors("top"))
    assert round(100 * top / size_of(mlp.shapes), 2) == 15.79


def test_blocks_hold_each_tensor_once(workload: Workload) -> None:
    assert workload.blocks == ("bottom", "top")
    names = [name for block in workload.blocks for name in workload.tensors(block)]
    assert names == list(workload.shapes)
    with pytest.raises(WorkloadError, match="no block 'middle'"):
        workload.tensors("middle")


def test_the_initial_model_is_of_the_workload_and_its_seed(workload: Workload) -> None:
    model = workload.initial_model(7)
    assert shapes_of(model) == dict(workload.shapes)
    assert to_bytes(model) == to_bytes(workload.initial_model(7))
    assert to_bytes(model) != to_bytes(workload.initial_model(8))
    assert from_bytes(to_bytes(model), workload.shapes).keys() == model.keys()


def test_training_learns_and_leaves_its_input_alone(workload: Workload) -> None:
    base = workload.initial_model(1)
    before, data = to_bytes(base), samples(600)
    seen: list[tuple[int, int]] = []
    result = workload.train(base, data, seed=1, on_step=lambda done, of: seen.append((done, of)))
    assert to_bytes(base) == before
    assert seen == [(i, 30) for i in range(1, 31)]
    assert (result.steps, result.samples) == (30, 600)
    fresh = samples(500, seed=2)
    start, end = workload.evaluate(base, fresh), workload.evaluate(result.model, fresh)
    assert end.samples == 500
    assert end.value > 0.9 > 0.4 > start.value
    assert end.loss < start.loss


def test_epochs_are_steps_over_all_samples() -> None:
    result = get_workload("mnist-cnn", {"epochs": "3", "batch_size": "16"}).train(
        get_workload("mnist-cnn", {}).initial_model(1), samples(50), seed=1
    )
    assert (result.steps, result.samples) == (3 * 4, 50)


def test_the_seed_decides_the_bytes(workload: Workload) -> None:
    base, data = workload.initial_model(1), samples(60)
    torch.manual_seed(1)
    first = workload.train(base, data, seed=5)
    torch.manual_seed(2)
    again = workload.train(base, data, seed=5)
    assert to_bytes(first.model) == to_bytes(again.model)
    assert first.loss == again.loss
    assert to_bytes(workload.train(base, data, seed=6).model) != to_bytes(first.model)


_IN_ANOTHER_PROCESS = """
import hashlib, sys, numpy as np
from quorumlearn.learning import Samples, WORKLOADS, get_workload, to_bytes
with np.load(sys.argv[1]) as file:
    data = Samples(file["images"], file["labels"])
for name in WORKLOADS:
    workload = get_workload(name, {})
    print(hashlib.sha256(to_bytes(workload.train(workload.initial_model(3), data, seed=4).model)).hexdigest())
"""


def test_another_process_with_other_threads_gives_the_same_bytes(tmp_path: Path) -> None:
    data = samples(300)
    np.savez(tmp_path / "data.npz", images=data.inputs, labels=data.targets)
    here = []
    for name in WORKLOADS:
        workload = get_workload(name, {})
        result = workload.train(workload.initial_model(3), data, seed=4)
        here.append(hashlib.sha256(to_bytes(result.model)).hexdigest())
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS, str(tmp_path / "data.npz")],
            env=os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            stdout=subprocess.PIPE,
            text=True,
        )
        for threads in ("1", "4")
    ]
    assert [other.communicate(timeout=120)[0].split() for other in others] == [here, here]


def test_trainings_side_by_side_give_the_same_bytes_as_alone() -> None:
    workload = get_workload("mnist-cnn", {})
    base, data = workload.initial_model(1), samples(300)
    alone = [to_bytes(workload.train(base, data, seed=seed).model) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda seed: to_bytes(workload.train(base, data, seed=seed).model), range(4))
        )
    assert together == alone


def test_torchs_settings_are_as_before() -> None:
    workload = get_workload("mnist-cnn", {})
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        state = torch.get_rng_state()
        workload.train(workload.initial_model(1), samples(40), seed=1)
        assert torch.get_num_threads() == 2
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.equal(torch.get_rng_state(), state)
        with repeatable(), repeatable():
            assert torch.get_num_threads() == 1
            assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_training_can_be_stopped_from_a_step() -> None:
    workload = get_workload("mnist-cnn", {})

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workload.train(workload.initial_model(1), samples(200), seed=1, on_step=stop)
    assert not torch.are_deterministic_algorithms_enabled()


def test_numbers_that_run_away_end_in_an_error(workload: Workload) -> None:
    wild = get_workload(workload.name, {"learning_rate": "10", "momentum": "0.99"})
    data = samples(200)
    with pytest.raises(TrainingError, match="lower learning_rate"):
        wild.train(wild.initial_model(1), Samples(data.inputs * 1e15, data.targets), seed=1)


def test_a_model_whose_numbers_run_away_on_the_test_set_scores_worst_and_ends_nothing(
    workload: Workload,
) -> None:
    """Each of its numbers is finite, as every stored model's is; what it computes is not."""
    wild = {name: np.full_like(tensor, 3e38) for name, tensor in workload.initial_model(1).items()}
    from_bytes(to_bytes(wild), workload.shapes)
    score = workload.evaluate(wild, samples(50))
    assert (score.value, score.samples) == (0.0, 50)


def test_a_model_of_another_workload_is_refused() -> None:
    cnn, mlp = get_workload("mnist-cnn", {}), get_workload("mnist-mlp", {})
    for act in (lambda m: mlp.train(m, samples(5), seed=1), lambda m: mlp.evaluate(m, samples(5))):
        for model in (cnn.initial_model(1), split(mlp.initial_model(1), ["top"])[0], {}):
            with pytest.raises(ModelError, match="mnist-mlp"):
                act(model)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (Samples(np.zeros((0, 1, 28, 28), np.float32), np.zeros(0, np.int64)), "no samples"),
        (Samples(np.zeros((2, 1, 8, 8), np.float32), np.zeros(2, np.int64)), "of shape"),
        (Samples(np.zeros((2, 1, 28, 28), np.float32), np.zeros((2, 3), np.int64)), "of shape"),
        (Samples(np.zeros((2, 1, 28, 28), np.float32), np.array([0, 10])), "0 to 9"),
        (Samples(np.zeros((2, 1, 28, 28), np.float32), np.array([-1, 0])), "0 to 9"),
    ],
)
def test_data_that_does_not_fit_is_refused(workload: Workload, data: Samples, says: str) -> None:
    for act in (lambda m: workload.train(m, data, seed=1), lambda m: workload.evaluate(m, data)):
        with pytest.raises(TrainingError, match=says):
            act(workload.initial_model(1))


@pytest.mark.parametrize(
    ("name", "config", "says"),
    [
        (
            "mnist",
            {},
            r"workload 'mnist' is not installed here; there are (\w+, )*mnist-cnn, mnist-mlp, mnist-wide",
        ),
        ("mnist-cnn", {"epoch": "1"}, "no setting 'epoch'; it has epochs, batch_size"),
        ("mnist-cnn", {"epochs": "0"}, "epochs = '0'"),
        ("mnist-cnn", {"epochs": "1.5"}, "epochs = '1.5'"),
        ("mnist-cnn", {"epochs": "many"}, "epochs = 'many'"),
        ("mnist-cnn", {"batch_size": "1000000"}, "batch_size = '1000000'"),
        ("mnist-cnn", {"learning_rate": "nan"}, "learning_rate = 'nan'"),
        ("mnist-cnn", {"learning_rate": "inf"}, "learning_rate = 'inf'"),
        ("mnist-cnn", {"learning_rate": "-0.1"}, "learning_rate = '-0.1'"),
        ("mnist-mlp", {"momentum": "1"}, "momentum = '1'"),
    ],
)
def test_what_no_workload_means_is_refused(name: str, config: dict[str, str], says: str) -> None:
    with pytest.raises(WorkloadError, match=says):
        get_workload(name, config)


def test_a_configuration_reads_back_to_itself() -> None:
    workload = get_workload("mnist-cnn", {"learning_rate": "0.03", "epochs": "2"})
    assert (workload.config.learning_rate, workload.config.epochs) == (0.03, 2)
    assert get_workload("mnist-cnn", workload.config.as_strings()).config == workload.config


def test_the_last_resort_can_be_learnt(tmp_path: Path) -> None:
    data = load_digits(DigitsSource(cache=tmp_path))
    workload = get_workload("mnist-cnn", {"epochs": "3"})
    model = workload.train(workload.initial_model(1), data.train, seed=1).model
    assert workload.evaluate(model, data.test).value > 0.9


def test_two_rounds_of_averaging_on_mnist_learn(mnist_folder: Path) -> None:
    assert federated(mnist_folder, miners=3, samples=2500, rounds=2) > 0.85


@pytest.mark.slow
def test_five_rounds_of_six_miners_reach_97_percent(mnist_folder: Path) -> None:
    assert federated(mnist_folder, miners=6, samples=4000, rounds=5) > 0.97


def federated(folder: Path, *, miners: int, samples: int, rounds: int) -> float:
    data, workload = load_digits(DigitsSource(folder)), get_workload("mnist-cnn", {})
    shards = [data.train.take(part[:samples]) for part in iid(data.train.targets, miners, 1)]
    model = workload.initial_model(1)
    for number in range(rounds):
        updates = [
            difference(workload.train(model, shard, seed=100 * number + miner).model, model)
            for miner, shard in enumerate(shards)
        ]
        model = apply_update(model, np.mean(updates, axis=0))
    return workload.evaluate(model, data.test).value
