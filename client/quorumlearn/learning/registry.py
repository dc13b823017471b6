"""The workloads that are installed here, by name: `get_workload` is the only way to one.

A workload's name on the ledger says which code each party runs of its own; code never travels. Where the code is, is looked up in
this order:
1. what a node's or task's file names for it (`register`): `package.module:NAME`, a `Definition`; or a mapping, for clients of other
   systems, whose first key says of which (`CLIENTS`);
2. those that QuorumLearn brings (`WORKLOADS`);
3. entry points of installed packages, in the group ENTRY_POINTS: the entry's name is the workload's.

`digest_of` is what all who train together must have alike. It stands in the task, and a node compares it before it joins.

What was built is kept, MOST_BUILT configurations of it: tasks of strangers, each with another configuration, fill no memory.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin

import pydantic

from quorumlearn.extras import lacking
from quorumlearn.learning.errors import LibraryMissing, WorkloadError
from quorumlearn.learning.model import public_shapes
from quorumlearn.learning.own_code import place_of
from quorumlearn.learning.workload import Definition, TrainingConfig, Warming, Workload

ENTRY_POINTS = "quorumlearn.workloads"
WORKLOADS = ("mnist-cnn", "mnist-mlp", "mnist-wide")
CLIENTS = {
    "app": "quorumlearn.learning.flower:definition",
    "base": "quorumlearn.learning.peft_workload:definition",
}
"""By a key of the mapping in a node's file: called with the workload's name, the mapping and the folder that its paths are relative to."""
MOST_BUILT = 32
"""So many configurations are kept as they were built; of more, the one that was asked for longest ago is built anew."""

_T = TypeVar("_T")

Place = str | Mapping[str, object]
"""Where a workload is, as a file says it."""


@dataclass(frozen=True)
class Origin:
    """Where a workload comes from: its kind, and the place for people to read."""

    kind: Literal["file", "built in", "entry point"]
    place: str


_registered: dict[str, tuple[Place, Path]] = {}
_built: dict[tuple[str, str], Workload] = {}
_spelt: dict[tuple[str, str], tuple[str, str]] = {}
"""Of a configuration as it was written: the whole of it, by which the workload is kept."""
_lock = threading.RLock()


def register(name: str, place: Place, folder: Path) -> None:
    """Have `name` mean what `place` says, in this process; modules and paths are looked for in `folder` first. Nothing is imported yet."""
    with _lock:
        if _registered.get(name) == (place, folder):
            return
        _registered[name] = place, folder
        for known in (_built, _spelt):
            for key in [key for key in known if key[0] == name]:
                del known[key]


def origins() -> dict[str, Origin]:
    """The workloads there are, by name. Nothing is imported for it."""
    found = {entry.name: Origin("entry point", entry.value) for entry in entry_points(group=ENTRY_POINTS)}
    found |= dict.fromkeys(WORKLOADS, Origin("built in", "quorumlearn"))
    return found | {
        name: Origin(
            "file",
            place if isinstance(place, str) else ", ".join(f"{key} {value}" for key, value in place.items()),
        )
        for name, (place, _) in _registered.items()
    }


def installed() -> dict[str, str]:
    """The workloads there are: by name, where from, for people to read."""
    return {name: origin.place for name, origin in origins().items()}


def definition(name: str) -> Definition:
    """The workload of that name, without a configuration. WorkloadError if it is not installed, or cannot be imported."""
    with _lock:
        registered = _registered.get(name)
    if registered is not None:
        place, folder = registered
        return _at(name, place, folder) if isinstance(place, str) else _of_client(name, place, folder)
    if name in WORKLOADS:
        return _built_in(name)
    entry = next((one for one in entry_points(group=ENTRY_POINTS) if one.name == name), None)
    if entry is None:
        raise WorkloadError(
            f"workload {name!r} is not installed here; there are {', '.join(sorted(installed()))}: "
            "install its package, or name its module under `workloads`"
        )
    return _checked(name, _said(name, entry.value, entry.load))


def get_workload(name: str, config: Mapping[str, str]) -> Workload:
    """The workload of that name, built once a process for each configuration. WorkloadError if it is not installed, for an unknown key,
    or a value out of range."""
    key = name, json.dumps(dict(config), sort_keys=True)
    with _lock:
        whole = _spelt.pop(key, None)
        if whole is None or whole not in _built:
            found = definition(name)
            settings = _settings(name, found.settings, config)
            whole = name, json.dumps(settings.as_strings(), sort_keys=True)
            if whole not in _built:
                _built[whole] = _said(name, "its `build`", lambda: found.build(settings))
        _spelt[key] = whole
        _built[whole] = _built.pop(
            whole
        )  # as the one that was asked for last; those of longest ago make room
        while len(_built) > MOST_BUILT:
            del _built[next(iter(_built))]
        while len(_spelt) > 2 * MOST_BUILT:
            del _spelt[next(iter(_spelt))]
        return _built[whole]


def digest_of(workload: Workload, public_blocks: Collection[str]) -> str:
    """SHA-256, 64 hex digits, of all that those who train together must have alike: the workload's name and version, names, shapes and
    types of the public tensors, and what is `fixed`. ModelError if a block is unknown."""
    return hashlib.sha256(
        json.dumps(shared_by_all(workload, public_blocks), sort_keys=True).encode()
    ).hexdigest()


def shared_by_all(workload: Workload, public_blocks: Collection[str]) -> dict[str, object]:
    """What `digest_of` is computed of, for a person who looks for a difference."""
    shapes = public_shapes(workload.shapes, public_blocks)
    return {
        "workload": workload.name,
        "version": workload.version,
        "tensors": [[name, "float32", list(shape)] for name, shape in sorted(shapes.items())],
        "fixed": dict(sorted(workload.fixed.items())),
    }


def warm_up(workload: Workload, *, training: bool) -> None:
    """What the first scoring of a process would wait for, and what its first training would, if the workload has any such thing."""
    if isinstance(workload, Warming):
        workload.warm_up(training=training)


def _built_in(name: str) -> Definition:
    from quorumlearn.learning import mnist

    return mnist.definition(name)


def _at(name: str, place: str, folder: Path) -> Definition:
    module, _, attribute = place.partition(":")
    if not module or not attribute:
        raise WorkloadError(f"workload {name!r} is said to be at {place!r}; write package.module:NAME")

    def load() -> object:
        _importable(folder)
        found: object = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found

    return _checked(name, _said(name, place, load))


def _of_client(name: str, place: Mapping[str, object], folder: Path) -> Definition:
    kind = next((key for key in place if key in CLIENTS), None)
    if kind is None:
        raise WorkloadError(
            f"workload {name!r} names {', '.join(place) or 'nothing'}; one of {', '.join(CLIENTS)} says which client it is of"
        )
    module, _, attribute = CLIENTS[kind].partition(":")

    def load() -> object:
        _importable(folder)
        make: Callable[[str, Mapping[str, object], Path], object] = getattr(
            importlib.import_module(module), attribute
        )
        return make(name, place, folder)

    return _checked(name, _said(name, f"{kind}: {place[kind]}", load))


def _importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # the file may be younger than the process


def _said(name: str, where: str, load: Callable[[], _T]) -> _T:
    """What `load` gives; whatever somebody else's code dies of is a WorkloadError that says where."""
    try:
        return load()
    except WorkloadError:
        raise
    except (Exception, SystemExit) as error:
        sentence = lacking(f"workload {name!r}", error) if isinstance(error, ImportError) else None
        if sentence is not None:
            raise LibraryMissing(sentence) from error
        raise WorkloadError(
            f"workload {name!r} cannot be had from {where}: {type(error).__name__}: {error}{place_of(error)}"
        ) from error


