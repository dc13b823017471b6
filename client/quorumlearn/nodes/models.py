"""A task's workload and its public models in the store."""

from __future__ import annotations

from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import rootset
from quorumlearn.nodes.encryption import parameters_of


def workload_of(spec: TaskSpec) -> learning.Workload:
    return learning.get_workload(spec.workload.name, dict(spec.workload.config))


def load_public(store: ArtifactStore, spec: TaskSpec, ref: ArtifactRef) -> learning.Model:
    """The public model behind a reference, with exactly the tensors that the task makes public.

    ModelError or an ArtifactError if it is not there. What is longer than those tensors is ArtifactTooLarge, unread.
    """
    shapes = learning.public_shapes(workload_of(spec).shapes, spec.workload.public_blocks)
    return learning.from_bytes(store.get(ref, learning.most_bytes(shapes)), shapes)


def check_playable(store: ArtifactStore, spec: TaskSpec, *, training: bool) -> None:
    """Whether a round of this task can be played at all, before anything is staked on it: the ledger does not look inside. Returns
    once this process is ready to score, and to train if it is to, so that a first round waits for nobody's imports.

    Raises learning.WorkloadError or ModelError, ckks.ParameterError, robust.RuleError, or an ArtifactError while the initial
    model, or a root set that its rule needs, is not in the store.
    """
    learning.warm_up(training=training)
    parameters = parameters_of(spec)
    size = learning.size_of(learning.public_shapes(workload_of(spec).shapes, spec.workload.public_blocks))
    if parameters.update_size != size:
        raise ckks.ParameterError(
            f"task {spec.task_id} encrypts {parameters.update_size} numbers, its public model has {size}"
        )
    rootset.check_rule(spec)
    root = rootset.ref_of(spec)
    if root is not None:
        rootset.load(store, root)
    load_public(store, spec, spec.initial_model)
