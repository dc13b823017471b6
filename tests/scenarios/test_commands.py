"""The command line around a whole task: help, JSON, exit codes, and processes that end when they are told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import typer
from quorumlearn.cli import app, run
from quorumlearn_proto import block_pb2 as b

from tests.scenarios.stage import NodeThread, Stage, at, running

pytestmark = [pytest.mark.timeout(600)]

CLI = [sys.executable, "-m", "quorumlearn.cli"]
MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
TASK = "commands"
END = 60.0  # seconds


def _commands() -> list[tuple[str, ...]]:
    root = typer.main.get_command(app)
    found: list[tuple[str, ...]] = []
    for name, command in sorted(getattr(root, "commands").items()):  # noqa: B009  (a group's, which typer does not declare)
        below = getattr(command, "commands", None)
        found += [(name,)] if below is None else [(name, one) for one in sorted(below)]
    return found


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + END
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_help_of_every_command_has_an_example_and_the_exit_codes(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    text = " ".join(out.split())
    assert f"Example: quorumlearn {' '.join(command)}" in text
    assert "Exit codes: 0 done;" in text


@pytest.fixture(scope="module")
def played(stage: Stage) -> Stage:
    """The stage after a small task."""
    with running(*(NodeThread(file) for file in stage.node_files(TASK, MINERS).values())) as nodes:
        stage.publish(TASK, rounds=1)
        stage.played(TASK, nodes)
    return stage


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("network", "status"),
        ("identity", "list"),
        ("identity", "show", "owner/owner"),
        ("task", "list"),
        ("task", "show", TASK),
        ("task", "watch", TASK),
        ("task", "report", TASK),
        ("analyse", "economics", TASK),
        ("committee", "show", TASK),
        ("token", "totals"),
        ("ledger", "blocks"),
        ("ledger", "block", "1"),
        ("ledger", "account", "OwnerMSP/owner"),
        ("ledger", "events"),
    ],
    ids=" ".join,
)
def test_a_command_prints_one_json_object_or_text_for_people(
    played: Stage, arguments: tuple[str, ...]
) -> None:
    told = played.on_ledger(*arguments, "--json")
    assert told.code == 0, told.err
    assert told.out.count("\n") == 1
    assert told.fields
    text = played.on_ledger(*arguments)
    assert text.code == 0, text.err
    assert text.out.strip()
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.out)


@pytest.mark.slow
def test_a_node_with_until_done_ends_by_itself(played: Stage) -> None:
    file = played.node_files(TASK, MINERS)["owner"]
    done = subprocess.run(
        [*CLI, "node", "run", str(file), "--until-done"],
        capture_output=True,
        text=True,
        check=False,
        timeout=END,
    )
    assert done.returncode == 0, done.stderr
    checked = played.cli("node", "check", str(file), "--json")
    assert checked.fields["identities"] == {"OwnerMSP/owner": "owner"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("role: owner", "role: boss"), "identities.0.role"),
        (("user: owner", "user: nobody"), "nobody"),
        (("state:", "stat: x\nstate:"), "stat: there is no such key; did you mean state?"),
    ],
)
@pytest.mark.slow
def test_a_node_whose_file_is_wrong_does_not_start(
    played: Stage, change: tuple[str, str], words: str
) -> None:
    file = played.node_files(TASK, MINERS)["owner"]
    wrong = file.with_name("wrong.yaml")
    wrong.write_text(file.read_text().replace(*change))
    done = subprocess.run(
        [*CLI, "node", "run", str(wrong)], capture_output=True, text=True, check=False, timeout=END
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("told", "phase"), [(signal.SIGTERM, b.COMMIT), (signal.SIGINT, b.KEY)])
def test_a_node_that_is_told_to_end_ends_in_mid_round(
    stage: Stage, told: signal.Signals, phase: b.Phase
) -> None:
    task = f"told-{told.name.lower()}-{b.Phase.Name(phase).lower()}"
    files = stage.node_files(task, MINERS)
    log = stage.folder / f"{task}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*CLI, "node", "run", str(files.pop("miners1"))],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            with running(*(NodeThread(file) for file in files.values())) as nodes:
                stage.publish(task, workload={"name": "mnist-cnn", "config": {"epochs": "100"}})
                stage.wait(task, at(1, phase), nodes)
                os.killpg(process.pid, told)
                assert process.wait(END) == 0, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert "Traceback" not in log.read_text()
    stage.market().cancel(task)


@pytest.mark.slow
def test_a_node_ends_when_told_though_its_peer_is_silent(stage: Stage) -> None:
    """The devnet is stopped, not killed: every call hangs."""
    file = stage.node_files("silent", MINERS)["miners1"]
    log = stage.folder / "silent.log"
    record = json.loads((stage.network / "run" / "devnet.json").read_text())
    devnet = psutil.Process(record["pid"])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*CLI, "node", "run", str(file)], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        stage.publish("silent")
        stage.wait("silent", lambda view: len(view.miners) == 2, [])
        devnet.suspend()
        process.terminate()
        assert process.wait(END) == 0, log.read_text()
    finally:
        devnet.resume()
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()
    stage.market().cancel("silent")


@pytest.fixture
def demo(tmp_path: Path, mnist_folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`quorumlearn demo` in a process group of its own."""
    command = [*CLI, "demo", "--folder", str(tmp_path / "demo"), "--data", str(mnist_folder), "--rounds", "1"]
    with (tmp_path / "demo.log").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    yield process
    for one in _playing(tmp_path):
        one.kill()
    if process.poll() is None:
        process.kill()
    process.wait()


def _playing(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names something in the folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or ()):
            found.append(process)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["network up", "node run", "task publish"])
def test_ctrl_c_ends_the_demo_with_all_it_started(
    demo: subprocess.Popen[bytes], tmp_path: Path, moment: str
) -> None:
    log = tmp_path / "demo.log"
    until(lambda: f"$ quorumlearn {moment}" in log.read_text(), f"the demo does not reach {moment}")
    os.killpg(demo.pid, signal.SIGINT)
    assert demo.wait(END) == 130, log.read_text()
    assert "Traceback" not in log.read_text()
    until(lambda: not _playing(tmp_path), f"of the demo there still runs {_playing(tmp_path)}")
