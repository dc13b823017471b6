"""The layers of the networks on images of digits; `mnist` says what each network is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quorumlearn.learning.digits import CLASSES, SIDE


@dataclass(frozen=True)
class Layer:
    """One layer: its name, `block.layer`, and the shape of its weight, outputs first."""

    name: str
    weight: tuple[int, ...]


CNN = (
    Layer("bottom.conv1", (16, 1, 5, 5)),
    Layer("bottom.conv2", (32, 16, 5, 5)),
    Layer("top.dense1", (24, 32 * 7 * 7)),
    Layer("top.dense2", (CLASSES, 24)),
)
MLP = (
    Layer("bottom.dense1", (512, SIDE * SIDE)),
    Layer("bottom.dense2", (256, 512)),
    Layer("top.dense3", (256, 256)),
    Layer("top.dense4", (128, 256)),
    Layer("top.dense5", (CLASSES, 128)),
)
WIDE = (
    Layer("bottom.dense1", (2800, SIDE * SIDE)),
    Layer("top.dense2", (2800, 2800)),
    Layer("top.dense3", (CLASSES, 2800)),
)

LAYERS: Mapping[str, tuple[Layer, ...]] = {"mnist-cnn": CNN, "mnist-mlp": MLP, "mnist-wide": WIDE}
