"""What the cells of a run share: the data and its division, the task's initial model, encryption's numbers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, robust, seeds

DIVISIONS = ("iid", "dirichlet", "one-class")
ALPHA = 0.3
ROOT = 100
OWNER_EPOCHS = 3
BOUND = 0.5
"""The largest value of an update."""


@dataclass(frozen=True)
class Setting:
    """What all cells of a run have in common. samples: of one miner's shard, on average. head_start: samples that the
    owner has trained the task's initial model on, so that few rounds show something; 0 starts from nothing. least: see `levels`."""

    miners: int = 20
    byzantine: int = 4
    rounds: int = 10
    samples: int = 150
    head_start: int = 500
    tests: int = 2000
    sketch_size: int = 256
    data: str | None = None
    least: int | None = None

    @property
    def levels(self) -> robust.Levels:
        """Of how many miners each weight must be; by default as the contracts ask, 1 to see what that costs."""
        return robust.Levels(self.byzantine + 2 if self.least is None else self.least)


@dataclass(frozen=True, eq=False)
class World:
    """What every cell of a process uses: data, workload, encryption's numbers."""

    workload: learning.Workload
    pixels: learning.Samples
    tests: learning.Samples
    root: learning.Samples
    notice: str | None
    room: int
    parameters: ckks.Parameters
    kept: OrderedDict[tuple[object, ...], NDArray[np.int32]] = field(default_factory=OrderedDict)


@lru_cache(maxsize=2)
def world_of(setting: Setting) -> World:
    data = learning.load_digits(
        learning.DigitsSource(folder=None if setting.data is None else Path(setting.data))
    )
    workload = learning.get_workload("mnist-cnn", {})
    test = generator("tests", 0).permutation(len(data.test))
    root = data.test.take(np.sort(test[:ROOT]))
    tests = data.test.take(np.sort(test[ROOT : ROOT + setting.tests]))
    room = robust.weight_room("norm-clipping", setting.miners)
    parameters = ckks.Parameters.choose(
        learning.size_of(workload.shapes),
        seats=3,
        threshold=2,
        bound=BOUND,
        max_weight_sum=room,
        sketch_size=setting.sketch_size,
    )
    return World(workload, data.train, tests, root, data.notice, room, parameters)


def notice(setting: Setting) -> str | None:
    """What to know of the data, or None."""
    return world_of(setting).notice


@lru_cache(maxsize=8)
def initial_model(setting: Setting, seed: int) -> learning.Model:
    """The task's initial model: trained by its owner for OWNER_EPOCHS on what no miner holds."""
    model = world_of(setting).workload.initial_model(seed)
    if setting.head_start == 0:
        return model
    pixels = world_of(setting).pixels
    own = generator("samples", seed).permutation(len(pixels))[: setting.head_start]
    workload = learning.get_workload("mnist-cnn", {"epochs": str(OWNER_EPOCHS), "batch_size": "16"})
    return workload.train(model, pixels.take(own), seed=seed).model


def shards_of(setting: Setting, division: str, seed: int) -> list[NDArray[np.int64]]:
    """The miners' shards of a random part of the training data, as indices into all of it."""
    pixels = world_of(setting).pixels
    order = generator("samples", seed).permutation(len(pixels))[setting.head_start :]
    chosen = order[: setting.miners * setting.samples]
    labels = pixels.targets[chosen]
    parts = {
        "iid": lambda: learning.iid(labels, setting.miners, seed),
        "dirichlet": lambda: learning.dirichlet(labels, setting.miners, ALPHA, seed),
        "one-class": lambda: learning.one_class(labels, setting.miners, seed),
    }[division]()
    return [chosen[part] for part in parts]


def generator(purpose: str, seed: int) -> np.random.Generator:
    return np.random.default_rng(seeds.derive("robustness", purpose, seed))
