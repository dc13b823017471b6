"""The models that honest verdicts are counted on: small networks in torch, which differ in what may go wrong, and the layer of numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning
from quorumlearn.learning import Model, Samples
from quorumlearn.learning.exact import ExactTraining, exact_training

from benchmarks.useful_work.linear import LinearTraining

if TYPE_CHECKING:
    from torch import nn

GRID_BITS = 20
FEATURES, CLASSES = 16, 4


@dataclass(frozen=True)
class Network:
    """A model to train. share: of all verdicts. training: portable or, in torch, float32 as it comes. raw: one step's numbers as they come,
    before anything is put on a grid."""

    name: str
    share: float
    training: Callable[[bool], ExactTraining]
    base: Callable[[int], Model]
    raw: Callable[[], NDArray[np.float64]]

    @cached_property
    def parameters(self) -> ckks.Parameters:
        """Small ones: nothing is encrypted here, and the sketch has its usual 256 numbers."""
        size = learning.size_of(self.training(True).weights)
        return ckks.Parameters.choose(size, seats=3, threshold=2, minimum_security_bits=0)

    def samples(self, drawn: np.random.Generator, steps: int) -> Samples:
        """Data for so many steps, a sample each: whole numbers over 256, classes about centres."""
        targets = drawn.integers(0, CLASSES, steps)
        centres = np.random.default_rng(1).integers(-64, 65, (CLASSES, FEATURES))
        noise = drawn.integers(-64, 65, (steps, FEATURES))
        return Samples(((centres[targets] + noise) / 256).astype(np.float32), targets)


def networks() -> tuple[Network, ...]:
    """All of them, in the table's order."""
    return (
        _in_torch("layers with dropout, SGD", 0.1, "sgd"),
        _in_torch("convolution, batch norm, Adam", 0.1, "adam"),
        _linear(),
    )


def _linear() -> Network:
    training = LinearTraining(FEATURES, CLASSES)

    def raw() -> NDArray[np.float64]:
        flat = np.random.default_rng(1).random(CLASSES * (FEATURES + 1))
        inputs = np.random.default_rng(2).random((64, FEATURES))
        return training.gradient(flat, inputs, np.arange(64) % CLASSES)[0]

    return Network("one layer, SGD (numpy)", 0.8, lambda _: training, training.base, raw)


def _in_torch(name: str, share: float, kind: str) -> Network:
    """A network of torch, which is imported when it is first needed."""

    @cache
    def workload() -> learning.Workload:
        from torch import optim

        made, optimiser, rate = (_dense, None, 0.1) if kind == "sgd" else (_convolution, optim.Adam, 0.01)
        definition = learning.TorchWorkload(f"verdicts-{kind}", made, optimiser=optimiser)
        return definition.build(learning.TrainingConfig(batch_size=2, learning_rate=rate))

    return Network(
        f"{name} (torch)",
        share,
        lambda portable: exact_training(workload(), portable=portable, grid_bits=GRID_BITS),
        lambda seed: workload().initial_model(seed),
        lambda: _raw(_dense() if kind == "sgd" else _convolution()),
    )


def _dense() -> nn.Module:
    from torch import nn

    return nn.Sequential(nn.Linear(FEATURES, 12), nn.Tanh(), nn.Dropout(0.2), nn.Linear(12, CLASSES))


def _convolution() -> nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)),
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(6 * 16, CLASSES),
    )


def _raw(module: nn.Module) -> NDArray[np.float64]:
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    module = module.double().eval()
    with torch.no_grad():
        for number, one in enumerate(module.parameters()):
            one.copy_(torch.from_numpy(np.random.default_rng(number).random(one.shape) - 0.5))
    inputs = torch.from_numpy(np.random.default_rng(9).random((32, FEATURES)))
    functional.cross_entropy(module(inputs), torch.arange(32) % CLASSES).backward()  # type: ignore[no-untyped-call]
    found = [one.grad.numpy().ravel() for one in module.parameters() if one.grad is not None]
    return np.concatenate(found)
