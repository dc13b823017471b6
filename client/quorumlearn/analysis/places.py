"""A place in a task: what it is paid by the contracts' own functions, and what it comes to over a task's rounds if somebody cheats in it.

One identity cheats, in every round; all others are honest, all places are taken, and every round is accepted. A miner that is paid r times
what each other is paid has r / (n - 1 + r) of the miners' part, so all parts add up to the whole. Who is found is unpaid. It is slashed
as `Cost` says, until its stake does not cover another slash: then it has no place. Rounds in a row for a reason that costs the place or
standing take the place, too. Stakes that come back cost nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from quorumlearn_chaincode.contracts.payment import miners_part, verifier_share
from quorumlearn_proto.penalties import REPEATED, Cost
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn.analysis.cheats import Cheat

_SECOND = (Cost.SECOND, Cost.WITHHOLDING)
"""What costs a slash from the second round in a row on."""
_ROW = {Cost.STANDING: REPEATED, Cost.WITHHOLDING: 2, Cost.PLACE: 2, Cost.PLACE_AT_ONCE: 1}
"""After how many rounds in a row the place is lost."""
_UNLIKELY = 1e-12
"""Courses of a task less likely than this are left out."""


@dataclass(frozen=True)
class Costs:
    """Tokens that a round's work costs: `training` a miner, `verification` a seat."""

    training: float
    verification: float


@dataclass(frozen=True)
class Place:
    """What can be earned and lost in it. `pay` gives the tokens of a round for who is paid a part of what each other is paid."""

    name: str
    pay: Callable[[float], float]
    cost: float
    stake: int
    slash: int


def mining_place(spec: TaskSpec, costs: Costs) -> Place:
    """A miner's place beside honest others, all places taken."""
    stakes = spec.stakes
    return Place(
        "miner", lambda part: miner_pay(spec, part), costs.training, stakes.miner, stakes.miner_slash
    )


def sitting_place(spec: TaskSpec, costs: Costs) -> Place:
    """A seat of the committee."""
    stakes = spec.stakes
    return Place(
        "seat", lambda part: seat_pay(spec, part), costs.verification, stakes.verifier, stakes.verifier_slash
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


def miner_pay(spec: TaskSpec, part: float) -> float:
    """Tokens of a round for a miner that is paid this part of what each other is paid."""
    return miners_part(spec.reward) * part / (spec.max_miners - 1 + part) if part else 0.0


def seat_pay(spec: TaskSpec, part: float) -> float:
    """Tokens of a round for a seat that is paid this part of its share."""
    return part * verifier_share(spec.reward, len(spec.committee.msp_ids))
