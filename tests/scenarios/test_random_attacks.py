"""A long play: in every round other miners attack in other ways, in some a seat of the committee cheats too, and nothing gets stuck,
lost or rejected without a reason.

QUORUMLEARN_ATTACK_ROUNDS sets the number of rounds (4). Who attacks and how follows from TASK_SEED and the round alone. The figures
of a play go to the test's folder and, with `pytest -s`, to the terminal.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Mapping

import pytest
from quorumlearn import seeds
from quorumlearn.attacks import make_behaviour
from quorumlearn.learning import get_workload, to_bytes
from quorumlearn.nodes import roles
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.market import NO_OPTIONS, Contract, Market, StepOptions
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.penalties import Cost, fault_penalty

from tests.scenarios.ballots import fixed_anew
from tests.scenarios.stage import LIVE, SEATS, NodeThread, Stage, running

ROUNDS = int(os.environ.get("QUORUMLEARN_ATTACK_ROUNDS", "4"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 60 * ROUNDS)]

TASK = "random-attacks"
TASK_SEED = 11
BYZANTINE = 2
ROUND_SECONDS = 150.0  # more than all of a round's deadlines that anything here makes it wait for
MINERS = {
    f"miners{organisation}/miner{number}": "honest" for organisation in (1, 2) for number in (1, 2, 3, 4)
}
STAKES = {"miner": 1000, "miner_slash": 1, "verifier": 1000, "verifier_slash": 1, "challenge": 50}
"""Enough for a fault in each of many rounds."""
REWARD = 1000
SHORT = {"commit": 40, "beacon": 15, "reveal": 5, "select": 15, "validate": 15}
ALONE = (
    *("noise", "noise:3", "zero", "sign-flip", "sign-flip:20", "scaling", "label-flip", "backdoor"),
    *("replay-plaintext", "replay-ciphertext", "replay-rerandomised", "withhold", "malformed", "overflow"),
)
PRIVATE = "private-model"
WATCHING = ("copy", "mimic", "alie", "inner-product", "adaptive")
CERTAIN = {
    "withhold": b.WITHHELD,
    "malformed": b.MALFORMED,
    "overflow": b.OUT_OF_RANGE,
    "zero": b.OUT_OF_RANGE,
}
SEAT_CHEATS: Mapping[str, tuple[b.Fault, str]] = {
    "withholds the beacon": (b.MISSED_STEP, "BEACON"),
    "votes falsely": (b.FALSE_VOTE, "SELECT"),
    "does not vote": (b.MISSED_STEP, "SELECT"),
    "calls a good model wrong": (b.FALSE_VOTE, "VALIDATE"),
    "does not judge the model": (b.MISSED_STEP, "VALIDATE"),
}
"""What a seat does, and what the ledger calls it, in which phase."""


def attackers(number: int, miners: list[str]) -> dict[str, str]:
    """Up to BYZANTINE of the round's miners, each with what it does; who watches, watches honest ones of its organisation."""
    drawn = random.Random(seeds.derive(TASK_SEED, "attackers", number))
    chosen = drawn.sample(sorted(miners), drawn.randint(0, BYZANTINE))
    does = {}
    for one in chosen:
        organisation = one.partition("/")[0]
        honest = [
            who.partition("/")[2]
            for who in sorted(miners)
            if who.startswith(organisation + "/") and who not in chosen
        ]
        kind = drawn.choice(ALONE + WATCHING)
        if kind in {"copy", "mimic"}:
            kind += f":{honest[0]}"
        elif kind in WATCHING:
            kind += f":{','.join(honest)}"
        does[one] = kind
    return does


def bad_seat(number: int) -> tuple[int, str] | None:
    """The seat that cheats in this round, and how; in two rounds of five there is one."""
    drawn = random.Random(seeds.derive(TASK_SEED, "committee", number))
    if drawn.random() > 0.4:
        return None
    return drawn.randint(1, len(SEATS)), drawn.choice(sorted(SEAT_CHEATS))


def called_wrong(ballot: b.Ballot) -> None:
    ballot.reason = b.WRONG_MODEL


