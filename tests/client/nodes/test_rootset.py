"""A task's root set: read strictly, named by digest, and the same root update for every verifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from quorumlearn import ckks, learning, robust
from quorumlearn.artifacts import ArtifactMissing, ArtifactStore
from quorumlearn.learning import Samples
from quorumlearn.nodes import rootset, screening, taskfile
from quorumlearn.nodes.config import ConfigError
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.models import check_playable, load_public
from quorumlearn.nodes.tasksettings import TaskFile
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.task_pb2 import TaskSpec


def samples(count: int = 40) -> Samples:
    random = np.random.default_rng(1)
    labels = np.arange(count) % 10
    pixels = random.integers(0, 60, (count, 28, 28), dtype=np.uint8)
    for row, label in enumerate(labels):
        pixels[row, 2 * label + 2 : 2 * label + 6] += 190  # a band whose height is the label
    return Samples(pixels, labels)


def file_of(**rule: object) -> TaskFile:
    return TaskFile.model_validate(
        {
            "id": "rooted",
            "workload": {"name": "mnist-cnn", "config": {"dp_clip": "1.0", "dp_noise": "1.0"}},
            "public_blocks": ["bottom"],
            "rounds": 1,
            "miners": {"minimum": 3, "maximum": 6, "byzantine": 0},
            "rule": {"name": "trust-scores", **rule},
            "committee": {"organisations": ["AMSP", "BMSP", "CMSP"], "threshold": 2},
            "encryption": {"preset": "fast"},
            "reward": {"per_round": 100},
        }
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[ArtifactStore, TaskSpec]:
    store = ArtifactStore(str(tmp_path_factory.mktemp("root") / "store"), create=True)
    file = file_of(root="iid:0/2@7")
    root = store.put(rootset.to_bytes(samples()))
    return store, taskfile.spec_of(file, store.put(taskfile.initial_public_model(file)), root)


def test_a_root_set_comes_back_as_it_was() -> None:
    again = rootset.from_bytes(rootset.to_bytes(samples()))
    np.testing.assert_array_equal(again.inputs, samples().inputs)
    np.testing.assert_array_equal(again.targets, samples().targets)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"inputs": np.zeros((2, 28, 28), np.uint8)}, "nothing else"),
        ({"inputs": np.zeros((2, 28, 28), np.uint8), "targets": np.zeros(3, np.int64)}, "as many of both"),
        ({"inputs": np.zeros((2, 4), np.uint64), "targets": np.zeros(2, np.int64)}, "inputs are U64"),
        ({"inputs": np.zeros((0, 28, 28), np.uint8), "targets": np.zeros(0, np.int64)}, "from 1 to"),
        ({"inputs": np.zeros((1, 28, 28), np.uint8), "targets": np.array(3)}, "as many of both"),
        ({"inputs": np.full((2, 4), np.nan, np.float32), "targets": np.array([1, 10])}, "not finite"),
    ],
)
def test_what_is_no_root_set_is_refused(tensors: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(robust.RuleError, match=says):
        rootset.from_bytes(safetensors.numpy.save(tensors))


def test_bytes_that_are_none_are_refused() -> None:
    for data in (b"", b"\xff" * 40, rootset.to_bytes(samples())[:-1]):
        with pytest.raises(robust.RuleError, match="not a safetensors file"):
            rootset.from_bytes(data)


@pytest.mark.parametrize(
    "changed", [{"root_digest": "no"}, {"root_size": "-1"}, {"root_size": ""}, {"slack": "2"}]
)
def test_a_task_that_names_no_root_set_cannot_be_joined(
    published: tuple[ArtifactStore, TaskSpec], changed: dict[str, str]
) -> None:
    store, spec = published
    check_playable(store, spec, training=False)
    wrong = TaskSpec.FromString(spec.SerializeToString())
    wrong.rule.parameters.update(changed)
    with pytest.raises(robust.RuleError):
        check_playable(store, wrong, training=False)
    with pytest.raises(robust.RuleError, match="root set"):
        rootset.check_rule(TaskSpec(rule={"name": "nnm+trust-scores"}))


def test_a_root_set_that_the_store_has_not_is_waited_for(published: tuple[ArtifactStore, TaskSpec]) -> None:
    store, spec = published
    away = TaskSpec.FromString(spec.SerializeToString())
    away.rule.parameters["root_digest"] = "ab" * 32
    with pytest.raises(ArtifactMissing):
        check_playable(store, away, training=False)


def test_every_verifier_has_the_same_root_update_of_a_round_and_trusts_who_learned_alike(
    published: tuple[ArtifactStore, TaskSpec],
) -> None:
    store, spec = published
    parameters = parameters_of(spec)
    plan = ckks.SketchPlan.from_beacon(parameters, b"a beacon")
    base = load_public(store, spec, spec.initial_model)
    one, two = (rootset.root_sketch(store, spec, base, 1, plan) for _ in range(2))
    assert one is not None
    np.testing.assert_array_equal(one, two)
    other = rootset.root_sketch(store, spec, base, 2, plan)
    assert other is not None
    assert (other != one).any()
    # three miners with data of their own, one of them turned round
    workload = learning.get_workload("mnist-cnn", {})
    private = learning.split(workload.initial_model(spec.seed), ["bottom"])[1]
    sketches = {}
    for number in range(3):
        chosen = samples(120).take(np.arange(40 * number, 40 * number + 40))
        trained = workload.train(learning.merge(base, private), chosen, seed=number).model
        update = learning.difference(learning.split(trained, ["bottom"])[0], base)
        values = ckks.quantise(-update if number == 2 else update, parameters)
        sketches[f"M/{number}"] = ckks.plain_sketch(parameters, plan, values)
    submissions = {who: b.Submission(miner=who, commit_tx=who, manifest=b.Manifest()) for who in sketches}
    selection = screening.select(
        spec, b.Round(miners=sorted(sketches)), submissions, sketches, lambda tx: (1, int(tx[-1])), one
    )
    weights = [verdict.weight for verdict in selection.verdicts]
    assert weights[0] > 0
    assert weights[1] > 0
    assert weights[2] == 0


def test_a_rule_without_root_needs_none_and_a_root_needs_its_rule(
    published: tuple[ArtifactStore, TaskSpec],
) -> None:
    store, spec = published
    plain = TaskSpec.FromString(spec.SerializeToString())
    plain.rule.Clear()
    plain.rule.name = "multi-krum"
    plan = ckks.SketchPlan.from_beacon(parameters_of(spec), b"a beacon")
    base = load_public(store, spec, spec.initial_model)
    assert rootset.root_sketch(store, plain, base, 1, plan) is None
    with pytest.raises(ConfigError, match="as `root: iid"):
        taskfile.root_set(file_of(), None)
    with pytest.raises(ConfigError, match="needs no root set"):
        taskfile.root_set(file_of(name="agreement", root="iid:0/2"), None)
    with pytest.raises(robust.RuleError, match="needs a root set"):
        taskfile.spec_of(file_of(root="iid:0/2"), spec.initial_model)


def test_the_owner_names_a_part_of_its_data(mnist_folder: Path) -> None:
    data = taskfile.root_set(file_of(root="iid:3/600@7"), str(mnist_folder))
    assert data is not None
    assert len(rootset.from_bytes(data)) == 100
    assert len(data) < 90_000
