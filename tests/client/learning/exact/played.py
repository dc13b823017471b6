"""`python -m tests.client.learning.exact.played`: what the trainings of these tests come to in this process, as JSON.

With a JSON object of logs of near ties on standard input, by the training's name, they are replayed by those.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from quorumlearn.learning import Samples, Workload, get_workload
from quorumlearn.learning.digits import CLASSES as DIGITS
from quorumlearn.learning.exact import NearTie, State, Stretch, exact_training
from torch import Tensor, nn

from tests.client.learning.exact.modules import SEED, begun, pictures, workload

STEPS, GRID_BITS = 12, 20
MIDDLES = 24


def middles() -> Samples:
    """Inputs (64, MIDDLES) whose mean of each column is the middle between two multiples of 2^-GRID_BITS, but for their own rounding."""
    random = np.random.Generator(np.random.PCG64(3))
    inputs = random.normal(size=(64, MIDDLES))
    for column in range(MIDDLES):
        wanted = Fraction(2 * int(random.integers(-1000, 1000)) + 1, 2 ** (GRID_BITS + 1)) * 64
        inputs[-1, column] = float(wanted - sum(map(Fraction, inputs[:-1, column].tolist())))
    return Samples(inputs, np.zeros(64, dtype=np.float64))


def mean(outputs: Tensor, _: Tensor) -> Tensor:
    return outputs.mean()


def trainings() -> Mapping[str, tuple[Workload, Samples, int]]:
    """By name: a workload, its data, and how many steps."""
    digits = np.random.Generator(np.random.PCG64(2))
    images = Samples(
        digits.integers(0, 256, (64, 28, 28), dtype=np.uint8), digits.integers(0, DIGITS, 64).astype(np.int64)
    )
    adam = {"learning_rate": 0.003}
    return {
        "sgd": (workload(config={"momentum": 0.9, "epochs": 2}), pictures(), STEPS),
        "adam": (workload(optimiser=torch.optim.Adam, config=adam), pictures(), STEPS),
        "mnist": (get_workload("mnist-cnn", {"learning_rate": "0.1"}), images, 4),
        "middles": (workload(lambda: nn.Linear(MIDDLES, 1), loss=mean), middles(), 1),
    }


def digest(state: State) -> str:
    """SHA-256 of all its bytes."""
    found = hashlib.sha256(state.step.to_bytes(8, "big"))
    for arrays in (state.weights, state.optimiser):
        for name in sorted(arrays):
            found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


def play(name: str, ties: Sequence[NearTie] | None = None, *, portable: bool = True) -> Stretch:
    of, data, steps = trainings()[name]
    training = exact_training(of, portable=portable, grid_bits=GRID_BITS)
    base = of.initial_model(1) if name == "mnist" else begun(of)  # type: ignore[arg-type]
    return training.run(training.begin(base), data, seed=SEED, total=steps, until=steps, ties=ties)


def told(stretch: Stretch) -> dict[str, Any]:
    ties = [[one.step, one.coordinate, one.up] for one in stretch.ties]
    return {"end": digest(stretch.end), "receipt": stretch.receipt.hex(), "ties": ties}


def main() -> None:
    given = json.loads(sys.stdin.read() or "{}")
    logs = {name: [NearTie(*one) for one in log] for name, log in given.items()}
    profiled = exact_training(trainings()["sgd"][0], portable=False, grid_bits=0)
    said = {
        "path": torch.backends.cpu.get_cpu_capability(),
        "profile": profiled.profile,
        "trainings": {name: told(play(name, logs.get(name))) for name in trainings()},
        "float32": told(play("sgd", portable=False)),
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
