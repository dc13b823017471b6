"""Ways to train on four hospitals' patients, without a ledger: alone, pooled, averaged, and by a robust rule.

The rounds are a market's in the clear: eight miners train, their updates are clipped, put on the grid and sketched, a rule gives weights,
and the weighted mean is added to the model. What a market has beside it, encryption and the verifiers' gate, is not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, robust
from quorumlearn.attacks import Behaviour, BehaviourError, Sight, make_behaviour
from quorumlearn.seeds import derive

from examples.hospitals.heart import HEART, HOSPITALS, original

MINERS_EACH = 2
BOUND = 1.0
SKETCH = 64
ROOT = 10
"""Patients of each hospital that become public for trust-scores."""
MEAN = "mean"

Scores = dict[str, float]
"""AUC by hospital, on its held-out patients."""


@dataclass(frozen=True)
class Plan:
    """What is trained, and for how long. `settings` are those of `heart.Settings`; `cheat` is the hospital whose miners behave as `attack`
    says."""

    rounds: int
    settings: Mapping[str, object]
    cheat: str
    attack: str


@dataclass(frozen=True)
class Outcome:
    """`kept`: the part of a hospital's updates that got any weight, over all rounds."""

    scores: Scores
    kept: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Ways:
    """`data` is the folder of the four tables. `seed` is the number of the division, and all that is drawn follows from it."""

    data: Path
    plan: Plan
    seed: int

    @cached_property
    def workload(self) -> learning.Workload:
        return HEART.build(HEART.settings(**self.plan.settings))

    @cached_property
    def train(self) -> Mapping[str, learning.Samples]:
        return {one: self._load(one, "train") for one in HOSPITALS}

    @cached_property
    def test(self) -> Mapping[str, learning.Samples]:
        return {one: self._load(one, "test") for one in HOSPITALS}

    def _load(self, hospital: str, kind: Literal["train", "test"]) -> learning.Samples:
        part = learning.Part(kind, str(self.seed))
        loaded = self.workload.load(str(original(self.data, hospital)), part)
        assert isinstance(loaded, learning.Samples)
        return loaded

    @cached_property
    def first(self) -> learning.Model:
        return self.workload.initial_model(self.seed)

    @cached_property
    def parameters(self) -> ckks.Parameters:
        return ckks.Parameters.choose(
            learning.size_of(self.workload.shapes),
            seats=len(HOSPITALS),
            threshold=3,
            bound=BOUND,
            max_weight_sum=robust.weight_room("agreement", MINERS_EACH * len(HOSPITALS)),
            sketch_size=SKETCH,
        )

    @property
    def epsilon(self) -> float:
        """What all rounds cost a patient of the miner with the fewest, at the settings' dp_delta; they must be private."""
        found = [self.workload.epsilon([len(one)] * self.plan.rounds) for one in self.shards]
        return max(one for one in found if one is not None)

    def scores(self, model: learning.Model) -> Scores:
        return {one: self.workload.evaluate(model, self.test[one]).value for one in HOSPITALS}

    def alone(self) -> Scores:
        """Each hospital with its own patients only, for as many epochs."""
        return {
            one: self.workload.evaluate(self._long(self.train[one]), self.test[one]).value
            for one in HOSPITALS
        }

    def central(self) -> Scores:
        """All patients in one place, which is what the hospitals may not do."""
        return self.scores(self._long(pooled(list(self.train.values()))))

    def _long(self, samples: learning.Samples) -> learning.Model:
        model = self.first
        for number in range(self.plan.rounds):
            model = self.workload.train(model, samples, seed=self._seed("long", number)).model
        return model

    def rounds(self, rule: str, *, cheating: bool = True) -> Outcome:
        """Rounds of eight miners, two of whom cheat, under this rule."""
        model, kept = self.first, np.zeros(MINERS_EACH * len(HOSPITALS))
        cheats = np.array(
            [cheating and one == self.plan.cheat for one in HOSPITALS for _ in range(MINERS_EACH)]
        )
        for number in range(self.plan.rounds):
            updates = self._updates(model, number, cheats)
            weights = self._weights(rule, updates, model, number)
            kept += (weights > 0) / self.plan.rounds
            if weights.any():
                step = ckks.dequantise(weights @ updates, int(weights.sum()), self.parameters)
                model = learning.apply_update(model, step)
        by_hospital = kept.reshape(len(HOSPITALS), MINERS_EACH).mean(axis=1).tolist()
        return Outcome(self.scores(model), dict(zip(HOSPITALS, by_hospital, strict=True)))

    def _updates(self, model: learning.Model, number: int, cheats: NDArray[np.bool_]) -> NDArray[np.int64]:
        honest = {
            miner: self._trained(model, self.shards[miner], number, miner)
            for miner in range(len(cheats))
            if not cheats[miner]
        }
        formed = [
            self._cheated(model, number, miner) if cheats[miner] else honest[miner]
            for miner in range(len(cheats))
        ]
        return np.stack([ckks.quantise(one, self.parameters) for one in formed])

    def _cheated(self, model: learning.Model, number: int, miner: int) -> NDArray[np.float64]:
        """What a cheat submits, (d,). One that watches others watches its hospital's other miner: nobody else's update can be seen."""
        behaviour, samples, other = self._behaviour, self.shards[miner], miner ^ 1
        poisoned = behaviour.poison(samples.inputs, samples.targets, self._seed("poison", number, miner))
        own = self._trained(model, learning.Samples(*poisoned), number, miner)
        seen = self._trained(model, self.shards[other], number, other)[None] if behaviour.watches else None
        return behaviour.form(
            Sight(size=len(own), seed=self._seed("cheat", number, miner), own=own, others=seen)
        )

    @cached_property
    def _behaviour(self) -> Behaviour:
        try:
            return make_behaviour(self.plan.attack)
        except BehaviourError:
            return make_behaviour(f"{self.plan.attack}:colleague")

    @cached_property
    def shards(self) -> Sequence[learning.Samples]:
        """What each miner trains on: half of its hospital's patients."""
        shards = []
        for hospital in HOSPITALS:
            samples = self.train[hospital]
            shards += [samples.take(part) for part in learning.iid(samples.targets, MINERS_EACH, self.seed)]
        return shards

    def _trained(
        self, model: learning.Model, samples: learning.Samples, number: int, miner: int
    ) -> NDArray[np.float64]:
        result = self.workload.train(model, samples, seed=self._seed("train", number, miner))
        return learning.difference(result.model, model).astype(np.float64)

    def _weights(
        self, rule: str, updates: NDArray[np.int64], model: learning.Model, number: int
    ) -> NDArray[np.int64]:
        sketched = ckks.SketchPlan.from_beacon(self.parameters, b"%d/%d" % (self.seed, number))
        sketches = np.stack([ckks.plain_sketch(self.parameters, sketched, one) for one in updates])
        root = None
        if robust.needs_root(rule):
            own = ckks.quantise(self._trained(model, self.root, number, -1), self.parameters)
            root = ckks.plain_sketch(self.parameters, sketched, own)
        findings = robust.select(
            sketches,
            commit_order=range(len(sketches)),
            rule=robust.make_rule(rule, {}, 0 if rule == MEAN else MINERS_EACH, root),
            norm_limit=float(np.sqrt(self.parameters.update_size)) * BOUND,
            rounding=ckks.sketch_rounding(self.parameters),
            max_weight_sum=robust.weight_room(rule, len(sketches)),
            levels=None if rule == MEAN else robust.Levels(MINERS_EACH + 2),
        )
        return np.array([one.weight for one in findings])

    @cached_property
    def root(self) -> learning.Samples:
        random = np.random.default_rng(self._seed("root"))
        return pooled([one.take(np.sort(random.permutation(len(one))[:ROOT])) for one in self.train.values()])

    def _seed(self, purpose: str, *numbers: int) -> int:
        return derive("hospitals", purpose, self.seed, *numbers)


def pooled(parts: Sequence[learning.Samples]) -> learning.Samples:
    return learning.Samples(
        np.concatenate([one.inputs for one in parts]), np.concatenate([one.targets for one in parts])
    )
