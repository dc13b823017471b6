"""`python -m tests.client.replay.edges`: what a segment comes to here that starts from a checkpoint on an edge, in hex.

The checkpoint is made up: each of 256 units has its bias at minus what it gets from the one sample there is, so that the last bits of a
sum, which processors add up in other orders, say whether it passes its gradient on."""

from __future__ import annotations

import math
import sys

import numpy as np
from quorumlearn import ckks
from quorumlearn.learning import Samples
from quorumlearn.learning.exact import exact_training
from quorumlearn.replay import Work
from quorumlearn.replay.cheats import Forging, Played
from torch import nn

from tests.client.learning.exact.modules import begun, workload

FEATURES, UNITS, SAMPLES, STEPS, K = 64, 256, 16, 8, 2
SEED = bytes(32)


def _net() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, UNITS), nn.ReLU(), nn.Linear(UNITS, 4))


def work() -> Work:
    """A training on one sample, again and again."""
    of = workload(_net)
    sample = np.random.Generator(np.random.PCG64(7)).normal(size=FEATURES)
    data = Samples(np.tile(sample, (SAMPLES, 1)), np.arange(SAMPLES, dtype=np.int64) % 4)
    return Work(exact_training(of, portable=True, grid_bits=20), begun(of), data, SEED, STEPS, K)


def parameters(of: Work) -> ckks.Parameters:
    size = sum(array.size for array in of.base.values())
    return ckks.Parameters.choose(size, seats=3, threshold=2, minimum_security_bits=0, sketch_size=64)


def played(of: Work) -> Played:
    """A cheat that makes up its first checkpoint, and trains on from it."""
    forging = Forging(of)
    random = np.random.Generator(np.random.PCG64(8))
    weights = {name: random.normal(size=one.shape) / 8 for name, one in sorted(of.begin.weights.items())}
    sample = of.data.inputs[0]
    weights["0.bias"] = np.array([-math.fsum((row * sample).tolist()) for row in weights["0.weight"]])
    forging.make_up(weights)
    while forging.next <= of.segments:
        forging.train()
    return forging.played(parameters(of))


def main() -> None:
    sys.stdout.write(played(work()).committed.checkpoints[2].digest.hex())


if __name__ == "__main__":
    main()
