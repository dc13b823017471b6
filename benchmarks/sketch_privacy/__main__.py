"""How well t seats tell from one sketch which class a miner of one class has, by the sketch's size k and the noise of private training.

The attacker sees an opened sketch, knows the base and the beacon, and has images of its own. For each class it trains on those images
and sketches the update. It names the class whose sketch has the largest cosine with the opened one. Chance is one in ten.
What noise costs is measured beside it: the accuracy after a few rounds of plain averaging by miners of evenly divided data.

    python -m benchmarks.sketch_privacy [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, seeds
from quorumlearn.nodes.presets import PRESETS

WORKLOAD, CLASSES = "mnist-cnn", 10
SIZES = (1024, 256, 64, 16)
NOISES = (0.0, 1.0, 4.0)
CLIP = 1.0
OWN = 300
"""Images of each class that the attacker has of its own, of the test set."""
VEILED = {
    one.field.removeprefix("workload.config."): str(one.value)
    for one in PRESETS["veiled"].settings
    if one.field.startswith("workload.config.")
}


@dataclass(frozen=True)
class Scale:
    """samples: a miner's. trainings: of each class. beacons: sketches of each update. miners, rounds: to measure accuracy."""

    samples: int
    trainings: int
    beacons: int
    miners: int
    rounds: int


WHOLE, QUICK = Scale(1000, 2, 10, 8, 3), Scale(100, 1, 2, 2, 1)


@dataclass(frozen=True)
class Row:
    """noise: dp_noise, 0 for none. named: the part of sketches whose class was named rightly, by k. accuracy: of the averaged model."""

    noise: float
    named: Mapping[int, float]
    accuracy: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sketch_privacy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few samples: to see that it runs")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("QUORUMLEARN_DATA"),
        help="folder with MNIST's four IDX files; QUORUMLEARN_DATA if that is set",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args()
    scale = QUICK if chosen.quick else WHOLE
    found = rows(scale, chosen.data)
    if chosen.json:
        sys.stdout.write(json.dumps({**asdict(scale), "rows": [asdict(row) for row in found]}) + "\n")
        return 0
    sys.stdout.write(
        f"shards of {scale.samples} images, {CLASSES * scale.trainings * scale.beacons} sketches a cell; "
        f"accuracy of {scale.miners} miners after {scale.rounds} rounds\n\n"
        f"| dp_noise | {' | '.join(f'k = {size}' for size in SIZES)} | accuracy |\n"
        f"| ---: |{' ---: |' * (len(SIZES) + 1)}\n"
    )
    for row in found:
        named = " | ".join(f"{100 * row.named[size]:.0f} %" for size in SIZES)
        sys.stdout.write(f"| {row.noise:g} | {named} | {100 * row.accuracy:.1f} % |\n")
        sys.stdout.flush()
    return 0


def rows(scale: Scale, folder: Path | None) -> Iterator[Row]:
    """One for each noise, the least first."""
    data = learning.load_digits(learning.DigitsSource(folder=folder, download=False))
    base = _workload(0.0).initial_model(7)
    own = [_of_class(data.test, label, OWN) for label in range(CLASSES)]
    expected = [_taught(_workload(0.0), base, one, "own", label) for label, one in enumerate(own)]
    theirs = [_of_class(data.train, label, scale.samples) for label in range(CLASSES)]
    for noise in NOISES:
        workload = _workload(noise)
        updates = [
            (label, _taught(workload, base, one, "theirs", label, again))
            for label, one in enumerate(theirs)
            for again in range(scale.trainings)
        ]
        named = {size: _named(size, expected, updates, scale.beacons) for size in SIZES}
        yield Row(noise, named, _accuracy(workload, data, scale))


def _workload(noise: float) -> learning.Workload:
    """As the preset `veiled` has it, but for its noise."""
    private = {"dp_clip": str(CLIP), "dp_noise": str(noise)} if noise else {}
    plain = {name: value for name, value in VEILED.items() if not name.startswith("dp_")}
    return learning.get_workload(WORKLOAD, plain | private)


def _of_class(pixels: learning.Samples, label: int, count: int) -> learning.Samples:
    return pixels.take(np.flatnonzero(pixels.targets == label)[:count])


def _taught(
    workload: learning.Workload, base: learning.Model, data: learning.Samples, *place: int | str
) -> NDArray[np.floating]:
    trained = workload.train(base, data, seed=seeds.derive("sketch privacy", *place)).model
    return learning.difference(trained, base)


def _named(
    size: int,
    expected: list[NDArray[np.floating]],
    updates: list[tuple[int, NDArray[np.floating]]],
    beacons: int,
) -> float:
    """The part of the updates' sketches of this size by which their class is named."""
    p = ckks.Parameters.choose(len(expected[0]), seats=3, threshold=2, sketch_size=size)
    right = []
    for beacon in range(beacons):
        plan = ckks.SketchPlan.from_beacon(p, beacon.to_bytes(32, "big"))
        guesses = np.stack([ckks.plain_sketch(p, plan, ckks.quantise(one, p)) for one in expected])
        guesses /= np.linalg.norm(guesses, axis=1, keepdims=True)
        for label, update in updates:
            opened = ckks.plain_sketch(p, plan, ckks.quantise(update, p))
            right.append(int((guesses @ opened).argmax()) == label)
    return float(np.mean(right))


def _accuracy(workload: learning.Workload, data: learning.Digits, scale: Scale) -> float:
    parts = learning.iid(data.train.targets, scale.miners, 1)
    shards = [data.train.take(part[: scale.samples]) for part in parts]
    model = workload.initial_model(7)
    for number in range(scale.rounds):
        updates = [_taught(workload, model, one, "average", number, i) for i, one in enumerate(shards)]
        model = learning.apply_update(model, np.mean(updates, axis=0))
    return workload.evaluate(model, data.test).accuracy


if __name__ == "__main__":
    sys.exit(main())
