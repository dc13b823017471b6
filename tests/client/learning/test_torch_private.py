"""Private training of any module: each sample's gradient is its own, clipped and drowned in the noise that is accounted for; what would
void the promise is refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from quorumlearn.learning import (
    LearningError,
    ModelError,
    Samples,
    WorkloadError,
    difference,
    privacy,
    to_bytes,
)
from quorumlearn.learning.torch_private import private_steps
from quorumlearn.learning.torch_step import Step
from quorumlearn.learning.turns import Draws
from torch import Tensor, nn
from torch.nn import functional

from tests.client.learning.modules import FEATURES, net, table, workload

PRIVATE = {"dp_clip": 1.0, "dp_noise": 1.0}
SECRET = 1 << 255 | 99


class Words(nn.Module):
    """Tied: the embedding also gives the outputs. Opacus has a layer of its own for its attention."""

    def __init__(self) -> None:
        super().__init__()
        from opacus.layers import DPMultiheadAttention

        self.words = nn.Embedding(6, 4)
        self.look = DPMultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.out = nn.Linear(4, 6, bias=False)
        self.out.weight = self.words.weight

    def forward(self, inputs: Tensor) -> Tensor:
        words = self.words(inputs)
        found: Tensor = self.out(self.norm(self.look(words, words, words)[0].mean(dim=1)))
        return found


class Scaled(nn.Module):
    """Parameters of its own beside layers: Opacus takes them by functorch."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(FEATURES))
        self.layer = nn.Linear(FEATURES, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.layer(inputs * self.scale)
        return found


def image_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Dropout(0.2), nn.Flatten(), nn.Linear(64, 2)
    )


def samples_of(shape: tuple[int, ...], count: int, *, words: bool = False) -> Samples:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, count)
    if words:
        return Samples(random.integers(0, 6, (count, *shape)), labels)
    return Samples(random.normal(size=(count, *shape)).astype(np.float32), labels)


MODULES: list[tuple[Callable[[], nn.Module], Samples]] = [
    (net, table(40)),
    (Scaled, table(40)),
    (image_net, samples_of((1, 4, 4), 40)),
    (Words, samples_of((5,), 40, words=True)),
]


@pytest.mark.parametrize(("model", "data"), MODULES)
def test_the_seed_decides_the_bytes_and_the_noise(model: Callable[[], nn.Module], data: Samples) -> None:
    risk = workload(model, config=PRIVATE)
    base = risk.initial_model(1)
    torch.manual_seed(1)
    first = risk.train(base, data, seed=SECRET)
    torch.manual_seed(2)
    assert to_bytes(risk.train(base, data, seed=SECRET).model) == to_bytes(first.model)
    assert to_bytes(risk.train(base, data, seed=SECRET ^ 1 << 200).model) != to_bytes(first.model)
    assert first.epsilon == risk.epsilon([40])
    assert first.epsilon is not None
    assert math.isfinite(first.loss)


