"""What a task can ask miners to train, by name and configuration, never by code.

A workload knows its model's tensors, how a model begins, how it is trained and how it is scored, and how its data are read. Training
is a pure function of (model, data, seed, configuration): the same bytes come out in any process on the same
type of processor. `learning.registry` finds it by its name, as a `Definition`, and gives it the task's configuration.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import pydantic

from quorumlearn.learning.data import Data, Part
from quorumlearn.learning.errors import WorkloadError
from quorumlearn.learning.model import Model
from quorumlearn.learning.scores import Metric, Score

OnStep = Callable[[int, int], None]


class TrainingConfig(pydantic.BaseModel):
    """How a miner trains in one round: stochastic gradient descent with momentum on cross-entropy. A workload's own settings are a
    subclass.

    With `dp_clip` and `dp_noise` (both or neither) it is differentially private, see `learning.privacy`: each sample's
    gradient is clipped to the norm dp_clip, and noise of deviation dp_noise x dp_clip is added to their sum; epsilon is
    reported at dp_delta. Steps are as many as without, but draw their samples anew.

    An update whose training ended after its round had closed may be submitted in one of `late_rounds` rounds after it.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = pydantic.Field(default=1, ge=1, le=100)
    batch_size: int = pydantic.Field(default=32, ge=1, le=4096)
    learning_rate: float = pydantic.Field(default=0.1, gt=0, le=10)
    momentum: float = pydantic.Field(default=0.5, ge=0, lt=1)
    dp_clip: float | None = pydantic.Field(default=None, gt=0, le=1000)
    dp_noise: float | None = pydantic.Field(default=None, ge=0.1, le=1000)
    dp_delta: float = pydantic.Field(default=1e-5, ge=1e-12, lt=1)
    late_rounds: int = pydantic.Field(default=0, ge=0, le=100)

    @pydantic.model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.dp_clip is None) != (self.dp_noise is None):
            raise ValueError("dp_clip and dp_noise make training private together; give both or neither")
        return self

    @property
    def private(self) -> bool:
        """Whether training is differentially private."""
        return self.dp_clip is not None

    def steps(self, samples: int) -> int:
        """How many steps a training on so many samples takes."""
        return self.epochs * math.ceil(samples / self.batch_size)

    def as_strings(self) -> dict[str, str]:
        """Every setting as a task carries it; `get_workload` reads it back to the same. What is seldom set is left out where it was not,
        and so is what is None unless it is told otherwise."""
        strings = {}
        plain = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value == field.default and (
                value is None or name == "late_rounds" or (name == "dp_delta" and not self.private)
            ):
                continue
            strings[name] = plain[name] if isinstance(plain[name], str) else json.dumps(plain[name])
        return strings


@dataclass(frozen=True)
class TrainResult:
    """A trained model; `loss` is the mean cross-entropy (nats) over the samples of the last epoch.

    `epsilon` is what this training alone cost a sample's owner, at the configuration's dp_delta; None if it was not private.
    """

    model: Model
    steps: int
    samples: int
    loss: float
    epsilon: float | None = None


class Workload(Protocol):
    """What nodes need of a workload that has a task's configuration."""

    @property
    def name(self) -> str:
        """As in TaskSpec.workload.name."""
        ...

    @property
    def version(self) -> str:
        """As in TaskSpec.workload.version: those who train together have the same."""
        ...

    @property
    def config(self) -> TrainingConfig:
        """The validated configuration."""
        ...

    @property
    def metric(self) -> Metric:
        """What `evaluate` scores by."""
        ...

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the model's blocks, from the input up."""
        ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each tensor of the model, in the order of their names."""
        ...

    @property
    def fixed(self) -> Mapping[str, str]:
        """What else all who train together must share, by name, as SHA-256 in hexadecimal: a base model, a tokenizer, what is frozen."""
        ...

    def tensors(self, block: str) -> tuple[str, ...]:
        """The names of a block's tensors; WorkloadError if there is no such block."""
        ...

    def initial_model(self, seed: int) -> Model:
        """The model that a task with this seed begins with."""
        ...

    def load(self, source: str | None, part: Part) -> Data:
        """The data of an identity. `source` is what its node's file names for this workload under `data`, None if nothing.

        DataMissing if they are not there, DataCorrupt if they are not what they should be.
        """
        ...

    def train(self, model: Model, data: Data, *, seed: int, on_step: OnStep | None = None) -> TrainResult:
        """Train a copy of `model` on `data`; `on_step(done, of)` is called after each step.

        Where the configuration is private, the result is as private as `seed` is secret.

        ModelError if the model is not of this workload; TrainingError if the data do not fit it, or the numbers
        do not stay finite. An exception that `on_step` raises ends the training and passes through.
        """
        ...

    def epsilon(self, samples: Iterable[int]) -> float | None:
        """What trainings on so many samples each cost one sample's owner together: they are (epsilon, dp_delta)-differentially
        private. None where the configuration is not private; TrainingError for a count below 1."""
        ...

    def evaluate(self, model: Model, data: Data) -> Score:
        """Score `model` on `data`; errors as in `train`, and ScoreError if the metric says nothing of it. Numbers that do not stay finite
        are no error: they score worst."""
        ...


def tensors_of(workload: Workload, block: str) -> tuple[str, ...]:
    """`Workload.tensors`: the names that begin with the block's. WorkloadError if there is no such block."""
    if block not in workload.blocks:
        raise WorkloadError(f"{workload.name} has no block {block!r}; it has {', '.join(workload.blocks)}")
    return tuple(name for name in workload.shapes if name.partition(".")[0] == block)


@runtime_checkable
class Warming(Protocol):
    """A workload of which the first use in a process takes seconds."""

    def warm_up(self, *, training: bool) -> None:
        """Import what scoring needs and, if so, what training needs."""
        ...


@runtime_checkable
class Building(Protocol):
    """A workload that builds its model with somebody else's code."""

    @property
    def times_built(self) -> int:
        """How often that code was called: once, and again for a seed whose model nothing else can give."""
        ...


class Definition(Protocol):
    """A workload without a configuration: what an entry point, or `package.module:NAME` in a node's file, gives."""

    @property
    def name(self) -> str:
        """As in TaskSpec.workload.name."""
        ...

    @property
    def version(self) -> str:
        """As in TaskSpec.workload.version."""
        ...

    @property
    def settings(self) -> type[TrainingConfig]:
        """What a task may configure."""
        ...

    def build(self, settings: TrainingConfig) -> Workload:
        """The workload with these settings, an instance of `settings`. WorkloadError if it cannot be had with them."""
        ...
