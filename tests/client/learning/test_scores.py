"""Scores by any metric: what they are worth, what of a change is chance, and how they are rounded for the ledger."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from quorumlearn.learning import (
    Metric,
    Score,
    ScoreError,
    accuracy,
    auc,
    mean_loss,
    millionths,
    perplexity,
    r2,
)
from quorumlearn.learning.scores import FEW, LIMIT, Z_SQUARED
from quorumlearn_proto import gate
from quorumlearn_proto.block_pb2 import Ballot
from quorumlearn_proto.task_pb2 import TaskSpec, Workload
from sklearn.metrics import r2_score, roc_auc_score

Floats = NDArray[np.float64]
PARTS = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
    | st.sampled_from([(0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]),
    min_size=1,
    max_size=300,
)


def spec_of(score: Score, tolerance_bp: int = 0) -> TaskSpec:
    metric = score.metric
    return TaskSpec(
        workload=Workload(metric=metric.name, lower_is_better=metric.lower_is_better),
        tolerance_bp=tolerance_bp,
    )


def ballot_of(score: Score, before: Score) -> Ballot:
    fixed = millionths(score, before)
    return Ballot(score=fixed.score, base_score=fixed.base_score, chance=fixed.chance, total=score.samples)


def falls(score: Score, before: Score) -> bool:
    """What the ledger's gate says of them, once it has found no fault in their ballot."""
    ballot, spec = ballot_of(score, before), spec_of(score)
    assert not gate.score_fault(ballot, spec)
    return gate.score_fell(ballot, spec)


def test_the_gate_and_scores_mean_the_same_chance() -> None:
    assert Fraction(*gate.Z_SQUARED) == Z_SQUARED
    for make, name in ((mean_loss, "loss"), (perplexity, "perplexity")):
        assert make([1.0]).metric.name == name in gate.LOWER_IS_BETTER
    for score in (accuracy([True], 0.0), auc([1, 0], [1, 0], 0.0), r2([1, 2], [1, 3])):
        assert score.metric.name in gate.BOUNDS
        assert not score.metric.lower_is_better


@given(PARTS, st.booleans())
@settings(deadline=None)
def test_rounding_decides_nothing(parts: list[tuple[float, float]], lower: bool) -> None:
    """What is no more than a number of millionths, or than chance, is no more of it once it is rounded; in exact arithmetic."""
    metric = Metric("own", lower_is_better=lower)
    score, before = (Score(metric, np.array(one), 0.0) for one in zip(*parts, strict=True))
    fixed = millionths(score, before)
    sign, n = (-1 if lower else 1), len(parts)
    fall = sign * sum((Fraction(b) - Fraction(a) for a, b in parts), Fraction()) / n
    rounded = sign * (fixed.base_score - fixed.score)
    # fsum rounds a sum once, so what is exact here is exact there but for half a unit in the last place
    if abs(fall * 1_000_000 - round(fall * 1_000_000)) > Fraction(1, 1000):
        assert rounded == math.ceil(fall * 1_000_000)
    for got, true in ((fixed.score, score.value), (fixed.base_score, before.value)):
        assert abs(got - 1_000_000 * true) < 1.001
    assert fixed.chance <= math.ceil(1_000_000 * score.chance(before)) + 2
    assert not gate.score_fault(ballot_of(score, before), spec_of(score))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 40), st.integers(0, 40))
def test_the_chance_of_an_accuracy_is_mcnemars_with_edwards_correction(
    lost: int, gained: int, same: int, neither: int
) -> None:
    n = lost + gained + same + neither
    if not n:
        return
    before = accuracy([True] * (lost + same) + [False] * (gained + neither), 0.0)
    now = accuracy([False] * lost + [True] * (same + gained) + [False] * neither, 0.0)
    changed = lost + gained
    assert math.isclose(now.chance(before), (bool(changed) + math.sqrt(9.55 * changed)) / n)
    assert falls(now, before) == (lost > gained and (lost - gained - 1) ** 2 * 20 >= 191 * changed)


def delong(scores: Floats, labels: NDArray[np.bool_]) -> tuple[float, float]:
    """The area and its variance, from all pairs (DeLong et al. 1988, equations 4 and 5)."""
    pairs = np.sign(scores[labels][:, None] - scores[~labels][None, :]) / 2 + 0.5
    m, n = pairs.shape
    return float(pairs.mean()), float(pairs.mean(1).var(ddof=1) / m + pairs.mean(0).var(ddof=1) / n)


