"""examples/own_rule by its README's command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_rule_beats_the_attack_in_the_matrix_and_on_the_ledger(
    mnist_folder: Path, tmp_path: Path
) -> None:
    paths = [str(ROOT / room) for room in ("proto", "chaincode", "client", "network")] + [str(ROOT)]
    ended = subprocess.run(
        [
            sys.executable,
            "examples/own_rule/run.py",
            "--data",
            str(mnist_folder),
            "--folder",
            str(tmp_path / "attack"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr[-3000:]}"
    assert "matrix: medoid  against mirror" in ended.stdout
    assert "the weights [0, 0, 0, 0] and 0 tokens" in ended.stdout
