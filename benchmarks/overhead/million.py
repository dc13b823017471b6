"""A workload of 10^6 public parameters that trains in no time: what a round of adapters of that size costs beside its training.

Nodes and the owner import this file from beside their own files, as they would any workload of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from quorumlearn.learning import (
    Data,
    Metric,
    Model,
    OnStep,
    Part,
    Samples,
    Score,
    TrainingConfig,
    TrainResult,
    accuracy,
)

PARAMETERS, SAMPLES = 1_000_000, 80
_MOVE = 0.01


@dataclass(frozen=True)
class Million:
    """One matrix; a training moves each of its numbers by up to _MOVE, and every model is right on every second sample."""

    name: str
    version: str
    config: TrainingConfig

    @property
    def metric(self) -> Metric:
        return Metric("accuracy")

    @property
    def blocks(self) -> tuple[str, ...]:
        return ("adapter",)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"adapter.weight": (PARAMETERS,)}

    @property
    def fixed(self) -> Mapping[str, str]:
        return {}

    def tensors(self, block: str) -> tuple[str, ...]:
        return tuple(self.shapes)

    def initial_model(self, seed: int) -> Model:
        return {"adapter.weight": np.zeros(PARAMETERS, dtype=np.float32)}

    def load(self, source: str | None, part: Part) -> Samples:
        return Samples(np.zeros((SAMPLES, 1), dtype=np.float32), np.arange(SAMPLES) % 2)

    def train(self, model: Model, data: Data, *, seed: int, on_step: OnStep | None = None) -> TrainResult:
        moved = np.random.default_rng(seed).uniform(-_MOVE, _MOVE, PARAMETERS).astype(np.float32)
        return TrainResult({"adapter.weight": model["adapter.weight"] + moved}, 1, len(data), 0.0)

    def epsilon(self, samples: Iterable[int]) -> float | None:
        return None

    def evaluate(self, model: Model, data: Data) -> Score:
        return accuracy(np.arange(len(data)) % 2 == 0, 0.0)


@dataclass(frozen=True)
class Definition:
    name: str = "million"
    version: str = "1"
    settings: type[TrainingConfig] = TrainingConfig

    def build(self, settings: TrainingConfig) -> Million:
        return Million(self.name, self.version, settings)


MILLION = Definition()
