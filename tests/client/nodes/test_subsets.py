"""Which t shares are tried, and in which order: all of them, and early ones without whoever is bad."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.nodes.committee.subsets import MAX_SUBSETS, subsets


@given(st.sets(st.integers(1, 16), max_size=9), st.integers(1, 6))
def test_every_subset_comes_once_in_an_order_of_the_seats_alone(seats: set[int], threshold: int) -> None:
    found = list(subsets(seats, threshold))
    assert sorted(found) == list(combinations(sorted(seats), threshold))
    assert found == list(subsets(sorted(seats, reverse=True), threshold))


def test_many_seats_do_not_mean_endless_attempts() -> None:
    assert len(set(subsets(range(1, 17), 9))) == MAX_SUBSETS


@given(st.sets(st.integers(1, 16), min_size=1, max_size=3))
def test_a_few_bad_seats_of_many_do_not_hide_the_good_ones(bad: set[int]) -> None:
    assert any(bad.isdisjoint(one) for one in subsets(range(1, 17), 9))
