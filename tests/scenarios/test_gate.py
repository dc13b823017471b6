"""The gate: a candidate that scores worse is rejected, and an accepted block that is found bad is rolled back."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from quorumlearn.learning import Data, Samples, Workload
from quorumlearn.nodes.config import IdentityConfig, NodeConfig
from quorumlearn.nodes.market import NO_OPTIONS, Contract, Market, StepOptions
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import reward_pb2 as r
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.gate import score_fell

from tests.scenarios.ballots import fixed_anew
from tests.scenarios.stage import LIVE, PER_ROUND, SEATS, AnyNode, NodeThread, Stage, raised, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
VERIFIERS = [f"{seat}/verifier" for seat in SEATS]
PARTIES = [*MINERS, *VERIFIERS]
POISONED = "gate-rejects"
TOLERANCE = "2%"
DEPOSIT = 50
GATED = {
    "tolerance": TOLERANCE,
    "rule": {"name": "mean"},
    "workload": {"name": "mnist-cnn", "config": {"epochs": "2"}},
}
SECOND_ROUND = 3
"""A miner takes its data before it joins, and in each round."""


class PoisonedOrganisation(Organisation):
    """Its miners' data is bad for one round, the second that they train in: labels turned round."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._taken: dict[str, int] = {}

    def ready_data(self, workloads: Sequence[Workload]) -> None:
        """Nothing ahead of time: what is taken is what is trained on."""

    def shard(self, identity: IdentityConfig, workload: Workload) -> Data:
        data = super().shard(identity, workload)
        assert isinstance(data, Samples)
        self._taken[identity.user] = self._taken.get(identity.user, 0) + 1
        return Samples(data.inputs, 9 - data.targets) if self._taken[identity.user] == SECOND_ROUND else data


