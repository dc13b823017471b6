"""What a node's file says of a Flower app, under `workloads`:

```yaml
workloads:
  digits:
    app: client_app:app           # a ClientApp, or the client_fn of a NumPyClient
    model: client_app:Net         # what makes the model: a torch module, arrays by name, or a list of arrays
    python: .venv-flower/bin/python   # the interpreter of the app's own environment; the node's own without it
    run_config: {local-epochs: 1, batch-size: 32}   # Context.run_config, the same for all; the task may set more
    score: {key: eval_acc, metric: accuracy}        # which of the app's metrics is the score, and what tasks call it
    loss: {train: train_loss, evaluate: eval_loss}  # which are losses, for logs; none need be there
    timeout: 600                  # seconds that an answer may take
    version: "1"
    compare_app: false            # true: all who train together must have the same source, too
```
Paths are relative to the file. Two texts follow Flower's own form, `key=value key=value`: an identity's `part`, which becomes
Context.node_config, and the task's setting `run_config`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pydantic

from quorumlearn.learning.errors import WorkloadError

Value = bool | int | float | str
_PLACE = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class ScoreKey(_Strict):
    """Which of an app's metrics is the score. `between`: the least and the largest value of one sample, which an app that tells only the
    mean has to be trusted with; 0 and 1 for accuracy."""

    key: str = "eval_acc"
    metric: str = pydantic.Field("accuracy", pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    lower_is_better: bool = False
    between: tuple[float, float] | None = None

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.between is not None and not (
            math.isfinite(sum(self.between)) and self.between[0] < self.between[1]
        ):
            raise ValueError(f"between: {list(self.between)} are no least and largest value of a sample")
        return self

    @property
    def range(self) -> tuple[float, float] | None:
        return (0.0, 1.0) if self.between is None and self.metric == "accuracy" else self.between


class LossKeys(_Strict):
    train: str = "train_loss"
    evaluate: str = "eval_loss"


class FlowerEntry(_Strict):
    """The mapping in a node's file; see this module's beginning."""

    app: str = pydantic.Field(pattern=_PLACE)
    model: str = pydantic.Field(pattern=_PLACE)
    python: str = sys.executable
    run_config: dict[str, Value] = {}
    score: ScoreKey = ScoreKey()
    loss: LossKeys = LossKeys()
    timeout: float = pydantic.Field(600, gt=0, le=86_400)
    version: str = pydantic.Field("1", min_length=1, max_length=64)
    compare_app: bool = False

    def interpreter(self, folder: Path) -> str:
        """Its path. Links are kept: the interpreter of a virtual environment is one."""
        named = os.path.expanduser(self.python)  # noqa: PTH111 - as text, for a bare name stays one
        return str(folder / named) if os.sep in named else named


def read_entry(name: str, mapping: Mapping[str, object]) -> FlowerEntry:
    """WorkloadError says in one sentence what is wrong."""
    try:
        return FlowerEntry.model_validate(dict(mapping))
    except pydantic.ValidationError as error:
        first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise WorkloadError(
                f"{name}: {place} is no key of a Flower app; there are {', '.join(FlowerEntry.model_fields)}"
            ) from None
        if place in ("app", "model"):
            raise WorkloadError(f"{name}: {place} is written module:name, such as client_app:app") from None
        raise WorkloadError(f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}") from None


def settings_in(text: str, what: str) -> dict[str, Value]:
    """`key=value key=value` by key: numbers, true and false as such, all else as text. WorkloadError for another form."""
    found: dict[str, Value] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise WorkloadError(f"{what} {text!r}: {error}") from None
    for word in words:
        key, equals, said = word.partition("=")
        if not key or not equals:
            raise WorkloadError(f"{what} {text!r}: write key=value, such as partition-id=0")
        try:
            value = json.loads(said)
        except ValueError:
            value = said
        found[key] = value if isinstance(value, bool | int | float) else said
    return found


def canonical(settings: Mapping[str, Value]) -> bytes:
    """The same settings, the same bytes."""
    return json.dumps(dict(settings), sort_keys=True, separators=(",", ":")).encode()


def source_digest(name: str, place: str, folder: Path) -> str:
    """SHA-256 of an app's source, 64 hex digits: of its module, or of all Python files of the package that it is in. WorkloadError if that
    is not in `folder`."""
    top = place.partition(":")[0].partition(".")[0]
    package, module = folder / top, folder / f"{top}.py"
    files = sorted(package.rglob("*.py")) if package.is_dir() else [module] if module.is_file() else []
    if not files:
        raise WorkloadError(
            f"{name}: compare_app takes the source of {top} beside the file that names it, in {folder}"
        )
    state = hashlib.sha256()
    for file in files:
        for part in (file.relative_to(folder).as_posix().encode(), file.read_bytes()):
            state.update(len(part).to_bytes(8, "big") + part)
    return state.hexdigest()
