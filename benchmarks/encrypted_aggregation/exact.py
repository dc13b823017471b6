"""Multi-Krum on sketches beside multi-Krum on whole updates: who is kept out, and how good a choice is.

    python -m benchmarks.encrypted_aggregation.exact --data FOLDER --results exact.jsonl      1,000 rounds
    python -m benchmarks.encrypted_aggregation.exact --rounds 200 --attacks alie,mimic --json
    python -m benchmarks.encrypted_aggregation.exact --data FOLDER --margin 0.07               whoever is not clear of the line stays out
    python -m benchmarks.encrypted_aggregation.exact --rounds 200 --sketch-size 4096           a finer line, at what cost.md says

Stopped, and started again with the same --results, it goes on where it was.

Rules:
- the number of a round is its seed: miners (10 to 50), f (1 to what multi-Krum withstands, all f cheat), division of the
  data, the model, whose shards, all drawn from it; attacks take turns;
- honest updates are real ones: mnist-cnn on 150 samples of a shard, from the initial model or from one well trained, clipped
  to the bound and the grid. Attackers know every honest update and agree with each other;
- both see the same updates: one exactly, the other by the plain twin of the encrypted sketch (k = 256 unless told). In the first
  `--encrypted` rounds the updates are encrypted, sketched and opened, and must give the twin's numbers exactly;
- compared is the rule itself: what else a selection looks at (copies, lengths) could only find more;
- a score is that of multi-Krum on whole updates, of a choice the sum over whom it keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, robust, seeds
from quorumlearn.attacks import Behaviour, Found, Sight, make_behaviour, search
from rich.console import Console

from benchmarks.encrypted_aggregation.machine import machine
from benchmarks.encrypted_aggregation.ours import SEATS, THRESHOLD, make_committee

ATTACKS = (
    "noise",
    "sign-flip",
    "scaling",
    "label-flip",
    "copy",
    "mimic",
    "alie",
    "alie:0.5",
    "inner-product",
    "adaptive",
)
ALONE = ("noise", "sign-flip", "scaling", "label-flip")
"""Attackers that look at nobody."""
DIVISIONS = ("iid", "dirichlet", "one-class")
MODELS = ("initial", "trained")
MOST, SAMPLES, ALPHA, BOUND = 50, 150, 0.3, 0.5
SKETCH_SIZE = ckks.PRESETS["default"].sketch_size
WITHIN = 0.05
"""How much above the best score a choice may be."""

Floats = NDArray[np.float64]
Values = NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """One round.

    kept_out: Byzantine miners without weight by whole updates, and of those the ones without weight by sketches too.
    clearly_out: those of a score more than WITHIN above that of the last who is kept.
    differing: miners whom only one of the two keeps.
    kept, kept_by_sketches: how many are kept by whole updates, and by sketches; honest_kept, honest_kept_by_both: of them the honest.
    excess: how much above that of the best choice of as many the score of the sketches' choice is, in parts of it.
    """

    number: int
    miners: int
    byzantine: int
    attack: str
    division: str
    model: str
    kept_out: int
    kept_out_by_both: int
    clearly_out: int
    clearly_out_by_both: int
    differing: int
    kept: int
    kept_by_sketches: int
    honest_kept: int
    honest_kept_by_both: int
    excess: float
    sketch_size: int = SKETCH_SIZE
    margin: float = 0.0


@dataclass(frozen=True, eq=False)
class _World:
    """Data, and the updates trained so far."""

    workload: learning.Workload
    pixels: learning.Samples
    kept: dict[tuple[str, str, str, int], NDArray[np.int32]] = field(default_factory=dict)


@lru_cache(maxsize=1)
def _world(data: Path | None) -> _World:
    loaded = learning.load_digits(learning.DigitsSource(folder=data))
    if loaded.notice is not None:
        Console(stderr=True).print(loaded.notice)
    return _World(learning.get_workload("mnist-cnn", {}), loaded.train)


@lru_cache(maxsize=2)
def _parameters(data: Path | None, sketch_size: int) -> ckks.Parameters:
    """The grid of the updates is the same whatever the sketch."""
    return ckks.Parameters.choose(
        learning.size_of(_world(data).workload.shapes),
        seats=SEATS,
        threshold=THRESHOLD,
        bound=BOUND,
        max_weight_sum=MOST,
        sketch_size=sketch_size,
    )


@lru_cache(maxsize=len(MODELS))
def _base(data: Path | None, model: str) -> learning.Model:
    world = _world(data)
    base = world.workload.initial_model(1)
    if model == "initial":
        return base
    own = world.pixels.take(_random("base", 0).permutation(len(world.pixels))[:2000])
    return learning.get_workload("mnist-cnn", {"epochs": "3"}).train(base, own, seed=1).model


@lru_cache(maxsize=len(DIVISIONS))
def _shards(data: Path | None, division: str) -> list[NDArray[np.int64]]:
    pixels = _world(data).pixels
    chosen = _random("samples", 0).permutation(len(pixels))[: MOST * SAMPLES]
    labels = pixels.targets[chosen]
    parts = {
        "iid": lambda: learning.iid(labels, MOST, 1),
        "dirichlet": lambda: learning.dirichlet(labels, MOST, ALPHA, 1),
        "one-class": lambda: learning.one_class(labels, MOST, 1),
    }[division]()
    return [chosen[part] for part in parts]


def _update(data: Path | None, model: str, division: str, shard: int, behaviour: Behaviour) -> Values:
    """A miner's update in grid steps, trained once."""
    world = _world(data)
    poison = behaviour.name if behaviour.name == "label-flip" else "honest"
    key = (model, division, poison, shard)
    if key not in world.kept:
        split = world.pixels.take(_shards(data, division)[shard])
        split = learning.Samples(*behaviour.poison(split.inputs, split.targets, 1))
        base = _base(data, model)
        trained = world.workload.train(base, split, seed=seeds.derive("exact", *key))
        steps = ckks.quantise(learning.difference(trained.model, base), _parameters(data, SKETCH_SIZE))
        world.kept[key] = steps.astype(np.int32)
    return world.kept[key].astype(np.int64)