def _checked(name: str, found: object) -> Definition:
    lacks = [one for one in ("name", "version", "settings", "build") if not hasattr(found, one)]
    if lacks:
        raise WorkloadError(
            f"workload {name!r} is a {type(found).__name__} without {lacks[0]}; a TorchWorkload, or another Definition, is wanted"
        )
    wanted: Definition = found  # type: ignore[assignment]
    if wanted.name != name:
        raise WorkloadError(f"workload {name!r} calls itself {wanted.name!r}; list it under that name")
    return wanted


def _settings(name: str, kind: type[TrainingConfig], config: Mapping[str, str]) -> TrainingConfig:
    try:
        return kind.model_validate({key: _value(kind, key, text) for key, text in config.items()})
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if not key:
            raise WorkloadError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from error
        if first["type"] == "extra_forbidden":
            raise WorkloadError(
                f"{name} has no setting {key!r}; it has {', '.join(kind.model_fields)}"
            ) from error
        raise WorkloadError(f"{name}: {key} = {config.get(key)!r}: {first['msg']}") from error


def _value(kind: type[TrainingConfig], key: str, text: str) -> object:
    """A setting as `TrainingConfig.as_strings` wrote it: text is itself, everything else JSON."""
    field = kind.model_fields.get(key)
    if field is None or field.annotation is str:
        return text
    if get_origin(field.annotation) in {Union, UnionType} and str in get_args(field.annotation):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
