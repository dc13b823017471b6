"""What each cheat gains, in tokens, beside honest work in the same place: from a task's specification and what work costs.

One identity cheats, in every round; all others are honest, all places are taken, and every round is accepted. `cheats` says what a cheat
is paid and how often it is found. A miner that is paid r times what each other is paid has r / (n - 1 + r) of the miners' part, so all
parts add up to the whole. Who is found is unpaid. It is slashed as `Cost` says, until its stake does not cover another slash: then it has
no place. Rounds in a row for a reason that costs the place or standing take the place, too. Stakes that come back cost nothing.

The ledger takes the mode ROBUST only, so it is the only one here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from quorumlearn_chaincode.contracts.payment import miners_part, proposer_share, verifier_share
from quorumlearn_proto.derived import places_of_organisation
from quorumlearn_proto.penalties import REPEATED, Cost
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn.analysis.cheats import Cheat, of_miners, of_proposers, of_seats

WORK_SHARE = 0.25
"""What work costs where nobody says it: this part of what the place is paid. Who has higher costs hardly joins, and `pays_from` tells
how far each result rests on this."""
_SECOND = (Cost.SECOND, Cost.WITHHOLDING)
"""What costs a slash from the second round in a row on."""
_ROW = {Cost.STANDING: REPEATED, Cost.WITHHOLDING: 2, Cost.PLACE: 2}
"""After how many rounds in a row the place is lost."""
_UNLIKELY = 1e-12
"""Courses of a task less likely than this are left out."""


@dataclass(frozen=True)
class Costs:
    """Tokens that a round's work costs: `training` a miner, `verification` a seat."""

    training: float
    verification: float


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


@dataclass(frozen=True)
class Place:
    """What can be earned and lost in it. `pay` gives the tokens of a round for who is paid a part of what each other is paid."""

    name: str
    pay: Callable[[float], float]
    cost: float
    stake: int
    slash: int


def usual_costs(spec: TaskSpec) -> Costs:
    """`WORK_SHARE` of what a place is paid."""
    return Costs(WORK_SHARE * _miner_pay(spec, 1.0), WORK_SHARE * _seat_pay(spec, 1.0))


def economics_of(spec: TaskSpec, costs: Costs) -> Economics:
    """What every cheat gains in a task whose bounds the contracts have checked."""
    spare = len(spec.committee.msp_ids) > spec.committee.threshold
    one_less = spec.max_miners > spec.min_miners
    stakes, miners, rule = spec.stakes, spec.max_miners, spec.rule.name.split("+")[-1]
    mining, sitting = mining_place(spec, costs), sitting_place(spec, costs)
    proposing = Place(
        "proposer",
        lambda part: part * proposer_share(spec.reward) / miners,
        0.0,
        stakes.miner,
        stakes.miner_slash,
    )
    gains = [_gain(one, mining, spec.rounds) for one in of_miners(rule, spare, one_less)]
    gains.append(_gain(of_proposers(miners), proposing, spec.rounds))
    gains += [_gain(one, sitting, spec.rounds) for one in of_seats(spare)]
    gains += [_squatter(spec, costs), _owner(spec)]
    return Economics(spec.task_id, spec.rounds, costs, mining.pay(1.0), sitting.pay(1.0), tuple(gains))


def mining_place(spec: TaskSpec, costs: Costs) -> Place:
    """A miner's place beside honest others, all places taken."""
    stakes = spec.stakes
    return Place(
        "miner", lambda part: _miner_pay(spec, part), costs.training, stakes.miner, stakes.miner_slash
    )


def sitting_place(spec: TaskSpec, costs: Costs) -> Place:
    """A seat of the committee."""
    stakes = spec.stakes
    return Place(
        "seat", lambda part: _seat_pay(spec, part), costs.verification, stakes.verifier, stakes.verifier_slash
    )


def gain_of(cheat: Cheat, place: Place, rounds: int) -> float:
    """What playing this in every round gains beside honest work in the same place, in tokens over the whole task."""
    tokens, worked = played(cheat, place, rounds)
    return tokens - worked * place.cost - rounds * (place.pay(1.0) - place.cost)


def played(cheat: Cheat, place: Place, rounds: int) -> tuple[float, float]:
    """What a place can expect over a task of so many rounds if it plays this in each: tokens paid less those slashed, and how many
    rounds' work it does.
    """
    tokens, worked = 0.0, 0.0
    courses = {(0, 0): 1.0}  # (rounds found in a row, slashes so far, as far as either matters): its chance
    for number in range(1, rounds + 1):
        first = cheat.first if number == 1 else None
        found = cheat.found if first is None else 0.0
        paid = place.pay(cheat.pay if first is None else first)
        following: dict[tuple[int, int], float] = defaultdict(float)
        for (row, slashes), chance in courses.items():
            slashed = place.slash > 0 and (cheat.cost is Cost.STAKE or (cheat.cost in _SECOND and row > 0))
            tokens += chance * ((1 - found) * paid - found * place.slash * slashed)
            worked += chance * cheat.work
            following[0, slashes] += chance * (1 - found)
            now_row, now_slashes = (
                0 if cheat.cost is Cost.STAKE else min(row + 1, REPEATED),
                slashes + slashed,
            )
            covers = place.stake - now_slashes * place.slash >= place.slash
            if covers and now_row < _ROW.get(cheat.cost, REPEATED + 1):
                following[now_row, now_slashes] += chance * found
        courses = {state: chance for state, chance in following.items() if chance > _UNLIKELY}
    return tokens, worked


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
    pay, working = _miner_pay(spec, 1.0), spec.max_miners - taken
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


def _miner_pay(spec: TaskSpec, part: float) -> float:
    return miners_part(spec.reward) * part / (spec.max_miners - 1 + part) if part else 0.0


def _seat_pay(spec: TaskSpec, part: float) -> float:
    return part * verifier_share(spec.reward, len(spec.committee.msp_ids))


def _seats_part(spec: TaskSpec) -> int:
    return verifier_share(spec.reward, len(spec.committee.msp_ids)) * len(spec.committee.msp_ids)
