"""A workload of any `nn.Module`: `TorchWorkload` describes it, `ConfiguredTorch` is what nodes train and score with.

    from torch import nn
    from quorumlearn.learning import TorchWorkload, readers

    def net(settings):
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))

    RISK = TorchWorkload("risk", net, metric="auc", load=readers.csv(features=["age", "pulse"], target="ill"))

Rules:
1. The user's code is called in a training or scoring only, on a copy of the module, and costs that training or scoring if it fails.
2. Training repeats from its seed, whatever the module draws from the global generators (`learning.turns`).
3. On a GPU, and on another torch or kind of processor, numbers differ in their last bits: models begin and train the same within
   rounding, and not to the byte.

Which tensors travel is in `torch_tensors`, what a module is given in `torch_samples`. docs/workloads.md shows it all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from quorumlearn.learning.data import Data, Part, Samples
from quorumlearn.learning.determinism import first_step, repeatable
from quorumlearn.learning.errors import ModelError, TrainingError, WorkloadError
from quorumlearn.learning.loading import Load, checked, loaded
from quorumlearn.learning.measures import Measure, OwnMetric
from quorumlearn.learning.model import Model
from quorumlearn.learning.own_code import own_code
from quorumlearn.learning.scores import Metric, Score
from quorumlearn.learning.torch_module import BuiltModule, takes_settings
from quorumlearn.learning.torch_samples import Loss, as_inputs, as_targets, each_loss
from quorumlearn.learning.torch_step import Optimiser, Step, optimiser_of, plain_steps
from quorumlearn.learning.torch_tensors import changed, read
from quorumlearn.learning.turns import Draws
from quorumlearn.learning.workload import OnStep, TrainingConfig, TrainResult, tensors_of

Hook = Callable[[nn.Module, TrainingConfig], object]
DEVICES = ("cpu", "cuda", "mps")

_EVALUATION_BATCH = 128


class TorchWorkload:
    """A module as a workload: a `Definition`, to be named in a node's file or an entry point."""

    def __init__(
        self,
        name: str,
        model: Callable[..., nn.Module],
        *,
        loss: Loss = functional.cross_entropy,
        metric: str | OwnMetric = "accuracy",
        lower_is_better: bool = False,
        optimiser: Optimiser | None = None,
        settings: type[TrainingConfig] = TrainingConfig,
        load: Load | None = None,
        version: str = "1",
        device: str = "cpu",
        before_round: Hook | None = None,
        after_round: Hook | None = None,
    ) -> None:
        """
        model: the module's class, or a function that makes it; called with the settings if it takes them.
        loss: of outputs and targets (b, ...), the mean over the batch or one for each sample.
        metric: accuracy, auc, r2, loss or perplexity, or a function of outputs and targets (n, ...), numpy arrays, that gives a
            Score or one number for each sample; lower_is_better is for such a function.
        optimiser: a class of torch.optim, which is given learning_rate (and momentum, if it takes that), or a function of parameters
            and settings. SGD with momentum if None.
        settings: what a task may configure: TrainingConfig, or a subclass with fields of its own.
        load: how data are read, of `source` and `part`; see `readers`.
        device: cpu, cuda or mps.
        before_round, after_round: called with the module and the settings, before and after a training's steps.

        WorkloadError if one of these is not what it must be. The module itself is not made yet.
        """
        if device not in DEVICES:
            raise WorkloadError(f"{name}: no device {device!r}; there are {', '.join(DEVICES)}")
        if isinstance(loss, type) or not callable(loss):
            raise WorkloadError(f"{name}: the loss is {loss!r}; give a function, or a module that is made")
        if not (isinstance(settings, type) and issubclass(settings, TrainingConfig)):
            raise WorkloadError(f"{name}: settings is {settings!r}; give a subclass of TrainingConfig")
        if optimiser is not None and not callable(optimiser):
            raise WorkloadError(
                f"{name}: the optimiser is a {type(optimiser).__name__}; give its class, or a function that makes it"
            )
        self.name = name
        self.version = version
        self.settings = settings
        self.model = model
        self.loss = loss
        self.measure = Measure.of(name, metric, lower_is_better=lower_is_better)
        self.optimiser = optimiser
        self.reader = load
        self.device = device
        self.before_round = before_round
        self.after_round = after_round
        self._takes_settings = takes_settings(name, model)
        self._shared = None if self._takes_settings else BuiltModule(name, model, None)

    def build(self, settings: TrainingConfig) -> ConfiguredTorch:
        """The workload with these settings, an instance of `self.settings`; its module is built when it is first needed."""
        if not isinstance(settings, self.settings):
            raise WorkloadError(
                f"{self.name}: settings are a {type(settings).__name__}; they must be {self.settings.__name__}"
            )
        return ConfiguredTorch(self, settings, self._shared or BuiltModule(self.name, self.model, settings))