def play(
    number: int,
    attacks: Sequence[str],
    data: Path | None,
    encrypted: bool,
    sketch_size: int = SKETCH_SIZE,
    margin: float = 0.0,
) -> Outcome:
    """One round. AssertionError if encrypted sketches open to something else than their twins."""
    p = _parameters(data, sketch_size)
    rng = _random("round", number)
    attack = attacks[number % len(attacks)]
    miners = int(rng.integers(10, MOST + 1))
    byzantine = int(rng.integers(1, robust.largest_byzantine(miners) + 1))
    division, model = str(rng.choice(DIVISIONS)), str(rng.choice(MODELS))
    shards = rng.permutation(MOST)[:miners].tolist()
    honest_one = make_behaviour("honest")
    honest = np.stack([_update(data, model, division, one, honest_one) for one in shards[byzantine:]])
    seen_by_cheats = _units(p, honest)
    behaviour = make_behaviour(attack if attack in ALONE else f"{attack}:honest")
    rule = robust.MultiKrum(byzantine)
    shared: list[Found] = []

    def cheat(i: int) -> Values:
        own = _update(data, model, division, shards[i], behaviour) if attack in ALONE else None
        sight = Sight(
            size=p.update_size,
            seed=seeds.derive("exact", "cheat", number, i),
            own=None if own is None else _units(p, own),
            others=np.roll(seen_by_cheats, -i, axis=0),
            byzantine=byzantine,
            sketch_size=p.sketch_size,
            weigh=lambda sketches: expected(sketches, byzantine),
        )
        if attack == "adaptive":  # all would find the same
            shared[:] = shared or [search(sight)]
            return ckks.quantise(shared[0].own(sight.seed), p)
        return ckks.quantise(behaviour.form(sight), p)

    values = np.concatenate([np.stack([cheat(i) for i in range(byzantine)]), honest])
    plan = ckks.SketchPlan.from_beacon(p, b"exact/%d" % number)
    sketches = np.stack([ckks.plain_sketch(p, plan, one) for one in values])
    if encrypted:
        _demand_the_same(p, plan, values, sketches)
    exact, seen = rule.weights(_units(p, values)), replace(rule, margin=margin).weights(sketches)
    kept, kept_too = exact.values > 0, seen.values > 0
    out, out_too = ~kept[:byzantine], ~kept_too[:byzantine]
    clearly = exact.scores[:byzantine] > (1 + WITHIN) * exact.scores[kept].max()
    best = float(np.sort(exact.scores)[: int(kept_too.sum())].sum())
    return Outcome(
        number=number,
        miners=miners,
        byzantine=byzantine,
        attack=attack,
        division=division,
        model=model,
        kept_out=int(out.sum()),
        kept_out_by_both=int((out & out_too).sum()),
        clearly_out=int(clearly.sum()),
        clearly_out_by_both=int((clearly & out_too).sum()),
        differing=int((kept != kept_too).sum()),
        kept=int(kept.sum()),
        kept_by_sketches=int(kept_too.sum()),
        honest_kept=int(kept[byzantine:].sum()),
        honest_kept_by_both=int((kept & kept_too)[byzantine:].sum()),
        excess=float(np.sort(exact.scores[kept_too]).sum()) / best - 1,
        sketch_size=sketch_size,
        margin=margin,
    )


