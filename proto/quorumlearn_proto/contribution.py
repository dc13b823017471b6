"""Pay by contribution, where a task wants it: what contracts and nodes derive alike of groups, their sums and what these are worth.

- When SELECT closes, the beacon divides the miners with weight into groups, and of each group one sum is opened instead of one of all.
  Miners whom all sums on the base weigh alike are dealt out in parts of at least `least_aggregate`, or stay together. So what
  `derived.sum_fault` holds of one sum holds of all of them, also together with those opened on the base before.
- There are as many groups as such parts, MOST_GROUPS at most. With fewer than two nothing is divided, and pay is by share.
- A seat scores each coalition of groups on its own test set: the base moved by the mean of the coalition's updates. A group's
  contribution is its Shapley value (Contributions to the Theory of Games II, 1953; of groups as in GroupSV, Ma et al., CIKM 2021): what it
  adds to a coalition, on average over all orders in which groups may come. Contributions add up to what the score has gained.
- They count twelfths of a millionth, which makes them whole for up to four groups: nothing is rounded.
- A group's part of the pay is the lower median of its contributions over the ballots, 0 where that is below 0. While there are more than
  2 (t - 1) ballots that tell them, t - 1 false ones leave each median within what honest seats say. With fewer, or where no group has a
  part, pay is by share. Within a group it always is.

>>> shapley([0, 60, 40, 120])
[840, 600]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import factorial

from .block_pb2 import Ballot, BallotReason, Round
from .classes import shares_of
from .derived import least_aggregate, weighed_alike, weights_of
from .draws import labelled, sample, words
from .gate import BOUNDS, MAX_SCORE, metric_of
from .task_pb2 import TaskSpec

MOST_GROUPS = 4
UNIT = 12
"""Contributions to a millionth of a score: the least number by which the weights of coalitions are whole for any MOST_GROUPS or fewer."""
_LABEL = b"quorumlearn/groups/1"
_TELLING = (BallotReason.GOOD, BallotReason.SCORE_FELL)


def division_fault(spec: TaskSpec) -> str:
    """Why a task cannot pay by contribution, "" if it can or does not: it takes two groups at least, and a committee of which t - 1 seats
    move no median."""
    if not spec.reward.by_contribution:
        return ""
    seats, threshold, least = len(spec.committee.msp_ids), spec.committee.threshold, least_aggregate(spec)
    if seats <= 2 * (threshold - 1):
        return (
            f"reward.by_contribution with a threshold of {threshold} of {seats} seats: {threshold - 1} dishonest seats could move the "
            "medians; take an odd number of seats and a threshold of just over half of them"
        )
    if spec.max_miners < 2 * least:
        return (
            f"reward.by_contribution takes two groups of {least} miners, the least of an aggregate, and max_miners is "
            f"{spec.max_miners}: raise it to {2 * least} at least"
        )
    if spec.recompute.replicas > 1:
        return (
            f"reward.by_contribution with recompute.replicas {spec.recompute.replicas}: replicas are paid alike; "
            "give one of the two up"
        )
    return ""


def divided(
    spec: TaskSpec, beacon: str, alike: Iterable[Sequence[str]], weights: Mapping[str, int]
) -> dict[str, int]:
    """The group, from 1, of each miner with weight; empty where one sum is opened. `alike` are `derived.weighed_alike` by the sums opened
    on the base before, and the sum of all by these weights may be opened after them."""
    if not spec.reward.by_contribution:
        return {}
    least = least_aggregate(spec)
    cells = [cell for cell in weighed_alike(alike, weights) if weights.get(cell[0])]
    count = min(MOST_GROUPS, sum(len(cell) // least for cell in cells))
    if count < 2:
        return {}
    groups: dict[str, int] = {}
    drawn, dealt = words(labelled(_LABEL), beacon), 0
    for cell in cells:
        parts = min(len(cell) // least, count)
        for place, miner in enumerate(sample(drawn, cell, len(cell))):
            groups[miner] = (dealt + place % parts) % count + 1
        dealt += parts
    return groups


def sums_of(round_: Round) -> list[dict[str, int]]:
    """The weights by miner of each sum that the round opens: one, or one for each of its groups. Who has no weight, or a number that is
    no group's, is in none of them."""
    weights = weights_of(round_.selection.verdicts)
    if not round_.groups:
        return [weights]
    sums: list[dict[str, int]] = [{} for _ in range(min(max(round_.groups), MOST_GROUPS))]
    for miner, group in zip(round_.miners, round_.groups, strict=False):
        if miner in weights and 1 <= group <= len(sums):
            sums[group - 1][miner] = weights[miner]
    return sums


