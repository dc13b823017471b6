"""`quorumlearn workload`: `new` writes a package that runs, `try` tells what it finds and by its exit code whether that is well, `list`
says what there is."""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from quorumlearn.cli import run
from quorumlearn.learning import TorchWorkload
from quorumlearn.nodes import config, taskfile

from tests.client.packages import installed


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The package of a workload `heart-risk`, and this process in its folder."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "heart_risk_workload", raising=False)
    folder = tmp_path / "heart"
    assert run(["workload", "new", "heart-risk", str(folder)]) == 0
    assert "quorumlearn workload try heart-risk" in capsys.readouterr().out
    monkeypatch.chdir(folder)
    return folder


TRY = [
    "workload",
    "try",
    "heart-risk",
    "--module",
    "heart_risk_workload:WORKLOAD",
    "--data",
    "data/heart-risk.csv",
]


def test_what_new_writes_runs(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*TRY, "--set", "width=4", "--miners", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert out.count("\n") == 1
    assert "round 2 of 2, miner 2 of 2" in err
    assert (told["failed"], told["metric"], told["miners"]) == (0, "auc", [96, 96])
    assert told["travels"]["tensors"]["0.weight"] == [4, 4]
    assert set(told["proposed"]) == {"bound", "step_bits"}
    assert run([*TRY, "--set", "width=4", "--miners", "2"]) == 0
    shown = capsys.readouterr().out
    assert f"proposed: encryption: {{bound: {told['proposed']['bound']:g}" in shown
    assert "FAILS" not in shown
    assert run(["workload", "try", "heart-risk", "--file", "node.yaml", "--part", "", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["miners"] == [192]
    task = taskfile.load(begun / "task.yaml")
    assert taskfile.workload_and_blocks(task)[0].config.epochs == 4
    node = config.load(begun / "node.yaml")
    assert node.source_of("heart-risk") == str(begun / "data" / "heart-risk.csv")
    package = tomllib.loads((begun / "pyproject.toml").read_text())["project"]
    ((name, place),) = package["entry-points"]["quorumlearn.workloads"].items()
    assert isinstance(EntryPoint(name, place, "quorumlearn.workloads").load(), TorchWorkload)
    importlib.import_module("test_heart_risk_workload").test_it_learns_and_repeats()


def test_what_fails_in_the_users_code_is_told_with_its_place_and_ends_with_1(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = begun / "heart_risk_workload.py"
    module.write_text(module.read_text().replace("nn.Linear(4,", "nn.Linear(9,"))
    assert run([*TRY, "--json"]) == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["failed"] == 1
    assert told["rounds"] == []
    assert err.splitlines()[-1].startswith("error: heart-risk: 1 of ")
    assert "shapes cannot be multiplied" in err
    assert run(TRY) == 1
    assert "FAILS  rounds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["try", "nothing"], "workload 'nothing' is not installed here"),
        ([*TRY[1:], "--set", "width"], "--set 'width' is no KEY=VALUE"),
        ([*TRY[1:], "--set", "depth=3"], "has no setting 'depth'"),
        ([*TRY[1:], "--preset", "slow"], "no parameters named 'slow': there are fast"),
        (["try", "heart-risk", "--module", "heart_risk_workload:NOTHING"], "has no attribute 'NOTHING'"),
        (
            ["try", "heart-risk", "--module", "broken:X"],
            r"NameError: name 'nothing' is not defined (broken.py, line 2)",
        ),
        (["new", "Heart Risk"], "cannot be a workload's name here"),
        (["new", "mnist-mlp"], "is a workload that QuorumLearn brings"),
        (["new", "heart-risk", "."], "is there already: nothing was written; --force overwrites it"),
    ],
)
def test_wrong_usage_is_one_sentence(
    begun: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    (begun / "broken.py").write_text("\nnothing\n")
    (begun / "task.yaml").write_text("mine\n")
    assert run(["workload", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err.splitlines()[-1]
    assert (begun / "task.yaml").read_text() == "mine\n"


def test_force_overwrites(begun: Path) -> None:
    (begun / "task.yaml").write_text("mine\n")
    assert run(["workload", "new", "heart-risk", ".", "--force"]) == 0
    assert taskfile.load(begun / "task.yaml").id == "heart-risk-1"


def test_the_list_says_what_there_is_and_from_where(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "from quorumlearn.learning import SklearnLinear\nLINE = SklearnLinear('line', features=2, metric='auc', version='7')\n"
    entries = {"quorumlearn.workloads": {"line": "own_line:LINE", "gone": "own_line:GONE"}}
    installed(tmp_path / "site", monkeypatch, "own_line", code, entries)
    assert run(["workload", "list", "--file", "node.yaml", "--json"]) == 0
    told: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["workloads"]
    rows = {one["name"]: one for one in told}
    assert [rows["line"][key] for key in ("version", "metric", "kind", "place")] == [
        *("7", "auc", "entry point", "own_line:LINE")
    ]
    assert rows["mnist-cnn"]["kind"] == "built in"
    assert (rows["heart-risk"]["kind"], rows["heart-risk"]["place"]) == (
        "file",
        "heart_risk_workload:WORKLOAD",
    )
    assert "has no attribute 'GONE'" in rows["gone"]["problem"]
    assert run(["workload", "list"]) == 0
    assert "workload 'gone' cannot be had from own_line:GONE" in capsys.readouterr().out
