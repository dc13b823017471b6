"""A seat that has one honest miner's sketch open to something else, where there is no share to spare: nobody is framed, nothing is earned.

In one task all three seats are needed. In the other two are enough, and an honest one is gone once the keys are made.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from quorumlearn.nodes.audit.records import read
from quorumlearn.nodes.audit.slashes import findings
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b

from tests.scenarios.stage import SEATS, NodeThread, Stage, running
from tests.scenarios.test_bad_seats_in_rounds import BadSeat, reposted, shifted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ALL, TWO = "framed-by-all", "framed-by-two"
THRESHOLDS = {ALL: 3, TWO: 2}
MINERS = [
    f"miners{organisation}/miner{number}" for organisation, number in ((1, 1), (1, 2), (1, 3), (2, 1), (2, 2))
]
VERIFIERS = [f"{seat}/verifier" for seat in SEATS]


class Framer(BadSeat):
    """Seat 3: of the first miner it seals a share moved by whole steps to every seat, says of nobody that its shares are false, and
    votes that the miner claimed falsely.
    """

    def _spoilt(self, function: str, task: str, number: int, given: Any) -> Any:
        view, turn = self.view(task), count()
        if function == "post_sketch":

            def of_the_first(share: bytes) -> bytes:
                return shifted(view, share, 60) if next(turn) == 0 else share

            return reposted(self, view, of_the_first, set(range(1, len(SEATS) + 1)))
        return (framing(view), given[1]) if function == "vote_selection" else given

    def accuse(self, task: str, number: int, accusation: b.Accusation) -> None:
        self.vote_selection(task, number, framing(self.view(task)), secrets.token_hex(32))


def framing(view: b.TaskView) -> b.Selection:
    verdicts = [b.Verdict(miner=miner, weight=1, reason=b.CONTRIBUTES) for miner in view.round.miners]
    verdicts[0].weight, verdicts[0].reason = 0, b.FALSE_CLAIM
    return b.Selection(verdicts=verdicts)


class Gone(Market):
    """Seat 2: in the second task it does nothing more once the keys are made."""

    def reveal_beacon(self, task: str, number: int, *given: Any) -> None:
        if task == TWO:
            raise ExchangeError("this seat is gone")
        super().reveal_beacon(task, number, *given)


class FramersOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return Framer(self.contract(user), self)


class GonesOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return Gone(self.contract(user))


@pytest.fixture(scope="module")
def played(stage: Stage) -> Iterator[Stage]:
    files = stage.node_files("framed-*", dict.fromkeys(MINERS, "honest"))
    nodes = [
        NodeThread(files.pop("verifier3"), FramersOrganisation),
        NodeThread(files.pop("verifier2"), GonesOrganisation),
        *map(NodeThread, files.values()),
    ]
    with running(*nodes) as started:
        for task, threshold in THRESHOLDS.items():
            stage.publish(
                task,
                rounds=2 if task == ALL else 1,
                miners={"minimum": 5, "maximum": 5, "byzantine": 1},
                committee={
                    "organisations": [stage.spec.organisation(one).msp_id for one in SEATS],
                    "threshold": threshold,
                },
                timeouts={"beacon": 10, "select": 10},
            )
        for task in THRESHOLDS:
            stage.played(task, started)
        yield stage


@pytest.mark.parametrize("task", THRESHOLDS)
def test_no_miner_is_found_false_and_nobody_loses_stake(played: Stage, task: str) -> None:
    market = played.market()
    for round_ in market.rounds(task):
        assert round_.outcome == b.ABORTED
        assert not round_.selection.verdicts
        assert not any(one.HasField("partial") for one in market.round_view(task, round_.number).screenings)
    for who in (*MINERS, *VERIFIERS):
        assert market.stake(task, played.name(who)).slashed == 0, who


@pytest.mark.parametrize("task", THRESHOLDS)
def test_the_seat_earns_nothing_and_the_owner_has_everything_back(played: Stage, task: str) -> None:
    market = played.market()
    escrow = market.escrow(task)
    assert (escrow.paid, escrow.burnt, escrow.amount) == (0, 0, 0)
    assert market.stake(task, played.name("verifier3/verifier")).paid == 0


@pytest.mark.parametrize("task", THRESHOLDS)
def test_the_seat_has_tried(played: Stage, task: str) -> None:
    """Its vote is on the ledger, and the honest seats say that it cannot be told who lied."""
    view = played.market().round_view(task, 1)
    framed = next(one.selection for one in view.screenings if one.seat == 3)
    assert [one.reason for one in framed.verdicts].count(b.FALSE_CLAIM) == 1
    undecided = {one.accuser for one in view.accusations if one.seat == 0}
    assert undecided == ({1, 2} if task == ALL else {1})


@pytest.mark.parametrize("task", THRESHOLDS)
def test_an_audit_finds_no_slash_absence_or_payment_that_is_not_due(played: Stage, task: str) -> None:
    assert findings(read(played.market(), task)) == []
