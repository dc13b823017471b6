"""A Flower app as a workload: messages go to it as a SuperLink would send them, and what it answers is checked before use.

Rules:
1. the app's data are its own. It reads them by Context.node_config, which is the identity's `part`, and `data` of the node's file goes
   with it as `data-path`;
2. what it answers is an update only if it has the model's tensors, in their shapes, and all numbers finite;
3. an app that fails costs the round: TrainingError, with one line of what it said;
4. private training is the app's own (flwr.clientapp.mod): a task that asks for it with dp_clip is refused;
5. a score that is one number for all samples is taken for the least favourable: see `spread`.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import pydantic

from quorumlearn.learning.data import Data, Part
from quorumlearn.learning.errors import DataCorrupt, DataMissing, ModelError, TrainingError
from quorumlearn.learning.flower.entry import (
    FlowerEntry,
    Value,
    canonical,
    read_entry,
    settings_in,
    source_digest,
)
from quorumlearn.learning.flower.process import Answer, AppProcess, Opening
from quorumlearn.learning.flower.spread import spread
from quorumlearn.learning.flower.worker import SECRET_BYTES
from quorumlearn.learning.model import Model, blocks_of, flatten, shapes_of, size_of, unflatten
from quorumlearn.learning.scores import ACCURACY, AUC, Metric, Score
from quorumlearn.learning.workload import OnStep, TrainingConfig, TrainResult, tensors_of
from quorumlearn.seeds import stream

_log = logging.getLogger(__name__)


class FlowerSettings(TrainingConfig):
    """What a task says to a Flower app: its messages' config has `lr`, `local-epochs`, `batch-size`, `momentum` and, as any strategy's,
    `server-round`; `run_config`, as `key=value key=value`, changes what the nodes' files say under run_config."""

    run_config: str = pydantic.Field(default="", max_length=4096)

    @pydantic.model_validator(mode="after")
    def _by_the_app(self) -> Self:
        if self.private:
            raise ValueError(
                "a Flower app trains privately by mods of its own, such as LocalDpMod; leave dp_clip and dp_noise out"
            )
        return self

    def message_config(self) -> dict[str, Value]:
        return {
            "lr": self.learning_rate,
            "local-epochs": self.epochs,
            "batch-size": self.batch_size,
            "momentum": self.momentum,
        }


@dataclass(frozen=True, eq=False)
class FlowerData:
    """What an app reads for one identity: `samples` as it told, `node_config` as it gets it, and `known`, SHA-256 of what its node knows of
    the data, the files below `data` included."""

    who: str
    node_config: Mapping[str, Value]
    samples: int
    known: str

    def __len__(self) -> int:
        return self.samples

    def digest(self) -> str:
        return self.known


@dataclass(frozen=True)
class FlowerDefinition:
    """A Flower app, before a task configures it."""

    name: str
    entry: FlowerEntry
    folder: Path

    @property
    def version(self) -> str:
        return self.entry.version

    @property
    def settings(self) -> type[TrainingConfig]:
        return FlowerSettings

    def build(self, settings: TrainingConfig) -> FlowerWorkload:
        assert isinstance(settings, FlowerSettings)
        return FlowerWorkload(self.name, settings, self.entry, self.folder)


def definition(name: str, mapping: Mapping[str, object], folder: Path) -> FlowerDefinition:
    """The workload that a node's file describes; WorkloadError for what is wrong with it."""
    return FlowerDefinition(name, read_entry(name, mapping), folder.resolve())