def after_sums(alike: Iterable[Sequence[str]], sums: Iterable[Mapping[str, int]]) -> list[list[str]]:
    """Whom all sums on a base weigh alike, once these are opened too."""
    known = [list(group) for group in alike]
    for weights in sums:
        known = weighed_alike(known, weights)
    return known


def shapley(values: Sequence[int]) -> list[int]:
    """The contributions of groups, in 1 / UNIT of what the values count. `values` are what all coalitions are worth: of 2^G, the one at
    place s holds group g, from 0, where s has the bit 2^g."""
    count = len(values).bit_length() - 1
    if not 1 <= count <= MOST_GROUPS or len(values) != 1 << count:
        raise ValueError(f"{len(values)} values: 2^G of G groups, {MOST_GROUPS} groups at most")
    found = []
    for group in range(count):
        worth = 0
        for others in (place for place in range(len(values)) if not place >> group & 1):
            before = others.bit_count()
            orders = factorial(before) * factorial(count - before - 1)
            worth += orders * (values[others | 1 << group] - values[others])
        found.append(worth * UNIT // factorial(count))
    return found


def contributions_fault(ballot: Ballot, spec: TaskSpec, groups: int) -> str:
    """What of a ballot's contributions cannot be in a round of so many groups, "" if nothing is; 1 or 0: it has none."""
    given = list(ballot.contributions)
    wanted = groups if groups > 1 and ballot.reason in _TELLING else 0
    if len(given) != wanted:
        return f"{len(given)} contributions are given: {wanted}"
    if not given:
        return ""
    low, high = BOUNDS.get(metric_of(spec), (None, None))
    most = UNIT * ((MAX_SCORE if high is None else high) - (-MAX_SCORE if low is None else low))
    for one in given:
        if abs(one) > most:
            return f"a contribution is {one}: {-most} to {most}, twelfths of a millionth"
    gained = ballot.score - ballot.base_score
    if spec.workload.lower_is_better:
        gained = -gained
    if sum(given) != UNIT * gained:
        return (
            f"contributions add up to {sum(given)}: {UNIT * gained}, {UNIT} times what the score has gained"
        )
    return ""


def group_parts(spec: TaskSpec, ballots: Iterable[Ballot]) -> list[int]:
    """In what proportion an accepted round's groups are paid, by the ballots on its candidate; empty where pay is by share."""
    told = [list(one.contributions) for one in ballots if one.reason in _TELLING and one.contributions]
    if len(told) <= 2 * (spec.committee.threshold - 1):
        return []
    middle = (len(told) - 1) // 2
    parts = [max(0, sorted(of_group)[middle]) for of_group in zip(*told, strict=True)]
    return parts if any(parts) else []


def by_contribution(amount: int, round_: Round, parts: Sequence[int]) -> list[tuple[str, int]]:
    """An amount split over the round's groups in this proportion, and within each by share: whole tokens, rounded down."""
    shares, total = shares_of(round_.selection.verdicts), sum(parts)
    paid = []
    for part, weights in zip(parts, sums_of(round_), strict=True):
        of_group = sum(shares[miner] for miner in weights)
        paid += [(miner, amount * part * shares[miner] // (total * of_group)) for miner in weights]
    return paid
