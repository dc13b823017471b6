"""The workloads on images of digits, as far as they need no torch; `mnist_training` trains and scores.

`mnist-cnn`: two strided convolutions and two dense layers, 51,154 parameters: small enough to encrypt whole.
`mnist-mlp`: the perceptron of Liang et al., "Think Locally, Act Globally", https://arxiv.org/abs/2001.01523,
633,226 parameters, of which the block `top` (its last three layers, 99,978 parameters) is the 15.79 % that
LG-FedAvg shares.
`mnist-wide`: a perceptron of 10,068,810 parameters, far more than digits need: to see what a large model costs.

All have the blocks `bottom` (next to the image) and `top` (next to the label). Their samples are `Samples` of pixels as `digits` has
them, uint8 (n, 28, 28), or of images that are normalised already, float32 (n, 1, 28, 28); targets are int64, 0 to 9.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from quorumlearn.learning.data import Data, Part, Samples
from quorumlearn.learning.digits import DigitsSource, load_digits
from quorumlearn.learning.errors import WorkloadError
from quorumlearn.learning.initial import uniform
from quorumlearn.learning.libraries import library_of
from quorumlearn.learning.mnist_layers import LAYERS, Layer
from quorumlearn.learning.model import Model
from quorumlearn.learning.scores import ACCURACY, Metric, Score
from quorumlearn.learning.workload import OnStep, TrainingConfig, TrainResult, tensors_of

VERSION = "1"
DOWNLOAD = "download"
"""What a node's file names as the data of these workloads in order to have torchvision download them."""


_read: WeakValueDictionary[tuple[DigitsSource, str], Samples] = WeakValueDictionary()
"""Parts that somebody still holds: a node's identities take theirs of one."""


@dataclass(frozen=True)
class MnistDefinition:
    """A workload of this module without its configuration."""

    name: str
    version: str = VERSION
    settings: type[TrainingConfig] = TrainingConfig

    def build(self, settings: TrainingConfig) -> MnistWorkload:
        return MnistWorkload(self.name, settings, LAYERS[self.name])


def definition(name: str) -> MnistDefinition:
    """The workload `name`, a key of LAYERS."""
    return MnistDefinition(name)


@dataclass(frozen=True)
class MnistWorkload:
    """A network of layers over images of SIDE x SIDE; see `Workload` for what each method promises."""

    name: str
    config: TrainingConfig
    layers: tuple[Layer, ...]
    version: str = VERSION

    @property
    def metric(self) -> Metric:
        return ACCURACY

    @property
    def blocks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer.name.partition(".")[0] for layer in self.layers))

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        shapes = {f"{layer.name}.weight": layer.weight for layer in self.layers}
        shapes |= {f"{layer.name}.bias": layer.weight[:1] for layer in self.layers}
        return {name: shapes[name] for name in sorted(shapes)}

    @property
    def fixed(self) -> dict[str, str]:
        return {}

    def tensors(self, block: str) -> tuple[str, ...]:
        return tensors_of(self, block)

    def initial_model(self, seed: int) -> Model:
        """Weights by He et al. (https://arxiv.org/abs/1502.01852), uniform; biases zero."""
        model: Model = {}
        for name, shape in self.shapes.items():
            if name.endswith(".weight"):
                model[name] = uniform(
                    seed, f"initial model {name}", shape, math.sqrt(6 / math.prod(shape[1:]))
                )
            else:
                model[name] = np.zeros(shape, dtype=np.float32)
        return model

    def load(self, source: str | None, part: Part) -> Samples:
        """The digits that `load_digits` finds; all of them, whoever the identity is."""
        if part.text:
            raise WorkloadError(f"{self.name} has no part {part.text!r}; `shard` divides its samples")
        folder = None if source is None or source == DOWNLOAD else Path(source)
        where = DigitsSource(folder=folder, download=source == DOWNLOAD)
        samples = _read.get((where, part.kind))
        if samples is None:
            found = load_digits(where)
            samples = found.train if part.kind == "train" else found.test
            _read[where, part.kind] = samples
        return samples

    def train(self, model: Model, data: Data, *, seed: int, on_step: OnStep | None = None) -> TrainResult:
        with library_of(self.name):
            from quorumlearn.learning import mnist_training

        return mnist_training.train(self, model, data, seed=seed, on_step=on_step)

    def warm_up(self, *, training: bool) -> None:
        with library_of(self.name):
            from quorumlearn.learning import determinism  # brings torch

        if training:
            determinism.first_step()

    def epsilon(self, samples: Iterable[int]) -> float | None:
        if not self.config.private:
            return None
        with library_of("what private training costs"):
            from quorumlearn.learning import privacy

        return privacy.epsilon(self.config, samples)

    def evaluate(self, model: Model, data: Data) -> Score:
        with library_of(self.name):
            from quorumlearn.learning import mnist_training

        return mnist_training.evaluate(self, model, data)
