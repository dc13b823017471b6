"""What cannot be replayed is refused, before or in its first steps, and the sentence says what to do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from quorumlearn.learning import SklearnLinear, Workload, WorkloadError
from quorumlearn.learning.exact import exact_training
from torch import Tensor, nn

from tests.client.learning.exact.modules import CLASSES, SEED, SIDE, pictures, workload

PIXELS = SIDE * SIDE


class Flat(nn.Module):
    """A linear module, which subclasses make worse."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(PIXELS, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.line(self.changed(inputs.flatten(1)))
        return found

    def changed(self, inputs: Tensor) -> Tensor:
        return inputs


class Draws(Flat):
    def changed(self, inputs: Tensor) -> Tensor:
        return inputs + torch.empty_like(inputs).uniform_()


class AttentionDropout(Flat):
    def changed(self, inputs: Tensor) -> Tensor:
        one = inputs[:, None, None]
        return nn.functional.scaled_dot_product_attention(one, one, one, dropout_p=0.5)[:, 0, 0]


class Coarse(Flat):
    def changed(self, inputs: Tensor) -> Tensor:
        return inputs.float().exp().double()


class CoarseSpread(Flat):
    def changed(self, inputs: Tensor) -> Tensor:
        return inputs * torch.linspace(0, 1, PIXELS)


class Counts(Flat):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))

    def changed(self, inputs: Tensor) -> Tensor:
        assert isinstance(self.seen, Tensor)
        self.seen += 1
        return inputs / self.seen


class Normalises(Flat):
    def changed(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            self.line.weight.div_(self.line.weight.norm())
        return inputs


class Table(Flat):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sines", torch.sin(torch.arange(float(PIXELS))), persistent=False)


class Attribute(Flat):
    def __init__(self) -> None:
        super().__init__()
        self.sines = [torch.sin(torch.arange(float(PIXELS)))]


def averaging() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(PIXELS, momentum=None), nn.Linear(PIXELS, CLASSES))


def train(of: Workload, *, portable: bool = True) -> None:
    training = exact_training(of, portable=portable, grid_bits=20)
    base = {name: np.full(shape, 0.01, np.float32) for name, shape in of.shapes.items()}
    training.run(training.begin(base), pictures(), seed=SEED, total=2, until=2)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Draws, "draw by dropout"),
        (AttentionDropout, "draw by dropout"),
        (Coarse, "in its parameters' type"),
        (CoarseSpread, "in its parameters' type"),
        (Counts, "persistent buffer of floating point"),
        (Normalises, "leave that to the optimiser"),
        (Table, "register it as persistent"),
        (Attribute, "register it as a persistent buffer"),
        (averaging, "give it a momentum"),
    ],
)
def test_what_a_module_does_that_differs_elsewhere(model: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(WorkloadError, match=said):
        train(workload(model))


def test_within_a_profile_a_module_may_draw_and_compute_as_it_likes() -> None:
    train(workload(Draws), portable=False)
    train(workload(Table), portable=False)
    with pytest.raises(WorkloadError, match="persistent buffer"):
        train(workload(Counts), portable=False)
    with pytest.raises(WorkloadError, match="portable"):
        train(
            workload(lambda: nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES)).half()), portable=False
        )


def test_half_precision_and_what_is_frozen_train_in_float64() -> None:
    def net() -> nn.Module:
        module = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 6), nn.Linear(6, CLASSES)).bfloat16()
        module[1].weight.requires_grad = False
        return module

    of = workload(net)
    training = exact_training(of, portable=True, grid_bits=20)
    assert "1.weight" not in training.weights
    train(of)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimiser": torch.optim.RMSprop}, "SGD, Adam or AdamW"),
        ({"before_round": lambda module, settings: None}, "in no checkpoint"),
        ({"after_round": lambda module, settings: None}, "in no checkpoint"),
        ({"device": "cuda"}, "device='cpu'"),
        ({"config": {"dp_clip": 1.0, "dp_noise": 1.0}}, "leave dp_clip and dp_noise out"),
    ],
)
@pytest.mark.parametrize("portable", [True, False])
def test_settings_that_cannot_be_replayed(options: dict[str, object], said: str, portable: bool) -> None:
    with pytest.raises(WorkloadError, match=said):
        train(workload(Flat, **options), portable=portable)  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [7, 27])
def test_grids_that_there_are_not(bits: int) -> None:
    with pytest.raises(WorkloadError, match="grid_bits"):
        exact_training(workload(Flat), portable=True, grid_bits=bits)


def test_workloads_without_torch_have_the_way_out() -> None:
    definition = SklearnLinear("line", features=3, classes=2)
    of = definition.build(definition.settings())
    with pytest.raises(WorkloadError, match="as a TorchWorkload"):
        exact_training(of, portable=True, grid_bits=20)
