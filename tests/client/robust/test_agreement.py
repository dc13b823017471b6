"""`agreement` hears the many, counts colluders once, and holds where single directions show little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.robust import Agreement, RuleError, make_rule, select

SIZE, COMMON = 256, 0.5
seeds = st.integers(0, 2**32 - 1)


def noisy(count: int, seed: int) -> np.ndarray:
    """Updates as miners make them late in a task: mostly noise, a fifth of the square in common (cosines of 0.2)."""
    random = np.random.default_rng(seed)
    common = random.normal(size=SIZE)
    return COMMON * common / np.linalg.norm(common) * np.sqrt(SIZE) + random.normal(size=(count, SIZE))


def colluders(update: np.ndarray, count: int, seed: int) -> np.ndarray:
    return update + 0.1 * np.random.default_rng(seed).normal(size=(count, SIZE)) * np.linalg.norm(
        update
    ) / np.sqrt(SIZE)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 8))
def test_colluders_who_say_nearly_the_same_have_the_weight_of_one(seed: int, group: int) -> None:
    x = noisy(20, seed)
    x[:group] = colluders(
        x[:group].mean(axis=0), group, seed + 1
    )  # what they agree on is honest, so nobody is shut out
    values = Agreement().weights(x).values
    assert values[:group].sum() < 1.6
    assert values.sum() > 5


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 8), st.floats(0.5, 50))
def test_colluders_against_the_others_have_no_weight(seed: int, group: int, factor: float) -> None:
    x = noisy(20, seed)
    x[:group] = colluders(-factor * x[group:].mean(axis=0), group, seed + 1)
    values = Agreement().weights(x).values
    assert values[:group].sum() < 0.02 * values.sum()


def test_a_fifth_of_flipped_updates_weighs_little_though_each_is_mostly_noise() -> None:
    shares = []
    for seed in range(20):
        x = noisy(20, seed)
        x[:4] *= -1
        values = Agreement().weights(x).values
        shares.append(values[:4].sum() / values.sum())
    assert np.mean(shares) < 0.03


def test_an_honest_round_keeps_nearly_everybody_and_bounds_who_is_long() -> None:
    kept = []
    for seed in range(20):
        x = noisy(16, seed)
        x[3] *= 40
        values = Agreement().weights(x).values
        norms = np.linalg.norm(x, axis=1)
        assert values[3] <= np.sort(norms)[7] / norms[3] + 1e-12
        kept.append(np.delete(values, 3) > 0)
    assert np.mean(kept) > 0.9


def test_pairs_of_one_class_are_usual_where_everybody_has_a_twin() -> None:
    random = np.random.default_rng(4)
    classes = random.normal(size=(10, SIZE))
    x = np.repeat(classes, 2, axis=0) + 0.3 * random.normal(size=(20, SIZE))
    values = Agreement().weights(x).values
    # nobody is set aside as a colluder: two of one class weigh together no less than one and a half
    assert (values.reshape(10, 2).sum(axis=1) > 0).sum() >= 9
    assert values.sum() > 11


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 9))
def test_weights_are_parts_of_one_for_any_vectors(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 5)) * random.choice([0.0, 1e-150, 1.0, 1e150], size=(count, 1))
    values = Agreement().weights(x).values
    assert np.isfinite(values).all()
    assert ((values >= 0) & (values <= 1)).all()
    assert values.any()


def test_an_outlier_is_slashed_though_its_rule_would_leave_it_a_sliver() -> None:
    x = noisy(20, 2)
    x[6] = 200 * np.random.default_rng(3).normal(size=SIZE)
    for name in ("agreement", "centred-clipping", "clustering", "norm-clipping"):
        # with room for integers this fine the sliver itself would not round to nothing
        finding = select(
            x, commit_order=range(20), rule=make_rule(name, {}, 4), norm_limit=1e6, max_weight_sum=4000
        )[6]
        assert (finding.weight, finding.reason) == (0, "OUTLIER"), name


@pytest.mark.parametrize("slack", ["0", "-1", "nan"])
def test_a_slack_that_means_nothing_is_refused(slack: str) -> None:
    with pytest.raises(RuleError, match="slack"):
        make_rule("agreement", {"slack": slack}, 0)
