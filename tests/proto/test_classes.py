"""Classes of data: whoever claims more is not worth a token more, and levels of weight stay shared."""

from __future__ import annotations

import doctest
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_proto import classes as by_data
from quorumlearn_proto.block_pb2 import Reason, Selection, Verdict
from quorumlearn_proto.classes import (
    class_of,
    classes_fault,
    least_miners_by_class,
    shared_classes,
    shares_of,
    weights_by_class,
)
from quorumlearn_proto.derived import bare_selection, most_weight, sum_fault, weighed_alike
from quorumlearn_proto.rules import least_miners
from quorumlearn_proto.task_pb2 import CkksParameters, RobustRule, TaskSpec

LEAST = 3
SPEC = TaskSpec(
    min_aggregate=LEAST, sample_classes=[1000, 4000, 9000], ckks=CkksParameters(max_weight_sum=1 << 16)
)
CLASSES = st.lists(st.integers(1, 4), min_size=LEAST, max_size=20)


def verdicts(shares: dict[str, int], weights: dict[str, int]) -> list[Verdict]:
    return [
        Verdict(miner=miner, share=share, weight=weights[miner], reason=Reason.CONTRIBUTES)
        for miner, share in shares.items()
    ]


def test_the_examples_of_the_module_are_true() -> None:
    assert doctest.testmod(by_data).failed == 0


def test_a_class_says_which_thresholds_are_reached() -> None:
    assert [class_of(SPEC, samples) for samples in (0, 999, 1000, 3999, 4000, 8999, 9000, 1 << 40)] == [
        *(1, 1, 2, 2, 3, 3, 4, 4)
    ]
    assert class_of(TaskSpec(), 5000) == 0


@given(CLASSES, st.integers(1, LEAST))
def test_lowered_classes_are_shared_and_above_no_claim(claimed: list[int], least: int) -> None:
    kept = shared_classes(claimed, least)
    assert all(one <= claim for one, claim in zip(kept, claimed, strict=True))
    assert min(Counter(kept).values()) >= least
    assert set(kept) <= set(claimed)
    assert shared_classes(kept, least) == kept
    if min(Counter(claimed).values()) >= least:
        assert kept == claimed, "what is shared stays"
    by_claim = sorted(zip(claimed, kept, strict=True))
    assert [one for _, one in by_claim] == sorted(kept), "who claims more has no less"


@given(st.data())
def test_weights_by_class_pass_the_contracts_where_shares_do_and_again_once_their_sum_is_opened(
    data: st.DataObject,
) -> None:
    miners = [f"M/{number:02d}" for number in range(data.draw(st.integers(LEAST, 16)))]
    groups: list[list[str]] = []
    for _ in range(3):
        shares = {miner: data.draw(st.integers(0, 2)) for miner in miners}
        if sum_fault(SPEC, len(miners), groups, {miner: one for miner, one in shares.items() if one}):
            continue
        claims = {miner: data.draw(st.integers(1, 4)) for miner in miners}
        weights = weights_by_class(SPEC, groups, shares, claims)
        assert not sum_fault(SPEC, len(miners), groups, weights)
        assert not classes_fault(SPEC, groups, verdicts(shares, dict.fromkeys(miners, 0) | weights), claims)
        groups = weighed_alike(groups, weights)
        assert weights_by_class(SPEC, groups, shares, claims) == weights


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        (Verdict(miner="a", share=1, weight=3), "a has weight 3: 2"),
        (Verdict(miner="a", share=2, weight=2), "a has weight 2: "),
        (Verdict(miner="a", weight=2), "a has weight 2 and a share of 0"),
        (Verdict(miner="a", share=2), "a has weight 0 and a share of 2"),
    ],
)
def test_a_weight_that_is_not_share_times_class_is_refused(verdict: Verdict, says: str) -> None:
    others = [Verdict(miner=miner, share=1, weight=2) for miner in "bcd"]
    claims = dict.fromkeys("abcd", 2)
    assert not classes_fault(SPEC, [], [Verdict(miner="a", share=1, weight=2), *others], claims)
    assert says in classes_fault(SPEC, [], [verdict, *others], claims)


def test_votes_of_other_shares_are_not_equal() -> None:
    """1 x 2 and 2 x 1 weigh alike, and pay otherwise."""
    first, second = (Selection(verdicts=[Verdict(miner="a", weight=2, share=one)]) for one in (1, 2))
    assert bare_selection(first) != bare_selection(second)


def test_where_all_weigh_alike_there_are_no_shares() -> None:
    assert "all weigh alike" in classes_fault(TaskSpec(), [], [Verdict(miner="a", share=1, weight=1)], {})
    assert shares_of([Verdict(miner="a", weight=2), Verdict(miner="b")]) == {"a": 2}


@pytest.mark.parametrize("rule", ["multi-krum", "geometric-median", "nnm+multi-krum", "unheard-of"])
@pytest.mark.parametrize("f", [1, 2, 5])
@pytest.mark.parametrize("thresholds", [[], [10], [10, 20, 30]])
def test_a_task_has_as_many_miners_as_its_rule_needs_where_each_cheat_counts_as_its_class(
    rule: str, f: int, thresholds: list[int]
) -> None:
    spec = TaskSpec(rule=RobustRule(name=rule), byzantine=f, sample_classes=thresholds)
    top, least = len(thresholds) + 1, least_miners_by_class(spec)
    assert least >= least_miners(spec)
    assert (least == least_miners(spec)) == (top == 1)
    as_if = TaskSpec(rule=spec.rule, byzantine=f * top)
    assert (least - f) + f * top == least_miners(as_if)
    assert top * f < least - f, "all honest miners together outweigh them"


def test_a_sum_has_room_for_classes() -> None:
    spec = TaskSpec(ckks=CkksParameters(max_weight_sum=1 << 16), sample_classes=[5])
    assert most_weight(spec, 10) == 160
