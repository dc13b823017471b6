"""Adapters of a Hugging Face model as a workload: LoRA's matrices, and a head, are what is trained together; the base stays at home.

```yaml
workloads:
  spam: {base: models/minilm}      # a folder as save_pretrained makes it; `tokenizer` names another for its tokenizer.json
data: {spam: sms.tsv}              # texts (learning.texts)
```
Rules:
1. the public model is the block `adapter`, LoRA's two matrices for each target, and for classes the block `head`, a linear layer on the
   mean of the base's last states. The base is each party's own copy; its digest, and its tokenizer's, are what all must share;
2. texts are tokenised as they are loaded: int64 (n, length), -1 beyond the end. A task on classes names them in order under `labels`;
3. the base is loaded once a process, by who trains or scores (`peft_training`), and identities take turns at it;
4. nothing is asked of the Hub, no code that comes with a model is run, and no pickle is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self
from weakref import WeakValueDictionary

import numpy as np
import pydantic
from numpy.typing import NDArray

from quorumlearn.learning.base_model import A, Base, Geometry
from quorumlearn.learning.data import Data, Part, Samples
from quorumlearn.learning.errors import DataCorrupt, DataMissing, ModelError, TrainingError, WorkloadError
from quorumlearn.learning.initial import uniform
from quorumlearn.learning.libraries import library_of
from quorumlearn.learning.model import Model, shapes_of
from quorumlearn.learning.scores import ACCURACY, PERPLEXITY, Metric, Score
from quorumlearn.learning.texts import read_texts
from quorumlearn.learning.workload import OnStep, TrainingConfig, TrainResult, tensors_of

ADAPTER, HEAD = "adapter", "head"
PAD = -1
_tokenised: WeakValueDictionary[tuple[str, ...], Samples] = WeakValueDictionary()
"""What somebody still holds: identities of a node take their parts of one."""


class AdapterSettings(TrainingConfig):
    """How adapters are trained: AdamW without weight decay, whose first moment decays by `momentum`; nothing is dropped out.

    `task_type` is PEFT's: SEQ_CLS tells classes, the words of `labels` in their order, and CAUSAL_LM the next token. `targets` are names of
    the base's matrices, `rank` and `alpha` LoRA's r and alpha; texts are cut at `length` tokens.
    """

    learning_rate: float = pydantic.Field(default=0.002, gt=0, le=10)
    momentum: float = pydantic.Field(default=0.9, ge=0, lt=1)
    task_type: Literal["SEQ_CLS", "CAUSAL_LM"] = "SEQ_CLS"
    labels: str = pydantic.Field(default="", max_length=4096)
    targets: str = pydantic.Field(default="query value", pattern=r"^[\w.]+( [\w.]+)*$", max_length=1024)
    rank: int = pydantic.Field(default=4, ge=1, le=256)
    alpha: float = pydantic.Field(default=8.0, gt=0, le=1024)
    length: int = pydantic.Field(default=64, ge=2, le=8192)

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        if self.private:
            raise ValueError("adapters do not train privately yet; leave dp_clip and dp_noise out")
        if self.task_type == "SEQ_CLS" and len(set(self.classes)) < 2:
            raise ValueError(
                "labels takes two words at least, such as `ham spam`, in the order of the classes"
            )
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"labels {self.labels!r} names a class twice")
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.labels.split())


class AdapterEntry(pydantic.BaseModel):
    """The mapping in a node's file."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    base: Path
    tokenizer: Path | None = None
    version: str = pydantic.Field("1", min_length=1, max_length=64)


@dataclass(frozen=True)
class AdapterDefinition:
    """Adapters of one base, before a task configures them. In a module of one's own: `SPAM = AdapterDefinition("spam", "1", PATH)`."""

    name: str
    version: str
    base: Path
    tokenizer: Path | None = None

    @property
    def settings(self) -> type[TrainingConfig]:
        return AdapterSettings

    def build(self, settings: TrainingConfig) -> AdapterWorkload:
        assert isinstance(settings, AdapterSettings)
        return AdapterWorkload(
            self.name,
            self.version,
            settings,
            Base(self.name, self.base),
            Base(self.name, self.tokenizer or self.base),
        )


def definition(name: str, mapping: Mapping[str, object], folder: Path) -> AdapterDefinition:
    """The workload that a node's file describes, its paths relative to `folder`; WorkloadError for what is wrong with it."""
    try:
        entry = AdapterEntry.model_validate(dict(mapping))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise WorkloadError(
            f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}; there are base, tokenizer and version"
        ) from None
    paths = [None if one is None else folder / one.expanduser() for one in (entry.base, entry.tokenizer)]
    assert paths[0] is not None
    return AdapterDefinition(name, entry.version, paths[0], paths[1])


