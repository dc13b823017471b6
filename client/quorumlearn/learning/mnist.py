"""The workloads on images of digits.

`mnist-cnn`: two strided convolutions and two dense layers, 51,154 parameters: small enough to encrypt whole.
`mnist-mlp`: the perceptron of Liang et al., "Think Locally, Act Globally", https://arxiv.org/abs/2001.01523,
633,226 parameters, of which the block `top` (its last three layers, 99,978 parameters) is the 15.79 % that
LG-FedAvg shares.
`mnist-wide`: a perceptron of 10,068,810 parameters, far more than digits need: to see what a large model costs.

All have the blocks `bottom` (next to the image) and `top` (next to the label).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from quorumlearn.learning.datasets import CLASSES, SIDE, Split
from quorumlearn.learning.determinism import generator, repeatable, uniform
from quorumlearn.learning.errors import ModelError, TrainingError, WorkloadError
from quorumlearn.learning.libraries import library_of
from quorumlearn.learning.model import Model, shapes_of
from quorumlearn.learning.workload import OnStep, Score, TrainingConfig, TrainResult, Workload

Tensors = Mapping[str, Tensor]
Forward = Callable[[Tensors, Tensor], Tensor]

_EVALUATION_BATCH = 128  # a layer's activations stay in the caches


@dataclass(frozen=True)
class Layer:
    """One layer: its name, `block.layer`, and the shape of its weight, outputs first."""

    name: str
    weight: tuple[int, ...]


_CNN = (
    Layer("bottom.conv1", (16, 1, 5, 5)),
    Layer("bottom.conv2", (32, 16, 5, 5)),
    Layer("top.dense1", (24, 32 * 7 * 7)),
    Layer("top.dense2", (CLASSES, 24)),
)
_MLP = (
    Layer("bottom.dense1", (512, SIDE * SIDE)),
    Layer("bottom.dense2", (256, 512)),
    Layer("top.dense3", (256, 256)),
    Layer("top.dense4", (128, 256)),
    Layer("top.dense5", (CLASSES, 128)),
)
_WIDE = (
    Layer("bottom.dense1", (2800, SIDE * SIDE)),
    Layer("top.dense2", (2800, 2800)),
    Layer("top.dense3", (CLASSES, 2800)),
)


def _cnn(p: Tensors, images: Tensor) -> Tensor:
    x = functional.relu(
        functional.conv2d(images, p["bottom.conv1.weight"], p["bottom.conv1.bias"], stride=2, padding=2)
    )
    x = functional.relu(
        functional.conv2d(x, p["bottom.conv2.weight"], p["bottom.conv2.bias"], stride=2, padding=2)
    )
    x = functional.relu(functional.linear(x.flatten(1), p["top.dense1.weight"], p["top.dense1.bias"]))
    return functional.linear(x, p["top.dense2.weight"], p["top.dense2.bias"])


def _perceptron(layers: tuple[Layer, ...]) -> Forward:
    def forward(p: Tensors, images: Tensor) -> Tensor:
        x = images.flatten(1)
        for layer in layers[:-1]:
            x = functional.relu(functional.linear(x, p[f"{layer.name}.weight"], p[f"{layer.name}.bias"]))
        return functional.linear(x, p[f"{layers[-1].name}.weight"], p[f"{layers[-1].name}.bias"])

    return forward


_MODELS: Mapping[str, tuple[tuple[Layer, ...], Forward]] = {
    "mnist-cnn": (_CNN, _cnn),
    "mnist-mlp": (_MLP, _perceptron(_MLP)),
    "mnist-wide": (_WIDE, _perceptron(_WIDE)),
}


def first_step() -> None:
    """One step of the optimiser that `train` uses, on nothing."""
    parameter = torch.zeros(1, requires_grad=True)
    torch.optim.SGD([parameter], lr=1.0).step()


def build(name: str, config: TrainingConfig) -> Workload:
    """The workload `name` (a key of _MODELS) with this configuration."""
    layers, forward = _MODELS[name]
    return MnistWorkload(name, config, layers, forward)


@dataclass(frozen=True)
class MnistWorkload:
    """A network of layers over images of SIDE x SIDE; see `Workload` for what each method promises."""

    name: str
    config: TrainingConfig
    layers: tuple[Layer, ...]
    forward: Forward

    @property
    def blocks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer.name.partition(".")[0] for layer in self.layers))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        shapes = {f"{layer.name}.weight": layer.weight for layer in self.layers}
        shapes |= {f"{layer.name}.bias": layer.weight[:1] for layer in self.layers}
        return {name: shapes[name] for name in sorted(shapes)}

    def tensors(self, block: str) -> tuple[str, ...]:
        if block not in self.blocks:
            raise WorkloadError(f"{self.name} has no block {block!r}; it has {', '.join(self.blocks)}")
        return tuple(name for name in self.shapes if name.partition(".")[0] == block)

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

    def train(self, model: Model, data: Split, *, seed: int, on_step: OnStep | None = None) -> TrainResult:
        images, labels = self._inputs(model, data)
        with repeatable():
            parameters = {
                name: torch.tensor(model[name], dtype=torch.float32, requires_grad=True)
                for name in self.shapes
            }
            optimiser = torch.optim.SGD(
                list(parameters.values()), lr=self.config.learning_rate, momentum=self.config.momentum
            )
            learn = self._private_learning if self.config.private else self._learning
            total = self.config.steps(len(labels))
            steps_an_epoch = total // self.config.epochs
            losses, seen = 0.0, 0
            for step, (drawn, loss) in enumerate(learn(parameters, optimiser, images, labels, seed)):
                if step % steps_an_epoch == 0:
                    losses, seen = 0.0, 0
                losses += loss
                seen += drawn
                if not math.isfinite(losses):
                    raise self._diverged(step + 1, total)
                if on_step is not None:
                    on_step(step + 1, total)
            trained = {name: tensor.detach().numpy() for name, tensor in parameters.items()}
        if not all(np.isfinite(tensor).all() for tensor in trained.values()):
            raise self._diverged(total, total)
        return TrainResult(trained, total, len(labels), losses / max(1, seen), self.epsilon([len(labels)]))

    def _learning(
        self, parameters: Tensors, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor, seed: int
    ) -> Iterator[tuple[int, float]]:
        """Take all steps, moving `parameters`; after each its number of samples and the sum of their losses."""
        steps = 0
        for _ in range(self.config.epochs):
            for batch in self._batches(len(labels), seed, steps):
                optimiser.zero_grad()
                loss = functional.cross_entropy(self.forward(parameters, images[batch]), labels[batch])
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                steps += 1
                yield len(batch), loss.item() * len(batch)

    def _private_learning(
        self, parameters: Tensors, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor, seed: int
    ) -> Iterator[tuple[int, float]]:
        """As `_learning`, differentially private."""
        with library_of("private training"):
            from quorumlearn.learning import privacy  # Opacus takes seconds to import: only who needs it pays

        noisy = privacy.private_optimiser(optimiser, self.config, len(labels), generator(seed, "noise"))
        rate = privacy.sampling_rate(self.config, len(labels))
        steps = self.config.steps(len(labels))
        for batch in privacy.poisson_batches(len(labels), rate, steps, generator(seed, "batches")):
            noisy.zero_grad()
            losses = privacy.leave_gradients(self.forward, parameters, images[batch], labels[batch])
            noisy.step()
            yield len(batch), float(losses.sum().item())

    def epsilon(self, samples: Iterable[int]) -> float | None:
        if not self.config.private:
            return None
        with library_of("what private training costs"):
            from quorumlearn.learning import privacy

        return privacy.epsilon(self.config, samples)

    def evaluate(self, model: Model, data: Split) -> Score:
        images, labels = self._inputs(model, data)
        parameters = {name: torch.tensor(model[name], dtype=torch.float32) for name in self.shapes}
        right, losses = bytearray(), 0.0
        with repeatable(), torch.no_grad():
            for start in range(0, len(labels), _EVALUATION_BATCH):
                target = labels[start : start + _EVALUATION_BATCH]
                logits = self.forward(parameters, images[start : start + _EVALUATION_BATCH])
                right += bytes((logits.argmax(dim=1) == target).tolist())
                losses += functional.cross_entropy(logits, target, reduction="sum").item()
        return Score(bytes(right), losses / len(labels))

    def _batches(self, samples: int, seed: int, steps_before: int) -> Iterator[Tensor]:
        """The samples of each step of one epoch: every sample once, in an order that (seed, epoch) fixes."""
        order = torch.randperm(samples, generator=generator(seed, f"epoch from step {steps_before}"))
        return iter(torch.split(order, self.config.batch_size))

    def _inputs(self, model: Model, data: Split) -> tuple[Tensor, Tensor]:
        if shapes_of(model) != self.shapes:
            raise ModelError(f"the model has not the tensors of {self.name}")
        if len(data.labels) == 0:
            raise TrainingError("there are no samples; a shard must hold at least one")
        if data.images.shape != (len(data.labels), 1, SIDE, SIDE):
            raise TrainingError(
                f"images of shape {data.images.shape}; {self.name} takes (n, 1, {SIDE}, {SIDE})"
            )
        if data.labels.min() < 0 or data.labels.max() >= CLASSES:
            raise TrainingError(
                f"labels from {data.labels.min()} to {data.labels.max()}; they must be 0 to 9"
            )
        return torch.tensor(data.images, dtype=torch.float32), torch.tensor(data.labels, dtype=torch.int64)

    def _diverged(self, step: int, total: int) -> TrainingError:
        return TrainingError(
            f"training diverged at step {step} of {total}: lower learning_rate, {self.config.learning_rate}"
        )
