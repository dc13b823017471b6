"""A task whose trainings are replayed, on native Fabric nodes: phases, draws and verdicts are those of the devnet, and tokens too."""

from __future__ import annotations

import pytest
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import STAKES, NodeThread, Stage, assert_settled, payouts, running
from tests.scenarios.test_useful_work import (
    VERIFIERS,
    node_files,
    publish,
    published,
    verdicts,
    violations,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HONEST = ("miners1/miner1", "miners2/miner1", "miners2/miner2")
SKIPPER = "miners1/miner2"


def test_honest_work_is_paid_on_fabric_and_a_skipper_is_slashed(fabric_stage: Stage) -> None:
    stage, task = fabric_stage, "useful-on-fabric"
    miners = dict.fromkeys(HONEST, "honest") | {SKIPPER: "skipper:1"}
    held = published(stage)
    with running(*(NodeThread(file) for file in node_files(stage, task, miners).values())) as nodes:
        spec = publish(stage, task, held, 8, miners={"minimum": 3, "maximum": 4, "byzantine": 0})
        view = stage.played(task, nodes)
    market = stage.market()
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in market.rounds(task)] == [b.ACCEPTED] * spec.rounds
    phases = [entry.phase for entry in market.round(task, 1).times]
    assert {b.TRACE, b.REPLAY} < set(phases)
    for number in range(1, spec.rounds + 1):
        found = verdicts(stage, task, number)
        assert {found[stage.name(one)].reason for one in HONEST} == {b.CONTRIBUTES}
        assert found[stage.name(SKIPPER)].reason == b.WRONG_WORK
    assert all(payouts(market, stage.name(one), task) for one in HONEST)
    slashed = {SKIPPER: spec.rounds * STAKES["miner_slash"]}
    assert_settled(stage, task, [*miners, *VERIFIERS], slashed)
    assert violations(stage, task, 3) == []
