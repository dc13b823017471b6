"""Ternary secrets and errors have the distributions that the budget counts on, and are never drawn twice."""

from __future__ import annotations

import math

import numpy as np
from quorumlearn.ckks import sampling
from quorumlearn.ckks.budget import ENCRYPTION_ERROR_VARIANCE


def chi_square(values: np.ndarray, chances: dict[int, float]) -> float:
    counts = {value: int((values == value).sum()) for value in chances}
    assert sum(counts.values()) == values.size
    return sum((counts[v] - values.size * p) ** 2 / (values.size * p) for v, p in chances.items())


def test_a_ternary_coefficient_is_each_value_a_third_of_the_time() -> None:
    drawn = sampling.ternary(16, 8192)
    assert drawn.shape == (16, 8192)
    assert chi_square(drawn, dict.fromkeys((-1, 0, 1), 1 / 3)) < 60  # 2 degrees of freedom: once in 10^13


def test_an_error_is_the_ones_among_42_fair_bits() -> None:
    drawn = sampling.binomial(16, 8192)
    assert np.abs(drawn).max() <= 21
    near = np.clip(drawn, -12, 12)  # rarer ones in one class at each end
    chances = {k: math.comb(42, 21 + k) / 2**42 for k in range(-21, 22)}
    for end in (-12, 12):
        chances[end] = sum(p for k, p in chances.items() if abs(k) >= 12 and k * end > 0)
    assert chi_square(near, {k: p for k, p in chances.items() if abs(k) <= 12}) < 120  # 24: once in 10^13
    assert sum(k * k * math.comb(42, 21 + k) / 2**42 for k in range(-21, 22)) == ENCRYPTION_ERROR_VARIANCE


def test_coefficients_do_not_depend_on_their_neighbours_and_no_draw_repeats() -> None:
    for draw in (sampling.ternary, sampling.binomial):
        a, b = draw(8, 8192).ravel(), draw(8, 8192).ravel()
        for other in (b, np.roll(a, 1), np.roll(a, 64)):
            assert abs(np.corrcoef(a, other)[0, 1]) < 7 / math.sqrt(a.size)
