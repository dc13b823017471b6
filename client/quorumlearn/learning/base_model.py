"""A base model's folder, in the form that Hugging Face's libraries save: what must be alike for all, and where adapters go.

Rules:
1. weights are safetensors, never pickle; a folder without them is refused;
2. the shapes of adapters are read off the headers of its weights, so that nothing loads the base, or torch, in order to know them;
3. a digest covers names and bytes of the files in the order of their names: config.json and the weights for the base, tokenizer.json
   for its tokenizer. It is computed once, as long as path, size and times of the files stay as they are.

Sources: Hu et al., "LoRA", https://arxiv.org/abs/2106.09685; https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import safetensors

from quorumlearn.learning.errors import WorkloadError

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
_ONE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
_INPUTS_FIRST = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
"""Model types whose matrices are stored as (inputs, outputs)."""
_MAX_JSON = 50_000_000
A, B = "lora_A.weight", "lora_B.weight"


@dataclass(frozen=True)
class Base:
    """The folder of a base model; `name` is the workload's, for errors."""

    name: str
    folder: Path

    def digest(self) -> str:
        """SHA-256 of config.json and the weights, 64 hex digits. WorkloadError if the folder is not a base's."""
        return _digest([self._file(CONFIG), *self._weights()])

    def tokenizer_digest(self) -> str:
        """SHA-256 of tokenizer.json, 64 hex digits. WorkloadError if it is not there."""
        return _digest([self._file(TOKENIZER)])

    def tokenizer(self) -> Path:
        return self._file(TOKENIZER)

    def hidden_size(self) -> int:
        """The width of what the base gives for a token. WorkloadError if config.json does not say it."""
        config = self._config()
        for key in _HIDDEN:
            if isinstance(found := config.get(key), int):
                return found
        raise WorkloadError(f"{self.name}: {self.folder / CONFIG} has none of {', '.join(_HIDDEN)}")

    def inputs_first(self) -> bool:
        """Whether matrices are stored as (inputs, outputs)."""
        return self._config().get("model_type") in _INPUTS_FIRST

    def adapter_shapes(self, targets: Sequence[str], rank: int) -> dict[str, tuple[int, ...]]:
        """The shapes of LoRA's matrices for all weights of modules called as in `targets`, by the names of `short_names`. WorkloadError if
        there are none."""
        tensors: dict[str, tuple[int, ...]] = {}
        for path in self._weights():
            try:
                with safetensors.safe_open(path, framework="numpy") as opened:
                    tensors |= {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118 - no mapping
            except (OSError, safetensors.SafetensorError) as error:
                raise WorkloadError(f"{self.name}: {path} is no safetensors file: {error}") from error
        matrices = {
            name.removesuffix(".weight"): shape
            for name, shape in tensors.items()
            if name.endswith(".weight") and len(shape) == 2
        }
        found = [one for one in sorted(matrices) if any(is_target(one, target) for target in targets)]
        if not found:
            there = sorted({one.rpartition(".")[2] for one in matrices})
            raise WorkloadError(
                f"{self.name}: no matrix of {self.folder} is called {' or '.join(targets)}; there are {', '.join(there[:20])}"
            )
        shapes: dict[str, tuple[int, ...]] = {}
        turned = self.inputs_first()
        for module, short in short_names(found).items():
            outputs, inputs = reversed(matrices[module]) if turned else matrices[module]
            shapes[f"{short}.{A}"], shapes[f"{short}.{B}"] = (rank, inputs), (outputs, rank)
        return shapes

    def _config(self) -> Mapping[str, object]:
        return _json(self.name, self._file(CONFIG))

    def _weights(self) -> list[Path]:
        if (self.folder / _ONE).is_file():
            return [self.folder / _ONE]
        if not (self.folder / _INDEX).is_file():
            raise WorkloadError(
                f"{self.name}: {self.folder} has no {_ONE}; name a folder as save_pretrained makes it, with safetensors and no pickle"
            )
        index = _json(self.name, self.folder / _INDEX).get("weight_map")
        names = {str(one) for one in index.values()} if isinstance(index, dict) else set()
        if not names or any("/" in one or not one.endswith(".safetensors") for one in names):
            raise WorkloadError(
                f"{self.name}: {self.folder / _INDEX} names no safetensors files of its folder"
            )
        return [self._file(one) for one in sorted(names)]

    def _file(self, name: str) -> Path:
        if not (self.folder / name).is_file():
            raise WorkloadError(
                f"{self.name}: {self.folder} has no {name}; name a folder as save_pretrained makes it"
            )
        return self.folder / name


@dataclass(frozen=True)
class Geometry:
    """Which adapters go where: what one loaded base serves. `task_type` is PEFT's; `shapes` are those of the block `adapter`, by name."""

    base: Base
    digest: str
    task_type: str
    targets: tuple[str, ...]
    rank: int
    alpha: float
    shapes: tuple[tuple[str, tuple[int, ...]], ...]


def is_target(module: str, target: str) -> bool:
    """As PEFT matches: the whole name, or its last parts."""
    return module == target or module.endswith(f".{target}")


def short_names(modules: Iterable[str]) -> dict[str, str]:
    """Modules without what all their names begin with: the same whether a base was saved alone or with a head of its own."""
    parts = {module: module.split(".") for module in modules}
    common = 0
    for level in zip(*(one[:-1] for one in parts.values()), strict=False):
        if len(set(level)) > 1:
            break
        common += 1
    return {module: ".".join(one[common:]) for module, one in parts.items()}


def _json(name: str, path: Path) -> Mapping[str, object]:
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ValueError("it is too large")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkloadError(f"{name}: cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise WorkloadError(f"{name}: {path} is no JSON object")
    return found


def _digest(files: Sequence[Path]) -> str:
    state = hashlib.sha256()
    for file in sorted(files, key=lambda one: one.name):
        about = file.stat()
        part = file.name.encode()
        state.update(len(part).to_bytes(8, "big") + part)
        state.update(_of_file(file, about.st_size, about.st_mtime_ns, about.st_ctime_ns))
    return state.hexdigest()


@lru_cache(maxsize=1024)
def _of_file(path: Path, size: int, modified: int, changed: int) -> bytes:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()
