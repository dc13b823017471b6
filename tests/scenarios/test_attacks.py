"""Cheating miners in the node that honest ones run: each is found by the name of what it did, and the round goes on."""

from __future__ import annotations

import numpy as np
import pytest
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import NodeThread, Stage, assert_settled, payouts, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROUNDS = 2
HONEST = ("miners1/miner1", "miners1/miner2", "miners2/miner1", "miners2/miner2")


def play(
    stage: Stage, task: str, cheats: dict[str, str], rule: str, root: str | None = None, **timeouts: int
) -> list[dict[str, b.Verdict]]:
    """The verdicts of each round, by miner, of a task in which HONEST work and others cheat."""
    miners = dict.fromkeys(HONEST, "honest") | cheats
    stage.publish(
        task,
        rounds=ROUNDS,
        miners={"minimum": 7, "maximum": len(miners), "byzantine": 2},
        rule={"name": rule} if root is None else {"name": rule, "root": root},
        timeouts=timeouts,
    )
    with running(*(NodeThread(file) for file in stage.node_files(task, miners).values())) as nodes:
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    rounds = list(stage.market().rounds(task))
    assert [one.outcome for one in rounds] == [b.ACCEPTED] * ROUNDS
    return [
        {who: next(v for v in one.selection.verdicts if v.miner == stage.name(who)) for who in miners}
        for one in rounds
    ]


def reasons(rounds: list[dict[str, b.Verdict]], who: str) -> list[str]:
    return [b.Reason.Name(verdicts[who].reason) for verdicts in rounds]


def test_ciphertexts_that_are_none_huge_old_or_missing_are_found_and_proof_costs_stake(stage: Stage) -> None:
    cheats = {
        "miners1/miner3": "withhold",
        "miners1/miner4": "malformed",
        "miners2/miner3": "overflow",
        "miners2/miner4": "replay-rerandomised",
    }
    rounds = play(stage, "broken-ciphertexts", cheats, "multi-krum", reveal=10)
    assert reasons(rounds, "miners1/miner3") == ["WITHHELD"] * 2
    assert reasons(rounds, "miners1/miner4") == ["MALFORMED"] * 2
    assert reasons(rounds, "miners2/miner3") == ["OUT_OF_RANGE"] * 2
    assert reasons(rounds, "miners2/miner4")[0] in ("CONTRIBUTES", "NOT_SELECTED")
    assert reasons(rounds, "miners2/miner4")[1] == "OUT_OF_RANGE"
    for who in HONEST:
        assert set(reasons(rounds, who)) <= {"CONTRIBUTES", "NOT_SELECTED"}
    slashed = {"miners1/miner3": 20 * (ROUNDS - 1), "miners1/miner4": 20 * ROUNDS}
    assert_settled(
        stage,
        "broken-ciphertexts",
        [*HONEST, *cheats, *(f"verifier{i}/verifier" for i in (1, 2, 3))],
        slashed,
    )
    for who in list(cheats)[:3]:
        assert payouts(stage.market(), stage.name(who), "broken-ciphertexts") == []


def test_forged_updates_get_little_under_a_rule_with_fractional_weights(stage: Stage) -> None:
    cheats = {
        "miners1/miner3": "zero",
        "miners1/miner4": "replay-ciphertext",
        "miners2/miner3": "sign-flip:3",
        "miners2/miner4": "mimic:miner1",
    }
    rounds = play(stage, "forged-updates", cheats, "geometric-median", reveal=10)
    assert reasons(rounds, "miners1/miner3") == ["OUT_OF_RANGE"] * 2
    # the ledger takes no update's digest twice, so the second round's cannot be revealed
    assert reasons(rounds, "miners1/miner4")[1] == "WITHHELD"
    assert "DUPLICATE" not in reasons(rounds, "miners2/miner4")
    for verdicts in rounds:
        honest = np.array([verdicts[who].weight for who in HONEST])
        assert (honest > 0).all()
        assert verdicts["miners2/miner3"].weight < honest.min()


def test_sending_the_last_public_step_again_earns_nothing_and_costs_no_stake(stage: Stage) -> None:
    riders = {"miners1/miner3": "free-rider", "miners2/miner3": "free-rider:0.8"}
    rounds = play(stage, "riders", riders | {"miners1/miner4": "honest"}, "multi-krum")
    for who in riders:
        assert reasons(rounds, who)[1] == "NOTHING_NEW"  # before the first block there is no step to send
    for who in HONEST:
        assert set(reasons(rounds, who)) <= {"CONTRIBUTES", "NOT_SELECTED"}
        assert rounds[1][who].weight == 1


def test_trust_scores_leave_out_cheats_that_are_half_of_all_by_a_public_root_set(stage: Stage) -> None:
    cheats = {
        "miners1/miner3": "sign-flip",
        "miners1/miner4": "sign-flip:2",
        "miners2/miner3": "inner-product:2:miner1,miner2",
        "miners2/miner4": "noise",
    }
    rounds = play(stage, "rooted", cheats, "trust-scores", root="iid:199/200@7")
    spec = stage.market().task("rooted").task.spec
    assert set(spec.rule.parameters) == {"root_digest", "root_size"}
    for verdicts in rounds:
        honest = sum(verdicts[who].weight for who in HONEST)
        assert sum(verdicts[who].weight for who in cheats) < 0.05 * honest
        assert all(verdicts[who].weight > 0 for who in HONEST)
    assert set(reasons(rounds, "miners2/miner4")) == {"OUTLIER"}
    assert_settled(stage, "rooted", [*HONEST, *(f"verifier{i}/verifier" for i in (1, 2, 3))])
