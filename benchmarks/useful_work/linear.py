"""A classifier of one layer, trained exactly by numpy alone: an `ExactTraining` so quick that trials by the thousand take minutes.

It keeps to what `quorumlearn.learning.exact` promises (float64, gradients on a grid, elementwise operations rounded one by one, order of
batches from the seed) and shares the grid, the optimiser and the streams with it. Its gradients come of its own few lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quorumlearn.learning import Model, OnStep, Samples
from quorumlearn.learning.exact import NearTie, State, Stretch
from quorumlearn.learning.exact.grid import Grid, Room, TieLog
from quorumlearn.learning.exact.optimisers import Sgd
from quorumlearn.learning.exact.streams import Batches

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LinearTraining:
    """`classes` from `features` by softmax: weights `top.bias` (classes,) and `top.weight` (features, classes).

    arithmetic: float64 as promised; float32 is a cheat that computes gradients in half the time, and all else as it should be.
    """

    features: int = 4
    classes: int = 3
    rate: float = 0.1
    momentum: float = 0.5
    epochs: int = 1
    grid_bits: int = 20
    arithmetic: type[np.floating[Any]] = np.float64

    @property
    def profile(self) -> str:
        return ""

    @property
    def weights(self) -> Mapping[str, tuple[int, ...]]:
        return {"top.bias": (self.classes,), "top.weight": (self.features, self.classes)}

    @property
    def optimiser(self) -> Mapping[str, tuple[int, ...]]:
        return {"momentum": (self.classes * (self.features + 1),)}

    def base(self, seed: int) -> Model:
        """A model to begin with."""
        drawn = np.random.default_rng(seed)
        return {name: drawn.normal(0, 0.1, shape).astype(np.float32) for name, shape in self.weights.items()}

    def samples(self, count: int, seed: int) -> Samples:
        """Data that a model of this form learns: classes around centres."""
        drawn = np.random.default_rng(seed)
        targets = drawn.integers(0, self.classes, count)
        centres = np.random.default_rng(1).normal(0, 1, (self.classes, self.features))
        inputs = (centres[targets] + drawn.normal(0, 1, (count, self.features))).astype(np.float32)
        return Samples(inputs, targets)

    def begin(self, base: Model) -> State:
        return State(0, {name: base[name].astype(np.float64) for name in self.weights}, {})

    def run(
        self,
        state: State,
        data: Samples,
        *,
        seed: bytes,
        total: int,
        until: int,
        ties: Sequence[NearTie] | None = None,
        on_step: OnStep | None = None,
    ) -> Stretch:
        batches = _batches(len(data), seed, total, self.epochs)
        flat = np.concatenate([state.weights["top.bias"], state.weights["top.weight"].ravel()])
        momentum = np.array(state.optimiser.get("momentum", np.zeros(len(flat))))
        log, room, grid = TieLog(ties, state.step, until, len(flat)), Room(len(flat)), Grid(self.grid_bits)
        rule, spare = Sgd(self.rate, self.momentum), (np.empty(len(flat)), np.empty(len(flat)))
        receipt, losses = hashlib.sha256(b"linear").digest(), 0.0
        for step in range(state.step, until):
            batch = batches[step]
            gradient, loss = self.gradient(flat, data.inputs[batch], data.targets[batch])
            chained = hashlib.sha256(receipt + step.to_bytes(8, "big"))
            noise = grid.noise(f"the gradient of step {step + 1}", float(np.abs(gradient).max()))
            block = grid.put(gradient, noise, step, 0, log, chained, room)
            rule.move(flat, block, {"momentum": momentum}, step, spare)
            receipt, losses = chained.digest(), losses + loss
            if on_step is not None:
                on_step(step + 1, total)
        weights = {"top.bias": flat[: self.classes].copy(), "top.weight": self._matrix(flat).copy()}
        end = State(until, weights, {"momentum": momentum})
        return Stretch(end, tuple(log.entries), receipt, losses / (until - state.step))

    def gradient(
        self, flat: NDArray[np.float64], inputs: Floats, targets: NDArray[Any]
    ) -> tuple[NDArray[np.float64], float]:
        """Gradient (d,) and mean loss of a batch, in the order of the weights' names."""
        kind = self.arithmetic
        given = inputs.astype(kind)
        wrong = self.residuals(flat, given, targets)
        place = np.arange(len(targets))
        loss = -np.log(np.maximum(wrong[place, targets] + 1, 1e-300)).mean()
        parts = [wrong.mean(axis=0), (given.T @ wrong / kind(len(targets))).ravel()]
        return np.concatenate(parts).astype(np.float64), float(loss)

    def residuals(self, flat: NDArray[np.float64], inputs: Floats, targets: NDArray[Any]) -> Floats:
        """What the model says of each class, less what is so, (b, classes)."""
        raw = inputs @ self._matrix(flat).astype(inputs.dtype) + flat[: self.classes].astype(inputs.dtype)
        scores: Floats = np.exp(raw - raw.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        scores[np.arange(len(targets)), targets] -= 1
        return scores

    def _matrix(self, flat: NDArray[np.float64]) -> NDArray[np.float64]:
        return flat[self.classes :].reshape(self.features, self.classes)


@lru_cache(maxsize=4)
def _batches(count: int, seed: bytes, total: int, epochs: int) -> list[NDArray[np.int64]]:
    """Indices of the samples of every step; kept, since a trial trains the same steps in many stretches."""
    batches = Batches(Samples(np.zeros(count), np.zeros(count)), seed, total, epochs)
    return [batches.of(step) for step in range(total)]