@dataclass(frozen=True)
class AdapterWorkload:
    """See `Workload` for what each method promises."""

    name: str
    version: str
    config: AdapterSettings
    base: Base
    tokenizer: Base

    @property
    def metric(self) -> Metric:
        return ACCURACY if self.config.task_type == "SEQ_CLS" else PERPLEXITY

    @property
    def blocks(self) -> tuple[str, ...]:
        return (ADAPTER, HEAD) if self.config.task_type == "SEQ_CLS" else (ADAPTER,)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Read off the base's files; nothing is loaded."""
        found = self.base.adapter_shapes(self.config.targets.split(), self.config.rank)
        shapes = {f"{ADAPTER}.{name}": shape for name, shape in found.items()}
        if self.config.task_type == "SEQ_CLS":
            classes = len(self.config.classes)
            shapes |= {f"{HEAD}.weight": (classes, self.base.hidden_size()), f"{HEAD}.bias": (classes,)}
        return {name: shapes[name] for name in sorted(shapes)}

    @property
    def fixed(self) -> dict[str, str]:
        return {"base": self.base.digest(), "tokenizer": self.tokenizer.tokenizer_digest()}

    def tensors(self, block: str) -> tuple[str, ...]:
        return tensors_of(self, block)

    def initial_model(self, seed: int) -> Model:
        """As PEFT begins: LoRA's first matrices uniform, its second zero, so that the base is as it was. The head's weight is uniform."""
        return {
            name: uniform(seed, f"initial model {name}", shape, 1 / math.sqrt(shape[1]))
            if name.endswith(A) or name == f"{HEAD}.weight"
            else np.zeros(shape, dtype=np.float32)
            for name, shape in self.shapes.items()
        }

    def load(self, source: str | None, part: Part) -> Samples:
        """The texts of `source` (learning.texts), tokenised. `part` is empty or `first=N`: no more than N of them."""
        if source is None:
            raise DataMissing(
                f"{self.name} has no texts: name a TSV or JSONL file under `data` in the node's file"
            )
        first, equals, count = part.text.partition("=")
        if part.text and (first != "first" or not equals or not count.isdecimal() or int(count) < 1):
            raise WorkloadError(
                f"{self.name} has no part {part.text!r}; write first=N, and `shard` for one share of many"
            )
        key = (source, part.kind, str(self.tokenizer.folder), repr(self.config))
        samples = _tokenised.get(key)
        if samples is None:
            samples = _tokenised[key] = self._read(Path(source), part.kind)
        return samples.take(np.arange(min(len(samples), int(count)))) if part.text else samples

    def _read(self, source: Path, kind: Literal["train", "test"]) -> Samples:
        classes = {label: number for number, label in enumerate(self.config.classes)}
        telling = self.config.task_type == "SEQ_CLS"
        texts = read_texts(source, kind, labelled=telling)
        unknown = next((one for one in texts if telling and one.label not in classes), None)
        if unknown is not None:
            raise DataCorrupt(
                f"a text of {source} has the label {unknown.label[:40]!r}; the task's are {', '.join(self.config.classes)}"
            )
        tokens = self._tokens([one.text for one in texts])
        if not telling:
            return Samples(tokens, tokens)
        return Samples(tokens, np.array([classes[one.label] for one in texts], dtype=np.int64))

    def _tokens(self, texts: list[str]) -> NDArray[np.int64]:
        """int64 (n, length), PAD beyond each text's end."""
        with library_of("reading texts"):
            from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(str(self.tokenizer.tokenizer()))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.config.length)
        found = np.full((len(texts), self.config.length), PAD, dtype=np.int64)
        for row, encoding in enumerate(tokenizer.encode_batch(texts)):
            found[row, : len(encoding.ids)] = encoding.ids
        return found

    def train(self, model: Model, data: Data, *, seed: int, on_step: OnStep | None = None) -> TrainResult:
        samples = self._fitting(model, data)
        with library_of("training adapters"):
            from quorumlearn.learning import peft_training
        return peft_training.train(self._geometry, self.config, model, samples, seed=seed, on_step=on_step)

    def evaluate(self, model: Model, data: Data) -> Score:
        samples = self._fitting(model, data)
        with library_of("training adapters"):
            from quorumlearn.learning import peft_training
        return peft_training.evaluate(self._geometry, model, samples)

    def warm_up(self, *, training: bool) -> None:
        """Loads the base."""
        with library_of("training adapters"):
            from quorumlearn.learning import peft_training
        peft_training.warm_up(self._geometry, training=training)

    def epsilon(self, samples: Iterable[int]) -> float | None:
        return None

    @cached_property
    def _geometry(self) -> Geometry:
        config = self.config
        shapes = tuple((n, s) for n, s in self.shapes.items() if n.partition(".")[0] == ADAPTER)
        return Geometry(
            self.base,
            self.base.digest(),
            config.task_type,
            tuple(config.targets.split()),
            config.rank,
            config.alpha,
            shapes,
        )

    def _fitting(self, model: Model, data: Data) -> Samples:
        if shapes_of(model) != self.shapes:
            raise ModelError(f"the model has not the tensors of {self.name}")
        if not isinstance(data, Samples):
            raise TrainingError(f"{self.name} takes Samples, not {type(data).__name__}")
        if len(data) == 0:
            raise TrainingError("there are no samples; a shard must hold at least one")
        if data.inputs.ndim != 2 or data.inputs.dtype.kind != "i" or (data.inputs[:, 0] < 0).any():
            raise TrainingError(
                f"inputs {data.inputs.dtype} {data.inputs.shape}; {self.name} takes whole numbers (n, length), one token at least"
            )
        classes = len(self.config.classes)
        if classes and (
            data.targets.shape != (len(data),) or data.targets.min() < 0 or data.targets.max() >= classes
        ):
            raise TrainingError(
                f"labels of shape {data.targets.shape}; {self.name} takes one of 0 to {classes - 1} a text"
            )
        return data
