"""Images: the workload of any data set of torchvision, CIFAR-10 as a folder of images, or MNIST as its IDX files.

`PICTURES` is what a node's file and a task's file name. `part:` of an identity is the data set's name, as torchvision writes it; nothing is
downloaded. The network is as wide as the task says, and fits images of its channels, side and classes.
"""

from __future__ import annotations

from pathlib import Path

import pydantic
from quorumlearn.learning import (
    DataMissing,
    DigitsSource,
    Part,
    Samples,
    TorchWorkload,
    TrainingConfig,
    load_digits,
    readers,
)
from torch import nn

CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
MNIST_FILE = "train-images-idx3-ubyte"


class Settings(TrainingConfig):
    """What a task may configure: the images' `channels`, `side` and `classes`, and `width`, the filters of the first layer."""

    channels: int = pydantic.Field(default=3, ge=1, le=16)
    side: int = pydantic.Field(default=32, ge=8, le=512)
    classes: int = pydantic.Field(default=10, ge=2, le=10_000)
    width: int = pydantic.Field(default=16, ge=1, le=512)


def load(source: str | None, part: Part) -> Samples:
    """A data set of torchvision, by its name; CIFAR10 also as train/CLASS/*.png and test/CLASS/*.png, MNIST also as four IDX files."""
    folder = None if source is None else Path(source).expanduser()
    whole = Part(part.kind)
    if not part.text:
        raise DataMissing(
            "no data set is named; write `part: CIFAR10`, or another of torchvision, in the node's file"
        )
    if folder is not None and part.text == "CIFAR10" and (folder / "train" / CIFAR10_CLASSES[0]).is_dir():
        return CIFAR10_IMAGES(source, whole)
    if folder is not None and part.text == "MNIST" and any(folder.glob(f"{MNIST_FILE}*")):
        digits = load_digits(DigitsSource(folder=folder))
        samples = digits.train if part.kind == "train" else digits.test
        return Samples(samples.inputs[:, None], samples.targets)
    return readers.torchvision(part.text)(source, whole)


CIFAR10_IMAGES = readers.images(classes=CIFAR10_CLASSES, size=(32, 32), files=("train", "test"))


def net(settings: Settings) -> nn.Module:
    """Two strided convolutions and two dense layers."""
    width, side = settings.width, -(-settings.side // 4)
    return nn.Sequential(
        nn.Conv2d(settings.channels, width, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * side * side, 3 * width),
        nn.ReLU(),
        nn.Linear(3 * width, settings.classes),
    )


PICTURES = TorchWorkload("pictures", net, settings=Settings, load=load)
