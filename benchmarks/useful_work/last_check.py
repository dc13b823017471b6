"""What a seat's check of a training's last checkpoint costs, in steps of that training: the figure behind `quorumlearn analyse economics`.

The check takes the update from the last checkpoint onto the grid, sketches it by the round's plan, and compares the claim. The plan of a
round is made once for all its miners. Steps are portable ones of mnist-cnn on batches of 32 random images. Times are processor
time, medians.

    python -m benchmarks.useful_work.last_check [--steps 60] [--json]
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from quorumlearn import ckks, learning
from quorumlearn.learning.exact import exact_training
from quorumlearn.replay.work import steps_of

from benchmarks.encrypted_aggregation.machine import machine

GRID_BITS, SAMPLES, REPEATS = 20, 640, 7


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.useful_work.last_check", description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args()
    found = measured(chosen.steps)
    if chosen.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    sys.stdout.write(f"{machine()}\n\n")
    for what, milliseconds in found.items():
        sys.stdout.write(f"{what}: {milliseconds:.2f} ms, {milliseconds / found['a step']:.2f} steps\n")
    return 0


def measured(steps: int) -> dict[str, float]:
    """Milliseconds of processor time."""
    workload = learning.get_workload("mnist-cnn", {})
    random, base = np.random.default_rng(0), workload.initial_model(0)
    data = learning.Samples(
        random.integers(0, 256, (SAMPLES, 28, 28)).astype(np.uint8),
        random.integers(0, 10, SAMPLES).astype(np.uint8),
    )
    seed, training = secrets.token_bytes(32), exact_training(workload, portable=True, grid_bits=GRID_BITS)
    begun = training.begin(base)
    last = training.run(begun, data, seed=seed, total=steps, until=steps).end.weights
    size = sum(tensor.size for tensor in base.values())
    parameters = ckks.Parameters.named("default", size, seats=3, threshold=2)

    def check(plan: ckks.SketchPlan) -> None:
        values = steps_of(base, last, parameters, seed)
        ckks.claim(parameters, plan, values, "Miner1MSP/miner", bytes(32))

    plan = ckks.SketchPlan.from_beacon(parameters, secrets.token_bytes(32))
    check(plan)
    return {
        "a step": _median(lambda: training.run(begun, data, seed=seed, total=steps, until=steps)) / steps,
        "the check": _median(lambda: check(plan)),
        "the check and a plan": _median(
            lambda: check(ckks.SketchPlan.from_beacon(parameters, secrets.token_bytes(32)))
        ),
    }


def _median(done: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        before = time.process_time()
        done()
        taken.append(1000 * (time.process_time() - before))
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main())
