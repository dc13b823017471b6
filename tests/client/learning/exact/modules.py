"""Workloads, models and data for the tests of exact training: none of them is drawn by torch, so they are the same on every processor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from quorumlearn.learning import Model, Samples, TorchWorkload
from quorumlearn.learning.initial import uniform
from quorumlearn.learning.torch_workload import ConfiguredTorch
from torch import Tensor, nn

SEED = bytes(range(32))
SIDE, CLASSES = 12, 4


class Pictures(nn.Module):
    """Convolutions, BatchNorm, dropout of two kinds, and noise that the module draws itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout2d(0.1),
            nn.Conv2d(6, 8, 3, stride=2, bias=False),
            nn.GELU(),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Linear(32, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, CLASSES))

    def forward(self, inputs: Tensor) -> Tensor:
        noisy = inputs + 0.05 * torch.randn_like(inputs) if self.training else inputs
        found: Tensor = self.head(self.body(noisy))
        return found


def workload(
    model: Callable[..., nn.Module] = Pictures, *, config: dict[str, Any] | None = None, **options: Any
) -> ConfiguredTorch:
    """A workload of this module, with these settings."""
    definition = TorchWorkload("pictures", model, **options)
    return definition.build(definition.settings(**(config or {})))


def begun(of: ConfiguredTorch) -> Model:
    """A first model, drawn from whole numbers."""
    return {
        name: uniform(1, name, shape, 1 / math.sqrt(math.prod(shape[1:])))
        if len(shape) > 1
        else np.full(shape, 0.5, np.float32)
        for name, shape in of.shapes.items()
    }


def pictures(count: int = 96) -> Samples:
    """Pixels of which the brightest quarter tells the class."""
    random = np.random.Generator(np.random.PCG64(5))
    pixels = random.integers(0, 128, (count, 1, SIDE, SIDE), dtype=np.uint8)
    classes = random.integers(0, CLASSES, count)
    for picture, of in zip(pixels, classes, strict=True):
        picture[0, 3 * of : 3 * of + 3] += 100
    return Samples(pixels, classes.astype(np.int64))
