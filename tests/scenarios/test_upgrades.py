"""Upgrade and roll-back while a task runs: of nodes, of the chaincode on the devnet and on real Fabric. Nothing is lost.

The other build is this one in a folder of its own, under another version.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from quorumlearn.nodes import stateformat
from quorumlearn_network.fabric import report
from quorumlearn_network.up import read_network
from quorumlearn_network.up import status as network_status
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import SEATS, NodeProcess, NodeThread, Stage, assert_settled, at, running
from tests.test_architecture import ROOMS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
PARTIES = [*MINERS, *(f"{seat}/verifier" for seat in SEATS)]
JSON = {"QUORUMLEARN_LOG": "json"}


def build(folder: Path, version: str, form: int = stateformat.FORM) -> dict[str, str]:
    """Another build in a folder; the environment that starts it. `form` is the form of the state that it writes."""
    for package, room in ROOMS.items():
        shutil.copytree(room / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "quorumlearn" / "nodes" / "stateformat.py"
    text = file.read_text()
    assert text.count(f"\nFORM = {stateformat.FORM}\n") == 1
    file.write_text(text.replace(f"\nFORM = {stateformat.FORM}\n", f"\nFORM = {form}\n"))
    about = folder / f"quorumlearn-{version}.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.1\nName: quorumlearn\nVersion: {version}\n")
    return {"PYTHONPATH": str(folder), **JSON}


def started(node: NodeProcess) -> list[str]:
    """The versions that a node's log says it was started with, in order."""
    lines = [json.loads(line) for line in node.log.read_text().splitlines() if line.startswith("{")]
    return [one["version"] for one in lines if one["event"] == "node starts"]


def test_nodes_are_upgraded_and_rolled_back_in_mid_round(stage: Stage, tmp_path: Path) -> None:
    task, newer = "other-builds", build(tmp_path / "build", "99.0")
    files = stage.node_files(task, MINERS)
    miner, verifier = NodeProcess(files.pop("miners1"), JSON), NodeProcess(files.pop("verifier1"), JSON)

    def replaced(node: NodeProcess, environment: dict[str, str]) -> None:
        node.end()
        before = len(started(node))
        node.start_again(environment)
        deadline = time.monotonic() + 60
        while len(started(node)) == before:
            assert time.monotonic() < deadline, "the other build does not start"
            time.sleep(0.1)

    with running(miner, verifier, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(task, rounds=1)
        stage.wait(task, at(1, b.COMMIT), nodes)
        replaced(miner, newer)
        stage.wait(task, at(1, b.SCREEN), nodes)
        replaced(verifier, newer)
        stage.wait(task, at(1, b.SELECT), nodes)
        replaced(miner, JSON)
        stage.wait(task, at(1, b.VALIDATE), nodes)
        replaced(verifier, JSON)
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(task)] == [b.ACCEPTED]
    assert_settled(stage, task, PARTIES)
    for node in (miner, verifier):
        first, second, third = started(node)
        assert second == "99.0"
        assert first == third != second


def test_a_node_does_not_go_back_to_a_build_that_cannot_read_its_state(stage: Stage, tmp_path: Path) -> None:
    """It ends with a sentence before it has read or written any of it, and the newer build goes on."""
    task, newer = "later-form", build(tmp_path / "build", "99.0", form=stateformat.FORM + 1)
    files = stage.node_files(task, MINERS)
    seat = NodeProcess(files.pop("verifier2"), newer)
    with running(seat, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(task, rounds=1)
        stage.wait(task, at(1, b.COMMIT), nodes)
        seat.end()
        seat.start_again(JSON)
        assert seat.ended() == 1
        told = seat.log.read_text().splitlines()[-1]
        assert re.fullmatch(r"error: the state in .* has form 2, written by quorumlearn 99\.0, and .*", told)
        seat.start_again(newer)
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert_settled(stage, task, PARTIES)
    (stage.folder / "state" / "verifier2" / stateformat.FILE).unlink()  # other scenarios play on it


def upgraded(stage: Stage, version: str, environment: dict[str, str]) -> None:
    """`quorumlearn network upgrade VERSION` by the build that the environment names."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "quorumlearn.cli", "network"),
            "upgrade",
            version,
            "--folder",
            str(stage.network),
        ],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def services(stage: Stage) -> set[tuple[str, str]]:
    """Of each chaincode service: the label of its package, and the build that it runs."""
    found = set()
    for one in network_status(stage.network).processes:
        if one.name.startswith("chaincode"):
            environment = psutil.Process(one.pid).environ()
            found.add((environment["CHAINCODE_ID"].partition(":")[0], environment.get("PYTHONPATH", "")))
    return found


def play_an_upgrade(stage: Stage, task: str, folder: Path) -> None:
    own, newer = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}, build(folder / "build", "99.0")
    with running(*(NodeThread(file) for file in stage.node_files(task, MINERS).values())) as nodes:
        stage.publish(task)
        stage.wait(task, at(1, b.COMMIT), nodes)
        upgraded(stage, "1.1", newer)
        assert services(stage) == {("quorumlearn_1.1", newer["PYTHONPATH"])}
        stage.wait(task, at(2, b.COMMIT), nodes)
        upgraded(stage, "1.0", own)
        assert services(stage) == {("quorumlearn_1.0", own["PYTHONPATH"])}
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(task)] == [b.ACCEPTED] * 2
    assert_settled(stage, task, PARTIES)
    chaincode = read_network(stage.network).chaincode
    assert (chaincode.version, chaincode.sequence) == ("1.0", 3)


def test_the_chaincode_is_upgraded_and_rolled_back_on_the_devnet(stage: Stage, tmp_path: Path) -> None:
    play_an_upgrade(stage, "other-contracts", tmp_path)


def test_the_chaincode_is_upgraded_and_rolled_back_on_fabric(fabric_stage: Stage, tmp_path: Path) -> None:
    play_an_upgrade(fabric_stage, "other-contracts", tmp_path)
    chaincode = report(fabric_stage.network).chaincode
    assert chaincode is not None
    assert (chaincode.version, chaincode.sequence) == ("1.0", 3)
    logs = {
        path.stem: path.read_text().splitlines() for path in (fabric_stage.network / "logs").glob("*.log")
    }
    assert len(logs) > 10
    for name, lines in logs.items():
        for line in lines:
            if "[localconfig]" not in line:  # what an orderer says before it has read its settings
                assert "level" in json.loads(line), name
