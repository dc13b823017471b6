"""One cell of the matrix: a rule, an attack, a division of the data and a seed, played for some rounds.

What is as in a task: mnist-cnn, training, clipping to the bound and the grid, the sketch of the quantised update (the
plain twin of the encrypted one, number for number), `robust.select` with its limits, integer weights, the next
model from the opened sum. What is not: no chain and no encryption, so nobody withholds or tampers with ciphertexts, and
no verifiers' test sets, so a bad block is never turned down. Attackers see every honest update of the round, which no
miner of a real network does. The root update of `trust-scores` is trained on ROOT samples that no miner holds.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, robust, seeds
from quorumlearn.attacks import (
    BEHAVIOURS,
    Behaviour,
    Found,
    Sight,
    backdoor_test,
    make_behaviour,
    plugins,
    search,
)

from benchmarks.robustness.peers import PEERS, aggregate
from benchmarks.robustness.world import BOUND, Setting, World, generator, initial_model, shards_of, world_of

Floats = NDArray[np.float64]
Values = NDArray[np.int64]

FAULTS = ("OUT_OF_RANGE", "DUPLICATE", "OUTLIER")
EXACT = "@exact"
"""A rule of this ending sees whole updates in place of sketches."""
MOST_KEPT = 600
"""Updates that a process keeps for cells whose models are the same so far: all in their first round, and any that an
attack was kept out of."""


@dataclass(frozen=True)
class Cell:
    """What is played. rule: of `robust.make_rule`, perhaps with EXACT, or one of PEERS. attack: `none`, or a
    behaviour without whom it watches."""

    rule: str
    attack: str
    division: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """How it went. accuracy: of the last model. curve: after each round. Counts are of miners over all rounds:
    attackers, those found (caught), those without weight; honest, those found by mistake, those without weight.
    backdoor: part of marked images that the last model calls what the attacker wants, or None.
    """

    accuracy: float
    curve: tuple[float, ...]
    attackers: int
    attackers_found: int
    attackers_out: int
    honest: int
    honest_found: int
    honest_out: int
    backdoor: float | None


def play(cell: Cell, setting: Setting) -> Outcome:
    """Train for the setting's rounds under this cell's attack and rule."""
    world = world_of(setting)
    byzantine = 0 if cell.attack == "none" else setting.byzantine
    behaviour = make_behaviour("honest") if cell.attack == "none" else attack_of(cell.attack)
    shards = shards_of(setting, cell.division, cell.seed)
    # who cheats is drawn, for in a division by class the last miners would all be of the same ones
    cheats = generator("cheats", cell.seed).permutation(setting.miners)[:byzantine].tolist()
    model = dict(initial_model(setting, cell.seed))
    kept: dict[int, Values] = {}
    curve: list[float] = []
    counts = np.zeros((2, 3), dtype=np.int64)
    for number in range(1, setting.rounds + 1):
        seen = _Round(world, setting, cell, number, model)
        updates = {i: seen.train(shards[i], i) for i in range(setting.miners) if i not in cheats}
        honest = np.stack([seen.units(values) for values in updates.values()])
        shared: list[Found] = []
        for i in cheats:
            updates[i] = seen.cheat(behaviour, shards[i], i, honest, kept, shared)
        order = [i for i in range(setting.miners) if i not in cheats] + cheats
        values = np.stack([updates[i] for i in range(setting.miners)])
        sizes = [len(shard) for shard in shards]
        step, findings = seen.combine(values, order, sizes)
        for i, finding in enumerate(findings):
            counts[int(i in cheats)] += (1, finding.reason in FAULTS, finding.weight == 0)
        model = learning.apply_update(model, step)
        curve.append(world.workload.evaluate(model, world.tests).value)
    backdoor = _backdoor(world, model, behaviour) if behaviour.name == "backdoor" else None
    (honest_all, honest_found, honest_out), (attackers, found, out) = counts.tolist()
    return Outcome(
        accuracy=curve[-1],
        curve=tuple(curve),
        attackers=attackers,
        attackers_found=found,
        attackers_out=out,
        honest=honest_all,
        honest_found=honest_found,
        honest_out=honest_out,
        backdoor=backdoor,
    )


def attack_of(text: str) -> Behaviour:
    """The behaviour of that name, watching everybody where it watches some."""
    name = text.partition(":")[0]
    plugged = None if name in BEHAVIOURS else plugins.definition(name)
    if name in ("copy", "mimic", "alie", "inner-product", "adaptive") or (
        plugged and plugged.watches != "nobody"
    ):
        return make_behaviour(f"{text}:honest")
    return make_behaviour(text)


@dataclass(frozen=True, eq=False)
class _Round:
    """One round of a cell."""

    world: World
    setting: Setting
    cell: Cell
    number: int
    base: learning.Model

    def train(self, indices: NDArray[np.int64], miner: int, behaviour: Behaviour | None = None) -> Values:
        """A miner's update in grid steps, on poisoned data if it has a behaviour."""
        poison = str(behaviour) if behaviour is not None and behaviour.poisons else None
        key = (self._base, self.cell.division, self.cell.seed, self.number, miner, poison)
        if key in self.world.kept:
            self.world.kept.move_to_end(key)
            return self.world.kept[key].astype(np.int64)
        data = self.world.pixels.take(indices)
        if behaviour is not None:
            data = learning.Samples(*behaviour.poison(data.inputs, data.targets, self._seed("poison", miner)))
        learned = self._learned(data, self._seed("train", miner))
        self.world.kept[key] = learned.astype(np.int32)
        if len(self.world.kept) > MOST_KEPT:
            self.world.kept.popitem(last=False)
        return learned

    @cached_property
    def _base(self) -> bytes:
        digest = hashlib.sha256()
        for name in sorted(self.base):
            digest.update(self.base[name].tobytes())
        return digest.digest()

    def cheat(
        self,
        behaviour: Behaviour,
        indices: NDArray[np.int64],
        miner: int,
        honest: Floats,
        kept: dict[int, Values],
        shared: list[Found],
    ) -> Values:
        """An attacker's update in grid steps. Each copier and mimic has an honest miner of its own; what adaptive
        attackers find is `shared`, since they would all find the same."""
        if miner in kept:
            return kept[miner]
        own = self.units(self.train(indices, miner, behaviour)) if behaviour.trains else None
        omniscient = bool(behaviour.watches) and behaviour.name not in ("copy", "mimic")
        others = honest if omniscient else np.roll(honest, -miner, axis=0)
        sight = Sight(
            size=honest.shape[1],
            seed=self._seed("cheat", miner),
            own=None if omniscient else own,
            others=others,
            byzantine=self.setting.byzantine,
            sketch_size=self.setting.sketch_size,
            weigh=self._expected_weights,
        )
        if behaviour.name == "adaptive":
            shared[:] = shared or [search(sight)]
            formed = shared[0].own(sight.seed)
        else:
            formed = behaviour.form(sight)
        values = ckks.quantise(formed, self.world.parameters)
        if behaviour.tampering == "replay-plaintext":
            kept[miner] = values
        return values

    def combine(
        self, values: NDArray[np.int64], order: list[int], sizes: list[int]
    ) -> tuple[Floats, list[robust.Finding]]:
        """The step that the model takes, float64 (d,), and what was found of each miner (nothing, by a peer)."""
        if self.cell.rule in PEERS:
            step = aggregate(self.cell.rule, self.units(values), self.setting.byzantine, sizes)
            return step, [robust.Finding(1, "CONTRIBUTES")] * len(values)
        root_values = self._root() if "trust-scores" in self.cell.rule else None
        if self.cell.rule.endswith(EXACT):
            vectors = self.units(values)
            root = None if root_values is None else self.units(root_values)
        else:
            beacon = b"%d/%d" % (self.cell.seed, self.number)
            plan = ckks.SketchPlan.from_beacon(self.world.parameters, beacon)
            vectors = np.stack([ckks.plain_sketch(self.world.parameters, plan, one) for one in values])
            root = (
                None if root_values is None else ckks.plain_sketch(self.world.parameters, plan, root_values)
            )
        findings = self._select(vectors, order, root)
        weights = np.array([finding.weight for finding in findings])
        if not weights.any():
            return np.zeros(values.shape[1]), findings
        return ckks.dequantise(weights @ values, int(weights.sum()), self.world.parameters), findings

    def units(self, values: NDArray[np.int64]) -> Floats:
        return np.ldexp(values.astype(np.float64), -self.world.parameters.step_bits)

    def _select(self, vectors: Floats, order: list[int], root: Floats | None) -> list[robust.Finding]:
        name = self.cell.rule.removesuffix(EXACT)
        return robust.select(
            vectors,
            commit_order=order,
            rule=robust.make_rule(name, {}, self.setting.byzantine, root),
            norm_limit=float(np.sqrt(self.world.parameters.update_size)) * BOUND,
            rounding=ckks.sketch_rounding(self.world.parameters),
            max_weight_sum=min(self.world.room, robust.weight_room(name, self.setting.miners)),
            levels=self.setting.levels,
        )

    def _expected_weights(self, sketches: Floats) -> Floats:
        """What an attacker that knows the rule expects: against a peer or an unknown root, multi-Krum's answer."""
        name = self.cell.rule.removesuffix(EXACT)
        known = name if name in robust.rules() or "+" in name else "multi-krum"
        rule = "multi-krum" if known == "trust-scores" or self.cell.rule in PEERS else known
        findings = robust.select(
            sketches,
            commit_order=range(len(sketches)),
            rule=robust.make_rule(rule, {}, self.setting.byzantine),
            norm_limit=float(np.sqrt(self.world.parameters.update_size)) * BOUND,
            max_weight_sum=robust.weight_room(rule, len(sketches)),
            levels=self.setting.levels,
        )
        return np.array([float(finding.weight) for finding in findings])

    def _root(self) -> Values:
        return self._learned(self.world.root, self._seed("root", 0))

    def _learned(self, data: learning.Samples, seed: int) -> Values:
        try:
            result = self.world.workload.train(self.base, data, seed=seed)
        except learning.TrainingError:  # an attack that won: from such a model training diverges
            return np.zeros(self.world.parameters.update_size, dtype=np.int64)
        return ckks.quantise(learning.difference(result.model, self.base), self.world.parameters)

    def _seed(self, purpose: str, miner: int) -> int:
        return seeds.derive("robustness", purpose, self.cell.seed, self.number, miner)


def _backdoor(world: World, model: learning.Model, behaviour: Behaviour) -> float:
    marked = backdoor_test(world.tests.inputs, world.tests.targets, int(behaviour.strength or 0))
    return world.workload.evaluate(model, learning.Samples(*marked)).value


def fields_of(cell: Cell, setting: Setting, outcome: Outcome | None = None) -> dict[str, object]:
    """A cell, its setting and its outcome as one record."""
    out = {**asdict(cell), "setting": asdict(setting)}
    return out if outcome is None else {**out, "outcome": asdict(outcome)}
