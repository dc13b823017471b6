"""README's commands: those of "Use it" in an empty folder, in their order and as they are printed; the others are there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import typer
from PIL import Image
from quorumlearn.cli import app
from quorumlearn_network.package import package_id
from quorumlearn_network.spec import ChaincodeSpec

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PLAYED_SECONDS = 500


def blocks(heading: str) -> list[str]:
    """The fenced blocks below a heading of README."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\w*\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def below(folder: Path) -> list[psutil.Process]:
    """Processes that work in a folder or name it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if any(str(folder) in word for word in words):
            found.append(process)
    return found


@pytest.mark.slow
@pytest.mark.timeout(PLAYED_SECONDS + 20)
def test_the_commands_of_use_it_work_in_an_empty_folder(tmp_path: Path) -> None:
    commands = blocks("Use it")
    assert sum(block.count("quorumlearn ") for block in commands) > 10
    folder = tmp_path / "market"
    folder.mkdir()
    scripts = tmp_path / "bin"
    scripts.mkdir()
    (scripts / "quorumlearn").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m quorumlearn.cli "$@"\n')
    (scripts / "quorumlearn").chmod(0o755)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("QUORUMLEARN_")}
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
        cwd=folder,
        env={**ours, "PATH": f"{scripts}:{ours['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=PLAYED_SECONDS)
    finally:
        _, left = psutil.wait_procs(below(tmp_path), timeout=5)  # who was told to end may be about to
        for one in left:
            one.kill()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    logs = {path.name: path.read_text()[-2000:] for path in folder.glob("*.log")}
    assert process.returncode == 0, (out, logs)
    assert not left, f"of README's commands there still runs {left}"
    assert re.search(r"^mnist-1 completed with block [1-9]", out, re.MULTILINE), out
    assert re.search(r"^mnist-1: \d+ checks, 0 violations", out, re.MULTILINE), out
    assert (folder / "mnist-1.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "state/owner/owner/mnist-1/model.safetensors").stat().st_size > 0


def test_every_command_that_readme_names_is_there() -> None:
    root = typer.main.get_command(app)
    for line in re.findall(r"quorumlearn ((?:[a-z-]+ ?)+)", README):
        command = root
        for word in line.split():
            below_it = getattr(command, "commands", None)
            if below_it is None:
                break
            assert word in below_it, f"quorumlearn {line}"
            command = below_it[word]


@pytest.mark.parametrize("line", re.findall(r"^make .*?(?=  +#|$)", README, re.MULTILINE))
def test_make_knows_what_readme_has_it_make(line: str) -> None:
    done = subprocess.run(
        ["bash", "-c", line.replace("make ", "make --dry-run ", 1)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_readmes_figures_are_of_the_run_that_its_picture_shows() -> None:
    shown = json.loads(Image.open(ROOT / "docs" / "demo.png").info["Comment"])["accuracy"]
    told = re.search(
        r"accuracy of the public model ([\d.]+) % after five\s+rounds \(([\d., then]+) % by block\)", README
    )
    assert told is not None
    assert told[1] == f"{100 * shown[-1]:.2f}"
    assert re.findall(r"[\d.]*\d", told[2]) == [f"{100 * score:.1f}" for score in shown]


def test_a_chaincode_by_hand_is_told_with_the_label_of_its_package() -> None:
    label = package_id(ChaincodeSpec(quorum=1)).partition(":")[0]
    for name in ("chaincode/Dockerfile", "chaincode/quorumlearn_chaincode/__main__.py"):
        assert set(re.findall(r"CHAINCODE_ID=(\w[\w.]*):", (ROOT / name).read_text())) == {label}