@pytest.mark.parametrize(("model", "data"), [MODULES[0], MODULES[1], MODULES[3]])
def test_gradients_are_those_of_each_sample_alone(
    model: Callable[[], nn.Module], data: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autograd on one sample at a time is the oracle."""
    torch.manual_seed(4)
    module = model().train()
    config = workload(config={"dp_clip": 1000.0, "dp_noise": 0.1, "batch_size": 40, "momentum": 0}).config
    seen: list[dict[str, Tensor]] = []

    step = Step("risk", config, module, functional.cross_entropy, torch.float32, "cpu")
    parameters = dict(module.named_parameters())
    alone: dict[str, list[Tensor]] = {name: [] for name in parameters}
    twin = copy.deepcopy(module)
    for one in range(4):
        twin.zero_grad()
        inputs = torch.from_numpy(data.inputs[one : one + 1])
        functional.cross_entropy(twin(inputs), torch.from_numpy(data.targets[one : one + 1])).backward()  # type: ignore[no-untyped-call]
        for name, parameter in twin.named_parameters():
            assert parameter.grad is not None
            alone[name].append(parameter.grad.clone())

    class Stop(Exception):
        pass

    def look(optimiser: Any) -> None:
        seen.append({name: optimiser._get_flat_grad_sample(one) for name, one in parameters.items()})  # noqa: SLF001
        raise Stop

    four = Samples(data.inputs[:4], data.targets[:4])
    real = privacy.private_optimiser

    def watched(*args: Any) -> Any:
        made = real(*args)
        made.clip_and_accumulate = lambda: look(made)
        return made

    monkeypatch.setattr(privacy, "private_optimiser", watched)
    with pytest.raises(LearningError, match="Stop"):
        next(private_steps(step, torch.optim.SGD(parameters.values(), lr=1), four, 1, Draws(1, "test")))
    for name, each in alone.items():
        torch.testing.assert_close(seen[0][name], torch.stack(each), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("model", "data"), MODULES)
def test_one_sample_moves_a_step_by_no_more_than_the_clip(
    model: Callable[[], nn.Module], data: Samples
) -> None:
    """With the same noise, data sets that differ by one sample differ in one step by at most clip / batch x rate."""
    config = {"batch_size": 40, "learning_rate": 0.5, "momentum": 0.0, "dp_clip": 0.1, "dp_noise": 1.0}
    risk = workload(model, config=config)
    base = risk.initial_model(1)
    loud = data.inputs.copy()
    loud[-1] = 50 * loud[-1] if loud.dtype.kind == "f" else (loud[-1] + 1) % 6
    other = Samples(loud, np.concatenate([data.targets[:-1], 1 - data.targets[-1:]]))
    updates = [difference(risk.train(base, one, seed=3).model, base) for one in (data, other)]
    limit = 2 * 0.1 / 40 * 0.5
    assert 0 < float(np.linalg.norm(updates[0] - updates[1])) <= limit * (1 + 1e-3)


@pytest.mark.parametrize("optimiser", [None, torch.optim.SGD])
def test_the_noise_has_the_deviation_that_is_accounted_for(optimiser: Any) -> None:
    config = {"batch_size": 40, "learning_rate": 1, "momentum": 0, "dp_clip": 0.01, "dp_noise": 3}
    risk = workload(
        lambda: nn.Sequential(nn.Linear(FEATURES, 2000), nn.Linear(2000, 2)),
        optimiser=optimiser,
        config=config,
    )
    base = risk.initial_model(1)
    update = difference(risk.train(base, table(40), seed=3).model, base)
    assert float(update.std()) == pytest.approx(3 * 0.01 / 40, rel=0.02)


def test_it_still_learns() -> None:
    risk = workload(
        metric="auc",
        config={"epochs": 4, "batch_size": 60, "learning_rate": 0.5, "dp_clip": 1, "dp_noise": 0.6},
    )
    model = risk.train(risk.initial_model(1), table(600), seed=1).model
    assert risk.evaluate(model, table(300, seed=2)).value > 0.9


def test_a_step_without_a_sample_is_noise_alone() -> None:
    risk = workload(config={"batch_size": 1, "epochs": 3} | PRIVATE)
    seen: list[int] = []
    result = risk.train(risk.initial_model(1), table(4), seed=2, on_step=lambda done, of: seen.append(done))
    assert seen == list(range(1, 13))
    assert math.isfinite(result.loss)


def test_a_loss_that_compares_samples_is_taken_of_each_alone() -> None:
    """The loss of the mean would give every sample every other's gradient."""

    def of_the_mean(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0].mean() - targets.float().mean()) ** 2

    config = {"batch_size": 40, "learning_rate": 0.5, "momentum": 0.0, "dp_clip": 0.1, "dp_noise": 1.0}
    risk = workload(loss=of_the_mean, config=config)
    base, data = risk.initial_model(1), table(40)
    loud = data.inputs.copy()
    loud[-1] *= 1000
    updates = [
        difference(risk.train(base, Samples(x, data.targets), seed=3).model, base)
        for x in (data.inputs, loud)
    ]
    assert 0 < float(np.linalg.norm(updates[0] - updates[1])) <= 2 * 0.1 / 40 * 0.5 * (1 + 1e-3)


class Mixing(nn.Module):
    """Takes the mean over its batch, which no list of types tells."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.layer(inputs - inputs.mean(dim=0))
        return found


class Remembering(nn.Module):
    """Keeps the last batch's mean in a buffer that travels."""

    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, 2)
        self.remembered = nn.Module()
        self.remembered.register_buffer("last", torch.zeros(FEATURES))

    def forward(self, inputs: Tensor) -> Tensor:
        self.remembered.last = inputs.mean(dim=0).detach()
        found: Tensor = self.layer(inputs)
        return found


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Mixing, "what the module gives for a sample depends on the others of its batch"),
        (
            lambda: nn.Sequential(nn.BatchNorm1d(FEATURES, affine=False), nn.Linear(FEATURES, 2)),
            "depends on the others of its batch",
        ),
        (Remembering, r"training changed the buffer remembered\.last, which no noise covers"),
    ],
)
def test_what_would_void_the_promise_ends_the_training(model: Callable[[], nn.Module], says: str) -> None:
    risk = workload(model, config=PRIVATE)
    with pytest.raises(ModelError, match=f"^risk: .*{says}"):
        risk.train(risk.initial_model(1), table(), seed=1)
    plain = workload(model)
    plain.train(plain.initial_model(1), table(), seed=1)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.BatchNorm1d(8), "1 is a BatchNorm1d, which cannot be trained privately; use nn.GroupNorm"),
        (nn.LSTM(8, 8), "1 is a LSTM, .*use opacus.layers.DPLSTM"),
        (nn.MultiheadAttention(8, 2), "1 is a MultiheadAttention, .*use opacus.layers.DPMultiheadAttention"),
    ],
)
def test_layers_that_opacus_does_not_support_are_refused_by_name(layer: nn.Module, says: str) -> None:
    risk = workload(lambda: nn.Sequential(nn.Linear(FEATURES, 8), layer), config=PRIVATE)
    with pytest.raises(WorkloadError, match=f"^risk: {says}.* or publish without dp_clip and dp_noise"):
        _ = risk.shapes
