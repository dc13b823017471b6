"""What skipping work gains a miner where seats replay a part of it, how much must be drawn for it to gain nothing, and what that costs.

Who is found (`segments`) loses the round's pay, and a slash if it opens what is drawn (WRONG_WORK). It knows what it has skipped, so it may
rather open nothing: then it loses its place, and no stake (NO_TRACE). In the last round a place is worth nothing, so pay alone has to
make honesty the best answer; the slash is for who stays.

One miner cheats. Its chance of being found grows with what it skips, ever more slowly, while what it saves grows evenly. So its gain is a
convex function of what it skips, and the best for a cheat is to skip nothing or everything; this holds for every round by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from quorumlearn_proto.block_pb2 import Reason
from quorumlearn_proto.penalties import MINERS

from quorumlearn.analysis.cheats import Cheat
from quorumlearn.analysis.places import Place, gain_of
from quorumlearn.analysis.segments import (
    GOAL_CHANCE,
    GOAL_SHARE,
    Draw,
    found,
    found_with_repeats,
    within,
    wrong_segments,
)

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Parts of the work that a table looks at."""
GOAL_VERIFICATION = 0.1
"""So much of training verification may cost, summed over all seats."""
LAST_CHECK = 0.001
"""What a seat's check of the last checkpoint costs, in parts of a training of 400 steps: the time of 0.4 (docs/economics.md)."""
_ROUNDING = 1e-9
"""What tokens may differ by in the last place and be equal."""


@dataclass(frozen=True, kw_only=True)
class Skipping:
    """What comes of skipping a part of the work in every round. Chances are of being found; tokens are beside honest work.

    `saved`: cost of the work that is not done, tokens a round while the place is held. `a_round`: the gain in a round where nothing later
    is at stake, for who opens nothing once what is drawn is wrong; `opened`, for who opens it all the same. `task`: the gain over the whole
    task of the better of the two.
    """

    share: float
    wrong: int
    found: float
    found_with_repeats: float
    found_in_task: float
    saved: float
    a_round: float
    opened: float
    task: float


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What replaying costs all seats together, in tokens a round, and as a share of all miners' training; None where that costs nothing."""

    tokens: float
    share: float | None


def in_a_round(draw: Draw, wrong: int, training: float, lost: float) -> float:
    """What so many wrong segments gain in a round by itself: their part of the training's cost, less what is lost if they are found."""
    return wrong / draw.segments * training - found(draw, wrong) * lost


def skipping(draw: Draw, share: float, place: Place, rounds: int) -> Skipping:
    """What a miner in this place gains that skips a part of its work, 0 to 1, in every round."""
    wrong = wrong_segments(draw, share)
    chance, skipped, pay = found(draw, wrong), wrong / draw.segments, place.pay(1.0)

    def gain(reason: Reason) -> float:
        cheat = Cheat(
            name="skipped work",
            what=f"skips {wrong} of {draw.segments} segments",
            pay=1.0,
            work=1 - skipped,
            found=chance,
            cost=MINERS[reason].cost,
            decides=Reason.Name(reason),
        )
        return gain_of(cheat, place, rounds)

    return Skipping(
        share=share,
        wrong=wrong,
        found=chance,
        found_with_repeats=found_with_repeats(draw, wrong),
        found_in_task=within(chance, rounds),
        saved=skipped * place.cost,
        a_round=in_a_round(draw, wrong, place.cost, pay),
        opened=in_a_round(draw, wrong, place.cost, pay + place.slash),
        task=max(gain(Reason.WRONG_WORK), gain(Reason.NO_TRACE)),
    )


def smallest_pay(draw: Draw, training: float) -> float:
    """From how many tokens a round on honesty is the best answer to this draw, for a training that costs so many.

    Nobody then gains in any round by skipping anything, whatever it does in others: places, which it may lose, are worth having.
    """
    return training / found(draw, draw.segments)


def honest_is_best(draw: Draw, place: Place) -> bool:
    return smallest_pay(draw, place.cost) <= place.pay(1.0) + _ROUNDING


def fewest_drawn(draw: Draw, place: Place) -> int | None:
    """The fewest segments to draw a round at which honesty is the best answer; None if it is not even where all are drawn."""
    return _fewest(draw, lambda one: honest_is_best(one, place))


def fewest_drawn_to_find(draw: Draw, rounds: int) -> int | None:
    """The fewest to draw a round for GOAL_CHANCE of finding within the task who skips GOAL_SHARE of its work or more."""
    wrong = wrong_segments(draw, GOAL_SHARE)
    return _fewest(draw, lambda one: within(found(one, wrong), rounds) >= GOAL_CHANCE)


def smallest_slash(draw: Draw, place: Place) -> int:
    """The fewest whole tokens of a slash, which a stake has to cover, at which who opens all the same gains nothing."""
    return max(0, math.ceil(smallest_pay(draw, place.cost) - place.pay(1.0) - _ROUNDING))


def verification(
    draw: Draw, training: float, miners: int, replay: float | None = None, last: float = LAST_CHECK
) -> Verification:
    """What it costs where a training costs `training` tokens, to replay a segment `replay` (a segment's part of the training unless said),
    and to check the last checkpoint `last` of a training.
    """
    segment = training / draw.segments if replay is None else replay
    each = draw.replayers * (draw.drawn * segment + last * training)
    return Verification(tokens=miners * each, share=each / training if training else None)


def fewest_segments(draw: Draw, share: float, last: float = LAST_CHECK) -> int | None:
    """Into how many segments a training must be cut for verification of this draw to be at most this share of it; None if none do."""
    left = share - draw.replayers * last
    return max(draw.drawn, math.ceil(draw.drawn * draw.replayers / left - _ROUNDING)) if left > 0 else None


def _fewest(draw: Draw, enough: Callable[[Draw], bool]) -> int | None:
    """By halving, for more drawn never finds less."""
    if not enough(replace(draw, drawn=draw.segments)):
        return None
    low, high = 1, draw.segments
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(replace(draw, drawn=middle)) else (middle + 1, high)
    return low
