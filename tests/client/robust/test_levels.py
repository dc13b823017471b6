"""Levels of whole weights: none of few members, nobody above what the rule said, and nothing that earlier sums would give away."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.robust import Levels, whole_weights


def kept(weights: list[int], levels: Levels) -> list[int]:
    """Scores in the order of the rows: of equals the earlier ones are better."""
    return levels.keep(np.array(weights), np.arange(len(weights), dtype=np.float64)).tolist()


@pytest.mark.parametrize(
    ("weights", "least", "expected"),
    [
        ([1, 1, 1], 3, [1, 1, 1]),
        ([1, 1], 3, [0, 0]),
        ([8, 5, 5], 3, [5, 5, 5]),
        ([8, 7, 6, 5, 4, 3, 2], 3, [6, 6, 6, 3, 3, 3, 0]),
        ([2, 9, 9, 9, 2], 3, [0, 9, 9, 9, 0]),
        ([2, 9, 9, 9, 2, 1], 3, [1, 9, 9, 9, 1, 1]),
        ([4, 0, 4, 0, 3], 2, [4, 0, 4, 0, 0]),
        ([5, 3, 1], 1, [5, 3, 1]),
        ([], 2, []),
    ],
)
def test_a_level_of_few_takes_the_next_lower_weight_and_the_lowest_gets_none(
    weights: list[int], least: int, expected: list[int]
) -> None:
    assert kept(weights, Levels(least)) == expected


@pytest.mark.parametrize(
    ("weights", "groups", "sizes", "expected"),
    [
        ([1, 1, 1, 1], [0, 0, 0, 0], [4], [1, 1, 1, 1]),  # the same sum again
        (
            [1, 1, 1, 0],
            [0, 0, 0, 0],
            [4],
            [1, 1, 0, 0],
        ),  # one missing would show itself: the worst goes with it
        ([1, 1, 1], [0, 0, 0], [4], [1, 1, 0]),  # the same, and who is missing has not even come
        ([1, 1, 1, 0], [0, 0, 0, None], [3], [1, 1, 1, 0]),  # who was in no sum may be left out
        ([1, 1, 1, 1], [0, 0, 0, None], [3], [1, 1, 1, 0]),  # and may not join alone
        ([1, 1, 1, 1, 1], [0, 0, 0, None, None], [3], [1, 1, 1, 1, 1]),
        ([2, 2, 1], [0, 0, 0], [3], [0, 0, 0]),  # a level of one, and too few without
        ([3, 3, 2, 2], [0, 0, 0, 0], [4], [3, 3, 2, 2]),
        ([1, 1, 1, 1], [0, 0, 1, 1], [2, 3], [1, 1, 0, 0]),
    ],
)
def test_what_was_opened_on_the_base_before_stays_together(
    weights: list[int], groups: list[int | None], sizes: list[int], expected: list[int]
) -> None:
    assert kept(weights, Levels(2, tuple(groups), tuple(sizes))) == expected


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 9), max_size=24), st.integers(1, 6))
def test_levels_have_their_least_and_nobody_gains_a_place(weights: list[int], least: int) -> None:
    after = kept(weights, Levels(least))
    assert all(new <= old for new, old in zip(after, weights, strict=True))
    counts = Counter(after)
    del counts[0]
    assert min(counts.values(), default=least) >= least
    assert kept(after, Levels(least)) == after
    if sum(weight > 0 for weight in weights) >= least:
        assert counts  # who are enough together are added up
    assert sum(new == 0 < old for new, old in zip(after, weights, strict=True)) < least or not counts


def test_weights_fall_into_levels_where_that_costs_least() -> None:
    """Two kinds of five, hardly apart within each: the ratio is kept, and each kind is a level."""
    values = np.array([1.0, 0.99, 0.98, 1.01, 1.0, 0.5, 0.49, 0.51, 0.5, 0.5])
    whole = whole_weights(values, np.arange(10.0), 80, Levels(4))
    assert whole.tolist() == [2] * 5 + [1] * 5


def test_a_sum_of_unlike_weights_is_opened_with_equal_ones_rather_than_not_at_all() -> None:
    values = np.array([0.9, 0.05, 0.05])
    assert whole_weights(values, np.zeros(3), 24, Levels(3)).tolist() == [1, 1, 1]
    assert not whole_weights(values, np.zeros(3), 24, Levels(4)).any()
