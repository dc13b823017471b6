"""The root set of a task whose rule is `trust-scores`: a few clean samples that its owner makes public.

Every verifier trains on it from the round's base, with the task's workload and the same seed, and takes the sketch of what it
learned as the root update that the rule compares with. The rule's parameters `root_digest` and `root_size` name the artifact; so the
set is the same for all and cannot change. It is public: training on it is not private, whatever the workload's config says.

The verifiers' root updates must be equal, or their votes differ: training is repeatable on one build of PyTorch and one kind of
processor, the update is rounded to the task's grid and weights to integers, so a last bit seldom shows. A committee of unlike machines
should choose a rule without a root.

Form: safetensors of `pixels` uint8 (n, 28, 28) and `labels` int64 (n,), 0 to 9, 1 <= n <= MOST_SAMPLES.
"""

from __future__ import annotations

import json
import re

import numpy as np
import safetensors
import safetensors.numpy
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning, robust, seeds
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.screening import ROOT, Sketch, rule_of

MOST_SAMPLES = 10_000
SIDE, CLASSES = 28, 10
_LIMIT = MOST_SAMPLES * (SIDE * SIDE + 8) + 4096
_PRIVATE = ("dp_clip", "dp_noise", "dp_delta")


def to_bytes(samples: learning.Pixels) -> bytes:
    """The artifact of these samples; RuleError if they are no root set."""
    _check(len(samples), samples.labels)
    return safetensors.numpy.save(
        {"labels": samples.labels.astype(np.int64), "pixels": np.ascontiguousarray(samples.pixels)}
    )


def from_bytes(data: bytes) -> learning.Pixels:
    """The samples of an artifact; RuleError says what else it is."""
    try:
        tensors = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, json.JSONDecodeError, ValueError) as error:
        raise robust.RuleError(f"the root set is not a safetensors file: {error}") from error
    if set(tensors) != {"labels", "pixels"}:
        raise robust.RuleError("the root set must hold `labels` and `pixels`, and nothing else")
    pixels, labels = tensors["pixels"], tensors["labels"]
    count = (list(labels["shape"]) or [0])[0]
    if (labels["dtype"], list(labels["shape"])) != ("I64", [count]) or (
        pixels["dtype"],
        list(pixels["shape"]),
    ) != ("U8", [count, SIDE, SIDE]):
        raise robust.RuleError(
            f"the root set has pixels {pixels['dtype']} {pixels['shape']} and labels {labels['dtype']} {labels['shape']}; "
            f"U8 (n, {SIDE}, {SIDE}) and I64 (n,) are wanted"
        )
    values = np.frombuffer(labels["data"], dtype="<i8").astype(np.int64)
    _check(count, values)
    images = np.frombuffer(pixels["data"], dtype=np.uint8).reshape(count, SIDE, SIDE)
    return learning.Pixels(images, values)


def _check(count: int, labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    if not 1 <= count <= MOST_SAMPLES:
        raise robust.RuleError(f"a root set of {count} samples; it has from 1 to {MOST_SAMPLES}")
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise robust.RuleError(
            f"a root set with labels from {labels.min()} to {labels.max()}; they are 0 to 9"
        )


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


def load(store: ArtifactStore, ref: ArtifactRef) -> learning.Pixels:
    """The samples in the store. ArtifactError while they are not there, RuleError if they are no root set."""
    return from_bytes(store.get(ref, _LIMIT))


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
    samples = load(store, ref).take()
    seed = seeds.derive(spec.seed, "root", spec.task_id, number)
    try:
        trained = workload.train(learning.merge(base, private), samples, seed=seed).model
    except learning.TrainingError as error:
        raise robust.RuleError(f"the root set of {spec.task_id} cannot be trained on: {error}") from error
    parameters = parameters_of(spec)
    values = ckks.quantise(learning.difference(learning.split(trained, blocks)[0], base), parameters)
    return ckks.plain_sketch(parameters, plan, values)
