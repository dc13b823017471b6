"""What lies outside the span of known steps: exact, the same in any order, and what the selection makes of it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.robust import LEAST_NEW, Finding, MultiKrum, new_squares, select
from quorumlearn.robust.novelty import lacking

K = 64


def drawn(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def by_projection(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The oracle: numpy's orthogonal basis, in floating point."""
    basis, _ = np.linalg.qr(known.T)
    left = vectors - vectors @ basis @ basis.T
    return np.sum(left**2, axis=1) / np.sum(vectors**2, axis=1)


@given(st.integers(0, 1000), st.integers(1, 3), st.floats(1e-6, 1e6))
def test_it_is_what_a_projection_leaves(seed: int, steps: int, scale: float) -> None:
    vectors, known = drawn(4, K, seed=seed), scale * drawn(steps, K, seed=seed + 1)
    exact = [float(square) for square in new_squares(vectors, known)]
    assert exact == pytest.approx(by_projection(vectors, known), rel=1e-9)


def test_no_steps_leave_all_of_it() -> None:
    assert new_squares(drawn(3, K), np.zeros((0, K))) == [Fraction(1)] * 3


def test_what_lies_in_the_span_has_exactly_nothing_new() -> None:
    known = np.round(1000 * drawn(3, K))
    assert new_squares((5 * known[0] - 3 * known[1] + 2 * known[2])[None], known) == [Fraction(0)]


def test_steps_that_are_the_same_or_nothing_count_once() -> None:
    vectors, known = drawn(2, K), drawn(1, K, seed=2)
    again = np.vstack([known, 2 * known, np.zeros((1, K))])
    assert new_squares(vectors, again) == new_squares(vectors, known)


@given(st.permutations(range(K)))
def test_the_order_in_which_a_machine_adds_decides_nothing(order: list[int]) -> None:
    vectors, known = drawn(2, K), drawn(3, K, seed=2)
    assert new_squares(vectors[:, order], known[:, order]) == new_squares(vectors, known)


def honest(count: int) -> np.ndarray:
    return drawn(K, seed=3) + drawn(count, K, seed=4)


def findings(sketches: np.ndarray, steps: np.ndarray | None, least_new: float = LEAST_NEW) -> list[Finding]:
    return select(
        sketches,
        commit_order=range(len(sketches)),
        rule=MultiKrum(2),
        norm_limit=1e3,
        max_weight_sum=100,
        public_steps=steps,
        byzantine=2,
        least_new=least_new,
    )


def test_who_sends_a_public_step_again_has_no_weight_and_the_others_keep_theirs() -> None:
    steps = drawn(3, K, seed=5)
    riders = np.stack([steps[0], -2 * steps[1], steps[0] + steps[2]]) + 0.1 * drawn(3, K, seed=6)
    found = findings(np.vstack([honest(6), riders]), steps)
    assert [one.reason for one in found] == ["CONTRIBUTES"] * 6 + ["NOTHING_NEW"] * 3
    assert [one.weight for one in found[6:]] == [0, 0, 0]
    assert all(one.detail.endswith(" is wanted") for one in found[6:])


def test_without_steps_nobody_is_asked_for_anything_new() -> None:
    sketches = honest(6)
    assert findings(sketches, None) == findings(sketches, np.zeros((0, K)))


def test_exactly_enough_is_enough() -> None:
    step, across = np.eye(K)[:1], np.eye(K)[1]
    vector = (3 * step[0] + 4 * across)[None]  # four fifths of it are new
    vectors = np.vstack([across, vector])  # all of the first is new
    for least, lacks in ((0.75, None), (0.8 - 2**-53, None), (0.875, (0.8, 0.875))):
        assert lacking(vectors, step, 0, least) == [None, lacks]


@pytest.mark.parametrize("working", [3, 6])
def test_short_steps_that_all_go_the_same_way_are_work_and_riders_are_still_found(working: int) -> None:
    steps = drawn(1, K, seed=5)
    slow = 3 * steps + drawn(working, K, seed=6)  # a third is new
    riders = 3 * steps + 0.3 * drawn(working + 2, K, seed=7)
    found = findings(np.vstack([slow, riders]), steps)
    assert [one.reason for one in found[working:]] == ["NOTHING_NEW"] * len(riders)
    assert {one.reason for one in found[:working]} <= {"CONTRIBUTES", "NOT_SELECTED"}


@given(st.lists(st.floats(0, 100), max_size=2), st.integers(0, 100))
def test_f_cheats_cannot_have_the_others_found(noises: list[float], seed: int) -> None:
    steps = drawn(2, K, seed=5)
    work = honest(6)
    cheats = [steps[0] + noise * drawn(K, seed=seed) for noise in noises]
    squares = new_squares(work, steps)
    found = lacking(np.vstack([work, *cheats]), steps, 2, 0.9)[: len(work)]
    for square, lacks in zip(squares, found, strict=True):
        assert lacks is None or square < Fraction(0.9) ** 2 * max(squares)


def test_who_is_found_so_is_one_of_the_cheats_that_the_rule_allows_for() -> None:
    steps = drawn(1, K, seed=5)
    found = findings(np.vstack([honest(5), steps, steps + 0.1 * drawn(1, K)]), steps)
    assert [one.weight for one in found] == [1, 1, 1, 1, 1, 0, 0]
