"""Some rounds of a task in which riders take part, without chain and encryption: training, grid, sketches, selection and the next
model are the system's own.

A round is accepted unless accuracy falls by more than TOLERANCE, as at a committee's gate. The plan of a round's sketches is its own;
the public steps are those of the accepted rounds, as the verifiers see them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, robust, seeds
from quorumlearn.attacks import Sight, make_behaviour
from quorumlearn.nodes.public_steps import MOST

Values = NDArray[np.int64]

ALPHA, TOLERANCE, TESTS = 0.3, 0.02, 1000


@dataclass(frozen=True)
class Setting:
    """A task. division: `iid`, `dirichlet` or `one-class`. blocks: the public ones; all if empty. rounds: in place of the size's."""

    name: str
    config: dict[str, str] = field(default_factory=dict)
    division: str = "iid"
    workload: str = "mnist-cnn"
    blocks: tuple[str, ...] = ()
    rounds: int | None = None


@dataclass(frozen=True)
class Size:
    """How large a play is. samples: of one miner."""

    miners: int = 8
    byzantine: int = 2
    rounds: int = 5
    samples: int = 300
    data: str | None = None


@dataclass(frozen=True)
class Played:
    """parts: new part of each update, (rounds after the first, miners). lowest: the least of them, each in parts of the (f + 1)-th
    largest of its round. shares: of the miners' part
    of the reward of accepted rounds, by miner. accuracy: after each round."""

    parts: NDArray[np.float64]
    lowest: float
    shares: NDArray[np.float64]
    accuracy: tuple[float, ...]


def play(size: Size, setting: Setting, riders: dict[int, str], least_new: float | None) -> Played:
    """Train for the size's rounds. `riders` names by miner what it does in place of training: a behaviour of `quorumlearn.attacks`, or
    `one-batch`, honest training on the first batch of its data only. Without a `least_new` nothing is asked of an update."""
    task = _Task(size, setting)
    base = task.public
    steps: list[Values] = []
    parts, accuracy, paid = [], [task.accuracy(base)], np.zeros(size.miners)
    rounds = setting.rounds or size.rounds
    for number in range(1, rounds + 1):
        updates = [task.update(base, i, number, riders.get(i, "honest"), steps) for i in range(size.miners)]
        plan = ckks.SketchPlan.from_beacon(task.parameters, b"free riding %d" % number)
        sketches = np.stack(ckks.plain_sketches(task.parameters, plan, updates))
        known = ckks.plain_sketches(task.parameters, plan, steps[:MOST])
        if known:
            parts.append([math.sqrt(square) for square in robust.new_squares(sketches, np.stack(known))])
        weights = task.weights(sketches, np.stack(known) if known and least_new else None, least_new)
        total = int(weights.sum())
        model = base
        if total:
            model = learning.apply_update(
                base, ckks.dequantise(weights @ np.stack(updates), total, task.parameters)
            )
        score = task.accuracy(model)
        if total and score >= accuracy[-1] - TOLERANCE:
            paid += weights / total
            steps.insert(0, task.quantised(model, base))
            base = model
        accuracy.append(task.accuracy(base))
    usual = np.sort(parts, axis=1)[:, [-1 - size.byzantine]]
    return Played(np.array(parts), float((parts / usual).min()), paid / rounds, tuple(accuracy[1:]))


@lru_cache(maxsize=1)
def _samples(folder: str | None) -> tuple[learning.Samples, learning.Samples]:
    """What miners train on, and the test samples."""
    data = learning.load_digits(learning.DigitsSource(folder=None if folder is None else Path(folder)))
    return data.train, data.test.take(np.arange(min(TESTS, len(data.test))))


class _Task:
    """What the rounds of one play share."""

    def __init__(self, size: Size, setting: Setting) -> None:
        self.size = size
        self.pixels, self.tests = _samples(size.data)
        self.workload = learning.get_workload(setting.workload, setting.config)
        self.blocks = setting.blocks or self.workload.blocks
        self.public, private = learning.split(self.workload.initial_model(1), self.blocks)
        self.private = [private] * size.miners
        self.parameters = ckks.Parameters.choose(
            learning.size_of(learning.shapes_of(self.public)),
            seats=3,
            threshold=2,
            bound=0.5,
            max_weight_sum=robust.weight_room("multi-krum", size.miners),
        )
        self.shards = self._shards(setting.division)

    def _shards(self, division: str) -> list[NDArray[np.int64]]:
        wanted = self.size.miners * self.size.samples
        order = np.random.default_rng(1).permutation(len(self.pixels))[:wanted]
        labels, miners = self.pixels.targets[order], self.size.miners
        if division == "iid":
            parts = learning.iid(labels, miners, 1)
        elif division == "dirichlet":
            parts = learning.dirichlet(labels, miners, ALPHA, 1)
        else:
            parts = learning.one_class(labels, miners, 1)
        return [order[part] for part in parts]

    def update(self, base: learning.Model, miner: int, number: int, does: str, steps: list[Values]) -> Values:
        seed = seeds.derive("free riding", miner, number)
        if does in ("honest", "one-batch"):
            return self._learned(base, miner, seed, only_one=does == "one-batch")
        moved = np.ldexp(steps[0].astype(np.float64), -self.parameters.step_bits) if steps else None
        sight = Sight(size=self.parameters.update_size, seed=seed, moved=moved)
        return ckks.quantise(make_behaviour(does).form(sight), self.parameters)

    def _learned(self, base: learning.Model, miner: int, seed: int, *, only_one: bool) -> Values:
        shard = self.shards[miner]
        samples = self.pixels.take(shard[: self.workload.config.batch_size] if only_one else shard)
        model = self.workload.train(learning.merge(base, self.private[miner]), samples, seed=seed).model
        public, self.private[miner] = learning.split(model, self.blocks)
        return self.quantised(public, base)

    def quantised(self, after: learning.Model, before: learning.Model) -> Values:
        return ckks.quantise(learning.difference(after, before), self.parameters)

    def weights(
        self, sketches: NDArray[np.float64], known: NDArray[np.float64] | None, least_new: float | None
    ) -> Values:
        findings = robust.select(
            sketches,
            commit_order=range(len(sketches)),
            rule=robust.make_rule("multi-krum", {}, self.size.byzantine),
            norm_limit=math.sqrt(self.parameters.update_size) * 0.5,
            max_weight_sum=self.parameters.max_weight_sum,
            rounding=ckks.sketch_rounding(self.parameters),
            public_steps=known,
            byzantine=self.size.byzantine,
            least_new=least_new or robust.LEAST_NEW,
        )
        return np.array([finding.weight for finding in findings])

    def accuracy(self, public: learning.Model) -> float:
        return self.workload.evaluate(learning.merge(public, self.private[0]), self.tests).accuracy
