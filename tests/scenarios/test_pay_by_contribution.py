"""A whole task that pays by contribution: whoever spoils its group's sum earns less, also with a seat in league that says the opposite."""

from __future__ import annotations

import pytest
from quorumlearn.nodes.market import NO_OPTIONS, Contract, Market, StepOptions
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, ArtifactRef
from quorumlearn_proto.contribution import sums_of

from tests.scenarios.ballots import fixed_anew
from tests.scenarios.stage import PER_ROUND, SEATS, TERMS, NodeThread, Stage, payouts, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK = "by-contribution"
ROUNDS = 2
SPOILER = "miners1/miner1"
MINERS = {f"miners{one}/miner{number}": "honest" for one in (1, 2) for number in (1, 2, 3)} | {
    SPOILER: "sign-flip"
}
MINERS_PART = PER_ROUND * 7000 // 10_000


class LeaguedMarket(Market):
    """Says of each candidate that all of its gain, and a thousand times as much, comes from the spoiler's group."""

    def __init__(self, contract: Contract, organisation: Organisation, spoiler: str) -> None:
        super().__init__(contract)
        self._organisation, self._spoiler = organisation, spoiler

    def vote_block(
        self, task: str, number: int, fixed: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        now = self.round(task, number)
        group = now.groups[list(now.miners).index(self._spoiler)] - 1

        def lie(ballot: b.Ballot) -> None:
            ballot.contributions[group] += 1_000_000
            ballot.contributions[1 - group] -= 1_000_000

        super().vote_block(task, number, fixed_anew(self._organisation, task, number, lie), options)


class LeaguedOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return LeaguedMarket(self.contract(user), self, "Miners1MSP/miner1")


def test_who_spoils_its_groups_sum_earns_less_whatever_one_seat_says(stage: Stage) -> None:
    assert stage.name(SPOILER) == "Miners1MSP/miner1"
    files = stage.node_files(TASK, MINERS, accept=TERMS | {"regrouped_sums": True})
    with running(
        NodeThread(files.pop(SEATS[2]), LeaguedOrganisation), *(NodeThread(file) for file in files.values())
    ) as nodes:
        stage.publish(
            TASK,
            rounds=ROUNDS,
            miners={"minimum": 6, "maximum": 6, "byzantine": 1},
            rule={"name": "mean"},
            reward={"per_round": PER_ROUND, "by": "contribution"},
        )
        view = stage.played(TASK, nodes)
    assert view.state.status == t.COMPLETED
    market = stage.market()
    divisions = []
    for round_ in market.rounds(TASK):
        assert round_.outcome == b.ACCEPTED
        given = next(
            one
            for one in market.authorisations(TASK)
            if (one.round, one.purpose) == (round_.number, AGGREGATE_DECRYPTION)
        )
        assert given.openings == 2
        spoilt, clean = sorted(sums_of(round_), key=lambda group: stage.name(SPOILER) not in group)
        assert len(spoilt) == len(clean) == 3
        divisions.append(sorted(spoilt))
        ballots = market.round_view(TASK, round_.number).ballots
        assert [len(one.contributions) for one in ballots] == [2, 2, 2]
        paid = [
            sum(
                tokens
                for miner in group
                for number, tokens in payouts(market, miner, TASK)
                if number == round_.number
            )
            - PER_ROUND * 500 // 10_000 * (round_.candidate.proposer in group)
            for group in (spoilt, clean)
        ]
        assert MINERS_PART - 6 < sum(paid) <= MINERS_PART
        assert paid[0] < MINERS_PART // 2 - 20 < MINERS_PART // 2 + 20 < paid[1]
    assert divisions[0] != divisions[1], "each round's beacon draws its own"
    told = stage.on_ledger("task", "audit", TASK, "--store", str(stage.store_folder), "--json")
    assert told.code == 0, told.out + told.err
    checks = told.fields["checks"]
    assert isinstance(checks, list)
    said = [one["detail"] for one in checks if one["what"] == "pay"]
    assert len(said) == ROUNDS
    assert all(one.startswith("by contribution, of 2 groups by 3 ballots: ") for one in said)
    shown = stage.on_ledger("task", "show", TASK)
    assert "70 % miners by contribution" in shown.out