@pytest.mark.parametrize(("ones", "zeros"), [(2, 2), (3, 40), (40, 3), (25, 60), (200, 300)])
@pytest.mark.parametrize("ties", [False, True])
def test_an_auc_is_sklearns_and_its_parts_vary_as_delongs(ones: int, zeros: int, ties: bool) -> None:
    rng = np.random.default_rng(ones)
    labels = rng.permutation(np.arange(ones + zeros)) < ones
    scores = rng.normal(size=len(labels)) + labels
    if ties:
        scores = np.round(scores)
    score = auc(scores, labels.astype(int), 0.3)
    area, variance = delong(scores, labels)
    assert score.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert score.value == pytest.approx(area, abs=1e-12)
    assert score.parts.var() / score.samples == pytest.approx(variance, rel=1e-9)


def test_two_areas_differ_as_delong_compares_correlated_ones() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([True, False], [40, 70])
    scores = [rng.normal(size=110) + labels for _ in range(2)]
    scores[1] += scores[0]
    both = [np.sign(one[labels][:, None] - one[~labels][None, :]) / 2 + 0.5 for one in scores]
    rows, columns = np.cov([one.mean(1) for one in both]), np.cov([one.mean(0) for one in both])
    together = rows / 40 + columns / 70
    expected = together[0, 0] + together[1, 1] - 2 * together[0, 1]
    first, second = (auc(one, labels, 0.0) for one in scores)
    assert (first.parts - second.parts).var() / 110 == pytest.approx(expected, rel=1e-9)


def test_r2_is_sklearns() -> None:
    rng = np.random.default_rng(5)
    true = rng.normal(size=60)
    for predicted in (true + rng.normal(size=60), np.zeros(60), true):
        assert r2(predicted, true).value == pytest.approx(r2_score(true, predicted), abs=1e-12)
    table = rng.normal(size=(60, 3))
    expected = 1 - ((table * 0.5) ** 2).sum() / ((table - table.mean(0)) ** 2).sum()
    assert r2(table * 0.5, table).value == pytest.approx(expected)


def test_a_perplexity_is_the_exponential_of_the_mean_loss_and_varies_so() -> None:
    rng = np.random.default_rng(6)
    losses = rng.exponential(2.0, size=400)
    score = perplexity(losses)
    assert score.value == pytest.approx(math.exp(losses.mean()))
    assert score.parts.std() == pytest.approx(math.exp(losses.mean()) * losses.std())
    assert score.loss == pytest.approx(losses.mean())