@dataclass(frozen=True, eq=False)
class ConfiguredTorch:
    """A TorchWorkload with its settings; see `Workload` for what each method promises."""

    definition: TorchWorkload
    config: TrainingConfig
    built: BuiltModule

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def version(self) -> str:
        return self.definition.version

    @property
    def metric(self) -> Metric:
        return self.definition.measure.metric

    @property
    def blocks(self) -> tuple[str, ...]:
        return self._module.layout.blocks

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(self._module.layout.shapes)

    @property
    def fixed(self) -> dict[str, str]:
        """`frozen`: SHA-256 of what does not travel, if there is any such thing."""
        return {} if self._module.frozen is None else {"frozen": self._module.frozen}

    def tensors(self, block: str) -> tuple[str, ...]:
        return tensors_of(self, block)

    def initial_model(self, seed: int) -> Model:
        """The module as its own code begins it, under the seed. It repeats on one version of torch and one kind of processor; others may
        draw numbers that differ in their last bits."""
        return self._module.initial_model(seed)

    def load(self, source: str | None, part: Part) -> Data:
        return loaded(self.name, self.definition.reader, source, part)

    def epsilon(self, samples: Iterable[int]) -> float | None:
        if not self.config.private:
            return None
        from quorumlearn.learning import privacy

        return privacy.epsilon(self.config, samples)

    @property
    def times_built(self) -> int:
        return self.built.times_built

    def warm_up(self, *, training: bool) -> None:
        """The module, and what torch's optimisers import when they first take a step."""
        _ = self._module.module
        if training:
            first_step()

    def train(self, model: Model, data: Data, *, seed: int, on_step: OnStep | None = None) -> TrainResult:
        samples = checked(self.name, data)
        built, draws = self._module, Draws(seed, "training", self._device)
        with self._repeatable():
            module = built.copy(model, self._device).train()
            step = self._step(module)
            with draws.turn():
                self._hook(module, self.definition.before_round, "before_round")
                parameters = [one for name, one in module.named_parameters() if name in built.layout.shapes]
                parameters = [one for one in parameters if one.requires_grad]
                optimiser = optimiser_of(self.name, self.definition.optimiser, parameters, self.config)
            total = self.config.steps(len(samples))
            steps_an_epoch = total // self.config.epochs
            losses, seen = 0.0, 0
            for done, (drawn, loss) in enumerate(self._steps(step, optimiser, samples, seed, draws)):
                if done % steps_an_epoch == 0:
                    losses, seen = 0.0, 0
                losses += loss
                seen += drawn
                if on_step is not None:
                    on_step(done + 1, total)
            with draws.turn():
                self._hook(module, self.definition.after_round, "after_round")
            trained = self._trained(module, model)
        if not math.isfinite(losses):
            raise TrainingError(
                f"{self.name}: the loss is {losses}: lower learning_rate, {self.config.learning_rate}"
            )
        return TrainResult(trained, total, len(samples), losses / max(1, seen), self.epsilon([len(samples)]))

    def evaluate(self, model: Model, data: Data) -> Score:
        samples = checked(self.name, data)
        draws = Draws(0, "scoring", self._device)
        outputs: list[np.ndarray[Any, Any]] = []
        losses: list[np.ndarray[Any, Any]] = []
        with self._repeatable(), torch.no_grad():
            step = self._step(self._module.copy(model, self._device).eval())
            for start in range(0, len(samples), _EVALUATION_BATCH):
                here = slice(start, start + _EVALUATION_BATCH)
                inputs = as_inputs(samples.inputs[here], step.dtype, step.device)
                targets = as_targets(samples.targets[here], step.dtype, step.device)
                with draws.turn():
                    given = step.forward(step.module, inputs)
                    losses.append(each_loss(self.name, step.loss, given, targets).cpu().double().numpy())
                outputs.append(given.cpu().numpy())
        if len({one.shape[1:] for one in outputs}) > 1:
            raise TrainingError(
                f"{self.name}: outputs of samples differ in shape; a module must give all alike"
            )
        return self.definition.measure.score(
            self.name, np.concatenate(outputs), samples.targets, np.concatenate(losses)
        )

    def _steps(
        self, step: Step, optimiser: torch.optim.Optimizer, samples: Samples, seed: int, draws: Draws
    ) -> Iterator[tuple[int, float]]:
        if not self.config.private:
            return plain_steps(step, optimiser, samples, seed, draws)
        from quorumlearn.learning.torch_private import private_steps

        return private_steps(step, optimiser, samples, seed, draws)

    def _step(self, module: nn.Module) -> Step:
        dtype = next(
            one.dtype for name, one in module.named_parameters() if name in self._module.layout.shapes
        )
        return Step(self.name, self.config, module, self.definition.loss, dtype, self._device)

    def _hook(self, module: nn.Module, hook: Hook | None, name: str) -> None:
        if hook is not None:
            with own_code(self.name, name, "correct the hook"):
                hook(module, self.config)

    def _trained(self, module: nn.Module, before: Model) -> Model:
        built = self._module
        moved = changed(module, built.module, built.layout)
        if moved is not None:
            raise ModelError(
                f"{self.name}: training changed {moved}, which is frozen; only what trains from the start travels"
            )
        trained = read(self.name, module, built.layout)
        if self.config.private:
            for name, _ in module.named_buffers():
                if name in trained and not np.array_equal(trained[name], before[name]):
                    raise ModelError(
                        f"{self.name}: training changed the buffer {name}, which no noise covers; take it out, or publish without "
                        "dp_clip and dp_noise"
                    )
        return trained

    @cached_property
    def _module(self) -> BuiltModule:
        """What was built, after its layers were found fit for private training if the task asks for that."""
        if self.config.private:
            from quorumlearn.learning.torch_private import refuse_unsupported

            refuse_unsupported(self.name, self.built.module)
        return self.built

    @cached_property
    def _device(self) -> str:
        device = self.definition.device
        there = {"cpu"}
        if torch.cuda.is_available():
            there.add("cuda")
        if torch.backends.mps.is_available():
            there.add("mps")
        if device not in there:
            raise WorkloadError(
                f"{self.name}: there is no device {device!r} here; choose one of {', '.join(sorted(there))}"
            )
        return device

    def _repeatable(self) -> AbstractContextManager[None]:
        """On the CPU; kernels of GPUs that repeat are fewer than modules need."""
        return repeatable() if self._device == "cpu" else nullcontext()
