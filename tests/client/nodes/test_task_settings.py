"""The settings of a task's file as help and docs show them: all of them, with the defaults that hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from quorumlearn.cli import run
from quorumlearn.learning import WORKLOADS, TrainingConfig
from quorumlearn.nodes import tasksettings
from quorumlearn.nodes.tasksettings import TaskFile, rows

DOCS = Path(__file__).resolve().parents[3] / "docs"
NEEDED = {
    "id": "t",
    "workload": {"name": "mnist-cnn"},
    "rounds": 1,
    "miners": {"minimum": 1, "maximum": 1},
    "committee": {"organisations": ["AMSP"], "threshold": 1},
    "reward": {"per_round": 1},
}


def test_the_page_of_the_docs_is_what_the_settings_give() -> None:
    assert (DOCS / "task.md").read_text() == tasksettings.as_markdown(), (
        "python -m quorumlearn.nodes.tasksettings > docs/task.md"
    )


def test_help_shows_every_setting_and_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["task", "publish", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for key, default, what in rows():
        assert what
        assert " ".join(f"{key} {default} {what}".split()) in shown


def test_the_defaults_that_are_shown_are_those_that_hold() -> None:
    written = yaml.safe_load(yaml.safe_dump(NEEDED))
    needed = set()
    for key, default, _ in rows():
        *parts, last = key.split(".")
        place = written
        for part in parts:
            place = place.setdefault(part, {})
        if default == "needed":
            needed.add(key)
        elif default:
            place[last] = yaml.safe_load(default)
    assert TaskFile.model_validate(written) == TaskFile.model_validate(NEEDED)
    for key in needed:
        place = written
        for part in key.split("."):
            place = place[part]


def test_a_workloads_settings_are_all_named() -> None:
    (what,) = (what for key, _, what in rows() if key == "workload.config")
    assert all(name in what for name in TrainingConfig.model_fields)


def test_the_settings_name_every_workload() -> None:
    described = tasksettings.WorkloadPart.model_fields["name"].description or ""
    assert re.findall(r"[a-z]+-[a-z]+", described) == list(WORKLOADS)
