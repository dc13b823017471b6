"""Modules and samples for the tests of workloads that users bring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from quorumlearn.learning import Samples, TorchWorkload, TrainingConfig
from quorumlearn.learning.torch_workload import ConfiguredTorch
from torch import Tensor, nn

FEATURES = 5


def table(count: int = 120, seed: int = 1) -> Samples:
    """A table of which the sum of the first two columns tells the class."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(count, FEATURES)).astype(np.float32)
    return Samples(inputs, (inputs[:, 0] + inputs[:, 1] > 0).astype(np.int64))


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, 2))


class Rich(nn.Module):
    """Dropout, running statistics, a scalar, a frozen layer, an integer buffer, a buffer that is not persistent."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU())
        self.fixed = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)
        self.scale = nn.Parameter(self.head.weight.new_ones(()))
        self.register_buffer("places", self.head.weight.new_zeros(3).long())
        self.register_buffer("passing", self.head.weight.new_ones(2), persistent=False)
        for parameter in self.fixed.parameters():
            parameter.requires_grad = False

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.head(self.fixed(self.body(inputs))) * self.scale
        return found


def workload(
    model: Callable[..., nn.Module] = net, *, config: dict[str, Any] | None = None, **options: Any
) -> ConfiguredTorch:
    """A workload `risk` of this module, with these settings."""
    definition = TorchWorkload("risk", model, **options)
    return definition.build(definition.settings(**(config or {})))


__all__ = ["FEATURES", "Rich", "TrainingConfig", "net", "table", "workload"]
