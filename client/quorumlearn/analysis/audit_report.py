"""What can be said of the audit of a task's work before it begins: what skipping gains miners and seats, and what verification costs.

Where the task replays (quorumlearn_proto.recompute), how much is drawn, and how many replay it, is the task's. Otherwise it is as if it
did, with the defaults of `segments.Draw`. Pay, stakes and slashes are the task's in either case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from quorumlearn_proto.recompute import replays
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn.analysis import audits
from quorumlearn.analysis.audits import Skipping, Verification
from quorumlearn.analysis.places import Costs, mining_place, sitting_place
from quorumlearn.analysis.replays import Lazy, Planted, Replaying, fewest_honest, lazy, planted
from quorumlearn.analysis.segments import GOAL_SHARE, Draw

SKIPPED_REPLAYS = (GOAL_SHARE, 1.0)
OTHERS = (1.0, 0.5, 0.1)
"""Chances that each other seat replays, as a table looks at them."""


@dataclass(frozen=True, kw_only=True)
class MinersSide:
    """What a miner is paid in a round, and slashed for wrong work. The rest is as in `audits`; None where no draw is enough."""

    pay: float
    slash: int
    skipping: tuple[Skipping, ...]
    fewest_drawn: int | None
    smallest_slash: int
    smallest_pay: float
    fewest_drawn_to_find: int | None


@dataclass(frozen=True, kw_only=True)
class SeatsSide:
    """A seat is drawn for `segments` a round on average, which cost it `replays` tokens. `planted_alone`: with planted segments and one
    replayer each. `receipts`: what the second and further replayers cost, as a share of training.
    """

    pay: float
    slash: int
    segments: float
    replays: float
    lazy: tuple[Lazy, ...]
    fewest_honest: float | None
    receipts: float | None
    planted: Planted
    planted_alone: Planted


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """`costs` in tokens a round, a seat's without its replays; `replay`, of one segment. `enough_segments`: into how many a training
    must be cut for verification to be at most GOAL_VERIFICATION of it.
    """

    task: str
    rounds: int
    asked: bool
    draw: Draw
    costs: Costs
    replay: float
    miners: MinersSide
    seats: SeatsSide
    verification: Verification
    enough_segments: int | None


def audit_report(
    spec: TaskSpec,
    costs: Costs,
    draw: Draw,
    *,
    replay: float | None = None,
    last: float = audits.LAST_CHECK,
) -> AuditReport:
    """`replay`: tokens that it costs to replay a segment, by default its part of a training; `last`: of a training, to check its last
    checkpoint.
    """
    segment = costs.training / draw.segments if replay is None else replay
    verified = audits.verification(draw, costs.training, spec.max_miners, segment, last)
    return AuditReport(
        task=spec.task_id,
        rounds=spec.rounds,
        asked=replays(spec),
        draw=draw,
        costs=costs,
        replay=segment,
        miners=_miners(spec, costs, draw),
        seats=_seats(spec, costs, draw, segment),
        verification=verified,
        enough_segments=audits.fewest_segments(draw, audits.GOAL_VERIFICATION, last)
        if replay is None
        else None,
    )


def _miners(spec: TaskSpec, costs: Costs, draw: Draw) -> MinersSide:
    place = mining_place(spec, costs)
    return MinersSide(
        pay=place.pay(1.0),
        slash=place.slash,
        skipping=tuple(audits.skipping(draw, share, place, spec.rounds) for share in audits.SHARES),
        fewest_drawn=audits.fewest_drawn(draw, place),
        smallest_slash=audits.smallest_slash(draw, place),
        smallest_pay=audits.smallest_pay(draw, costs.training),
        fewest_drawn_to_find=audits.fewest_drawn_to_find(draw, spec.rounds),
    )


def _seats(spec: TaskSpec, costs: Costs, draw: Draw, segment: float) -> SeatsSide:
    place = sitting_place(spec, costs)
    of = Replaying(draw=draw, miners=spec.max_miners, replay=segment)
    alone = replace(of, draw=replace(draw, replayers=1))
    further = draw.drawn * (draw.replayers - 1) * segment
    return SeatsSide(
        pay=place.pay(1.0),
        slash=place.slash,
        segments=of.segments * of.chance,
        replays=of.cost,
        lazy=tuple(
            lazy(of, share, others, place, spec.rounds) for others in OTHERS for share in SKIPPED_REPLAYS
        ),
        fewest_honest=fewest_honest(of, place),
        receipts=further / costs.training if costs.training else None,
        planted=planted(of, place, spec.rounds),
        planted_alone=planted(alone, place, spec.rounds),
    )
