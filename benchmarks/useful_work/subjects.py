"""The workloads that these benchmarks train: the networks on digits, and the examples that are torch workloads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from quorumlearn.learning import (
    DigitsSource,
    Model,
    Part,
    Samples,
    TorchWorkload,
    TrainingConfig,
    Workload,
    data_folder,
    get_workload,
    load_digits,
)
from quorumlearn.learning.initial import uniform
from torch import Tensor, nn

from examples.hospitals.heart import HEART, HOSPITALS, NoData, original
from examples.images.pictures import PICTURES
from examples.images.pictures import Settings as PictureSettings

DRAWN = 640


@dataclass(frozen=True, eq=False)
class Subject:
    """A workload with what it trains and is scored on."""

    name: str
    workload: Workload
    train: Samples
    test: Samples


class Deep(nn.Module):
    """Residual blocks with BatchNorm and dropout: sums of sums, and divisions by small variances."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout2d(0.05)
            )
            for _ in range(6)
        )
        self.last = nn.Linear(16 * 7 * 7, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        found = nn.functional.max_pool2d(self.first(inputs), 2)
        for block in self.blocks:
            found = found + block(found)
        scores: Tensor = self.last(found.flatten(1))
        return scores


DEEP = TorchWorkload("deep", Deep)


def subjects(data: Path | None, *, quick: bool = False) -> list[Subject]:
    """All of them, or two small ones; on digits that are drawn where the machine has none, and without hospitals where it has no
    tables."""
    train, test = _digits(data)
    images = [Samples(one.inputs[:, None], one.targets) for one in (train, test)]
    digits = [
        Subject(name, get_workload(name, {"learning_rate": rate}), train, test)
        for name, rate in (("mnist-cnn", "0.1"), ("mnist-mlp", "0.1"))
    ]
    if quick:
        return digits[:1]
    pictures = PICTURES.build(PictureSettings(channels=1, side=28, learning_rate=0.1))
    deep = DEEP.build(TrainingConfig(learning_rate=0.01, momentum=0.9))
    others = [Subject("pictures", pictures, *images), Subject("deep", deep, *images)]
    return [*digits, *_hospitals(), *others]


def first_model(workload: Workload) -> Model:
    """A model to begin with that is the same on every path: torch's own initialisation draws other numbers on some."""
    model: Model = {}
    for name, shape in workload.shapes.items():
        kind = name.rpartition(".")[2]
        if len(shape) > 1:
            model[name] = uniform(1, name, shape, 1 / math.sqrt(math.prod(shape[1:])))
        else:
            model[name] = np.full(shape, float(kind in {"weight", "running_var"}), np.float32)
    return model


def _digits(data: Path | None) -> tuple[Samples, Samples]:
    folder = None if data is None else data / "mnist"
    if folder is not None and folder.is_dir():
        found = load_digits(DigitsSource(folder=folder))
        return found.train, found.test
    random = np.random.Generator(np.random.PCG64(1))
    pixels = random.integers(0, 256, (DRAWN, 28, 28), dtype=np.uint8)
    drawn = Samples(pixels, random.integers(0, 10, DRAWN))
    return drawn, drawn


def _hospitals() -> list[Subject]:
    folder = data_folder("heart")
    try:
        tables = [] if folder is None else [str(original(folder, one)) for one in HOSPITALS[:2]]
    except NoData:
        return []
    parts = {}
    for kind in ("train", "test"):
        read = [cast(Samples, HEART.reader(table, Part(kind, "1"))) for table in tables]  # type: ignore[misc]
        if not read:
            return []
        parts[kind] = Samples(
            np.concatenate([one.inputs for one in read]), np.concatenate([one.targets for one in read])
        )
    return [Subject("heart", HEART.build(HEART.settings()), parts["train"], parts["test"])]
