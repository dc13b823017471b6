"""What a draw of segments finds: how likely it is that wrong ones are among those that seats replay.

A training has n segments. A segment that is not wholly trained is wrong, so who skips a part of its work does best to skip whole ones.
After the trainings are committed, q different ones are drawn, each replayed by t seats. A wrong one is found by any honest seat that
replays it; seats in league with its miner say that it is right. With m wrong segments the chance of being found is 1 - E[x^K]: K of them
are drawn, without replacement; x is the chance that a drawn one is replayed by seats in league alone. It grows with m, ever more slowly.

>>> round(found(Draw(segments=100, drawn=5), 10), 4), round(found_with_repeats(Draw(segments=100, drawn=5), 10), 4)
(0.4162, 0.4095)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from quorumlearn_proto.recompute import most_steps, replays, segments_of
from quorumlearn_proto.task_pb2 import TaskSpec

GOAL_SHARE, GOAL_CHANCE = 0.1, 0.99
"""Who skips this part of its work or more is to be found within the task with this chance."""
_ROUNDING = 1e-9
"""What shares of segments may differ by in the last place."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """`drawn` of a training's `segments` are replayed in a round, each by `replayers` of `seats`, `league` of whom are the cheat's own.

    ValueError if the numbers do not describe a draw.
    """

    segments: int = 100
    drawn: int = 5
    replayers: int = 2
    seats: int = 3
    league: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.drawn <= self.segments:
            raise ValueError(
                f"{self.drawn} of {self.segments} segments cannot be drawn: draw 1 to {self.segments}"
            )
        if not 1 <= self.replayers <= self.seats:
            raise ValueError(
                f"{self.replayers} of {self.seats} seats cannot replay a segment: take 1 to {self.seats}"
            )
        if not 0 <= self.league < self.seats:
            raise ValueError(
                f"{self.league} of {self.seats} seats in league leave no honest one: take 0 to {self.seats - 1}"
            )

    @property
    def hidden(self) -> float:
        """The chance that a drawn segment is replayed by seats in league alone."""
        return math.comb(self.league, self.replayers) / math.comb(self.seats, self.replayers)


def draw_of(
    spec: TaskSpec,
    *,
    segments: int | None = None,
    drawn: int | None = None,
    replayers: int | None = None,
    league: int | None = None,
) -> Draw:
    """The draw of a task, or what is said otherwise; in league are as many seats as its committee bears. ValueError as for a Draw."""
    usual = Draw()
    if replays(spec):
        usual = replace(
            usual, segments=segments_of(spec, most_steps(spec)), drawn=max(1, spec.recompute.segments)
        )
    threshold = spec.committee.threshold
    many = usual.segments if segments is None else segments
    return Draw(
        segments=many,
        drawn=min(usual.drawn, many) if drawn is None else drawn,
        replayers=threshold if replayers is None else replayers,
        seats=len(spec.committee.msp_ids),
        league=threshold - 1 if league is None else league,
    )


def found(draw: Draw, wrong: int) -> float:
    """The chance that a round finds a miner with so many wrong segments."""
    if not draw.hidden:
        fewer, more = sorted((wrong, draw.drawn))
        return 1 - math.prod((draw.segments - more - i) / (draw.segments - i) for i in range(fewer))
    right, total = draw.segments - wrong, _log_choices(draw.segments, draw.drawn)
    unseen = math.fsum(
        math.exp(_log_choices(wrong, seen) + _log_choices(right, draw.drawn - seen) - total)
        * draw.hidden**seen
        for seen in range(max(0, draw.drawn - right), min(wrong, draw.drawn) + 1)
    )
    return max(0.0, 1 - unseen)


def found_with_repeats(draw: Draw, wrong: int) -> float:
    """The same if a segment could be drawn twice: 1 - (1 - p)^q, never more than `found`."""
    return 1 - (1 - wrong / draw.segments * (1 - draw.hidden)) ** draw.drawn


def within(chance: float, rounds: int) -> float:
    """The chance of what has this chance in each of so many rounds."""
    return 1 - (1 - chance) ** rounds


def wrong_segments(draw: Draw, share: float) -> int:
    """How many segments are wrong where this part of the steps is skipped, in as few as can be."""
    return min(draw.segments, math.ceil(share * draw.segments - _ROUNDING))


def _log_choices(many: int, few: int) -> float:
    return math.lgamma(many + 1) - math.lgamma(few + 1) - math.lgamma(many - few + 1)
