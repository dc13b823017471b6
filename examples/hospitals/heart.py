"""Heart disease in four hospitals: the workload, and how each hospital's patients are divided.

`HEART` is what a node's file and a task's file name. It reads the table of one hospital in the form of the UCI Heart Disease data: no
header, 14 columns, `?` and -9 for what is missing.

Rules:
1. Nothing is learnt from a hospital's table but by training: ranges, categories and what fills a missing number are declared, and are the
   same for all.
2. What is missing stays visible where a column is often missing: a category without a value is all zeros.
3. A third of each class is held out for tests, so that the few healthy patients of Switzerland are in both parts. `part:` of an identity
   is the number of the division: miners and verifier of a hospital have the same, or a verifier would score on what was trained on.

Source of the data: Janosi, Steinbrunn, Pfisterer, Detrano, "Heart Disease", UCI Machine Learning Repository, 1988, DOI 10.24432/C52P4X.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray
from quorumlearn.learning import DataMissing, Part, Samples, TorchWorkload, TrainingConfig, readers
from torch import nn

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")

COLUMNS = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg"),
    *("thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"),
)
CATEGORIES = {
    "sex": [0, 1],
    "cp": [1, 2, 3, 4],
    "fbs": [0, 1],
    "restecg": [0, 1, 2],
    "exang": [0, 1],
    "slope": [1, 2, 3],
    "ca": [0, 1, 2, 3],
    "thal": [3, 6, 7],
}
RANGES = {
    "age": (30, 75),
    "trestbps": (90, 180),
    "chol": (130, 350),
    "thalach": (80, 190),
    "oldpeak": (0, 4),
}
FILL = {"trestbps": 130, "chol": 240, "thalach": 140, "oldpeak": 0.5}
TESTS = 1 / 3
DECAY = 0.02
INPUTS = len(RANGES) + sum(map(len, CATEGORIES.values()))


TABLE = readers.csv(
    names=COLUMNS,
    features=COLUMNS[:-1],
    target="num",
    classes={0: 0, 1: 1, 2: 1, 3: 1, 4: 1},
    categories=CATEGORIES,
    ranges=RANGES,
    missing={"*": ["?", -9], "chol": [0], "trestbps": [0], "thal": [0]},
    fill={**FILL, **dict.fromkeys(CATEGORIES)},
    test=None,
)


def load(source: str | None, part: Part) -> Samples:
    """A hospital's patients: those held out for a verifier, the others for a miner. `part.text` is the number of the division."""
    if not part.text.isdecimal():
        raise DataMissing(f"part {part.text!r}; it is the number of a division of the patients, such as '1'")
    patients = TABLE(source, Part(part.kind))
    held = held_out(patients.targets, int(part.text))
    return patients.take(np.flatnonzero(held == (part.kind == "test")))


def held_out(ill: NDArray[np.int64], division: int) -> NDArray[np.bool_]:
    """Who is held out for tests: a third of those with the disease and a third of those without, at least one of each; (n,) as `ill`."""
    random = np.random.Generator(np.random.PCG64(division))
    held = np.zeros(len(ill), dtype=bool)
    for disease in (0, 1):
        rows = random.permutation(np.flatnonzero(ill == disease))
        held[rows[: max(1, round(TESTS * len(rows)))]] = True
    return held


class Settings(TrainingConfig):
    """What a task may configure: `hidden` is the width of the layer between."""

    epochs: int = pydantic.Field(default=2, ge=1, le=100)
    batch_size: int = pydantic.Field(default=16, ge=1, le=4096)
    hidden: int = pydantic.Field(default=16, ge=1, le=1024)


def net(settings: Settings) -> nn.Module:
    return nn.Sequential(nn.Linear(INPUTS, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, 2))


def descent(parameters: list[nn.Parameter], settings: TrainingConfig) -> torch.optim.Optimizer:
    """Weights decay: a hundred patients are soon learnt by heart."""
    return torch.optim.SGD(
        parameters, lr=settings.learning_rate, momentum=settings.momentum, weight_decay=DECAY
    )


HEART = TorchWorkload(
    "heart",
    net,
    metric="auc",
    optimiser=descent,
    settings=Settings,
    load=load,
)


class NoData(Exception):
    """There is no such hospital in the folder; the sentence says where the data are to be had."""


def original(folder: Path, hospital: str) -> Path:
    """The file with all patients of a hospital. NoData if there is none."""
    for name in (f"{hospital}.csv", f"processed.{hospital}.data"):
        if (folder / name).is_file():
            return folder / name
    raise NoData(
        f"{folder} has neither {hospital}.csv nor processed.{hospital}.data; the data are at https://doi.org/10.24432/C52P4X: "
        "unpack them and name their folder with --data"
    )
