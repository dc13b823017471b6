"""Who verifies the verifiers: what a seat gains that says of trainings what it has not replayed, and what planted segments would cost.

A report holds a receipt of each segment, which nobody learns without replaying it, and all reports are fixed before any is shown. Where
two differ, every seat replays. So a receipt that is made up is found as soon as one of the t - 1 others that the segment was drawn for
has replayed it. Lazy seats that make theirs up apart from each other differ, and are found as well. Here they are taken to agree on
one, which favours them.

Whether a seat replays is decided for each segment by itself. Of M trainings q segments each are drawn, each for t of N seats, so who
skips a share s of its replays is found in a round with 1 - (1 - s a t/N)^(qM), `a` being the chance of one skipped replay. As for
miners (`audits`) the best for a lazy seat is to skip nothing or everything.

**Planted segments** (Capture the Flag: Zhao et al., arXiv 2404.09005, whose overhead is O(log E / E) of a training of E epochs, or O(1 / E)
with a stake) are wrong on purpose, and a seat that calls one right is found. They are committed before the beacon draws, so for a share f
of what is replayed to be planted, a share f of all that is trained has to be: work that is done, and does not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from quorumlearn_proto.block_pb2 import Fault, Phase
from quorumlearn_proto.penalties import fault_penalty
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn.analysis.cheats import Cheat
from quorumlearn.analysis.places import Costs, Place, gain_of
from quorumlearn.analysis.segments import GOAL_CHANCE, GOAL_SHARE, Draw, draw_of, within

_HALVINGS = 60


@dataclass(frozen=True, kw_only=True)
class Replaying:
    """What a committee has to replay in a round: the draw, of so many miners' trainings, at `replay` tokens a segment."""

    draw: Draw
    miners: int
    replay: float

    @staticmethod
    def of(spec: TaskSpec, costs: Costs) -> Replaying:
        """A task's, where a segment costs its part of a training."""
        draw = draw_of(spec)
        return Replaying(draw=draw, miners=spec.max_miners, replay=costs.training / draw.segments)

    @property
    def segments(self) -> int:
        """Drawn in a round."""
        return self.draw.drawn * self.miners

    @property
    def chance(self) -> float:
        """That a seat is drawn for one of them."""
        return self.draw.replayers / self.draw.seats

    @property
    def cost(self) -> float:
        """Tokens that a seat's replays of a round cost it on average."""
        return self.segments * self.chance * self.replay


@dataclass(frozen=True, kw_only=True)
class Lazy:
    """What comes of skipping a part of the replays in every round, where each other seat replays with the chance `others`. Chances are of
    being found, `each` for one skipped replay; tokens are beside honest work, as in `audits.Skipping`.
    """

    share: float
    others: float
    each: float
    found: float
    found_in_task: float
    saved: float
    a_round: float
    task: float


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Shares of all segments that would have to be planted: `deters` for a lazy seat to gain nothing, `finds` for GOAL_CHANCE of finding
    within the task who skips GOAL_SHARE of its replays or more. None if even planting everything does not.
    """

    deters: float | None
    finds: float | None


def found_each(draw: Draw, others: float) -> float:
    """The chance that a skipped replay is found: that one at least of the other replayers has replayed.

    Seats in league with the lazy one are `league` less itself; of the rest each replays with the chance `others`.
    """
    beside, friends = draw.replayers - 1, max(0, draw.league - 1)
    strangers, total = draw.seats - 1 - friends, math.comb(draw.seats - 1, beside)
    unseen = sum(
        math.comb(friends, beside - honest) * math.comb(strangers, honest) / total * (1 - others) ** honest
        for honest in range(beside + 1)
    )
    return 1 - unseen


def found_lazy(of: Replaying) -> float:
    """The chance that a round finds a seat that replays nothing, while all others do."""
    return _found(of, 1.0, found_each(of.draw, 1.0))


def lazy(of: Replaying, share: float, others: float, place: Place, rounds: int) -> Lazy:
    """What a seat gains that skips this part of its replays; `place.cost` is that of its other work in a round."""
    each = found_each(of.draw, others)
    chance = _found(of, share, each)
    whole = _with_replays(of, place)
    cheat = Cheat(
        name="skipped replays",
        what=f"makes up {share:.0%} of its receipts",
        pay=1.0,
        work=1 - share * of.cost / whole.cost if whole.cost else 0.0,
        found=chance,
        cost=fault_penalty(Fault.FALSE_REPLAY, Phase.Name(Phase.SELECT)).cost,
        decides="FALSE_REPLAY",
    )
    return Lazy(
        share=share,
        others=others,
        each=each,
        found=chance,
        found_in_task=within(chance, rounds),
        saved=share * of.cost,
        a_round=gain_of(cheat, whole, 1),
        task=gain_of(cheat, whole, rounds),
    )


def fewest_honest(of: Replaying, place: Place) -> float | None:
    """The smallest chance of each other seat's replaying at which replaying is the best answer; None if no chance is enough."""
    enough = _enough(of, place)
    if enough is None or found_each(of.draw, 1.0) < enough:
        return None
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if found_each(of.draw, middle) >= enough else (middle, high)
    return high


def planted(of: Replaying, place: Place, rounds: int) -> Planted:
    """What planting would take of this committee, without any receipts."""
    finds = _each_for(of, GOAL_SHARE, 1 - (1 - GOAL_CHANCE) ** (1 / rounds))
    return Planted(deters=_enough(of, place), finds=finds)


def _with_replays(of: Replaying, place: Place) -> Place:
    return Place(place.name, place.pay, place.cost + of.cost, place.stake, place.slash)


def _found(of: Replaying, share: float, each: float) -> float:
    return 1 - (1 - share * each * of.chance) ** of.segments


def _enough(of: Replaying, place: Place) -> float | None:
    """The chance of finding one skipped replay at which skipping all gains nothing in a round."""
    lost = place.pay(1.0) + place.slash
    return _each_for(of, 1.0, of.cost / lost if lost else math.inf)


def _each_for(of: Replaying, share: float, chance: float) -> float | None:
    """The chance for one skipped replay by which a seat that skips this part is found in a round with that chance."""
    if chance > _found(of, share, 1.0):
        return None
    each: float = 1 - (1 - chance) ** (1 / of.segments)
    return each / (share * of.chance)
