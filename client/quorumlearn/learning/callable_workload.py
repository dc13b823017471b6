"""A workload of three functions on numpy arrays, for models that are not torch's. No torch is imported.

    def initial(settings, random):
        return {"line.slope": np.zeros((1,)), "line.height": np.zeros(())}

    def train(model, samples, settings, random):
        ...  # an iterator or the new model
        return {"line.slope": slope, "line.height": height}

    def evaluate(model, samples, settings):
        return scores.r2(model["line.slope"] * samples.inputs[:, 0] + model["line.height"], samples.targets)

    LINE = CallableWorkload("line", initial, train, evaluate, metric=scores.R2, load=...)

Rules:
1. Names of tensors are `block.rest`; they, and the shapes, follow from the settings alone.
2. Randomness comes from `random`, which holds all of a secret seed. What is drawn from the global generators repeats too
   (`learning.turns`): the whole of `train` is one turn.
3. What a function raises is a sentence, and costs a training or a scoring.
"""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.data import Data, Part, Samples
from quorumlearn.learning.errors import LearningError, ModelError, TrainingError, WorkloadError
from quorumlearn.learning.loading import Load, checked, loaded
from quorumlearn.learning.model import Model, blocks_of, shapes_of
from quorumlearn.learning.own_code import own_code
from quorumlearn.learning.scores import Metric, Score
from quorumlearn.learning.turns import Draws
from quorumlearn.learning.workload import OnStep, TrainingConfig, TrainResult, tensors_of
from quorumlearn.seeds import stream

Arrays = Mapping[str, NDArray[Any]]
Initial = Callable[[Any, np.random.Generator], Arrays]
Train = Callable[[Model, Samples, Any, np.random.Generator], object]
"""Gives the trained model, or that and its mean loss."""
Evaluate = Callable[[Model, Samples, Any], Score]


class CallableWorkload:
    """Functions as a workload: a `Definition`, to be named in a node's file or an entry point."""

    def __init__(
        self,
        name: str,
        initial: Initial,
        train: Train,
        evaluate: Evaluate,
        *,
        metric: Metric,
        settings: type[TrainingConfig] = TrainingConfig,
        load: Load | None = None,
        version: str = "1",
    ) -> None:
        """
        initial: of settings and random, the model that a task begins with, by the tensors' names.
        train: of a model, samples, settings and random, the trained model; or a pair of it and its mean loss. It may change its arguments.
        evaluate: of a model, samples and settings, a Score of this metric.
        settings, load, version: as in `TorchWorkload`.

        WorkloadError if one of these is not what it must be.
        """
        for what, function in (("initial", initial), ("train", train), ("evaluate", evaluate)):
            if not callable(function):
                raise WorkloadError(f"{name}: {what} is a {type(function).__name__}; give a function")
        if not isinstance(metric, Metric):
            raise WorkloadError(f"{name}: the metric is {metric!r}; give a Metric, as scores.ACCURACY")
        if not (inspect.isclass(settings) and issubclass(settings, TrainingConfig)):
            raise WorkloadError(f"{name}: settings is {settings!r}; give a subclass of TrainingConfig")
        self.name = name
        self.version = version
        self.settings = settings
        self.metric = metric
        self.reader = load
        self.functions = initial, train, evaluate

    def build(self, settings: TrainingConfig) -> ConfiguredCallable:
        """The workload with these settings, an instance of `self.settings`. WorkloadError if they ask for private training, which needs
        each sample's gradient."""
        if not isinstance(settings, self.settings):
            raise WorkloadError(
                f"{self.name}: settings are a {type(settings).__name__}; they must be {self.settings.__name__}"
            )
        if settings.private:
            raise WorkloadError(
                f"{self.name} cannot be trained privately; publish without dp_clip and dp_noise"
            )
        return ConfiguredCallable(self, settings)


