"""A task's workload and its public models in the store."""

from __future__ import annotations

from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import learning
from quorumlearn.artifacts import ArtifactStore

MAX_MODEL_BYTES = 1 << 30


def workload_of(spec: TaskSpec) -> learning.Workload:
    return learning.get_workload(spec.workload.name, dict(spec.workload.config))


def load_public(store: ArtifactStore, spec: TaskSpec, ref: ArtifactRef) -> learning.Model:
    """The public model behind a reference, with exactly the tensors that the task makes public."""
    shapes = learning.public_shapes(workload_of(spec).shapes, spec.workload.public_blocks)
    return learning.from_bytes(store.get(ref, MAX_MODEL_BYTES), shapes)
