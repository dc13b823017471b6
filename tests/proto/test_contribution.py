"""Pay by contribution: groups show no fewer miners than one sum, Shapley values are exact, t - 1 seats move no pay beyond the honest."""

from __future__ import annotations

import doctest
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_proto import contribution
from quorumlearn_proto.block_pb2 import Ballot, BallotReason, Reason, Round, Selection, Verdict
from quorumlearn_proto.contribution import (
    MOST_GROUPS,
    UNIT,
    after_sums,
    by_contribution,
    contributions_fault,
    divided,
    division_fault,
    group_parts,
    shapley,
    sums_of,
)
from quorumlearn_proto.derived import least_aggregate, sum_fault, weighed_alike
from quorumlearn_proto.task_pb2 import CkksParameters, Committee, Recompute, RewardSplit, TaskSpec, Workload

GOOD, FELL = BallotReason.GOOD, BallotReason.SCORE_FELL
SPEC = TaskSpec(
    byzantine=1,
    max_miners=20,
    ckks=CkksParameters(max_weight_sum=1 << 16),
    committee=Committee(msp_ids=["A", "B", "C"], threshold=2),
    reward=RewardSplit(by_contribution=True),
)
LEAST = least_aggregate(SPEC)
BEACONS = st.binary(min_size=32, max_size=32).map(bytes.hex)
NAMES = [f"M/{number:02d}" for number in range(20)]


def round_of(weights: Mapping[str, int], groups: Mapping[str, int], miners: Sequence[str] = NAMES) -> Round:
    verdicts = [
        Verdict(
            miner=miner,
            weight=weights.get(miner, 0),
            reason=Reason.CONTRIBUTES if weights.get(miner) else Reason.OUTLIER,
        )
        for miner in miners
    ]
    named = [groups.get(miner, 0) for miner in miners] if groups else []
    return Round(miners=miners, selection=Selection(verdicts=verdicts), groups=named)


def test_the_examples_of_the_module_are_true() -> None:
    assert doctest.testmod(contribution).failed == 0


# What is opened


@given(st.lists(BEACONS, min_size=1, max_size=4), st.data())
def test_no_combination_of_what_is_opened_on_a_base_shows_fewer_than_the_least_aggregate(
    beacons: list[str], data: st.DataObject
) -> None:
    """Of rounds with any weights that may be opened as one sum: who makes weights, stays away or is new has no say beyond them."""
    alike: list[list[str]] = []
    opened: list[dict[str, int]] = []
    for beacon in beacons:
        weights = data.draw(weights_after(alike))
        if not weights or sum_fault(SPEC, len(NAMES), alike, weights):
            continue
        groups = divided(SPEC, beacon, alike, weights)
        sums = sums_of(round_of(weights, groups))
        assert sum(map(Counter, sums), Counter()) == Counter(weights), "together they are the one sum"
        assert len(sums) <= MOST_GROUPS
        for one in sums:
            assert sum_fault(SPEC, len(NAMES), alike, one) == ""
        alike = after_sums(alike, sums)
        opened += sums
        # Columns of the matrix of all sums: any combination of them gives miners with equal columns equal weights
        columns = Counter(tuple(one.get(miner, 0) for one in opened) for miner in NAMES)
        columns.pop((0,) * len(opened), None)
        assert min(columns.values()) >= LEAST


@st.composite
def weights_after(draw: st.DrawFn, alike: list[list[str]]) -> dict[str, int]:
    """Weights that now and then cut whom earlier sums weigh alike in two, and now and then a miner from its group."""
    known = {miner for group in alike for miner in group}
    weights: dict[str, int] = {}
    for group in (*alike, [miner for miner in NAMES if miner not in known]):
        order = draw(st.permutations(group))
        cut = draw(st.sampled_from([0, LEAST, len(group) - LEAST, draw(st.integers(0, 20))]))
        for part in (order[: max(0, cut)], order[max(0, cut) :]):
            weights |= dict.fromkeys(part, draw(st.integers(0, 3)))
    return {miner: weight for miner, weight in weights.items() if weight}


