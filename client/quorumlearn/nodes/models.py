"""A task's workload and its public models in the store."""

from __future__ import annotations

from collections.abc import Sequence

from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.gate import metric_of
from quorumlearn_proto.recompute import recomputes
from quorumlearn_proto.task_pb2 import TaskSpec, Workload

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import rootset
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.work import datasets


def workload_of(spec: TaskSpec) -> learning.Workload:
    """The workload that this node has installed under the task's name; learning.WorkloadError if it is not the task's."""
    workload = learning.get_workload(spec.workload.name, dict(spec.workload.config))
    if workload.version != spec.workload.version:
        raise learning.WorkloadError(
            f"the task's workload {workload.name} has version {spec.workload.version!r}, the one installed here "
            f"{workload.version!r}: install the task's, or leave the task alone"
        )
    wanted = metric_of(spec), spec.workload.lower_is_better
    if wanted != (workload.metric.name, workload.metric.lower_is_better):
        raise learning.WorkloadError(
            f"task {spec.task_id} scores by {_named(*wanted)}, and the installed workload {workload.name} "
            f"by {_named(workload.metric.name, workload.metric.lower_is_better)}: install the version that the task means"
        )
    found = learning.digest_of(workload, spec.workload.public_blocks)
    if found != spec.workload.digest:
        fixed = "".join(f", {name} {digest[:12]}" for name, digest in sorted(workload.fixed.items()))
        raise learning.WorkloadError(
            f"workload {workload.name} {workload.version} has the digest {found[:12]} here and {spec.workload.digest[:12]} in the task: "
            f"its tensors, or what it is built on{fixed}, differ from the owner's; use the same code, base and settings"
        )
    return workload


def _named(name: str, lower_is_better: bool) -> str:
    return f"{name} (less is better)" if lower_is_better else name


def workload_record(workload: learning.Workload, public_blocks: Sequence[str]) -> Workload:
    """How a task names a workload. learning.ModelError if a block is unknown."""
    return Workload(
        name=workload.name,
        version=workload.version,
        config=workload.config.as_strings(),
        public_blocks=public_blocks,
        digest=learning.digest_of(workload, public_blocks),
        metric=workload.metric.name,
        lower_is_better=workload.metric.lower_is_better,
    )


def load_public(store: ArtifactStore, spec: TaskSpec, ref: ArtifactRef) -> learning.Model:
    """The public model behind a reference of the ledger, with as many parameters as the task makes public. It needs no workload.

    ModelError or an ArtifactError if it is not there. What is longer is ArtifactTooLarge, unread.
    """
    size = spec.ckks.update_size
    return learning.read(store.get(ref, learning.most_bytes(size)), size)


def check_playable(store: ArtifactStore, spec: TaskSpec, *, training: bool) -> None:
    """Whether a round of this task can be played at all, before anything is staked on it: the ledger does not look inside. Returns
    once this process is ready to score, and to train if it is to, so that a first round waits for nobody's imports.

    Raises learning.WorkloadError or ModelError, ckks.ParameterError, robust.RuleError, replay.ChunkError, or an ArtifactError while the
    initial model, a root set that its rule needs, or the task's own data are not in the store.
    """
    workload = workload_of(spec)
    learning.warm_up(workload, training=training)
    parameters = parameters_of(spec)
    shapes = learning.public_shapes(workload.shapes, spec.workload.public_blocks)
    size = learning.size_of(shapes)
    if parameters.update_size != size:
        raise ckks.ParameterError(
            f"task {spec.task_id} encrypts {parameters.update_size} numbers, its public model has {size}"
        )
    rootset.check_rule(spec)
    root = rootset.ref_of(spec)
    if root is not None:
        rootset.load(store, root)
    if recomputes(spec):
        datasets.check_there(store, spec)
    if learning.shapes_of(load_public(store, spec, spec.initial_model)) != shapes:
        raise learning.ModelError(f"the initial model of {spec.task_id} has other tensors than its workload")
