"""A rule of another package on the ledger: it keeps a cheat of that package out, and a verifier that lacks it loses nothing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.client.packages import installed
from tests.scenarios.stage import SEATS, NodeProcess, NodeThread, Stage, running

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_rule"
TASK = "own-1"
HONEST = [*(f"miners1/miner{n}" for n in range(1, 4)), "miners2/miner2"]
CHEAT = "miners2/miner1"


def test_a_verifier_without_the_tasks_rule_sits_out_and_nobody_is_slashed(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third verifier's node is a process of its own, in which nobody has installed the package."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    code = (EXAMPLE / "own_rule.py").read_text()
    installed(tmp_path / "package", monkeypatch, "own_rule", code, project["entry-points"])
    spec = stage.publish(
        TASK,
        rule={"name": "medoid"},
        miners={"minimum": 5, "maximum": 5, "byzantine": 1},
        timeouts={"join": 40},
    )
    assert spec.rule.parameters["rule_version"] == "1"
    files = stage.node_files(TASK, {**dict.fromkeys(HONEST, "honest"), CHEAT: "mirror"}, SEATS)
    lacking = NodeProcess(files.pop(SEATS[-1]))
    with running(lacking, *(NodeThread(file) for file in files.values())) as nodes:
        view = stage.played(TASK, nodes)
    assert view.state.status == t.COMPLETED
    market = stage.market()
    assert [list(one.seats) for one in market.rounds(TASK)] == [[1, 2], [1, 2]]
    for one in market.rounds(TASK):
        weights = {verdict.miner: verdict.weight for verdict in one.selection.verdicts}
        assert one.outcome == b.ACCEPTED
        assert weights.pop(stage.name(CHEAT)) == 0
        assert set(weights.values()) == {1}
    held = {stake.account_id: stake.slashed for stake in market.stakes(TASK)}
    assert stage.name(f"{SEATS[-1]}/verifier") not in held
    assert set(held.values()) == {0}
    assert not list(market.misconducts(TASK))
    assert "no robust rule 'medoid' is installed here" in lacking.log.read_text()
