"""`quorumlearn ckks explain` and a task's file name parameters alike, and say what they promise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quorumlearn import ckks, cli
from quorumlearn.cli.terminal import Exit
from quorumlearn.nodes import taskfile
from quorumlearn.nodes.config import ConfigError

TASK = """
id: t
workload: {name: mnist-cnn}
rounds: 1
miners: {minimum: 2, maximum: 4}
rule: {name: multi-krum}
committee: {organisations: [A, B, C], threshold: 2}
reward: {per_round: 10}
"""


def write(folder: Path, encryption: str) -> Path:
    path = folder / "task.yaml"
    path.write_text(TASK + (f"encryption: {encryption}\n" if encryption else ""))
    return path


@pytest.mark.parametrize("preset", list(ckks.PRESETS))
def test_a_preset_of_a_task_is_what_explain_shows(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, f"{{preset: {preset}}}")
    p = taskfile.parameters_of_file(taskfile.load(path))
    assert p.flooding_bits == ckks.PRESETS[preset].flooding_bits
    assert cli.run(["ckks", "explain", "--file", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["parameters"]["coeff_modulus_bits"] == list(p.coeff_modulus_bits)
    assert shown["explanation"]["security_bits"] >= ckks.PRESETS[preset].minimum_security_bits
    assert cli.run(["ckks", "explain", "--file", str(path)]) == 0
    assert all(line in capsys.readouterr().out for line in [p.explain().lines[0]])


def test_single_numbers_differ_from_the_preset_and_nothing_said_is_the_default(tmp_path: Path) -> None:
    plain = taskfile.parameters_of_file(taskfile.load(write(tmp_path, "")))
    assert plain.flooding_bits == ckks.PRESETS["default"].flooding_bits
    other = taskfile.parameters_of_file(
        taskfile.load(write(tmp_path, "{preset: fast, flooding_bits: 33, bound: 0.5}"))
    )
    assert (other.flooding_bits, other.step_bits) == (33, ckks.PRESETS["fast"].step_bits)
    assert other.bound_steps == 1 << (other.step_bits - 1)


def test_an_unknown_name_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["ckks", "explain", "--preset", "strong"]) == Exit.USAGE
    assert "there are fast, default, paranoid" in capsys.readouterr().err
    with pytest.raises(ckks.ParameterError):
        taskfile.parameters_of_file(taskfile.load(write(tmp_path, "{preset: strong}")))
    with pytest.raises(ConfigError):
        taskfile.load(write(tmp_path, "{presets: fast}"))
