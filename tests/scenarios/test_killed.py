"""SIGKILL anywhere: a node, the devnet or the chaincode that is killed in mid-round and started again loses nothing."""

from __future__ import annotations

import pytest
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import SEATS, NodeProcess, NodeThread, Stage, assert_settled, at, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
PARTIES = [*MINERS, *(f"{seat}/verifier" for seat in SEATS)]

Kills = list[tuple[int, b.Phase]]


@pytest.mark.parametrize(
    ("organisation", "kills"),
    [
        ("owner", [(1, b.COMMIT), (2, b.VALIDATE)]),
        ("miners1", [(1, b.COMMIT), (1, b.REVEAL), (2, b.COMMIT), (2, b.PROPOSE)]),
        ("verifier1", [(1, b.KEY), (1, b.SCREEN), (2, b.SELECT), (2, b.PROPOSE)]),
    ],
)
def test_a_killed_node_goes_on_where_the_ledger_is(stage: Stage, organisation: str, kills: Kills) -> None:
    task = f"killed-{organisation}"
    files = stage.node_files(task, MINERS, workers=1)
    killed = NodeProcess(files.pop(organisation))
    with running(killed, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(task)
        for number, phase in kills:
            stage.wait(task, at(number, phase), nodes)
            killed.kill_and_restart()
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(task)] == [b.ACCEPTED] * 2
    assert_settled(stage, task, PARTIES)


@pytest.mark.parametrize("process", ["devnet", "chaincode"])
def test_the_network_killed_in_mid_round_and_brought_up_again(stage: Stage, process: str) -> None:
    task = f"killed-{process}"
    with running(*(NodeThread(file) for file in stage.node_files(task, MINERS).values())) as nodes:
        stage.publish(task)
        for number, phase in [(1, b.COMMIT), (1, b.SCREEN), (2, b.REVEAL)]:
            stage.wait(task, at(number, phase), nodes)
            stage.kill(process)
            stage.up()
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(task)] == [b.ACCEPTED] * 2
    assert_settled(stage, task, PARTIES)
