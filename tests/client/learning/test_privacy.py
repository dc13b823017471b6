"""Private training clips, adds noise and accounts as published; it repeats from its seed and from nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import PRVAccountant
from quorumlearn.learning import (
    Samples,
    TrainingConfig,
    TrainingError,
    Workload,
    WorkloadError,
    difference,
    get_workload,
    privacy,
    to_bytes,
)
from quorumlearn.learning.mnist_training import FORWARD
from torch.nn import functional

from tests.client.learning.patches import samples


def private(name: str = "mnist-cnn", **config: str) -> Workload:
    return get_workload(name, {"dp_clip": "1.0", "dp_noise": "1.0"} | config)


def config(batch_size: int, epochs: int = 1, noise: float = 1.0, delta: float = 1e-5) -> TrainingConfig:
    return TrainingConfig(batch_size=batch_size, epochs=epochs, dp_clip=1.0, dp_noise=noise, dp_delta=delta)


def test_training_is_private_only_where_a_task_asks_for_it() -> None:
    plain = get_workload("mnist-cnn", {})
    assert not plain.config.private
    assert not any(key.startswith("dp_") for key in plain.config.as_strings())
    assert plain.train(plain.initial_model(1), samples(20), seed=1).epsilon is None
    assert plain.epsilon([20]) is None
    asked = private(dp_delta="1e-06")
    assert asked.config.private
    assert get_workload("mnist-cnn", asked.config.as_strings()).config == asked.config


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"dp_clip": "1"}, "both or neither"),
        ({"dp_noise": "1"}, "both or neither"),
        ({"dp_clip": "0", "dp_noise": "1"}, "dp_clip = '0'"),
        ({"dp_clip": "1", "dp_noise": "0"}, "dp_noise = '0'"),
        ({"dp_clip": "nan", "dp_noise": "1"}, "dp_clip = 'nan'"),
        ({"dp_clip": "1", "dp_noise": "1", "dp_delta": "1"}, "dp_delta = '1'"),
    ],
)
def test_settings_that_promise_nothing_are_refused(settings_: dict[str, str], says: str) -> None:
    with pytest.raises(WorkloadError, match=says):
        get_workload("mnist-cnn", settings_)


@pytest.mark.parametrize("name", ["mnist-cnn", "mnist-mlp"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_noise(name: str) -> None:
    workload, data = private(name), samples(60)
    base = workload.initial_model(1)
    torch.manual_seed(1)
    first = workload.train(base, data, seed=5)
    torch.manual_seed(2)
    assert to_bytes(workload.train(base, data, seed=5).model) == to_bytes(first.model)
    assert to_bytes(workload.train(base, data, seed=6).model) != to_bytes(first.model)
    assert first.epsilon == workload.epsilon([60])


def test_gradients_left_for_the_optimiser_are_those_of_each_sample_alone() -> None:
    workload, data = private(), samples(4)
    parameters = {
        name: torch.tensor(value, requires_grad=True) for name, value in workload.initial_model(1).items()
    }
    images, labels = torch.tensor(data.inputs), torch.tensor(data.targets)
    forward = FORWARD["mnist-cnn"]
    losses = privacy.leave_gradients(forward, parameters, images, labels)
    for at in range(4):
        loss = functional.cross_entropy(forward(parameters, images[at : at + 1]), labels[at : at + 1])
        alone = torch.autograd.grad(loss, list(parameters.values()))
        assert losses[at].item() == pytest.approx(loss.item(), rel=1e-5)
        for tensor, gradient in zip(parameters.values(), alone, strict=True):
            for_each: torch.Tensor = tensor.grad_sample  # type: ignore[attr-defined]
            torch.testing.assert_close(for_each[at], gradient, rtol=1e-4, atol=1e-6)


def test_one_sample_moves_a_step_by_no_more_than_the_clip() -> None:
    """With the same noise, data sets that differ by one sample differ in one step by at most clip / batch x rate."""
    workload = private(batch_size="40", learning_rate="0.5", momentum="0", dp_clip="0.7")
    base, data = workload.initial_model(1), samples(40)
    loud = Samples(np.concatenate([data.inputs[:-1], 50 * data.inputs[-1:]]), data.targets)
    updates = [difference(workload.train(base, one, seed=3).model, base) for one in (data, loud)]
    quiet = get_workload("mnist-cnn", {"batch_size": "40", "learning_rate": "0.5", "momentum": "0"})
    plain = [difference(quiet.train(base, one, seed=3).model, base) for one in (data, loud)]
    limit = 2 * 0.7 / 40 * 0.5  # one sample in place of another: twice what one more or less does
    assert 0 < float(np.linalg.norm(updates[0] - updates[1])) <= limit * (1 + 1e-3)
    assert float(np.linalg.norm(plain[0] - plain[1])) > limit


def test_the_noise_has_the_deviation_that_is_accounted_for() -> None:
    workload = private(batch_size="40", learning_rate="1", momentum="0", dp_clip="0.01", dp_noise="3")
    base, data = workload.initial_model(1), samples(40)
    update = difference(workload.train(base, data, seed=3).model, base)
    expected = 3 * 0.01 / 40
    assert float(update.std()) == pytest.approx(expected, rel=0.02)


def test_it_still_learns() -> None:
    workload = private(epochs="4", batch_size="60", learning_rate="0.5", momentum="0", dp_noise="0.6")
    base, fresh = workload.initial_model(1), samples(300, seed=2)
    result = workload.train(base, samples(600), seed=1)
    assert result.steps == 40
    assert (
        workload.evaluate(result.model, fresh).accuracy > 0.7 > 0.4 > workload.evaluate(base, fresh).accuracy
    )


def test_batches_are_drawn_sample_by_sample() -> None:
    source = torch.Generator().manual_seed(4)
    batches = list(privacy.poisson_batches(1000, 0.05, 400, source))
    sizes = np.array([len(batch) for batch in batches])
    assert len(batches) == 400
    assert sizes.mean() == pytest.approx(50, rel=0.05)
    assert sizes.var() == pytest.approx(1000 * 0.05 * 0.95, rel=0.3)
    assert all(len(set(batch.tolist())) == len(batch) for batch in batches)


def test_a_step_without_a_sample_is_noise_alone() -> None:
    workload = private(batch_size="1", epochs="3")
    base = workload.initial_model(1)
    seen: list[int] = []
    result = workload.train(base, samples(4), seed=2, on_step=lambda done, of: seen.append(done))
    assert seen == list(range(1, 13))
    sizes = [
        len(batch)
        for batch in privacy.poisson_batches(4, 0.25, 12, torch.Generator().manual_seed(_seed_of_batches(2)))
    ]
    assert 0 in sizes
    assert math.isfinite(result.loss)


def _seed_of_batches(seed: int) -> int:
    from quorumlearn.seeds import derive

    return derive("batches", seed)


def test_epsilon_is_an_upper_bound_close_to_an_exact_accountant() -> None:
    """Opacus' numerical composition (Gopi, Lee, Wutschitz, https://arxiv.org/abs/2106.02848) is the oracle."""
    for batch, noise, epochs in ((32, 1.0, 1), (64, 0.8, 5), (32, 2.0, 10)):
        asked = config(batch, epochs, noise)
        exact = PRVAccountant()
        exact.history = [(noise, batch / 7500, asked.steps(7500))]
        least = exact.get_epsilon(1e-5)
        assert least <= privacy.epsilon(asked, [7500]) <= 2.5 * least


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 200),
    noise=st.floats(0.5, 20),
    counts=st.lists(st.integers(1, 10**6), min_size=1, max_size=4),
)
def test_epsilon_grows_with_every_training_and_shrinks_with_noise(
    batch: int, noise: float, counts: list[int]
) -> None:
    spent = privacy.epsilon(config(batch, noise=noise), counts)
    assert 0 < spent < math.inf
    assert privacy.epsilon(config(batch, noise=noise), [*counts, counts[0]]) >= spent
    assert privacy.epsilon(config(batch, noise=2 * noise), counts) <= spent
    assert privacy.epsilon(config(batch, noise=noise), reversed(counts)) == pytest.approx(spent)


def test_counts_that_a_ledger_may_hold_are_accounted_or_refused() -> None:
    assert privacy.epsilon(config(32), []) == 0
    assert math.isfinite(privacy.epsilon(config(32), [2**64 - 1]))
    with pytest.raises(TrainingError, match="0 samples"):
        privacy.epsilon(config(32), [0])
    with pytest.raises(TrainingError, match="not differentially private"):
        privacy.epsilon(TrainingConfig(), [10])
