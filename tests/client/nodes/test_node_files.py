"""The files of nodes and tasks: read whole or refused in one sentence that names file and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn import ckks, learning, robust
from quorumlearn.learning.registry import Origin
from quorumlearn.nodes import config, taskfile
from quorumlearn.nodes.encryption import parameters_of, record_of
from quorumlearn.nodes.tasksettings import RewardPart, TaskFile
from quorumlearn_proto.common_pb2 import ArtifactRef

NODE: dict[str, Any] = {
    "organisation": "net/organisations/miners1",
    "store": "artifacts",
    "state": "state/miners1",
    "identities": [{"user": "miner1", "role": "miner"}],
}
TASK: dict[str, Any] = {
    "id": "mnist-1",
    "workload": {"name": "mnist-cnn"},
    "rounds": 2,
    "miners": {"minimum": 7, "maximum": 8, "byzantine": 2},
    "committee": {"organisations": ["A", "B", "C"], "threshold": 2},
    "reward": {"per_round": 1000},
}
MODEL = ArtifactRef(digest="0" * 64, size=1)


def written(folder: Path, fields: object) -> Path:
    path = folder / "file.yaml"
    path.write_text(yaml.safe_dump(fields))
    return path


def replaced(fields: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    inner = replaced(dict(fields.get(first, {})), rest, value) if rest else value
    return {**fields, first: inner}


def test_paths_are_relative_to_the_nodes_file(tmp_path: Path) -> None:
    node = config.load(written(tmp_path, {**NODE, "data": "mnist"}))
    assert node.organisation == tmp_path / "net/organisations/miners1"
    assert node.state == tmp_path / "state/miners1"
    assert node.data == "mnist", "nothing of that name is there: a word of the workload's"
    assert node.store.url == (tmp_path / "artifacts").as_uri()
    assert config.load(written(tmp_path, {**NODE, "store": "s3://bucket/x"})).store.url == "s3://bucket/x"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("identities", [], "identities"),
        ("identities", [{"user": "a", "role": "boss"}], "identities.0.role"),
        ("identities", [{"user": "", "role": "miner"}], "identities.0.user"),
        ("identities", [{"user": "a", "role": "miner"}] * 2, "twice"),
        ("identities", [{"user": "a", "role": "miner", "shard": "half"}], "identities.0.shard"),
        ("identities", [{"user": "a", "role": "miner", "behaviour": "lazy"}], "identities.0.behaviour"),
        ("identities", [{"user": "a", "role": "miner", "behaviour": "copy"}], "identities.0.behaviour"),
        ("identities", [{"user": "a", "role": "verifier", "seed": 7}], "identities.0.seed"),
        ("compute_slots", 0, "compute_slots"),
        ("compute_slot", 1, "compute_slot: there is no such key; did you mean compute_slots?"),
        (
            "identities",
            [{"usr": "a", "role": "miner"}],
            "identities.0.usr: there is no such key; did you mean user?",
        ),
    ],
)
def test_a_nodes_file_that_is_wrong_is_refused_by_its_field(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    path = written(tmp_path, {**NODE, field: value})
    with pytest.raises(config.ConfigError) as caught:
        config.load(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("load", [config.load, taskfile.load])
@pytest.mark.parametrize("data", [b"", b"- 1", b"a: [", b"\xff\xfe\x00", b"3"])
def test_bytes_that_are_no_such_file_are_refused(tmp_path: Path, load: Any, data: bytes) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(data)
    with pytest.raises(config.ConfigError, match=r"file\.yaml"):
        load(path)
    with pytest.raises(config.ConfigError, match="cannot read"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("rounds", 0, "rounds"),
        ("rounds", "two", "rounds"),
        ("round", 1, "round"),
        ("miners.minimum", 0, "miners.minimum"),
        ("miners.byzantine", -1, "miners.byzantine"),
        ("committee.organisations", [], "committee.organisations"),
        ("committee.threshold", 0, "committee.threshold"),
        ("committee.reserves", "D", "committee.reserves"),
        ("min_aggregate", 1, "min_aggregate"),
        ("reward.per_round", 0, "reward.per_round"),
        ("reward.miners", "120%", "reward.miners"),
        ("reward.miners", "70.555%", "reward.miners"),
        ("encryption.bound", 0, "encryption.bound"),
        ("timeouts.lunch", 5, "timeouts.lunch"),
        ("seed", -1, "seed"),
        ("seed", 2**63, "seed"),
        ("workload.config", {"epochs": True}, "workload.config.epochs"),
        ("workload.config", {"epochs": [1]}, "workload.config.epochs"),
        ("tolerance", 2, "tolerance: 2 has no unit; write 2%, or 0.02% if it counts 1/10000"),
        ("tolerance", 200, "tolerance: 200 has no unit; write 2% if it counts 1/10000"),
        ("tolerance", 0.5, "tolerance: 0.5 has no unit; write 0.5%"),
        ("tolerance", 20_000, "tolerance: 20000 has no unit; write a percentage"),
        ("tolerance", -1, "tolerance: -1 has no unit; write a percentage"),
        ("tolerance", "2", "tolerance: '2' is no percentage"),
        ("reward.miners", 7000, "reward.miners: 7000 has no unit; write 70%"),
        ("workloads", {"name": "mnist-cnn"}, "workloads: there is no such key; did you mean workload?"),
        ("timeouts.validat", 5, "timeouts.validat: there is no such key; did you mean validate?"),
        (
            "miners.zebra",
            5,
            "miners.zebra: there is no such key; there are minimum, maximum, per_organisation, byzantine",
        ),
    ],
)
def test_a_tasks_file_that_is_wrong_is_refused_by_its_field(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    path = written(tmp_path, replaced(TASK, field, value))
    with pytest.raises(config.ConfigError) as caught:
        taskfile.load(path)
    assert f"{path}: {words}" in str(caught.value)


def test_a_key_that_there_is_not_is_told_before_one_that_is_missing(tmp_path: Path) -> None:
    fields = {key: value for key, value in TASK.items() if key != "workload"}
    with pytest.raises(config.ConfigError, match="workloads: there is no such key; did you mean workload"):
        taskfile.load(written(tmp_path, {**fields, "workloads": {"name": "mnist-cnn"}}))


def test_a_setting_needs_no_quotes(tmp_path: Path) -> None:
    plain = {"epochs": 2, "learning_rate": 0.05, "dp_delta": 1e-5}
    fields = replaced(replaced(TASK, "workload.config", plain), "rule.parameters", {"selected": 5})
    quoted = replaced(
        replaced(TASK, "workload.config", {key: str(value) for key, value in plain.items()}),
        "rule.parameters",
        {"selected": "5"},
    )
    plainly = taskfile.load(written(tmp_path, fields))
    assert plainly == taskfile.load(written(tmp_path, quoted))
    assert taskfile.spec_of(plainly, MODEL).workload.config["epochs"] == "2"


def test_nothing_has_no_unit_and_a_percentage_may_have_a_space(tmp_path: Path) -> None:
    for value, points in ((0, 0), ("0%", 0), ("2 %", 200), ("100%", 10_000)):
        assert taskfile.load(written(tmp_path, {**TASK, "tolerance": value})).tolerance == points


def spec_with(field: str = "id", value: object = "mnist-1") -> Any:
    return taskfile.spec_of(TaskFile.model_validate(replaced(TASK, field, value)), MODEL)


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("workload.name", "cifar", learning.WorkloadError),
        ("workload.config", {"epoch": "1"}, learning.WorkloadError),
        ("public_blocks", ["middle"], learning.LearningError),
        ("public_blocks", [], learning.LearningError),
        ("rule.name", "best", robust.RuleError),
        ("rule.parameters", {"selected": "none"}, robust.RuleError),
        ("encryption.step_bits", 60, ckks.ParameterError),
        ("encryption.sketch_size", 0, ckks.ParameterError),
        ("committee.threshold", 4, ckks.ParameterError),
    ],
)
def test_a_task_that_cannot_work_is_not_made(field: str, value: object, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        spec_with(field, value)


@pytest.mark.parametrize(
    ("minimum", "byzantine", "written", "opened"),
    [
        (2, 0, None, 2),
        (4, 1, None, 3),
        (8, 2, None, 4),
        (8, 3, None, 5),
        (8, 2, 8, 8),
    ],
)
def test_an_aggregate_mixes_two_besides_those_who_may_cheat_unless_the_file_says_more(
    minimum: int, byzantine: int, written: int | None, opened: int
) -> None:
    miners = {"minimum": minimum, "maximum": 16, "byzantine": byzantine}
    fields = {**TASK, "miners": miners, **({} if written is None else {"min_aggregate": written})}
    assert taskfile.spec_of(TaskFile.model_validate(fields), MODEL).min_aggregate == opened


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"min_aggregate": 9}, "miners.minimum 7"),
        ({"miners": {"minimum": 3, "maximum": 8, "byzantine": 2}}, "lower miners.byzantine"),
        ({"rule": {"name": "multi-krum", "parameters": {"selected": "1"}}}, "take more updates"),
        ({"rule": {"name": "l-nearest", "parameters": {"nearest": "1"}}}, "take more updates"),
    ],
)
def test_a_task_of_which_nothing_could_be_opened_is_not_made(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(config.ConfigError, match=words):
        taskfile.spec_of(TaskFile.model_validate({**TASK, **fields}), MODEL)


def test_a_tasks_reserves_stand_on_the_ledger() -> None:
    committee = spec_with("committee.reserves", ["D", "E"]).committee
    assert (list(committee.msp_ids), list(committee.reserve_msp_ids)) == (["A", "B", "C"], ["D", "E"])
    assert parameters_of(spec_with("committee.reserves", ["D"])).seats == 3


def test_a_task_says_on_the_ledger_what_its_file_says() -> None:
    spec = spec_with()
    assert (spec.task_id, spec.rounds, spec.min_miners, spec.max_miners, spec.byzantine) == (
        "mnist-1",
        2,
        7,
        8,
        2,
    )
    assert (spec.reward.miners_bp, spec.reward.verifiers_bp, spec.reward.proposer_bp) == (7000, 2500, 500)
    assert list(spec.workload.public_blocks) == ["bottom", "top"]
    assert spec.initial_model == MODEL
    assert spec.ckks.update_size == 51_154
    assert list(spec_with("public_blocks", ["top"]).workload.public_blocks) == ["top"]
    parameters = parameters_of(spec)
    assert (parameters.seats, parameters.threshold) == (3, 2)
    assert record_of(parameters) == spec.ckks


def test_the_same_seed_gives_the_same_initial_model() -> None:
    first, again, other = (
        taskfile.initial_public_model(TaskFile.model_validate({**TASK, "seed": seed})) for seed in (1, 1, 2)
    )
    assert first == again != other


@given(st.integers(0, 10_000))
def test_a_percentage_is_so_many_ten_thousandths(points: int) -> None:
    written = f"{points // 100}.{points % 100:02}%"
    assert RewardPart.model_validate({"per_round": 1, "miners": written}).miners == points


def test_a_task_that_weighs_by_data_has_room_for_its_classes() -> None:
    plain, weighed = spec_with(), spec_with("weighting", {"samples": [1000, 4000]})
    assert list(weighed.sample_classes) == [1000, 4000]
    assert weighed.ckks.max_weight_sum == 3 * plain.ckks.max_weight_sum
    assert not plain.sample_classes


def test_a_task_says_by_what_its_workload_scores() -> None:
    assert (spec_with().workload.metric, spec_with().workload.lower_is_better) == ("accuracy", False)


@pytest.mark.parametrize(
    ("data", "others", "names", "source"),
    [
        (None, {}, ("mnist-cnn",), None),
        ("here", {}, ("mnist-cnn",), "here"),
        ("here", {"risk": "a package"}, (), "here"),
        ({"mnist-*": "digits", "risk": "risk.csv"}, {"risk": "a package"}, ("mnist-cnn", "risk"), "digits"),
        ({"risk": "risk.csv"}, {}, (), None),
    ],
)
def test_a_file_says_whose_data_are_where(
    monkeypatch: pytest.MonkeyPatch,
    data: object,
    others: dict[str, str],
    names: tuple[str, ...],
    source: str | None,
) -> None:
    known = dict.fromkeys(learning.WORKLOADS, Origin("built in", "quorumlearn"))
    known |= {name: Origin("entry point", place) for name, place in others.items()}
    monkeypatch.setattr(config, "origins", lambda: known)
    node = config.NodeConfig.model_validate({**NODE, "data": data})
    assert (node.workload_names(), node.source_of("mnist-cnn")) == (names, source)
