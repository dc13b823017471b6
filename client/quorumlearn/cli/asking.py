"""What `node check` asks of a node's file: which data each identity takes, and what a task would run and breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumlearn_proto.block_pb2 import TaskView
from quorumlearn_proto.derived import spec_digest
from quorumlearn_proto.recompute import recomputes
from quorumlearn_proto.task_pb2 import Task

from quorumlearn.cli.terminal import Failure

if TYPE_CHECKING:
    from quorumlearn.nodes.organisation import Organisation


@dataclass(frozen=True)
class Taken:
    """How many samples of a workload an identity has, to train or to score on; `notice` is what to know of them, or None."""

    identity: str
    workload: str
    version: str
    kind: str
    samples: int
    notice: str | None


def data_taken(organisation: Organisation, task: Task | None) -> list[Taken]:
    """What each identity takes of its data: for the task's workload or, without a task, for each that the node's file names. A miner takes
    none for a task that brings its own. learning.LearningError if one cannot be had, or its data."""
    from quorumlearn import learning
    from quorumlearn.nodes.models import workload_of

    config = organisation.config
    workloads = (
        [workload_of(task.spec)]
        if task is not None
        else [learning.get_workload(name, {}) for name in config.workload_names()]
    )
    taken = []
    for workload in workloads:
        for one in config.identities:
            if one.role == "miner" and task is not None and recomputes(task.spec):
                continue
            kind = "training" if one.role == "miner" else "test"
            data = (organisation.shard if one.role == "miner" else organisation.test_set)(one, workload)
            notice = data.notice if isinstance(data, learning.Samples) else None
            name = organisation.name(one.user)
            taken.append(Taken(name, workload.name, workload.version, kind, len(data), notice))
    return taken


@dataclass(frozen=True)
class Asked:
    """A task, the digest of its specification, the workload that is installed here for it, where from, with the digest that all share,
    what its replays take of a node, if there are any, and the terms that the task breaks for each miner and verifier of a node's file."""

    task: str
    specification: str
    workload: str
    version: str
    place: str
    digest: str
    takes: list[str]
    broken: dict[str, list[str]]


def asks(organisation: Organisation, view: TaskView) -> Asked:
    """Ask each identity's terms for what the task breaks. learning.WorkloadError if what is installed under the
    workload's name is not the task's; replay.ChunkError or an ArtifactError if the task's own data cannot be had."""
    from quorumlearn.learning import installed
    from quorumlearn.nodes.consent import Consent
    from quorumlearn.nodes.models import workload_of
    from quorumlearn.nodes.replaycosts import what_it_takes

    config, consent = organisation.config, Consent(organisation)
    task = view.task
    workload = workload_of(task.spec)
    broken = {}
    for one in config.identities:
        if one.role != "owner":
            own_data = one.role == "miner" and not recomputes(task.spec)
            samples = len(organisation.shard(one, workload)) if own_data else None
            broken[organisation.name(one.user)] = list(consent.broken(one, task, samples))
    return Asked(
        task.spec.task_id,
        spec_digest(task.spec),
        workload.name,
        workload.version,
        installed()[workload.name],
        task.spec.workload.digest,
        list(what_it_takes(organisation.store, view)) if recomputes(task.spec) else [],
        broken,
    )


def judged(asked: Asked | None) -> None:
    """Failure if somebody's terms are broken."""
    if asked is None:
        return
    kept_out = [name for name, broken in asked.broken.items() if broken]
    if kept_out:
        raise Failure(
            f"{asked.task} breaks terms of {', '.join(kept_out)}: change accept in the node's file, or leave the task alone"
        )
