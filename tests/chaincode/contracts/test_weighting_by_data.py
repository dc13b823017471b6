"""A task that weighs by data: the contracts hold weights to shares and claimed classes, and pay by shares alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from quorumlearn_chaincode.contracts import Refusal
from quorumlearn_proto.block_pb2 import Manifest, Outcome, Phase, Reason, Round, Selection, Verdict
from quorumlearn_proto.classes import weights_by_class
from quorumlearn_proto.task_pb2 import TaskSpec

from tests.chaincode.contracts.market_actors import TASK, Play, spec

pytestmark = pytest.mark.usefixtures("views_are_whole")

MINERS = 6


def weighing() -> TaskSpec:
    """Six miners, classes from 100 and 1,000 samples on, and at least two of each weight."""
    made = spec(sample_classes=[100, 1000])
    made.min_miners = made.max_miners = MINERS
    made.ckks.max_weight_sum = 3 * MINERS
    made.rounds = 1
    return made


class Weighed(Play):
    """Each miner claims the class that stands for it in `claims`, in the order of the round's miners."""

    def __init__(self, claims: Sequence[int]) -> None:
        super().__init__(miner_count=MINERS)
        self.claims = claims
        self.start(weighing())

    def manifest(self, who: str, **changes: object) -> Manifest:
        claimed = dict(zip(self.round().miners, self.claims, strict=True))
        return super().manifest(who, **({"sample_class": claimed[who]} | changes))

    def weighed(self, shares: Sequence[int]) -> Selection:
        miners = list(self.round().miners)
        given = dict(zip(miners, shares, strict=True))
        weights = weights_by_class(weighing(), [], given, dict(zip(miners, self.claims, strict=True)))
        return Selection(
            verdicts=[
                Verdict(
                    miner=miner,
                    share=given[miner],
                    weight=weights.get(miner, 0),
                    reason=Reason.CONTRIBUTES if given[miner] else Reason.NOT_SELECTED,
                )
                for miner in miners
            ]
        )


def played(claims: Sequence[int], shares: Sequence[int]) -> Weighed:
    play = Weighed(claims)
    play.to(Phase.SELECT)
    play.select(play.weighed(shares))
    play.open()
    play.propose()
    play.vote()
    return play


HONEST = [1, 1, 2, 2, 3, 3]
SHARES = [1, 1, 1, 1, 2, 2]


def test_a_round_weighs_by_class_and_pays_by_share() -> None:
    play = played(HONEST, SHARES)
    round_ = play.ask(Round, "blocks:Round", TASK, "1")
    assert round_.outcome == Outcome.ACCEPTED
    assert [one.weight for one in round_.selection.verdicts] == [1, 1, 2, 2, 6, 6]
    proposer = round_.candidate.proposer
    for miner, share in zip(round_.miners, SHARES, strict=True):
        assert play.stake(miner).paid == 700 * share // 8 + 100 * (miner == proposer)
    play.check_tokens()


@pytest.mark.parametrize("liar", range(MINERS))
@pytest.mark.parametrize("claim", [1, 2, 3])
def test_a_lie_about_ones_data_brings_nobody_a_token(liar: int, claim: int) -> None:
    """The liar claims every class there is. Everybody is paid as if it had told the truth; the proposer's lottery knows no weights."""
    claims = [*HONEST[:liar], claim, *HONEST[liar + 1 :]]
    truth, lie = played(HONEST, SHARES), played(claims, SHARES)
    assert [truth.stake(miner).paid for miner in truth.miners] == [
        lie.stake(miner).paid for miner in lie.miners
    ]
    verdicts = lie.ask(Round, "blocks:Round", TASK, "1").selection.verdicts
    weights = [one.weight for one in verdicts]
    assert all(weights.count(weight) >= 2 for weight in weights), "and the liar stands in no level alone"


def test_votes_that_weigh_otherwise_are_refused() -> None:
    play = Weighed(HONEST)
    play.to(Phase.SELECT)
    for change in ({"weight": 3}, {"share": 2}, {"share": 0}, {"weight": 0}):
        selection = play.weighed([1] * MINERS)
        for field, value in change.items():
            setattr(selection.verdicts[0], field, value)
            setattr(selection.verdicts[1], field, value)
        with pytest.raises(Refusal):
            play.select(selection, [1])
    play.select(play.weighed([1] * MINERS), [1])


@pytest.mark.parametrize("claim", [0, 4])
def test_a_class_that_the_task_does_not_have_is_refused(claim: int) -> None:
    play = Weighed([claim] * MINERS)
    play.to(Phase.REVEAL)
    with pytest.raises(Refusal, match=f"sample_class is {claim}: 1 to 3 in this task"):
        play.reveal()


class Claiming(Play):
    def manifest(self, who: str, **changes: object) -> Manifest:
        return super().manifest(who, sample_class=1)


def test_where_all_weigh_alike_nobody_claims_a_class() -> None:
    play = Claiming()
    play.start()
    play.to(Phase.REVEAL)
    with pytest.raises(Refusal, match="0 to 0 in this task"):
        play.reveal()