class LaxMarket(Market):
    """Finds every candidate as good as its base, whatever its own test set said; of challenged blocks it tells the truth."""

    def __init__(self, contract: Contract, organisation: Organisation) -> None:
        super().__init__(contract)
        self._organisation = organisation

    def vote_block(
        self, task: str, number: int, fixed: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        def lax(ballot: b.Ballot) -> None:
            ballot.reason, ballot.score, ballot.chance = b.GOOD, ballot.base_score, 0

        fixed = fixed_anew(self._organisation, task, number, lax)
        super().vote_block(task, number, fixed, options)


class LaxOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return LaxMarket(self.contract(user), self)


@dataclass(frozen=True)
class Outcome:
    """What a task's ledger says at its end, but for what is random: tokens, times and ciphertexts."""

    outcomes: list[tuple[int, str]]
    blocks: list[tuple[str, str, int]]
    scores: list[list[tuple[int, int, int]]]


def nodes_of(stage: Stage, task: str, verifiers: type[Organisation] = Organisation) -> list[NodeThread]:
    kinds = dict.fromkeys(("miners1", "miners2"), PoisonedOrganisation) | dict.fromkeys(SEATS, verifiers)
    files = stage.node_files(task, MINERS)
    return [NodeThread(file, kinds.get(name, Organisation)) for name, file in files.items()]


def outcome(stage: Stage, task: str) -> Outcome:
    market = stage.market()
    return Outcome(
        [(one.outcome, one.reason) for one in market.rounds(task)],
        [(one.digest, one.core.previous, one.status) for one in market.blocks(task)],
        [
            sorted(
                (ballot.seat, ballot.reason, ballot.score)
                for ballot in market.round_view(task, one.number).ballots
            )
            for one in market.rounds(task)
        ],
    )


def assert_paid(stage: Stage, task: str, paid: dict[str, list[int]]) -> None:
    """Each party's payments by round, the stakes given back whole, and no token lost or made."""
    market = stage.market()
    for who in PARTIES:
        name = stage.name(who)
        stake = market.stake(task, name)
        assert (stake.amount, stake.slashed) == (0, 0), who
        assert sorted({movement.round for movement in movements(stage, who, task, r.PAYOUT)}) == paid[who], (
            who
        )
    escrow = market.escrow(task)
    assert escrow.amount == 0
    assert escrow.paid + escrow.refunded == market.task(task).task.spec.rounds * PER_ROUND
    totals = market.totals()
    assert totals.minted == totals.balances + totals.escrows + totals.stakes + totals.burnt


def movements(stage: Stage, who: str, task: str, *kinds: int) -> list[r.Movement]:
    found = []
    for entry in stage.market().statement(stage.name(who)).entries:
        for movement in (*entry.account.earlier, entry.account.last):
            if movement.task_id == task and movement.kind in kinds:
                found.append(movement)
    return found


def play_poisoned_round(stage: Stage, task: str) -> Outcome:
    with running(*nodes_of(stage, task)) as nodes:
        stage.publish(task, rounds=3, **GATED)
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    return outcome(stage, task)


@pytest.fixture(scope="module")
def poisoned(stage: Stage) -> Outcome:
    """A task of three rounds, in the second of which all miners train on bad data."""
    return play_poisoned_round(stage, POISONED)


def test_a_candidate_that_scores_worse_is_rejected_and_training_goes_on_from_the_last_good_block(
    stage: Stage, poisoned: Outcome
) -> None:
    task = POISONED
    market = stage.market()
    assert [one for one, _ in poisoned.outcomes] == [b.ACCEPTED, b.REJECTED, b.ACCEPTED]
    first, second = market.block(task, 1), market.block(task, 2)
    assert second.core.previous == first.digest
    assert (second.core.round, market.task(task).state.head.digest) == (3, second.digest)
    rejected = market.round(task, 2)
    assert rejected.base.digest == market.round(task, 3).base.digest == first.digest
    assert rejected.reason
    for ballot in market.round_view(task, 2).ballots:
        assert ballot.reason == b.SCORE_FELL
        assert score_fell(ballot, market.task(task).task.spec)
    assert_paid(stage, task, {who: [1, 3] if who in MINERS else [1, 2, 3] for who in PARTIES})


def test_the_gate_rejects_the_same_on_another_network(
    poisoned: Outcome, tmp_path: Path, mnist_folder: Path
) -> None:
    other = raised(tmp_path / "other", mnist_folder)
    try:
        assert play_poisoned_round(other, POISONED) == poisoned
    finally:
        other.close()


def test_a_block_found_bad_is_reverted_and_what_was_built_on_it_with_it(stage: Stage) -> None:
    task = "gate-rolls-back"
    with running(*nodes_of(stage, task, LaxOrganisation)) as nodes:
        stage.publish(task, rounds=4, **GATED)
        stage.wait(task, lambda view: view.state.head.height >= 2 or view.state.status not in LIVE, nodes)
        before = stage.market().account(stage.name("owner/owner")).balance
        told = stage.on_ledger(
            "task", "challenge", task, "2", "--reason", "it has unlearned every digit", who="owner/owner"
        )
        assert told.code == 0, told.err
        stage.wait(task, lambda _: stage.market().block(task, 2).status == b.REVERTED, nodes)
        assert stage.market().account(stage.name("owner/owner")).balance >= before
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    market = stage.market()
    blocks = {one.digest: one for one in market.blocks(task)}
    bad = market.block(task, 2)
    assert [ballot.reason for ballot in bad.ballots] == [b.GOOD] * 3
    built_on = [one for one in blocks.values() if one.core.previous == bad.digest]
    assert {one.status for one in [bad, *built_on]} == {b.REVERTED}
    chain = [blocks[market.task(task).state.head.digest]]
    while chain[-1].core.height:
        chain.append(blocks[chain[-1].core.previous])
    assert {one.status for one in chain} == {b.GOOD_BLOCK}
    assert [one.core.height for one in chain[-2:]] == [1, 0]
    assert len(chain) > 2, "training went on from the last good block"
    good = {one.digest for one in blocks.values() if one.status == b.GOOD_BLOCK}
    assert good == {one.digest for one in chain}
    for round_ in market.rounds(task):
        assert round_.outcome == b.ACCEPTED or round_.reason == "BASE_REVERTED", round_.reason
    # the deposit went and came back; what the bad block paid stays paid
    assert [
        one.amount for one in reversed(movements(stage, "owner/owner", task, r.STAKE, r.STAKE_RETURN))
    ] == [
        -DEPOSIT,
        DEPOSIT,
    ]
    paid = [one.number for one in market.rounds(task) if one.outcome == b.ACCEPTED]
    assert 2 in paid
    assert_paid(stage, task, dict.fromkeys(PARTIES, paid))


def test_the_last_block_is_judged_after_the_tasks_end_also_by_a_node_that_was_away(stage: Stage) -> None:
    task = "gate-afterwards"
    files = stage.node_files(task, MINERS)
    late = files.pop(SEATS[2])
    stays = NodeThread(late)
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(task, rounds=1, **GATED, weighting={"samples": [100, 60_000]})
        stage.played(task, [*nodes, stays])
        stays.end()
        verdicts = stage.market().round(task, 1).selection.verdicts
        assert [(one.weight, one.share) for one in verdicts] == [(2, 1)] * len(MINERS), (
            "all have 100 samples and nobody 60,000: each counts twice, and is paid once"
        )
        audited = stage.on_ledger("task", "audit", task, "--store", str(stage.store_folder))
        assert audited.code == 0, audited.out + audited.err
        miner, burnt = stage.market("miners1/miner1"), stage.market().totals().burnt
        miner.challenge(task, 1, "a miner that finds fault with a good block")
        decided(stage, task, nodes)
        assert stage.market().block(task, 1).status == b.GOOD_BLOCK
        assert stage.market().totals().burnt == burnt + DEPOSIT
    told = stage.on_ledger("task", "show", task, "--json")
    assert json.loads(told.out)["blocks"][1]["status"] == "GOOD_BLOCK"


def test_a_challenge_made_while_all_verifiers_were_away_is_judged_when_they_come_back(stage: Stage) -> None:
    task = "gate-away"
    files = stage.node_files(task, MINERS)
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(task, rounds=1, **GATED)
        stage.played(task, nodes)
    burnt = stage.market().totals().burnt
    stage.market("miners1/miner1").challenge(task, 1, "nobody is there to judge")
    assert [one.height for one in stage.market().view(task).challenges] == [1]
    with running(*(NodeThread(files[seat]) for seat in SEATS)) as nodes:
        decided(stage, task, nodes)
    assert stage.market().block(task, 1).status == b.GOOD_BLOCK
    assert stage.market().totals().burnt == burnt + DEPOSIT


def decided(stage: Stage, task: str, nodes: list[AnyNode]) -> None:
    stage.wait(task, lambda view: not view.challenges, nodes)


class SlowOrganisation(Organisation):
    """Its miner has its data when it joins, and to train on only once somebody lets it."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self.go = threading.Event()
        self._joins = True

    def ready_data(self, workloads: Sequence[Workload]) -> None:
        """Nothing ahead of time: what is taken is for joining, or to train on."""

    def shard(self, identity: IdentityConfig, workload: Workload) -> Data:
        if not self._joins:
            self.go.wait()
        self._joins = False
        return super().shard(identity, workload)


def test_an_update_that_was_late_is_averaged_in_the_next_round(stage: Stage) -> None:
    task = "chainfl-late"
    files = stage.node_files(task, MINERS)
    slow = NodeThread(files.pop("miners2"), SlowOrganisation)
    assert isinstance(slow.organisation, SlowOrganisation)
    log = stage.folder / "nodes.log"
    with running(slow, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(
            task,
            preset="chainfl",
            rule={"name": "mean"},
            rounds=2,
            workload={"config": {}},
            miners={"minimum": 2, "maximum": 3},
            timeouts={"commit": 10},
            tolerance="100%",
        )
        stage.wait(task, lambda view: view.round.number == 2 or view.state.status not in LIVE, nodes)
        slow.organisation.go.set()
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    verdicts = [
        {one.miner: one.reason for one in round_.selection.verdicts} for round_ in stage.market().rounds(task)
    ]
    late = stage.name("miners2/miner1")
    assert [one[late] for one in verdicts] == [b.ABSENT, b.CONTRIBUTES]
    assert stage.market().stake(task, late).slashed == 0
    lines = [line for line in log.read_text().splitlines() if task in line and late in line]
    assert any("late update" in line and "learned_in=1" in line for line in lines)
    assert sum("trained" in line and "steps=" in line for line in lines) == 1