@given(BEACONS, st.integers(1, 20))
def test_there_are_as_many_groups_as_fit_and_they_are_of_like_size(beacon: str, miners: int) -> None:
    groups = divided(SPEC, beacon, [], dict.fromkeys(NAMES[:miners], 2))
    if miners < 2 * LEAST:
        assert groups == {}
        return
    sizes = Counter(groups.values())
    assert sorted(groups) == NAMES[:miners]
    assert sorted(sizes) == list(range(1, min(MOST_GROUPS, miners // LEAST) + 1))
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert min(sizes.values()) >= LEAST


def test_a_miner_is_never_alone_whoever_of_its_accomplices_stays_away() -> None:
    """Miner 0 and two accomplices see the beacon before they reveal: whichever of them withhold, by any of many beacons."""
    accomplices, met = NAMES[1:3], Counter[str]()
    for number in range(60):
        beacon = f"{number:064x}"
        for away in (some for count in range(3) for some in combinations(accomplices, count)):
            there = [miner for miner in NAMES[:9] if miner not in away]
            groups = divided(SPEC, beacon, [], dict.fromkeys(there, 1))
            mates = [miner for miner in there if groups[miner] == groups[NAMES[0]]]
            assert len(mates) >= LEAST
            assert len(set(mates) - {NAMES[0]}) >= LEAST - 1
            met.update(mates)
    assert len(met) == 9, "nor does it choose with whom"


def test_who_shared_a_sum_on_a_base_is_divided_in_enough_or_not_at_all() -> None:
    weights = dict.fromkeys(NAMES[:8], 1)
    before = weighed_alike([], dict.fromkeys(NAMES[:3], 1))
    for number in range(50):
        groups = divided(SPEC, f"{number:064x}", before, weights)
        assert len({groups[miner] for miner in NAMES[:3]}) == 1
        assert set(groups.values()) == {1, 2}


def test_levels_are_dealt_out_over_the_groups() -> None:
    weights = dict.fromkeys(NAMES[:6], 1) | dict.fromkeys(NAMES[6:12], 3)
    now = round_of(weights, divided(SPEC, "be" * 32, [], weights))
    assert [sorted(Counter(one.values()).items()) for one in sums_of(now)] == [
        [(1, 3)],
        [(1, 3)],
        [(3, 3)],
        [(3, 3)],
    ]


def test_a_task_that_does_not_ask_for_it_opens_one_sum() -> None:
    weights = dict.fromkeys(NAMES, 1)
    assert divided(TaskSpec(byzantine=1), "be" * 32, [], weights) == {}
    assert sums_of(round_of(weights, {})) == [weights]


def test_numbers_that_are_no_groups_add_up_nothing() -> None:
    now = round_of(dict.fromkeys(NAMES[:4], 1), {NAMES[0]: 1, NAMES[1]: 1 << 31, NAMES[9]: 2})
    assert sums_of(now) == [{NAMES[0]: 1}, {}, {}, {}]


# What groups contribute


@given(
    st.integers(1, MOST_GROUPS).flatmap(
        lambda g: st.lists(st.integers(-(10**15), 10**15), min_size=1 << g, max_size=1 << g)
    )
)
def test_contributions_are_the_mean_over_all_orders_and_add_up_to_the_gain(values: list[int]) -> None:
    count = len(values).bit_length() - 1
    orders = list(permutations(range(count)))
    worth = [Fraction(0)] * count
    for order in orders:
        inside = 0
        for group in order:
            worth[group] += values[inside | 1 << group] - values[inside]
            inside |= 1 << group
    assert shapley(values) == [UNIT * one / len(orders) for one in worth]
    assert sum(shapley(values)) == UNIT * (values[-1] - values[0])


@pytest.mark.parametrize("count", [0, 1, 3, 6, 32])
def test_what_is_no_table_of_coalitions_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="2\\^G of G groups"):
        shapley([0] * count)


def ballot(*told: int, reason: BallotReason = GOOD, gained: int = 100) -> Ballot:
    return Ballot(reason=reason, base_score=500_000, score=500_000 + gained, total=1000, contributions=told)


@pytest.mark.parametrize(
    ("given_ballot", "groups", "says"),
    [
        (ballot(700, 500), 2, ""),
        (ballot(1300, -100), 2, ""),
        (ballot(700, 500, reason=FELL), 2, ""),
        (ballot(), 1, ""),
        (ballot(reason=BallotReason.WRONG_MODEL), 2, ""),
        (ballot(reason=BallotReason.UNAVAILABLE), 2, ""),
        (ballot(), 2, "0 contributions are given: 2"),
        (ballot(700, 400, 100), 2, "3 contributions are given: 2"),
        (ballot(1200), 1, "1 contributions are given: 0"),
        (ballot(700, 500, reason=BallotReason.WRONG_MODEL), 2, "2 contributions are given: 0"),
        (ballot(700, 501), 2, "add up to 1201: 1200"),
        (ballot(20_000_000, -19_998_800), 2, "a contribution is 20000000: -12000000 to 12000000"),
    ],
)
def test_contributions_that_cannot_be_are_refused(given_ballot: Ballot, groups: int, says: str) -> None:
    fault = contributions_fault(given_ballot, SPEC, groups)
    assert says in fault
    assert bool(says) == bool(fault)


def test_where_less_is_better_a_fall_is_a_gain() -> None:
    spec = TaskSpec(workload=Workload(metric="loss", lower_is_better=True))
    assert contributions_fault(ballot(700, 500, gained=-100), spec, 2) == ""
    assert "add up to 1200: -1200" in contributions_fault(ballot(700, 500, gained=100), spec, 2)


# What is paid


@given(
    st.integers(1, 3),
    st.integers(2, MOST_GROUPS).flatmap(
        lambda g: st.lists(st.lists(st.integers(-1000, 1000), min_size=g, max_size=g), min_size=7, max_size=7)
    ),
    st.data(),
)
def test_seats_short_of_the_threshold_leave_every_part_within_what_honest_ones_say(
    liars: int, said: list[list[int]], data: st.DataObject
) -> None:
    spec = TaskSpec(committee=Committee(threshold=liars + 1))
    ballots = [ballot(*one) for one in said[: 2 * liars + 1]]
    honest = said[liars : 2 * liars + 1]
    parts = group_parts(spec, data.draw(st.permutations(ballots)))
    for group, part in enumerate(parts):
        column = [max(0, one[group]) for one in honest]
        assert min(column) <= part <= max(column)
    assert group_parts(spec, ballots[1:]) == [], "with one ballot fewer they could"


def test_only_ballots_that_are_sure_of_the_candidate_count_and_what_harms_counts_nothing() -> None:
    told = [ballot(900, 300), ballot(1000, 200, reason=FELL), ballot(1400, -200)]
    assert group_parts(SPEC, told) == [1000, 200]
    assert group_parts(SPEC, [*told[:2], ballot(reason=BallotReason.UNAVAILABLE)]) == []
    assert group_parts(SPEC, [ballot(1400, -200)] * 3) == [1400, 0]
    assert group_parts(SPEC, [ballot(-100, -100, gained=-16)] * 3) == []


@given(
    st.integers(0, 10**9),
    st.lists(st.integers(0, 10**9), min_size=3, max_size=3).filter(any),
    st.lists(st.integers(1, 8), min_size=9, max_size=9),
)
def test_groups_are_paid_in_proportion_and_their_miners_by_weight(
    amount: int, parts: list[int], weights: list[int]
) -> None:
    named = dict(zip(NAMES[:9], weights, strict=True))
    now = round_of(named, {miner: 1 + place % 3 for place, miner in enumerate(NAMES[:9])})
    paid = dict(by_contribution(amount, now, parts))
    assert amount - 9 < sum(paid.values()) <= amount
    for part, group in zip(parts, sums_of(now), strict=True):
        for miner, weight in group.items():
            exact = Fraction(amount * part * weight, sum(parts) * sum(group.values()))
            assert paid[miner] <= exact < paid[miner] + 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"reward": RewardSplit(by_contribution=False), "max_miners": 1}, ""),
        ({"max_miners": 6}, ""),
        ({"max_miners": 5}, "two groups of 3 miners"),
        ({"min_aggregate": 11}, "two groups of 11 miners"),
        (
            {"committee": Committee(msp_ids=["A", "B"], threshold=2)},
            "1 dishonest seats could move the medians",
        ),
        (
            {"committee": Committee(msp_ids=list("ABCD"), threshold=3)},
            "2 dishonest seats could move the medians",
        ),
        ({"committee": Committee(msp_ids=list("ABCDE"), threshold=3)}, ""),
        ({"recompute": Recompute(replicas=2)}, "replicas are paid alike"),
    ],
)
def test_a_task_that_could_not_pay_so_is_refused(changes: dict[str, object], says: str) -> None:
    spec = TaskSpec()
    spec.CopyFrom(SPEC)
    for name, value in changes.items():
        if isinstance(value, int):
            setattr(spec, name, value)
        else:
            getattr(spec, name).CopyFrom(value)
    fault = division_fault(spec)
    assert says in fault
    assert bool(says) == bool(fault)