def expected(sketches: Floats, byzantine: int) -> Floats:
    """Multi-Krum's weights as an attacker that tries hundreds of sketches computes them: not to the last bit."""
    squares = (sketches**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * sketches @ sketches.T
    scores = np.sort(distances, axis=1)[:, 1 : len(sketches) - byzantine].sum(axis=1)
    weights = np.zeros(len(sketches))
    weights[np.argsort(scores)[: len(sketches) - byzantine]] = 1.0
    return weights


def _demand_the_same(p: ckks.Parameters, plan: ckks.SketchPlan, values: Values, sketches: Floats) -> None:
    made = make_committee(p)
    for one, expected in zip(values, sketches, strict=True):
        sketched = ckks.sketch(p, plan, ckks.parse(p, ckks.encrypt(p, made.key, one)))
        shares = {seat: ckks.sketch_share(p, plan, made.shares[seat], sketched) for seat in (1, 3)}
        if not np.array_equal(ckks.open_sketch(p, plan, sketched, shares), expected):
            raise AssertionError("an encrypted sketch opened to something else than its plain twin")


def _units(p: ckks.Parameters, values: Values) -> Floats:
    return np.ldexp(values.astype(np.float64), -p.step_bits)


def _random(purpose: str, number: int) -> np.random.Generator:
    return np.random.default_rng(seeds.derive("exact", purpose, number))


def summary(outcomes: Sequence[Outcome]) -> dict[str, float | int | None]:
    """What some rounds come to: shares from 0 to 1, None where nobody was to be kept out."""
    kept_out = sum(one.kept_out for one in outcomes)
    clearly_out = sum(one.clearly_out for one in outcomes)
    excess = np.array([one.excess for one in outcomes])
    return {
        "rounds": len(outcomes),
        "byzantine": sum(one.byzantine for one in outcomes),
        "kept_out": kept_out,
        "kept_out_by_both": _share(sum(one.kept_out_by_both for one in outcomes), kept_out),
        "clearly_out": clearly_out,
        "clearly_out_by_both": _share(sum(one.clearly_out_by_both for one in outcomes), clearly_out),
        "kept": sum(one.kept_by_sketches for one in outcomes) / sum(one.kept for one in outcomes),
        "honest_kept": _share(
            sum(one.honest_kept_by_both for one in outcomes), sum(one.honest_kept for one in outcomes)
        ),
        "excess_mean": float(excess.mean()),
        "excess_largest": float(excess.max()),
        "rounds_within": float((excess <= WITHIN).mean()),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(share: float | int | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _print(outcomes: Sequence[Outcome], encrypted: int) -> None:
    console = Console(highlight=False, width=200)
    console.print(machine())
    k, margin = outcomes[0].sketch_size, outcomes[0].margin
    console.print(
        f"{len(outcomes)} rounds, k = {k}, margin {margin:g}, {encrypted} of them encrypted too: the sketches were the same\n"
    )
    head = ["attack", "rounds", "Byzantine", "kept out", "by sketches too", "clearly out", "by sketches too"]
    head += ["honest kept too", "score above the best", "largest", "within 5 %"]
    for row in (head, ["---"] + ["---:"] * (len(head) - 1)):
        console.print("| " + " | ".join(row) + " |")
    for name in [*sorted({one.attack for one in outcomes}), "all"]:
        told = summary([one for one in outcomes if name in ("all", one.attack)])
        counts = [f"{told[key]:,}" for key in ("rounds", "byzantine", "kept_out")]
        cells = [name, *counts, _percent(told["kept_out_by_both"]), f"{told['clearly_out']:,}"]
        rest = ("clearly_out_by_both", "honest_kept", "excess_mean", "excess_largest", "rounds_within")
        cells += [_percent(told[key]) for key in rest]
        console.print("| " + " | ".join(cells) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.encrypted_aggregation.exact",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--attacks", default=",".join(ATTACKS), help="comma-separated; default: all")
    parser.add_argument("--encrypted", type=int, default=5, help="so many rounds are encrypted too")
    parser.add_argument(
        "--sketch-size", type=int, default=SKETCH_SIZE, help=f"numbers in a sketch; default: {SKETCH_SIZE}"
    )
    parser.add_argument("--margin", type=float, default=0.0, help="of multi-Krum on sketches; default: none")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("QUORUMLEARN_DATA"),
        help="folder with MNIST's four IDX files; otherwise $QUORUMLEARN_DATA",
    )
    parser.add_argument("--results", type=Path, help="a file of finished rounds: kept, and not played again")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    attacks = tuple(options.attacks.split(","))
    unknown = [one for one in attacks if one not in ATTACKS]
    if unknown:
        parser.error(f"no attack {', '.join(unknown)}: there are {', '.join(ATTACKS)}")
    done: dict[int, Outcome] = {}
    if options.results is not None and options.results.exists():
        for line in options.results.read_text().splitlines():
            one = Outcome(**json.loads(line))
            same = one.attack == attacks[one.number % len(attacks)] and one.margin == options.margin
            if not same or one.sketch_size != options.sketch_size:
                parser.error(
                    f"{options.results} holds rounds of other attacks, margins or sketches: name another file"
                )
            done[one.number] = one
    progress = Console(stderr=True, highlight=False)
    for number in range(options.rounds):
        if number not in done:
            encrypted = number < options.encrypted
            done[number] = play(number, attacks, options.data, encrypted, options.sketch_size, options.margin)
            if options.results is not None:
                with options.results.open("a") as file:
                    file.write(json.dumps(asdict(done[number])) + "\n")
        if (number + 1) % 50 == 0:
            progress.print(f"{number + 1} of {options.rounds} rounds")
    outcomes = [done[number] for number in range(options.rounds)]
    if options.json:
        by_attack = {
            name: summary([o for o in outcomes if o.attack == name]) for name in sorted(set(attacks))
        }
        record = {"taken": machine(), "all": summary(outcomes), "attacks": by_attack}
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        _print(outcomes, min(options.encrypted, options.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
