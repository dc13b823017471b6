"""The workloads there are, by name: `get_workload` is the only way to one.

A new one implements `workload.Workload`, and stands in WORKLOADS, in what `get_workload` builds, and in the
description of `workload.name` in nodes.tasksettings, which writes docs/task.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import pydantic

from quorumlearn.learning.errors import WorkloadError
from quorumlearn.learning.libraries import library_of
from quorumlearn.learning.workload import TrainingConfig, Workload

WORKLOADS = ("mnist-cnn", "mnist-mlp", "mnist-wide")


def get_workload(name: str, config: Mapping[str, str]) -> Workload:
    """The workload of that name; WorkloadError for an unknown name or key, or a value out of range, LibraryMissing where it
    cannot be had here."""
    if name not in WORKLOADS:
        raise WorkloadError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    try:
        settings = TrainingConfig.model_validate(dict(config))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if not key:
            raise WorkloadError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from error
        if first["type"] == "extra_forbidden":
            raise WorkloadError(
                f"{name} has no setting {key!r}; it has {', '.join(TrainingConfig.model_fields)}"
            ) from error
        raise WorkloadError(f"{name}: {key} = {config.get(key)!r}: {first['msg']}") from error
    with library_of(name):
        from quorumlearn.learning import mnist  # torch takes seconds to import: only who trains pays for it

    return mnist.build(name, settings)


def warm_up(*, training: bool) -> None:
    """What the first scoring of a process would wait for, torch, and what its first training would: torch's optimisers import its
    compiler when they first take a step. LibraryMissing where torch is not installed."""
    with library_of("training"):
        from quorumlearn.learning import mnist

    if training:
        mnist.first_step()
