"""Trains and scores the workloads on images of digits, with torch; see `Workload` for what each function promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from quorumlearn.learning.data import Data, Samples
from quorumlearn.learning.determinism import generator, repeatable
from quorumlearn.learning.digits import CLASSES, SIDE, normalised
from quorumlearn.learning.errors import ModelError, TrainingError
from quorumlearn.learning.libraries import library_of
from quorumlearn.learning.mnist_layers import MLP, WIDE, Layer
from quorumlearn.learning.model import Model, shapes_of
from quorumlearn.learning.scores import Score, accuracy
from quorumlearn.learning.workload import OnStep, TrainResult, Workload

Tensors = Mapping[str, Tensor]
Forward = Callable[[Tensors, Tensor], Tensor]

_EVALUATION_BATCH = 128  # a layer's activations stay in the caches


def train(
    workload: Workload, model: Model, data: Data, *, seed: int, on_step: OnStep | None = None
) -> TrainResult:
    """See `Workload.train`."""
    images, labels = _inputs(workload, model, data)
    with repeatable():
        parameters = {
            name: torch.tensor(model[name], dtype=torch.float32, requires_grad=True)
            for name in workload.shapes
        }
        optimiser = torch.optim.SGD(
            list(parameters.values()), lr=workload.config.learning_rate, momentum=workload.config.momentum
        )
        learn = _private_learning if workload.config.private else _learning
        total = workload.config.steps(len(labels))
        steps_an_epoch = total // workload.config.epochs
        losses, seen = 0.0, 0
        for step, (drawn, loss) in enumerate(learn(workload, parameters, optimiser, images, labels, seed)):
            if step % steps_an_epoch == 0:
                losses, seen = 0.0, 0
            losses += loss
            seen += drawn
            if not math.isfinite(losses):
                raise _diverged(workload, step + 1, total)
            if on_step is not None:
                on_step(step + 1, total)
        trained = {name: tensor.detach().numpy() for name, tensor in parameters.items()}
    if not all(np.isfinite(tensor).all() for tensor in trained.values()):
        raise _diverged(workload, total, total)
    return TrainResult(trained, total, len(labels), losses / max(1, seen), workload.epsilon([len(labels)]))


def _learning(
    workload: Workload,
    parameters: Tensors,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    seed: int,
) -> Iterator[tuple[int, float]]:
    """Take all steps, moving `parameters`; after each its number of samples and the sum of their losses."""
    steps = 0
    for _ in range(workload.config.epochs):
        for batch in _batches(workload, len(labels), seed, steps):
            optimiser.zero_grad()
            loss = functional.cross_entropy(FORWARD[workload.name](parameters, images[batch]), labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            steps += 1
            yield len(batch), loss.item() * len(batch)


def _private_learning(
    workload: Workload,
    parameters: Tensors,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    seed: int,
) -> Iterator[tuple[int, float]]:
    """As `_learning`, differentially private."""
    with library_of("private training"):
        from quorumlearn.learning import (
            privacy,  # Opacus takes seconds to import: only who needs it pays for it
        )

    noisy = privacy.private_optimiser(optimiser, workload.config, len(labels), generator(seed, "noise"))
    rate = privacy.sampling_rate(workload.config, len(labels))
    steps = workload.config.steps(len(labels))
    for batch in privacy.poisson_batches(len(labels), rate, steps, generator(seed, "batches")):
        noisy.zero_grad()
        losses = privacy.leave_gradients(FORWARD[workload.name], parameters, images[batch], labels[batch])
        noisy.step()
        yield len(batch), float(losses.sum().item())


def evaluate(workload: Workload, model: Model, data: Data) -> Score:
    """See `Workload.evaluate`."""
    images, labels = _inputs(workload, model, data)
    parameters = {name: torch.tensor(model[name], dtype=torch.float32) for name in workload.shapes}
    right: list[bool] = []
    losses = 0.0
    with repeatable(), torch.no_grad():
        for start in range(0, len(labels), _EVALUATION_BATCH):
            target = labels[start : start + _EVALUATION_BATCH]
            logits = FORWARD[workload.name](parameters, images[start : start + _EVALUATION_BATCH])
            right += (logits.argmax(dim=1) == target).tolist()
            losses += functional.cross_entropy(logits, target, reduction="sum").item()
    return accuracy(right, losses / len(labels))


def _batches(workload: Workload, samples: int, seed: int, steps_before: int) -> Iterator[Tensor]:
    """The samples of each step of one epoch: every sample once, in an order that (seed, epoch) fixes."""
    order = torch.randperm(samples, generator=generator(seed, f"epoch from step {steps_before}"))
    return iter(torch.split(order, workload.config.batch_size))


def _inputs(workload: Workload, model: Model, data: Data) -> tuple[Tensor, Tensor]:
    if shapes_of(model) != workload.shapes:
        raise ModelError(f"the model has not the tensors of {workload.name}")
    return images_and_labels(workload.name, data)


def images_and_labels(workload: str, data: Data) -> tuple[Tensor, Tensor]:
    """Normalised images float32 (n, 1, SIDE, SIDE) and labels int64 (n,). TrainingError if the data are anything else."""
    if not isinstance(data, Samples):
        raise TrainingError(f"{workload} takes Samples, not {type(data).__name__}")
    if len(data) == 0:
        raise TrainingError("there are no samples; a shard must hold at least one")
    images, labels = data.inputs, data.targets
    if images.dtype == np.uint8 and images.shape[1:] == (SIDE, SIDE):
        images = normalised(images)
    if images.dtype.kind != "f" or images.shape[1:] != (1, SIDE, SIDE) or labels.shape != (len(images),):
        raise TrainingError(
            f"images {images.dtype} of shape {images.shape} with labels of shape {labels.shape}; {workload} takes pixels uint8 "
            f"(n, {SIDE}, {SIDE}), or normalised images float32 (n, 1, {SIDE}, {SIDE}), and labels (n,)"
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= CLASSES:
        raise TrainingError(
            f"labels {labels.dtype} from {labels.min()} to {labels.max()}; they must be 0 to 9"
        )
    return torch.tensor(images, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64)


def _diverged(workload: Workload, step: int, total: int) -> TrainingError:
    return TrainingError(
        f"training diverged at step {step} of {total}: lower learning_rate, {workload.config.learning_rate}"
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


FORWARD: Mapping[str, Forward] = {
    "mnist-cnn": _cnn,
    "mnist-mlp": _perceptron(MLP),
    "mnist-wide": _perceptron(WIDE),
}
