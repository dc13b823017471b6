"""The root set of a task whose rule is `trust-scores`: a few clean samples that its owner makes public.

Every verifier trains on it from the round's base, with the task's workload and the same seed, and takes the sketch of what it
learned as the root update that the rule compares with. The rule's parameters `root_digest` and `root_size` name the artifact; so the
set is the same for all and cannot change. It is public: training on it is not private, whatever the workload's config says.

The verifiers' root updates must be equal, or their votes differ: training is repeatable on one build of PyTorch and one kind of
processor, the update is rounded to the task's grid and weights to integers, so a last bit seldom shows. A committee of unlike machines
should choose a rule without a root.

Form: safetensors of `inputs` and `targets`, arrays of numbers of any type and shape with as many entries, 1 <= n <= MOST_SAMPLES. Whether
they are samples of the task's workload shows in training, which refuses others.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning, robust, seeds
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.screening import ROOT, Sketch, rule_of

MOST_SAMPLES = 10_000
MOST_BYTES = 64 << 20
_PRIVATE = ("dp_clip", "dp_noise", "dp_delta")
_TYPES = {
    "U8": np.uint8,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
}


def to_bytes(samples: learning.Samples) -> bytes:
    """The artifact of these samples; RuleError if they are no root set."""
    arrays = {"inputs": samples.inputs, "targets": samples.targets}
    for name, array in arrays.items():
        if array.dtype not in _TYPES.values():
            raise robust.RuleError(f"a root set whose {name} are {array.dtype}; numbers are wanted")
    data = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    from_bytes(data)
    return data


def from_bytes(data: bytes) -> learning.Samples:
    """The samples of an artifact; RuleError says what else it is."""
    if len(data) > MOST_BYTES:
        raise robust.RuleError(f"a root set of {len(data)} bytes; it has at most {MOST_BYTES}")
    try:
        tensors = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, json.JSONDecodeError, ValueError) as error:
        raise robust.RuleError(f"the root set is not a safetensors file: {error}") from error
    if set(tensors) != {"inputs", "targets"}:
        raise robust.RuleError("the root set must hold `inputs` and `targets`, and nothing else")
    inputs, targets = (_array(name, tensors[name]) for name in ("inputs", "targets"))
    counts = {array.shape[0] if array.shape else 0 for array in (inputs, targets)}
    if len(counts) != 1 or not 1 <= min(counts) <= MOST_SAMPLES:
        raise robust.RuleError(
            f"a root set of inputs {inputs.shape} and targets {targets.shape}; it has as many of both, from 1 to {MOST_SAMPLES}"
        )
    return learning.Samples(inputs, targets)


def _array(name: str, tensor: dict[str, Any]) -> NDArray[Any]:
    kind = _TYPES.get(tensor["dtype"])
    if kind is None:
        raise robust.RuleError(f"the root set's {name} are {tensor['dtype']}; there are {', '.join(_TYPES)}")
    array: NDArray[Any] = np.frombuffer(tensor["data"], dtype=np.dtype(kind).newbyteorder("<")).astype(kind)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise robust.RuleError(f"the root set's {name} hold numbers that are not finite")
    return array.reshape(tensor["shape"])


def ref_of(spec: TaskSpec) -> ArtifactRef | None:
    """Where the task's root set is; None if its rule needs none. RuleError for parameters that name no artifact."""
    if not robust.needs_root(spec.rule.name):
        return None
    digest, size = (spec.rule.parameters.get(name, "") for name in ROOT)
    if not re.fullmatch(r"[0-9a-f]{64}", digest) or not re.fullmatch(r"[0-9]{1,9}", size):
        raise robust.RuleError(
            f"{spec.rule.name} needs a root set: {ROOT[0]} is its SHA-256 in hexadecimal, {ROOT[1]} its bytes; "
            f"got {digest[:70]!r} and {size[:20]!r}"
        )
    return ArtifactRef(digest=digest, size=int(size))


def check_rule(spec: TaskSpec) -> None:
    """RuleError if the task's rule cannot be made or names no root set that it needs."""
    rule_of(spec, None if ref_of(spec) is None else np.ones(1))


def load(store: ArtifactStore, ref: ArtifactRef) -> learning.Samples:
    """The samples in the store. ArtifactError while they are not there, RuleError if they are no root set."""
    return from_bytes(store.get(ref, MOST_BYTES))


def root_sketch(
    store: ArtifactStore, spec: TaskSpec, base: learning.Model, number: int, plan: ckks.SketchPlan
) -> Sketch | None:
    """The sketch (k,) of what round `number` would learn from the root set, `base` being its public model; None if the task's
    rule needs none. RuleError if the root set teaches nothing that is a number."""
    ref = ref_of(spec)
    if ref is None:
        return None
    config = {name: value for name, value in spec.workload.config.items() if name not in _PRIVATE}
    workload, blocks = learning.get_workload(spec.workload.name, config), spec.workload.public_blocks
    private = learning.split(workload.initial_model(spec.seed), blocks)[1]
    samples = load(store, ref)
    seed = seeds.derive(spec.seed, "root", spec.task_id, number)
    try:
        trained = workload.train(learning.merge(base, private), samples, seed=seed).model
    except learning.TrainingError as error:
        raise robust.RuleError(f"the root set of {spec.task_id} cannot be trained on: {error}") from error
    parameters = parameters_of(spec)
    values = ckks.quantise(learning.difference(learning.split(trained, blocks)[0], base), parameters)
    return ckks.plain_sketch(parameters, plan, values)