@dataclass(frozen=True, eq=False)
class ConfiguredCallable:
    """A CallableWorkload with its settings; see `Workload` for what each method promises."""

    definition: CallableWorkload
    config: TrainingConfig
    _initial: dict[int, Model] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def version(self) -> str:
        return self.definition.version

    @property
    def metric(self) -> Metric:
        return self.definition.metric

    @property
    def blocks(self) -> tuple[str, ...]:
        return blocks_of(self.shapes)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return shapes_of(self._begun(next(iter(self._initial), 0)))

    @property
    def fixed(self) -> dict[str, str]:
        return {}

    def tensors(self, block: str) -> tuple[str, ...]:
        return tensors_of(self, block)

    def initial_model(self, seed: int) -> Model:
        return _copied(self._begun(seed))

    def load(self, source: str | None, part: Part) -> Data:
        return loaded(self.name, self.definition.reader, source, part)

    def epsilon(self, samples: Iterable[int]) -> float | None:
        del samples
        return None

    def train(self, model: Model, data: Data, *, seed: int, on_step: OnStep | None = None) -> TrainResult:
        """As in `Workload`; a training is one step."""
        samples = self._samples(model, data)
        with (
            Draws(seed, "training").turn(),
            own_code(self.name, "train", "correct it, or how the data are read"),
        ):
            found = self.definition.functions[1](
                _copied(model), samples, self.config, _random(seed, "training")
            )
        given, loss = found if isinstance(found, tuple) and len(found) == 2 else (found, math.nan)
        trained = self._model(given, "train", TrainingError)
        if shapes_of(trained) != self.shapes:
            raise ModelError(f"{self.name}: train gave tensors of other names or shapes; it must keep them")
        if on_step is not None:
            on_step(1, 1)
        return TrainResult(trained, 1, len(samples), float(loss))

    def evaluate(self, model: Model, data: Data) -> Score:
        samples = self._samples(model, data)
        with (
            Draws(0, "scoring").turn(),
            own_code(self.name, "evaluate", "correct it, or how the data are read"),
        ):
            score: object = self.definition.functions[2](_copied(model), samples, self.config)
        if not isinstance(score, Score):
            raise WorkloadError(f"{self.name}: evaluate gave a {type(score).__name__}; it must give a Score")
        if score.samples != len(samples):
            raise WorkloadError(
                f"{self.name}: evaluate gave {score.samples} parts for {len(samples)} samples; it must give one for each"
            )
        if score.metric.lower_is_better != self.metric.lower_is_better:
            raise WorkloadError(
                f"{self.name}: evaluate gave {score.metric.name}, and the metric is {self.metric.name}"
            )
        return replace(score, metric=self.metric)

    def _samples(self, model: Model, data: Data) -> Samples:
        if shapes_of(model) != self.shapes:
            raise ModelError(f"the model has not the tensors of {self.name}")
        return checked(self.name, data)

    def _begun(self, seed: int) -> Model:
        """The model of this seed; the last one is kept."""
        with self._lock:
            if seed not in self._initial:
                with (
                    Draws(seed, "initial model").turn(),
                    own_code(self.name, "initial", "correct it", ModelError),
                ):
                    found = self.definition.functions[0](self.config, _random(seed, "initial model"))
                model = self._model(found, "initial", ModelError)
                if any(shapes_of(model) != shapes_of(one) for one in self._initial.values()):
                    raise ModelError(
                        f"{self.name}: initial gave other tensors; they may depend on the settings only"
                    )
                self._initial.clear()
                self._initial[seed] = model
            return self._initial[seed]

    def _model(self, found: object, what: str, error: type[LearningError]) -> Model:
        if not isinstance(found, Mapping) or not found or not all(isinstance(name, str) for name in found):
            raise ModelError(
                f"{self.name}: {what} gave a {type(found).__name__}; it must give arrays by name"
            )
        model: Model = {}
        for name in sorted(found):
            values = np.asarray(found[name])
            if values.dtype.kind not in "fiub":
                raise ModelError(f"{self.name}: {what} gave {name} as {values.dtype}; it must be numbers")
            with np.errstate(over="ignore"):
                model[name] = np.array(values, np.float32)
            if not np.isfinite(model[name]).all():
                raise error(
                    f"{self.name}: {what} gave {name} with numbers that are not finite in float32; lower learning_rate"
                )
        return model


def _copied(model: Model) -> Model:
    return {name: tensor.copy() for name, tensor in model.items()}


def _random(seed: int, purpose: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int.from_bytes(stream(32, purpose, seed), "big")))