@dataclass(frozen=True)
class FlowerWorkload:
    """See `Workload` for what each method promises."""

    name: str
    config: FlowerSettings
    entry: FlowerEntry
    folder: Path

    @property
    def version(self) -> str:
        return self.entry.version

    @property
    def metric(self) -> Metric:
        named = Metric(self.entry.score.metric, self.entry.score.lower_is_better)
        usual = ACCURACY if named.name == ACCURACY.name else AUC if named.name == AUC.name else named
        return usual if usual.lower_is_better == named.lower_is_better else named

    @cached_property
    def run_config(self) -> dict[str, Value]:
        """The nodes' and the task's together."""
        return {**self.entry.run_config, **settings_in(self.config.run_config, "run_config")}

    @cached_property
    def process(self) -> AppProcess:
        """Where the app runs: one process for all identities of a node, whatever the task."""
        one = self.entry
        opening = Opening(
            one.interpreter(self.folder),
            one.app,
            one.model,
            self.folder,
            tuple(sorted(self.run_config.items())),
        )
        return _process(self.name, opening, one.timeout)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self.process.shapes()

    @property
    def blocks(self) -> tuple[str, ...]:
        return blocks_of(self.shapes)

    @cached_property
    def fixed(self) -> dict[str, str]:
        found = {"run_config": hashlib.sha256(canonical(self.run_config)).hexdigest()}
        if self.entry.compare_app:
            found["app"] = source_digest(self.name, self.entry.app, self.folder)
        return found

    def tensors(self, block: str) -> tuple[str, ...]:
        return tensors_of(self, block)

    def initial_model(self, seed: int) -> Model:
        """As the app's own model begins, its libraries' generators seeded: the same wherever these libraries are the same."""
        answer = self._asked({"do": "initial"}, _secret(seed, "initial model"), b"", None)
        return self._model(answer)

    def load(self, source: str | None, part: Part) -> FlowerData:
        """Has the app train or score once, on the model as it begins: it tells how many samples it has, and one that fails does so before
        anything is staked. DataMissing with what it said."""
        node_config = settings_in(part.text, "part")
        if source is not None:
            node_config.setdefault("data-path", source)
        state = hashlib.sha256(canonical(node_config))
        state.update(canonical({"workload": self.name, "kind": part.kind, "identity": part.identity}))
        if source is not None:
            _hash_files(Path(source), state.update)
        look = FlowerData(f"first look of {part.identity}", node_config, 0, "")
        model = self.initial_model(0)
        try:
            answer = self._message(
                "train" if part.kind == "train" else "evaluate",
                model,
                look,
                secrets.token_bytes(SECRET_BYTES),
                None,
            )
        except TrainingError as error:
            raise DataMissing(f"{part.identity} has no data of {self.name}: {error}") from error
        samples = answer.header.get("samples")
        if not isinstance(samples, int) or samples < 1:
            raise DataCorrupt(
                f"the app of {self.name} has no `num-examples` among its metrics, so nobody knows how many samples it takes"
            )
        return FlowerData(part.identity, node_config, samples, state.hexdigest())

    def train(self, model: Model, data: Data, *, seed: int, on_step: OnStep | None = None) -> TrainResult:
        answer = self._message("train", model, self._own(data), _secret(seed, "train"), on_step)
        trained = self._model(answer)
        if not all(np.isfinite(tensor).all() for tensor in trained.values()):
            raise TrainingError(
                f"the app of {self.name} returned numbers that are not finite: its training diverged; lower "
                f"learning_rate, {self.config.learning_rate}"
            )
        samples = answer.header.get("samples")
        if not isinstance(samples, int) or samples < 1:
            raise TrainingError(f"the app of {self.name} told no `num-examples`")
        if on_step is not None:
            on_step(1, 1)
        return TrainResult(trained, 1, samples, _numbers(answer)[0])

    def epsilon(self, samples: Iterable[int]) -> float | None:
        return None

    def evaluate(self, model: Model, data: Data) -> Score:
        """One value a sample where the app's metric is a list, and else its mean as `spread` takes it. A model that the app cannot score
        scores worst, if the app can score the one that it begins with: that such a model comes up costs nobody who verifies."""
        own = self._own(data)
        found = self._tried(model, own)
        if isinstance(found, Score):
            return found
        usual = self._tried(self.initial_model(0), own)
        if not isinstance(usual, Score):
            raise found
        _log.warning("the app of %s cannot score a model, which so scores worst: %s", self.name, found)
        return Score(self.metric, np.full(usual.samples, math.nan), math.nan)

    def _tried(self, model: Model, data: FlowerData) -> Score | TrainingError:
        """The app's score, or why there is none."""
        try:
            return self._scored(self._message("evaluate", model, data, _secret(0, "evaluate"), None), model)
        except TrainingError as error:
            return error

    def _scored(self, answer: Answer, model: Model) -> Score:
        loss, *values = _numbers(answer)
        score, samples = self.entry.score, answer.header.get("samples")
        if answer.header.get("each") is True:
            return Score(self.metric, np.array(values), loss)
        if not isinstance(samples, int) or samples < 1 or not values:
            raise TrainingError(
                f"the app of {self.name} told no `num-examples`, so {score.key} says too little"
            )
        if score.range is None:
            raise TrainingError(
                f"the app of {self.name} tells one {score.key} for all samples: have it tell a list, one a sample, or say "
                "`between` under `score`"
            )
        if not math.isfinite(values[0]):
            return Score(self.metric, np.full(samples, math.nan), loss)
        least, largest = score.range
        if not least <= values[0] <= largest:
            raise TrainingError(
                f"the app of {self.name} told {score.key} = {values[0]:g}, which is not between {least:g} and {largest:g}"
            )
        order = hashlib.sha256(flatten(model).tobytes()).digest()
        return Score(self.metric, spread(values[0], samples, least, largest, order), loss)

    def _message(
        self, kind: str, model: Model, data: FlowerData, secret: bytes, on_step: OnStep | None
    ) -> Answer:
        if shapes_of(model) != self.shapes:
            raise ModelError(f"the model has not the tensors of {self.name}")
        one = self.entry
        request = {
            "do": kind,
            "who": data.who,
            "node_config": dict(data.node_config),
            "config": self.config.message_config(),
            "loss": one.loss.train if kind == "train" else one.loss.evaluate,
            "score": one.score.key,
        }
        return self._asked(request, secret, flatten(model).astype("<f4").tobytes(), on_step)

    def _asked(
        self, request: Mapping[str, object], secret: bytes, arrays: bytes, on_step: OnStep | None
    ) -> Answer:
        meanwhile = None if on_step is None else lambda: on_step(0, 1)
        return self.process.ask(
            request, secret, arrays, meanwhile=meanwhile, most_arrays=4 * size_of(self.shapes)
        )

    def _model(self, answer: Answer) -> Model:
        values = np.frombuffer(answer.arrays, dtype="<f4").astype(np.float32)
        if len(values) != size_of(self.shapes):
            raise TrainingError(
                f"the app of {self.name} returned {len(values)} numbers; its model has {size_of(self.shapes)}"
            )
        return unflatten(values, self.shapes)

    def _own(self, data: Data) -> FlowerData:
        if not isinstance(data, FlowerData):
            raise TrainingError(f"{self.name} reads its own data; {type(data).__name__} is not for it")
        return data


def _hash_files(path: Path, update: Callable[[bytes], object]) -> None:
    """A file, or all files below a folder, by their names and bytes; nothing where there is none."""
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for file in files:
        name = file.relative_to(path).as_posix().encode()
        update(len(name).to_bytes(8, "big") + name)
        with file.open("rb") as opened:
            update(hashlib.file_digest(opened, "sha256").digest())


@lru_cache(maxsize=64)
def _process(name: str, opening: Opening, timeout: float) -> AppProcess:
    return AppProcess(name, opening, timeout)


def _secret(seed: int, purpose: str) -> bytes:
    return stream(SECRET_BYTES, "flower", purpose, seed)


def _numbers(answer: Answer) -> list[float]:
    """At least one; TrainingError if the answer has none."""
    if not answer.numbers or len(answer.numbers) % 8:
        raise TrainingError("a Flower app's process answered without numbers")
    return [float(one) for one in np.frombuffer(answer.numbers, dtype="<f8")]
