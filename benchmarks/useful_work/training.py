"""What exactness costs, and what it does to accuracy: portable and profile training beside float32 as miners train without either."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, stdev

import numpy as np
from quorumlearn.learning import Model, Samples
from quorumlearn.learning.exact import exact_training
from quorumlearn.seeds import public

from benchmarks.useful_work.noise import GRID_BITS
from benchmarks.useful_work.subjects import Subject

WAYS = ("float32", "portable", "profile")
SAMPLES, TURNS, QUICK_TURNS = 1280, 12, 2
LEARNT, SCORED, ROUNDS, SEEDS = 2048, 2000, 2, (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor time a step, medians over turns, in which the ways take one after the other."""

    workload: str
    float32: float
    portable: float
    profile: float
    ratio: float
    """Median over turns of portable over float32."""


@dataclass(frozen=True)
class Learnt:
    """The score on held-out samples after a training, one for each seed."""

    workload: str
    metric: str
    float32: tuple[float, ...]
    portable: tuple[float, ...]
    profile: tuple[float, ...]

    @property
    def difference(self) -> float:
        """Median over seeds of portable less profile, which takes the same batches in float32."""
        return median(one - other for one, other in zip(self.portable, self.profile, strict=True))

    @property
    def spread(self) -> float:
        """Standard deviation of float32's over seeds."""
        return stdev(self.float32) if len(self.float32) > 1 else 0.0


def costs(of: Sequence[Subject], *, quick: bool = False) -> list[Cost]:
    return [_cost(one, QUICK_TURNS if quick else TURNS) for one in of]


def learnt(of: Sequence[Subject], *, quick: bool = False) -> list[Learnt]:
    found = []
    for one in of:
        seeds = SEEDS[:1] if quick else SEEDS
        few = one.train.take(np.arange(min(SAMPLES // 4 if quick else LEARNT, len(one.train))))
        scores = {way: tuple(_score(one, few, way, seed) for seed in seeds) for way in WAYS}
        metric = one.workload.metric.name
        found.append(Learnt(one.name, metric, *(scores[way] for way in WAYS)))
    return found


def _cost(one: Subject, turns: int) -> Cost:
    few = one.train.take(np.arange(min(SAMPLES, len(one.train)) // 4))
    model = one.workload.initial_model(1)
    steps = one.workload.config.steps(len(few))
    ways = {way: _way(one, way, few, model, 1) for way in WAYS}
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(turns + 1):
        for way, train in ways.items():
            began = time.thread_time()
            train()
            if turn:
                taken[way].append((time.thread_time() - began) / steps * 1000)
    ratio = median(ours / theirs for ours, theirs in zip(taken["portable"], taken["float32"], strict=True))
    found = {way: median(times) for way, times in taken.items()}
    return Cost(one.name, found["float32"], found["portable"], found["profile"], ratio)


def _way(one: Subject, way: str, data: Samples, model: Model, seed: int) -> Callable[[], Model]:
    workload = one.workload
    if way == "float32":
        return lambda: workload.train(model, data, seed=seed).model
    training = exact_training(workload, portable=way == "portable", grid_bits=GRID_BITS)
    total = workload.config.steps(len(data))

    def train() -> Model:
        end = training.run(
            training.begin(model), data, seed=public("seed", seed), total=total, until=total
        ).end
        return {name: values.astype(np.float32) for name, values in end.weights.items()}

    return train


def _score(one: Subject, data: Samples, way: str, seed: int) -> float:
    """After ROUNDS rounds on the same samples, each beginning with the optimiser empty, as rounds do."""
    model = one.workload.initial_model(seed)
    for turn in range(ROUNDS):
        model = _way(one, way, data, model, 100 * seed + turn)()
    scored = one.test.take(np.arange(min(SCORED, len(one.test))))
    return one.workload.evaluate(model, scored).value
