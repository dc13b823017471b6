"""A fall of the score counts only when it is more than chance, at every size of a test set, by integers alone."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_proto.block_pb2 import Ballot
from quorumlearn_proto.gate import counts_fault, score_fell

LEVEL = Fraction(1, 1000)


def ballot(lost: int, gained: int, same: int = 0, total: int = 0) -> Ballot:
    """Of `total` samples `lost` and `gained` changed and `same` are correct both times."""
    return Ballot(
        correct=same + gained, base_correct=same + lost, total=total or same + lost + gained, lost=lost
    )


def chance(lost: int, changed: int) -> Fraction:
    """How likely at least so many of the changed samples are lost, each with a probability of 1/2: exactly."""
    return Fraction(sum(comb(changed, k) for k in range(max(lost, 0), changed + 1)), 2**changed)


def least_that_counts(changed: int) -> int:
    """The fewest lost samples, of so many that changed, that are called a fall; one more than all if none are."""
    low, high = 0, changed + 1
    while low < high:
        middle = (low + high) // 2
        if score_fell(ballot(middle, changed - middle), 0):
            high = middle
        else:
            low = middle + 1
    return low


def test_by_the_exact_binomial_a_model_that_is_no_worse_falls_at_most_once_in_a_thousand() -> None:
    for changed in (*range(1, 300), 500, 1000, 1001, 4000):
        least = least_that_counts(changed)
        assert chance(least, changed) <= LEVEL
        assert chance(least - 2, changed) > LEVEL, "and little more is asked than the exact test asks"


def test_one_patient_rejects_nothing_and_no_test_set_is_too_small_to_say_so() -> None:
    for changed in range(12):
        assert not score_fell(ballot(changed, 0), 0)
    assert score_fell(ballot(12, 0), 0)


@given(
    st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 10_000)
)
def test_both_must_hold_the_tolerance_and_chance(
    lost: int, gained: int, same: int, neither: int, tolerance_bp: int
) -> None:
    one = ballot(lost, gained, same, max(1, lost + gained + same + neither))
    assert not counts_fault(one)
    beyond = (lost - gained) * 10_000 > tolerance_bp * one.total
    assert score_fell(one, tolerance_bp) == (beyond and score_fell(one, 0))
    if lost <= gained:
        assert not score_fell(one, tolerance_bp)


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        (Ballot(correct=11, total=10), "more are correct"),
        (Ballot(base_correct=11, total=10), "more are correct"),
        (Ballot(correct=5, base_correct=8, total=10, lost=2), "3 to 5"),
        (Ballot(correct=5, base_correct=8, total=10, lost=6), "3 to 5"),
        (Ballot(correct=8, base_correct=5, total=10, lost=3), "0 to 2"),
    ],
)
def test_counts_that_contradict_each_other_are_told_apart(counts: Ballot, fault: str) -> None:
    assert fault in counts_fault(counts)
    for lost in range(3, 6):
        assert not counts_fault(Ballot(correct=5, base_correct=8, total=10, lost=lost))
