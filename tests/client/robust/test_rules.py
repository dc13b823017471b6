"""The rules agree with ByzFL, refuse what they cannot mean, and do not care who is which row."""

from __future__ import annotations

import byzfl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.robust import (
    Mean,
    MultiKrum,
    RuleError,
    TooFewVectors,
    VectorError,
    largest_byzantine,
    make_rule,
    squared_distances,
    squared_norms,
)
from quorumlearn.robust.geometry import halving_sum

seeds = st.integers(0, 2**32 - 1)


def vectors(seed: int, count: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, size)) * 3


@settings(deadline=None)
@given(seeds, st.integers(0, 4), st.integers(0, 8), st.integers(1, 40))
def test_multi_krum_selects_the_vectors_whose_mean_is_byzfls(seed: int, f: int, more: int, size: int) -> None:
    x = vectors(seed, 2 * f + 3 + more, size)
    weights = MultiKrum(f).weights(x).values
    np.testing.assert_allclose(weights @ x / weights.sum(), byzfl.MultiKrum(f)(x), rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(seeds, st.integers(1, 12), st.integers(1, 40))
def test_the_mean_is_byzfls(seed: int, count: int, size: int) -> None:
    x = vectors(seed, count, size)
    weights = Mean().weights(x).values
    np.testing.assert_allclose(weights @ x / weights.sum(), byzfl.Average()(x), rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(seeds, st.integers(1, 30), st.integers(0, 300))
def test_distances_and_norms_are_those_of_linear_algebra(seed: int, count: int, size: int) -> None:
    x = vectors(seed, count, size)
    apart = x[:, None, :] - x[None, :, :]
    np.testing.assert_allclose(squared_distances(x), np.einsum("ijk,ijk->ij", apart, apart), rtol=1e-12)
    np.testing.assert_allclose(squared_norms(x), np.einsum("ij,ij->i", x, x), rtol=1e-12)


def test_distances_in_blocks_are_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    x = vectors(1, 12, 33)
    whole = squared_distances(x)
    monkeypatch.setattr("quorumlearn.robust.geometry.BLOCK", 70)
    assert squared_distances(x).tobytes() == whole.tobytes()


def test_the_order_of_additions_is_fixed() -> None:
    # the second half is added to the first, which rounds both ones away; left to right they would stay
    x = np.array([1e16, -1e16, 1.0, 1.0])
    assert x[0] + x[1] + x[2] + x[3] == 2.0
    assert halving_sum(x) == (1e16 + 1.0) + (-1e16 + 1.0) == 0.0


@settings(deadline=None)
@given(seeds, st.integers(0, 3), st.integers(0, 6))
def test_multi_krum_does_not_care_who_is_which_row(seed: int, f: int, more: int) -> None:
    x = vectors(seed, 2 * f + 3 + more, 16)
    order = np.random.default_rng(seed + 1).permutation(len(x))
    plain, permuted = MultiKrum(f).weights(x), MultiKrum(f).weights(x[order])
    assert (plain.values[order] == permuted.values).all()
    assert (plain.scores[order] == permuted.scores).all()


def test_ties_go_to_the_earlier_row() -> None:
    corners = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1], [2, 0]])
    assert MultiKrum(1, selected=2).weights(corners).values.tolist() == [1, 1, 0, 0, 0]


@settings(deadline=None)
@given(seeds, st.integers(0, 4), st.integers(0, 8), st.floats(0.01, 0.99))
def test_a_margin_keeps_those_clear_of_the_first_left_out_and_at_least_half(
    seed: int, f: int, more: int, margin: float
) -> None:
    x = vectors(seed, 2 * f + 3 + more, 8)
    plain, strict = MultiKrum(f).weights(x), MultiKrum(f, margin=margin).weights(x)
    assert (strict.scores == plain.scores).all()
    assert (strict.values <= plain.values).all()
    kept, out = strict.values > 0, plain.values == 0
    assert kept.sum() >= plain.values.sum() / 2
    if not out.any():
        assert (strict.values == plain.values).all()
        return
    line = plain.scores[out].min()
    clear = plain.scores < (1 - margin) * line
    assert kept[clear].all()
    if kept.sum() > -(-plain.values.sum() // 2):
        assert (kept == clear).all()
    assert plain.scores[kept].max() <= plain.scores[~kept].min()


def test_far_vectors_are_not_selected_and_score_high() -> None:
    x = vectors(5, 9, 64)
    x[[2, 7]] += 50
    found = MultiKrum(2).weights(x)
    assert np.flatnonzero(found.values == 0).tolist() == [2, 7]
    assert found.scores[[2, 7]].min() > 10 * np.delete(found.scores, [2, 7]).max()


@pytest.mark.parametrize(("count", "f"), [(3, 1), (4, 1), (6, 2), (1, 1), (0 + 2, 3)])
def test_multi_krum_refuses_fewer_than_2f_plus_3(count: int, f: int) -> None:
    with pytest.raises(TooFewVectors, match=f"there are {count}"):
        MultiKrum(f).weights(vectors(1, count, 8))


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 60))
def test_f_falls_by_those_found_only_and_too_few_for_it_are_not_weighed(
    f: int, excluded: int, count: int
) -> None:
    rule = MultiKrum(f).for_remaining(count, excluded)
    assert rule.byzantine == max(0, f - excluded)
    if rule.byzantine <= largest_byzantine(count):
        assert rule.weights(vectors(1, count, 4)).values.sum() == count - rule.byzantine
    else:
        with pytest.raises(TooFewVectors):
            rule.weights(vectors(1, count, 4))


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("median", {}, "no robust rule 'median'"),
        ("mean", {"selected": "3"}, "mean has no parameter 'selected'"),
        ("multi-krum", {"m": "3"}, "no parameter 'm'"),
        ("multi-krum", {"selected": "0"}, "at least 1"),
        ("multi-krum", {"selected": "-1"}, "whole number"),
        ("multi-krum", {"selected": "1.5"}, "whole number"),
        ("multi-krum", {"margin": "1"}, "below 1"),
        ("multi-krum", {"margin": "-0.1"}, "number"),
        ("multi-krum", {"selected": "٣"}, "whole number"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(name: str, parameters: dict[str, str], says: str) -> None:
    with pytest.raises(RuleError, match=says):
        make_rule(name, parameters, byzantine=1)


def test_rules_are_made_as_the_task_says() -> None:
    assert make_rule("mean", {}, 0) == Mean()
    assert make_rule("multi-krum", {"selected": "4"}, 2) == MultiKrum(2, 4)
    assert make_rule("multi-krum", {"margin": "0.07"}, 2) == MultiKrum(2, margin=0.07)
    with pytest.raises(RuleError, match="byzantine = -1"):
        make_rule("multi-krum", {}, -1)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((0, 4)),
        np.zeros(4),
        np.zeros((3, 4), dtype=np.float32),
        np.full((3, 4), np.nan),
        np.full((3, 1), np.inf),
    ],
)
@pytest.mark.parametrize("rule", [Mean(), MultiKrum(0)])
def test_what_is_no_matrix_of_numbers_is_refused(rule: Mean | MultiKrum, bad: np.ndarray) -> None:
    with pytest.raises(VectorError):
        rule.weights(bad)
