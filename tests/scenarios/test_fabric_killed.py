"""On real Fabric: who is killed in mid-round loses nothing, and whose peer was away while it idled is not deaf."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from quorumlearn_network.fabric import report
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import SEATS, NodeProcess, NodeThread, Stage, assert_settled, at, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
PARTIES = [*MINERS, *(f"{seat}/verifier" for seat in SEATS)]


def leader(stage: Stage) -> str:
    deadline = time.monotonic() + 60
    while True:
        for node in report(stage.network).nodes:
            if node.leader:
                return node.name
        assert time.monotonic() < deadline, "no orderer leads"


def test_whatever_is_killed_in_mid_round_the_task_ends_right(fabric_stage: Stage) -> None:
    stage, task = fabric_stage, "killed-on-fabric"
    files = stage.node_files(task, MINERS)
    verifier, miner = NodeProcess(files.pop("verifier3")), NodeProcess(files.pop("miners2"))
    with running(verifier, miner, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(task, rounds=2)
        stage.wait(task, at(1, b.COMMIT), nodes)
        stage.kill("peer0.verifier1")
        miner.kill_and_restart()
        stage.up()
        stage.wait(task, at(1, b.SCREEN), nodes)
        stage.kill(leader(stage))
        verifier.kill_and_restart()
        stage.wait(task, at(2, b.COMMIT), nodes)  # two of three orderers go on without it
        stage.up()
        stage.wait(task, at(2, b.REVEAL), nodes)
        stage.kill("chaincode.verifier2")
        stage.kill("chaincode.miners1")
        stage.up()
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(task)] == [b.ACCEPTED] * 2
    assert_settled(stage, task, PARTIES)
    heights = {node.height for node in report(stage.network).nodes}
    assert None not in heights


def test_nodes_that_idled_while_their_peers_were_away_hear_of_a_task(fabric_stage: Stage) -> None:
    """Each in a process of its own: there, nobody else's calls bring its connection back."""
    stage, task = fabric_stage, "after-outages"
    files = stage.node_files(task, MINERS)
    stage.kill("peer0.miners1")
    early = NodeProcess(files.pop("miners1"))
    with running(early, *(NodeProcess(file) for file in files.values())) as nodes:
        until(lambda: "cannot look for tasks" in early.log.read_text())
        stage.up()
        for command in (("restart", "peer0.owner"), ("renew",)):
            told = stage.on_ledger("network", *command)
            assert told.code == 0, told.err
        stage.publish(task, rounds=1)
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(task)] == [b.ACCEPTED]
    assert_settled(stage, task, PARTIES)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
