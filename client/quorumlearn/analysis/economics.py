"""What each cheat gains, in tokens, beside honest work in the same place: from a task's specification and what work costs.

`cheats` says what a cheat is paid and how often it is found, `places` what that comes to over a task. Where training is replayed, a
seat's cost is `Costs.verification` and its replays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from quorumlearn_chaincode.contracts.payment import miners_part, proposer_share, verifier_share
from quorumlearn_proto.derived import places_of_organisation
from quorumlearn_proto.recompute import recomputes, replays
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn.analysis.cheats import (
    Cheat,
    of_miners,
    of_proposers,
    of_replayers,
    of_seats,
    of_workers,
)
from quorumlearn.analysis.places import (
    Costs,
    Place,
    miner_pay,
    mining_place,
    played,
    seat_pay,
    sitting_place,
)
from quorumlearn.analysis.replays import Replaying, found_lazy
from quorumlearn.analysis.segments import draw_of, found, wrong_segments

WORK_SHARE = 0.25
"""What work costs where nobody says it: this part of what the place is paid. Who has higher costs hardly joins, and `pays_from` tells
how far each result rests on this."""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What a cheat gains over the whole task beside honest work; `a_round` is the mean.

    `pays_from`: it gains where work costs more than this part of the place's pay; None if it gains at no cost up to all of the pay.
    `at` are the gains over the task where work costs nothing, and where it costs all of the pay; between them the gain is linear.
    `deterred_by`: a chance of being found and slashed in a round at which it would gain nothing more; 0 where it gains nothing now.
    """

    name: str
    place: str
    what: str
    decides: str
    task: float
    a_round: float
    at: tuple[float, float]
    pays_from: float | None
    deterred_by: float

    @property
    def gains(self) -> bool:
        return self.task > 1e-9


@dataclass(frozen=True)
class Economics:
    """`miner_pay` and `seat_pay` are tokens of a round for one honest place."""

    task: str
    rounds: int
    costs: Costs
    miner_pay: float
    seat_pay: float
    gains: tuple[Gain, ...]

    @property
    def gaining(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.gains if one.gains)


def usual_costs(spec: TaskSpec) -> Costs:
    """`WORK_SHARE` of what a place is paid."""
    return Costs(WORK_SHARE * miner_pay(spec, 1.0), WORK_SHARE * seat_pay(spec, 1.0))


def economics_of(spec: TaskSpec, costs: Costs) -> Economics:
    """What every cheat gains in a task whose bounds the contracts have checked."""
    spare = len(spec.committee.msp_ids) > spec.committee.threshold
    one_less = spec.max_miners > spec.min_miners
    stakes, miners, rule = spec.stakes, spec.max_miners, spec.rule.name.split("+")[-1]
    mining, sitting = mining_place(spec, costs), sitting_place(spec, costs)
    miners_cheats, seats_cheats = of_miners(rule, spare, one_less), of_seats(spare)
    if recomputes(spec):
        miners_cheats = of_workers(
            (lambda share: found(draw_of(spec), wrong_segments(draw_of(spec), share)))
            if replays(spec)
            else None,
            spare,
            one_less,
        )
    if replays(spec):
        replaying = Replaying.of(spec, costs)
        sitting = replace(sitting, cost=sitting.cost + replaying.cost)
        work = 1 - replaying.cost / sitting.cost if sitting.cost else 1.0
        seats_cheats += (of_replayers(found_lazy(replaying), work),)
    proposing = Place(
        "proposer",
        lambda part: part * proposer_share(spec.reward) / miners,
        0.0,
        stakes.miner,
        stakes.miner_slash,
    )
    gains = [_gain(one, mining, spec.rounds) for one in miners_cheats]
    gains.append(_gain(of_proposers(miners), proposing, spec.rounds))
    gains += [_gain(one, sitting, spec.rounds) for one in seats_cheats]
    gains += [_squatter(spec, costs), _owner(spec)]
    return Economics(spec.task_id, spec.rounds, costs, mining.pay(1.0), sitting.pay(1.0), tuple(gains))


def _gain(cheat: Cheat, place: Place, rounds: int) -> Gain:
    pay = place.pay(1.0)
    tokens, worked = played(cheat, place, rounds)

    def beside_honest(cost: float) -> float:
        return tokens - worked * cost - rounds * (pay - cost)

    task, at = beside_honest(place.cost), (beside_honest(0.0), beside_honest(pay))
    most = place.pay(cheat.pay) + place.slash
    return Gain(
        name=cheat.name,
        place=place.name,
        what=cheat.what,
        decides=cheat.decides,
        task=task,
        a_round=task / rounds,
        at=at,
        pays_from=_crossing(*at),
        deterred_by=max(0.0, task / rounds) / most if most else 0.0,
    )


def _crossing(free: float, dear: float) -> float | None:
    """Where a line from `free` at 0 to `dear` at 1 rises above nothing."""
    if free > 0:
        return 0.0
    return -free / (dear - free) if dear > 0 else None


def _squatter(spec: TaskSpec, costs: Costs) -> Gain:
    """A working miner whose organisation holds as many other places as a round can miss, and does nothing in them, while others wait for
    them: fewer share the miners' part. It has identities enough to take them again whenever they are lost.
    """
    taken = min(spec.max_miners - spec.min_miners, places_of_organisation(spec) - 1)
    pay, working = miner_pay(spec, 1.0), spec.max_miners - taken
    more = miners_part(spec.reward) / working - pay

    def beside_honest(cost: float) -> float:
        return spec.rounds * (more - taken * (pay - cost))

    task, at = beside_honest(costs.training), (beside_honest(0.0), beside_honest(pay))
    return Gain(
        name="squatting",
        place="miner",
        what=f"works in one place, and keeps {taken} others that it does not use from rivals",
        decides="ABSENT: the round's pay; the place, after two rounds in a row",
        task=task,
        a_round=task / spec.rounds,
        at=at,
        pays_from=_crossing(*at),
        deterred_by=max(0.0, task / spec.rounds) / (taken * spec.stakes.miner_slash)
        if taken and spec.stakes.miner_slash
        else 0.0,
    )


def _owner(spec: TaskSpec) -> Gain:
    """An owner that has a round fail once its sum is open: what comes back to it, beside what does of an accepted round."""
    back = max(_refund(spec, accepted=False, rejected=one) for one in (False, True))
    more = float(back - _refund(spec, accepted=True))
    return Gain(
        name="failed rounds",
        place="owner",
        what="takes the opened model and lets the round fail",
        decides="what is opened is paid; what is withheld is carried, never refunded",
        task=spec.rounds * more,
        a_round=more,
        at=(spec.rounds * more, spec.rounds * more),
        pays_from=0.0 if more > 0 else None,
        deterred_by=0.0,
    )


def _refund(spec: TaskSpec, accepted: bool, rejected: bool = False) -> int:
    """What an opened round leaves to its owner: rounding, for the rest is paid or carried, as contracts/settlement has it."""
    reward, miners = spec.reward, spec.max_miners
    even = miners_part(reward) // miners * miners
    paid = _seats_part(spec) + (0 if rejected else even) + (proposer_share(reward) if accepted else 0)
    carried = (miners_part(reward) if rejected else 0) + (0 if accepted else proposer_share(reward))
    return int(reward.per_round) - paid - carried


def _seats_part(spec: TaskSpec) -> int:
    return verifier_share(spec.reward, len(spec.committee.msp_ids)) * len(spec.committee.msp_ids)
