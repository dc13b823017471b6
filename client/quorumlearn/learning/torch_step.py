"""One step of a training: forward, loss and backward of a user's module, with whatever goes wrong said in a sentence."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from quorumlearn.learning.data import Samples
from quorumlearn.learning.determinism import generator
from quorumlearn.learning.errors import TrainingError
from quorumlearn.learning.own_code import own_code
from quorumlearn.learning.torch_samples import Loss, as_inputs, as_targets, checked_outputs, mean_loss
from quorumlearn.learning.turns import Draws
from quorumlearn.learning.workload import TrainingConfig

Optimiser = (
    Callable[[list[nn.Parameter], TrainingConfig], torch.optim.Optimizer] | type[torch.optim.Optimizer]
)


@dataclass(frozen=True, eq=False)
class Step:
    """What a step of one training needs: the module is that training's own."""

    workload: str
    config: TrainingConfig
    module: nn.Module
    loss: Loss
    dtype: torch.dtype
    device: str

    def forward(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """What the module, or one that wraps it, gives for a batch."""
        way_out = f"it was given inputs of shape {tuple(inputs.shape)}, {inputs.dtype}: correct the module, or how the data are read"
        with own_code(self.workload, "the module", way_out):
            outputs = module(inputs)
        return checked_outputs(self.workload, outputs, len(inputs))

    def backward(self, loss: Tensor) -> None:
        """Leave gradients. TrainingError if the loss is not finite, or nothing that trains has a part in it."""
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"{self.workload}: the loss is {value}: lower learning_rate, {self.config.learning_rate}, or correct the module or "
                "its loss"
            )
        if not loss.requires_grad:
            raise TrainingError(
                f"{self.workload}: the loss does not depend on any parameter that trains; correct the module or its loss"
            )
        with own_code(self.workload, "the gradient", "correct the module or its loss"):
            loss.backward()  # type: ignore[no-untyped-call]


def optimiser_of(
    workload: str, optimiser: Optimiser | None, parameters: list[nn.Parameter], config: TrainingConfig
) -> torch.optim.Optimizer:
    """The user's optimiser over these parameters; a class of torch's is given learning_rate, and momentum if it has that."""
    if optimiser is None:
        return torch.optim.SGD(parameters, lr=config.learning_rate, momentum=config.momentum)
    with own_code(workload, "making the optimiser", "correct it"):
        if isinstance(optimiser, type):
            has = {"lr": config.learning_rate}
            if "momentum" in inspect.signature(optimiser).parameters:
                has["momentum"] = config.momentum
            made: object = optimiser(parameters, **has)
        else:
            made = optimiser(parameters, config)
    if not isinstance(made, torch.optim.Optimizer):
        raise TrainingError(
            f"{workload}: the optimiser is a {type(made).__name__}; give a torch.optim.Optimizer's class, or a function of the "
            "parameters and the settings that gives one"
        )
    return made


def plain_steps(
    step: Step, optimiser: torch.optim.Optimizer, data: Samples, seed: int, draws: Draws
) -> Iterator[tuple[int, float]]:
    """Take all steps; after each its number of samples and the sum of their losses.

    An epoch takes each sample once, in an order that the seed fixes, in batches whose sizes differ by one at most: no module that
    compares the samples of a batch is left with one of them because of how many there are.
    """
    count = len(data)
    an_epoch = step.config.steps(count) // step.config.epochs
    for epoch in range(step.config.epochs):
        order = torch.randperm(count, generator=generator(seed, f"epoch {epoch}")).numpy()
        for batch in np.array_split(order, an_epoch):
            inputs = as_inputs(data.inputs[batch], step.dtype, step.device)
            targets = as_targets(data.targets[batch], step.dtype, step.device)
            with draws.turn():
                optimiser.zero_grad()
                loss = mean_loss(step.workload, step.loss, step.forward(step.module, inputs), targets)
                step.backward(loss)
                with own_code(step.workload, "the optimiser", "correct it"):
                    optimiser.step()
            yield len(batch), loss.item() * len(batch)
