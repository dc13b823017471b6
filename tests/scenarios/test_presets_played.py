"""LearningChain's preset, played: private updates, l-nearest, and epsilon in the log and in the report."""

from __future__ import annotations

import pytest
from quorumlearn.learning import get_workload
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import SEATS, NodeThread, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
ROUNDS = 2


def test_learningchain_trains_privately_and_says_what_it_costs(stage: Stage) -> None:
    task = "learningchain"
    with running(*(NodeThread(file) for file in stage.node_files(task, MINERS).values())) as nodes:
        spec = stage.publish(
            task,
            preset="learningchain",
            workload={"config": {}},
            miners={"minimum": 3, "maximum": 3},
            rounds=ROUNDS,
        )
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert (spec.rule.name, spec.byzantine) == ("l-nearest", 1)
    workload = get_workload(spec.workload.name, dict(spec.workload.config))
    assert workload.config.private
    assert [one.outcome for one in stage.market().rounds(task)] == [b.ACCEPTED] * ROUNDS
    assert_settled(stage, task, [*MINERS, *(f"{seat}/verifier" for seat in SEATS)])
    told = stage.on_ledger("task", "report", task, "--json")
    assert told.code == 0, told.err
    counts = [sub.manifest.sample_count for sub in stage.market().submissions(task, 1)]
    assert counts == [300] * len(MINERS)
    expected = workload.epsilon([counts[0]] * ROUNDS)
    assert expected is not None
    assert told.fields["delta"] == 1e-5
    miners = told.fields["miners"]
    assert isinstance(miners, list)
    assert {miner["epsilon"] for miner in miners} == {round(expected, 4)}
    one_round = workload.epsilon(counts[:1])
    assert one_round is not None
    lines = (stage.folder / "nodes.log").read_text().splitlines()
    trained = [line for line in lines if task in line and "trained" in line]
    assert len(trained) == ROUNDS * len(MINERS)
    assert all(f"epsilon={round(one_round, 4)}" in line for line in trained)
    text = stage.on_ledger("task", "report", task)
    assert "epsilon" in text.out
    weak = "its guarantee does not hold: l-nearest withstands no cheat, and 1 of 3 might be one"
    assert told.fields["weak"] == [weak] * ROUNDS
    assert sum(weak in line and "weak round" in line for line in lines) >= ROUNDS
    shown = stage.on_ledger("task", "show", task).out
    assert f"round {ROUNDS}: {weak}" in shown
    assert "l-nearest withstands no cheat, and byzantine is 1" in shown
