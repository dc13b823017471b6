"""A round from the owner's side: an initial model, honest training, an opened sum, and images read out of the first layer.

The trap: every unit of the first layer of `mnist-mlp` measures the same thing, how bright an image is, each with a threshold of its own,
and the rest of the network passes on how many are above theirs. An image moves the units below its brightness alike, so between two
neighbouring units only the images between their thresholds make a difference: where there is one, the difference of the weights'
steps over that of the biases' steps is that image (Fowl et al., "Robbing the Fed", https://arxiv.org/abs/2110.13057).

From an initial model that the seed gives, one unit's step in weights over its step in bias is a weighted mean of the images that
it was on for (Phong et al., https://eprint.iacr.org/2017/715); where that is one image, it is read.

Read counts the images that something read correlates with by more than READ. Means of alike digits do so by chance with images that
nobody trained on: `by_chance` counts those among as many others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, seeds
from quorumlearn.learning import mnist
from quorumlearn.learning.digits import normalised

READ = 0.9
FAINTEST = 8
"""Differences of biases below so many grid steps are rounding."""
FIRST = "bottom.dense1"
Floats = NDArray[np.float64]
Start = Literal["trap", "seed"]


@dataclass(frozen=True)
class Case:
    """samples: of one miner, trained on in `steps` batches of one epoch. summed: miners in the opened sum, of equal weight. private: the
    clip of each sample's gradient, and the noise as a multiple of it."""

    start: Start = "trap"
    steps: int = 1
    summed: int = 6
    learning_rate: float = 1.0
    private: tuple[float, float] | None = None
    samples: int = 100


@dataclass(frozen=True, eq=False)
class Outcome:
    """read: of the images in the sum. by_chance: of as many that nobody trained on. pairs: of the best read, training image and what was
    read, (n, 2, 784)."""

    images: int
    read: int
    by_chance: int
    pairs: Floats


def play(case: Case, folder: str | None, best: int = 8) -> Outcome:
    """One round, and what is read of it. ValueError if there are too few images."""
    pixels, public = _images(folder)
    count = case.summed * case.samples
    if len(pixels) < 2 * count:
        raise ValueError(f"{case} needs {2 * count} images, there are {len(pixels)}: name a folder of MNIST")
    workload = _workload(case)
    base = workload.initial_model(1)
    if case.start == "trap":
        base = trap(base, public)
    size = learning.size_of(workload.shapes)
    parameters = ckks.Parameters.named("default", size, seats=3, threshold=2, max_weight_sum=case.summed)
    total = np.zeros(size, dtype=np.int64)
    for miner in range(case.summed):
        data = pixels.take(np.arange(miner * case.samples, (miner + 1) * case.samples))
        after = workload.train(base, data, seed=seeds.derive("inversion", miner)).model
        total += ckks.quantise(learning.difference(after, base), parameters)
    opened = learning.apply_update(base, ckks.dequantise(total, case.summed, parameters))
    found = _read(base, opened, 2.0**-parameters.step_bits / case.summed, case.start)
    inside, outside = (
        normalised(pixels.inputs[first : first + count]).reshape(count, -1).astype(np.float64)
        for first in (0, count)
    )
    match, of = _best(found, inside)
    order = np.argsort(-match)[:best]
    pairs = (
        np.stack([np.stack([inside[i], found[of[i]]]) for i in order])
        if len(found)
        else np.zeros((0, 2, 784))
    )
    chance, _ = _best(found, outside)
    return Outcome(count, int((match > READ).sum()), int((chance > READ).sum()), pairs)


def accuracy(case: Case, folder: str | None, rounds: int) -> float:
    """What the case's training reaches in so many rounds from the seed's model."""
    pixels, _ = _images(folder)
    tests = learning.load_digits(learning.DigitsSource(folder=None if folder is None else Path(folder))).test
    workload = _workload(case)
    model = workload.initial_model(1)
    for number in range(rounds):
        steps = []
        for miner in range(case.summed):
            data = pixels.take(np.arange(miner * case.samples, (miner + 1) * case.samples))
            after = workload.train(model, data, seed=seeds.derive("inversion", miner, number)).model
            steps.append(learning.difference(after, model))
        model = learning.apply_update(model, np.mean(steps, axis=0, dtype=np.float64))
    return workload.evaluate(model, learning.Samples(tests.inputs[:1000], tests.targets[:1000])).accuracy


def trap(model: learning.Model, public: Floats) -> learning.Model:
    """The seed's model turned into one that copies; `public` are images (n, 784) of any such kind."""
    made = {name: np.zeros_like(values) for name, values in model.items()}
    units = len(made[f"{FIRST}.bias"])
    brightness = np.full(public.shape[1], 1.0 / public.shape[1])
    thresholds = np.quantile(public @ brightness, np.linspace(0.002, 0.998, units)) + np.arange(units) * 1e-7
    scale = 1e-3
    made[f"{FIRST}.weight"] += (scale * brightness).astype(np.float32)
    made[f"{FIRST}.bias"] -= (scale * np.sort(thresholds)).astype(np.float32)
    made["bottom.dense2.weight"][0] = 0.5
    made["bottom.dense2.bias"][0] = 0.1
    for layer in ("top.dense3", "top.dense4", "top.dense5"):
        made[f"{layer}.weight"][0, 0] = 1.0
    return made


def _workload(case: Case) -> learning.Workload:
    config = {
        "batch_size": str(-(-case.samples // case.steps)),
        "learning_rate": repr(case.learning_rate),
        "momentum": "0.0",
    }
    settings = learning.TrainingConfig.model_validate(config)
    if case.private is not None:  # less noise than a task may ask for, too: so nothing checks these
        clip, noise = case.private
        settings = settings.model_copy(update={"dp_clip": clip, "dp_noise": noise})
    return mnist.definition("mnist-mlp").build(settings)


@lru_cache(maxsize=1)
def _images(folder: str | None) -> tuple[learning.Samples, Floats]:
    """What miners train on, and images that anybody has."""
    data = learning.load_digits(learning.DigitsSource(folder=None if folder is None else Path(folder)))
    few = data.test.take(np.arange(min(1000, len(data.test))))
    return data.train, normalised(few.inputs).reshape(len(few), -1).astype(np.float64)


def _read(base: learning.Model, opened: learning.Model, step: float, start: Start) -> Floats:
    """What may be images in the first layer's step, (n, 784)."""
    weights = opened[f"{FIRST}.weight"].astype(np.float64) - base[f"{FIRST}.weight"]
    biases = opened[f"{FIRST}.bias"].astype(np.float64) - base[f"{FIRST}.bias"]
    if start == "trap":
        weights, biases = weights[:-1] - weights[1:], biases[:-1] - biases[1:]
    clear = np.abs(biases) > FAINTEST * step
    read: Floats = weights[clear] / biases[clear, None]
    return read


def _best(found: Floats, images: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """For each image the highest correlation with something found, and with which."""
    if not len(found):
        return np.zeros(len(images)), np.zeros(len(images), dtype=np.int64)
    correlations = _centred(images) @ _centred(found).T
    return correlations.max(axis=1), correlations.argmax(axis=1)


def _centred(rows: Floats) -> Floats:
    moved = rows - rows.mean(axis=1, keepdims=True)
    scaled: Floats = moved / (np.linalg.norm(moved, axis=1, keepdims=True) + 1e-12)
    return scaled
