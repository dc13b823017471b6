"""A preset fills in what a task's file leaves out, the file's own words win, and every preset makes a task that can be played."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from quorumlearn.cli import run
from quorumlearn.learning import get_workload
from quorumlearn.nodes import taskfile
from quorumlearn.nodes.config import ConfigError
from quorumlearn.nodes.presets import PRESETS
from quorumlearn_chaincode.contracts.specification import check_bounds
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef

DATA = {"workload": "mnist-cnn", "digest": "ab" * 32, "size": 5000, "chunks": 60, "chunk_samples": 1000}
MSPS = ["AlphaMSP", "BetaMSP", "GammaMSP"]
INITIAL = ArtifactRef(digest="00" * 32, size=1)


def spec(tmp_path: Path, **fields: object) -> t.TaskSpec:
    """The task of a file with the fewest words and these fields."""
    fewest: dict[str, object] = {
        "id": "some-task",
        "rounds": 2,
        "miners": {"minimum": 7, "maximum": 9},
        "committee": {"organisations": MSPS, "threshold": 2},
        "reward": {"per_round": 1000},
    }
    if fields.get("preset") == "useful-work":
        fewest["recompute"] = {"data": DATA}
    path = tmp_path / "task.yaml"
    path.write_text(yaml.safe_dump(fewest | fields))
    return taskfile.spec_of(taskfile.load(path), INITIAL)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_alone_makes_a_task(tmp_path: Path, name: str) -> None:
    made = spec(tmp_path, preset=name)
    assert made.byzantine == PRESETS[name].byzantine(7)
    check_bounds(made)
    workload = get_workload(made.workload.name, dict(made.workload.config))
    assert set(made.workload.public_blocks) <= set(workload.blocks)


def test_each_system_has_its_own_rule_and_means(tmp_path: Path) -> None:
    made = {name: spec(tmp_path, preset=name) for name in PRESETS}
    assert {name: one.rule.name for name, one in made.items()} == {
        "chainfl": "mean",
        "krum": "multi-krum",
        "learningchain": "l-nearest",
        "omnilytics": "multi-krum",
        "useful-work": "mean",
        "veiled": "multi-krum",
    }
    assert {name: one.byzantine for name, one in made.items()} == {
        "chainfl": 0,
        "krum": 2,
        "learningchain": 2,
        "omnilytics": 2,
        "useful-work": 0,
        "veiled": 2,
    }
    assert (dict(made["krum"].rule.parameters), made["krum"].min_aggregate) == ({"selected": "4"}, 4)
    assert list(made["omnilytics"].workload.public_blocks) == ["top"]
    assert made["chainfl"].workload.config["late_rounds"] == "1"
    private = {
        name
        for name, one in made.items()
        if get_workload(one.workload.name, dict(one.workload.config)).config.private
    }
    assert private == {"learningchain", "veiled"}
    assert {name for name, one in made.items() if one.tolerance_bp == 10_000} == {"krum", "omnilytics"}


def test_what_the_file_says_wins(tmp_path: Path) -> None:
    made = spec(
        tmp_path,
        preset="learningchain",
        workload={"name": "mnist-mlp", "config": {"dp_noise": "2.0"}},
        public_blocks=["top"],
        rule={"name": "geometric-median"},
        miners={"minimum": 7, "maximum": 9, "byzantine": 1},
        tolerance="5%",
    )
    assert (made.workload.name, list(made.workload.public_blocks)) == ("mnist-mlp", ["top"])
    assert (made.workload.config["dp_noise"], made.workload.config["dp_clip"]) == ("2.0", "1.0")
    assert (made.rule.name, dict(made.rule.parameters)) == ("geometric-median", {})
    assert (made.byzantine, made.tolerance_bp) == (1, 500)


def test_another_rule_does_not_inherit_the_presets_parameters(tmp_path: Path) -> None:
    assert dict(spec(tmp_path, preset="krum", rule={"name": "mean"}).rule.parameters) == {}


def test_a_file_without_a_preset_is_as_it_was(tmp_path: Path) -> None:
    made = spec(tmp_path, workload={"name": "mnist-cnn"})
    assert (made.rule.name, made.tolerance_bp, made.byzantine) == ("multi-krum", 200, 0)
    assert set(made.workload.config) == {"epochs", "batch_size", "learning_rate", "momentum"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"preset": "bitcoin"}, "preset"),
        ({"preset": ["krum"]}, "preset"),
        ({"preset": "krum", "miners": 5}, "miners"),
        ({"preset": "krum", "workload": "mnist-cnn"}, "workload"),
        ({"preset": "krum", "miners": {"minimum": "many", "maximum": 9}}, "miners.minimum"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_field(
    tmp_path: Path, fields: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=f"task.yaml: {says}"):
        spec(tmp_path, **fields)


def test_the_command_lists_what_each_sets_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["task", "presets", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == set(PRESETS)
    for name, preset in PRESETS.items():
        assert told[name]["settings"] == {one.field: one.value for one in preset.settings}
        assert all(told[name]["why"].values())
    assert run(["task", "presets"]) == 0
    text = capsys.readouterr().out
    for preset in PRESETS.values():
        assert preset.source in text