class TurncoatSeat(Market):
    """A verifier's market: its step is left out or changed in the rounds in which its seat cheats."""

    def __init__(self, contract: Contract, organisation: Organisation) -> None:
        super().__init__(contract)
        self._organisation = organisation
        assert organisation.config.organisation is not None
        self._seat = 1 + SEATS.index(organisation.config.organisation.name)

    def _does(self, number: int, cheat: str) -> bool:
        return bad_seat(number) == (self._seat, cheat)

    def reveal_beacon(self, task: str, number: int, secret: bytes, options: StepOptions = NO_OPTIONS) -> None:
        if self._does(number, "withholds the beacon"):
            raise ExchangeError("this seat is gone")
        super().reveal_beacon(task, number, secret, options)

    def vote_selection(
        self,
        task: str,
        number: int,
        selection: b.Selection,
        basis: str,
        options: StepOptions = NO_OPTIONS,
    ) -> None:
        if self._does(number, "does not vote"):
            raise ExchangeError("this seat is gone")
        if self._does(number, "votes falsely"):
            victim = next(one for one in selection.verdicts if one.weight > 0)
            victim.weight, victim.reason, victim.detail = 0, b.OUTLIER, "slandered"
        super().vote_selection(task, number, selection, basis, options)

    def vote_block(
        self, task: str, number: int, fixed: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        if self._does(number, "does not judge the model"):
            raise ExchangeError("this seat is gone")
        if self._does(number, "calls a good model wrong"):
            fixed = fixed_anew(self._organisation, task, number, called_wrong)
        super().vote_block(task, number, fixed, options)


class TurncoatOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return TurncoatSeat(self.contract(user), self)


class Turncoat(Miner):
    """A miner that is honest in one round and attacks in another.

    What it poisons is the update and not itself: the private part of its model is afterwards as it was, for a miner that has
    unlearned its own part is far from the others for good, and rightly an outlier.
    """

    _number = 0
    _restore: bytes | None = None

    def act(self, view: b.TaskView, news: News = no_news) -> bool:
        if view.round.number != self._number:
            self._number = view.round.number
            if self._restore is not None:
                self.journal.put(PRIVATE, self._restore)
            does = attackers(self._number, list(view.round.miners)) if self._number else {}
            self.behaviour = self.trainer.behaviour = make_behaviour(does.get(self.me, "honest"))
            poisons = self.behaviour.name in {"label-flip", "backdoor"}
            self._restore = self._private_part(view) if poisons else None
        return super().act(view, news)

    def _private_part(self, view: b.TaskView) -> bytes:
        spec = view.task.spec
        workload = get_workload(spec.workload.name, dict(spec.workload.config))
        return to_bytes(self.trainer.private_part(workload, spec.workload.public_blocks, spec.seed))


def conserved(stage: Stage) -> bool:
    totals = stage.market().totals()
    return bool(totals.minted == totals.balances + totals.escrows + totals.stakes + totals.burnt)


def test_no_round_is_stuck_no_token_lost_and_every_rejection_has_its_reason(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "Miner", Turncoat)
    market = stage.market()
    stage.fund("owner/owner", amount=ROUNDS * REWARD)
    files = stage.node_files(TASK, MINERS)
    seats = [NodeThread(files.pop(name), TurncoatOrganisation) for name in SEATS]
    with running(*seats, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(
            TASK,
            rounds=ROUNDS,
            seed=TASK_SEED,
            public_blocks=["bottom"],
            workload={"name": "mnist-cnn", "config": {"batch_size": "64"}},
            miners={"minimum": 2 * BYZANTINE + 3, "maximum": len(MINERS), "byzantine": BYZANTINE},
            stakes=STAKES,
            timeouts=SHORT,
            reward={"per_round": REWARD},
        )
        for number in range(1, ROUNDS + 1):
            view = stage.wait(
                TASK,
                lambda view: view.round.number > number or view.state.status not in LIVE,  # noqa: B023
                nodes,
                ROUND_SECONDS,
            )
            assert conserved(stage), f"tokens were made or lost in round {number}"
    assert view.state.status == t.COMPLETED
    rounds = list(market.rounds(TASK))
    assert [one.number for one in rounds] == list(range(1, ROUNDS + 1))
    figures: Counter[str] = Counter()
    for round_ in rounds:
        assert round_.outcome in (b.ACCEPTED, b.REJECTED, b.ABORTED), round_.number
        assert round_.outcome == b.ACCEPTED or round_.reason, f"round {round_.number} ended without a reason"
        figures[f"round {b.Outcome.Name(round_.outcome)} {round_.reason}".strip()] += 1
        verdicts = {one.miner: one for one in round_.selection.verdicts}
        if round_.outcome == b.ACCEPTED:
            assert set(verdicts) == set(round_.miners)
        does = attackers(round_.number, list(round_.miners))
        for miner, verdict in verdicts.items():
            assert verdict.reason != b.REASON_UNSPECIFIED
            assert (verdict.weight > 0) == (verdict.reason == b.CONTRIBUTES)
            behaviour = does.get(miner, "honest").partition(":")[0]
            figures[f"{behaviour} {b.Reason.Name(verdict.reason)}"] += 1
            if behaviour in CERTAIN:
                assert verdict.reason == CERTAIN[behaviour], f"{behaviour} in round {round_.number}"
            if behaviour == "honest":
                assert verdict.reason in (b.CONTRIBUTES, b.NOT_SELECTED, b.OUTLIER), (
                    f"{miner} in round {round_.number}: {verdict}"
                )
    misconducts = list(market.misconducts(TASK))
    for one in misconducts:
        figures[f"seat {b.Fault.Name(one.fault)} in {one.step}"] += 1
        drawn = bad_seat(one.round)
        assert drawn is not None, f"seat {one.seat} did nothing wrong in round {one.round}: {one}"
        assert (one.seat, (one.fault, one.step)) == (drawn[0], SEAT_CHEATS[drawn[1]])
    accepted = {one.number for one in rounds if one.outcome == b.ACCEPTED}
    assert {number for number in accepted if bad_seat(number)} <= {one.round for one in misconducts}
    (stage.folder / "random-attacks.json").write_text(json.dumps(figures, indent=1, sort_keys=True))
    print(json.dumps(figures, indent=1, sort_keys=True))  # noqa: T201
    honest = sum(count for name, count in figures.items() if name.startswith("honest "))
    assert figures["honest OUTLIER"] <= max(1, honest // 50), "honest miners were taken for attackers"
    slashed = sum(
        stake.slashed for stake in market.stakes(TASK) if not stake.account_id.startswith("Verifier")
    )
    reasons = {one.number: {v.miner: v.reason for v in one.selection.verdicts} for one in rounds}
    proven = sum(
        reason == b.MALFORMED or (reason == b.WITHHELD == reasons.get(number - 1, {}).get(miner))
        for number, said in reasons.items()
        for miner, reason in said.items()
    )
    assert slashed == STAKES["miner_slash"] * proven
    assert market.escrow(TASK).amount == 0
    assert conserved(stage)
    for number, seat in enumerate(SEATS, 1):
        stake = market.stake(TASK, stage.name(f"{seat}/verifier"))
        assert stake.slashed == sum(one.slashed for one in misconducts if one.seat == number)
    for one in misconducts:
        assert fault_penalty(one.fault, one.step).cost in (Cost.STAKE, Cost.SECOND) or not one.slashed
