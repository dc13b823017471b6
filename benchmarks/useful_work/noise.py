"""How far gradients and buffers of one and the same step differ over processor paths, before they are put on a grid.

Each path is a process with other environment variables, as tests/client/learning/exact has them; all begin each step with the same bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from quorumlearn.learning.exact import exact_training
from quorumlearn.learning.exact.grid import NOISE_BITS
from quorumlearn.learning.exact.training import SteppedTraining
from quorumlearn.seeds import public

from benchmarks.useful_work.paths import PATHS
from benchmarks.useful_work.subjects import first_model, subjects

SEED = public("benchmark of useful work")
GRID_BITS, BATCH = 20, 32
AFTER, QUICK_AFTER = (0, 1, 10, 50, 200), (0, 1)


@dataclass(frozen=True)
class Noise:
    """Of one workload: the largest difference between paths, over the norm of the gradient or 1 if that is less; how many values were
    compared; and how far `NOISE_BITS` is above it."""

    workload: str
    values: int
    gradients: float
    buffers: float

    @property
    def margin(self) -> float:
        return 2.0**-NOISE_BITS / max(self.gradients, self.buffers, 2.0**-100)


def write_gradients(to: Path, data: Path | None, quick: bool) -> None:
    """What this process's path computes for steps of each workload, into one file."""
    after = QUICK_AFTER if quick else AFTER
    found = {}
    for one in subjects(data, quick=quick):
        training = exact_training(one.workload, portable=True, grid_bits=GRID_BITS)
        assert isinstance(training, SteppedTraining)
        total = len(one.train) // BATCH
        steps = [step for step in after if step < total]
        state = training.begin(first_model(one.workload))
        for step in steps:
            if step > state.step:
                state = training.run(state, one.train, seed=SEED, total=total, until=step).end
            gradients, buffers = training.gradients(state, one.train, seed=SEED, total=total)
            for kind, arrays in (("gradients", gradients), ("buffers", buffers)):
                for name, values in arrays.items():
                    found[f"{one.name} {step} {kind} {name}"] = values
    np.savez(to, **found)  # type: ignore[arg-type]


def measured(data: Path | None, *, quick: bool = False) -> list[Noise]:
    """The noise of each workload, over all pairs of paths."""
    with tempfile.TemporaryDirectory() as folder:
        files = [
            _played(path, Path(folder) / f"{number}.npz", data, quick) for number, path in enumerate(PATHS)
        ]
        loaded = [dict(np.load(file)) for file in files]
    worst: dict[str, dict[str, float]] = {}
    values: dict[str, int] = {}
    for key, first in loaded[0].items():
        name, _, kind = key.split(" ")[:3]
        size = max(1.0, float(np.linalg.norm(first)))
        apart = max(float(np.abs(other[key] - first).max(initial=0.0)) for other in loaded[1:]) / size
        of = worst.setdefault(name, {"gradients": 0.0, "buffers": 0.0})
        of[kind] = max(of[kind], apart)
        values[name] = values.get(name, 0) + first.size
    return [Noise(name, values[name], of["gradients"], of["buffers"]) for name, of in worst.items()]


def _played(path: str, to: Path, data: Path | None, quick: bool) -> Path:
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "benchmarks.useful_work", "--gradients", str(to)),
            *(() if data is None else ("--data", str(data))),
            *(("--quick",) if quick else ()),
        ],
        env={**os.environ, **PATHS[path]},
        check=True,
    )
    return to