GROUND = 20
LABELS = np.arange(4 * GROUND) % 2
BROKEN: dict[str, tuple[Callable[[], Score], Callable[[], Score]]] = {
    "accuracy": (lambda: accuracy(LABELS == 1, math.nan), lambda: accuracy(LABELS == LABELS, 0.1)),
    "auc": (lambda: auc(np.where(LABELS, np.nan, 0.0), LABELS, math.nan), lambda: auc(LABELS, LABELS, 0.1)),
    "r2": (lambda: r2(np.where(LABELS, np.inf, 1e200), LABELS), lambda: r2(LABELS * 0.9, LABELS)),
    "loss": (lambda: mean_loss(np.where(LABELS, np.nan, -np.inf)), lambda: mean_loss(LABELS + 0.5)),
    "perplexity": (lambda: perplexity(LABELS * 1e300), lambda: perplexity(LABELS + 0.5)),
    "own": (
        lambda: Score(Metric("dice"), np.where(LABELS, np.nan, 1.0), math.nan),
        lambda: Score(Metric("dice"), np.ones(len(LABELS)), 0.1),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_without_finite_numbers_scores_worst_and_falls(name: str) -> None:
    broken, sound = (make() for make in BROKEN[name])
    low, high = gate.BOUNDS.get(name, (None, None))
    worst = high if broken.metric.lower_is_better else low
    limit = LIMIT if broken.metric.lower_is_better else -LIMIT
    assert set(broken.parts.tolist()) == {limit if worst is None else worst / 1e6}
    assert falls(broken, sound)
    assert not falls(sound, broken)
    assert not falls(broken, broken)


def test_what_a_metric_says_nothing_of_is_refused() -> None:
    makes: list[Callable[[], Score]] = [
        lambda: accuracy([], 0.0),
        lambda: mean_loss([]),
        lambda: perplexity([]),
        lambda: r2([], []),
        lambda: r2([1.0, 2.0], [3.0, 3.0]),
        lambda: r2([1.0, 2.0], [3.0]),
        lambda: auc([], [], 0.0),
        lambda: auc([0.5, 0.6], [1, 1], 0.0),
        lambda: auc([0.5, 0.6], [0, 0], 0.0),
        lambda: auc([0.5, 0.6, 0.7], [0, 1], 0.0),
        lambda: Score(Metric("dice"), np.ones((3, 2)), 0.0),
    ]
    for make in makes:
        with pytest.raises(ScoreError):
            make()
    with pytest.raises(ValueError, match="of 2 samples does not compare with loss of 3"):
        mean_loss([1, 2]).chance(mean_loss([1, 2, 3]))


def test_an_area_over_few_of_a_class_is_chance_whatever_became_of_it() -> None:
    for ones in (1, 2, FEW - 1):
        labels = np.r_[np.ones(ones), np.zeros(400)]
        assert not falls(auc(-labels, labels, 0.0), auc(labels, labels, 0.0))
    labels = np.r_[np.ones(FEW), np.zeros(400)]
    assert falls(auc(-labels, labels, 0.0), auc(labels, labels, 0.0))


Pair = Callable[[np.random.Generator, int], tuple[Score, Score]]


def two_of_losses(rng: np.random.Generator, n: int) -> tuple[Score, Score]:
    """Of samples that are easy or hard for both."""
    hard = rng.exponential(1.0, size=n)
    first, second = (mean_loss(hard * rng.exponential(1.0, size=n)) for _ in range(2))
    return first, second


def two_perplexities(rng: np.random.Generator, n: int) -> tuple[Score, Score]:
    hard = rng.exponential(1.0, size=n)
    first, second = (perplexity(hard + 0.3 * rng.normal(size=n)) for _ in range(2))
    return first, second


def two_r2(rng: np.random.Generator, n: int) -> tuple[Score, Score]:
    true = rng.normal(size=n)
    first, second = (r2(true + 0.7 * rng.normal(size=n), true) for _ in range(2))
    return first, second


def two_accuracies(rng: np.random.Generator, n: int) -> tuple[Score, Score]:
    first, second = (accuracy(rng.random(n) < 0.7, 0.0) for _ in range(2))
    return first, second


def two_areas(rng: np.random.Generator, n: int) -> tuple[Score, Score]:
    labels = np.arange(n) < max(n // 10, min(n // 2, FEW))
    shared = rng.normal(size=n) + labels
    first, second = (auc(shared + rng.normal(size=n), labels, 0.0) for _ in range(2))
    return first, second


@pytest.mark.parametrize("pair", [two_of_losses, two_perplexities, two_r2, two_accuracies, two_areas])
@pytest.mark.parametrize("n", [8, 16, 40, 150])
def test_a_candidate_that_is_no_worse_is_refused_about_once_in_a_thousand_or_less(pair: Pair, n: int) -> None:
    """Of 2,000 candidates at most 6: were 1 in 1,000 refused, more would be once in 200 tries."""
    rng = np.random.default_rng(n)
    refused = 0
    for _ in range(2000):
        before, now = pair(rng, n)
        ballot = ballot_of(now, before)
        refused += gate.score_fell(ballot, spec_of(now))
    assert refused <= (0 if n < FEW else 6)


def test_a_candidate_that_is_clearly_worse_is_refused() -> None:
    rng = np.random.default_rng(1)
    hard = rng.exponential(1.0, size=400)
    assert falls(mean_loss(hard + 0.2 + 0.5 * rng.normal(size=400)), mean_loss(hard))
    assert not falls(mean_loss(hard), mean_loss(hard + 0.2))
    labels = rng.random(400) < 0.4
    assert falls(auc(rng.normal(size=400), labels, 0.0), auc(labels + rng.normal(size=400), labels, 0.0))
    assert falls(r2(hard + rng.normal(size=400), hard), r2(hard + 0.3 * rng.normal(size=400), hard))
