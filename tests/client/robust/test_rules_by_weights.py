"""Every rule agrees with its plain oracle, holds where it says it holds, and loses little to integers and sketches."""

from __future__ import annotations

import byzfl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.robust import (
    RULES,
    Bucketing,
    CentredClipping,
    Clustering,
    GeometricMedian,
    LNearest,
    Mixed,
    MultiKrum,
    NearestNeighbours,
    NormClipping,
    Rule,
    RuleError,
    TrustScores,
    VectorError,
    largest_byzantine,
    make_rule,
    select,
    weight_room,
    whole_weights,
)
from quorumlearn.robust.clipping import majority
from quorumlearn.robust.geometry import squared_distances

seeds = st.integers(0, 2**32 - 1)
K = 64
NAMES = (*RULES, "nnm+multi-krum", "bucketing+centred-clipping", "bucketing+nnm+geometric-median")


def vectors(seed: int, count: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, size)) * 3


def honest(count: int, seed: int, size: int = K) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=size) + random.normal(size=(count, size)) * 0.7


def rule_of(name: str, f: int, size: int = K) -> Rule:
    return make_rule(name, {}, f, root=honest(1, 1, size)[0])


def aggregate(rule: Rule, x: np.ndarray) -> np.ndarray:
    values = rule.weights(x).values
    return values @ x / values.sum()


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 12), st.integers(1, 30), st.floats(0.5, 20))
def test_norm_clipping_is_byzfls_but_for_the_sum_of_weights(
    seed: int, count: int, size: int, clip: float
) -> None:
    x = vectors(seed, count, size)
    ours = NormClipping(clip).weights(x).values @ x / count
    np.testing.assert_allclose(ours, byzfl.Average()(byzfl.Clipping(clip)(x.copy())), rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 12), st.integers(1, 30), st.integers(1, 6), st.floats(0.5, 20))
def test_centred_clipping_is_byzfls_from_the_same_start(
    seed: int, count: int, size: int, steps: int, radius: float
) -> None:
    x = vectors(seed, count, size)
    start = majority(squared_distances(x)) @ x
    # ByzFL starts from zero: so the vectors are moved there, and the centre moved back
    theirs = byzfl.CenteredClipping(L=steps, tau=radius)(x - start) + start
    ours = CentredClipping(radius, steps).weights(x).values
    assert ours.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(ours @ x, theirs, rtol=1e-7, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(3, 12), st.integers(2, 30))
def test_the_geometric_median_is_byzfls(seed: int, count: int, size: int) -> None:
    x = vectors(seed, count, size)

    def away(point: np.ndarray) -> float:
        return float(np.linalg.norm(x - point, axis=1).sum())

    theirs = byzfl.GeometricMedian(nu=1e-9, T=500)(x)
    ours = aggregate(GeometricMedian(1e-6, 500), x)
    assert away(ours) == pytest.approx(away(theirs), rel=1e-5)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(0, 3), st.integers(0, 6), st.integers(2, 30))
def test_nearest_neighbour_mixing_is_byzfls_before_any_rule(seed: int, f: int, more: int, size: int) -> None:
    x = vectors(seed, 2 * f + 3 + more, size)
    mixed = byzfl.NNM(f)(x)
    np.testing.assert_allclose(NearestNeighbours(f).matrix(x) @ x, mixed, rtol=1e-9, atol=1e-9)
    scores = np.sort(MultiKrum(f).weights(mixed).scores)
    if f > 0 and np.diff(scores).min() <= 1e-6 * scores[-1]:
        return  # neighbours mixed to equals: which of them is selected, the oracle decides otherwise
    np.testing.assert_allclose(
        aggregate(Mixed(NearestNeighbours(f), MultiKrum(f)), x),
        byzfl.MultiKrum(f)(mixed),
        rtol=1e-7,
        atol=1e-9,
    )


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 20), st.integers(1, 5))
def test_buckets_part_the_vectors_whatever_their_order(seed: int, count: int, size: int) -> None:
    x = vectors(seed, count, 8)
    matrix = Bucketing(size).matrix(x)
    assert matrix.shape == (-(-count // size), count)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    assert ((matrix > 0).sum(axis=0) == 1).all()
    assert ((matrix > 0).sum(axis=1)[:-1] == size).all()
    order = np.random.default_rng(seed + 1).permutation(count)
    assert (Bucketing(size).matrix(x[order]) == matrix[:, order]).all()


def test_a_mixture_of_buckets_and_the_mean_is_the_mean_of_even_buckets() -> None:
    x = vectors(3, 12, 9)
    rule = make_rule("bucketing+mean", {"bucket_size": "3"}, 0)
    np.testing.assert_allclose(aggregate(rule, x), x.mean(axis=0), rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 12), st.integers(0, 4))
def test_l_nearest_takes_those_with_the_largest_cosines_to_the_sum(seed: int, count: int, f: int) -> None:
    x = vectors(seed, count, 12)
    total = x.sum(axis=0)
    cosines = x @ total / np.linalg.norm(x, axis=1) / np.linalg.norm(total)
    chosen = LNearest(f).weights(x).values > 0
    assert chosen.sum() == max(1, count - f)
    assert cosines[chosen].min() >= np.where(chosen, -2, cosines).max() - 1e-12


def test_trust_scores_are_fltrusts_direction() -> None:
    x, root = vectors(5, 9, 20), vectors(6, 1, 20)[0]
    cosines = np.maximum(0, x @ root / np.linalg.norm(x, axis=1) / np.linalg.norm(root))
    stretched = x * (np.linalg.norm(root) / np.linalg.norm(x, axis=1))[:, None]
    theirs = (cosines[:, None] * stretched).sum(axis=0) / cosines.sum()
    ours = aggregate(TrustScores(root), x)
    np.testing.assert_allclose(
        ours / np.linalg.norm(ours), theirs / np.linalg.norm(theirs), rtol=1e-9, atol=1e-12
    )


def test_trust_scores_hold_against_a_majority() -> None:
    root = honest(1, 1)[0]
    x = np.vstack([honest(3, 1), -honest(7, 1)])
    values = TrustScores(root).weights(x).values
    assert (values[:3] > 0).all()
    assert not values[3:].any()
    assert not TrustScores(root).weights(-honest(4, 1)).values.any()


def test_clustering_leaves_out_who_points_elsewhere_and_cuts_who_is_long() -> None:
    x = honest(11, 2)
    x[3] *= -1
    x[5] = np.random.default_rng(9).normal(size=K)
    x[7] *= 10
    found = Clustering().weights(x)
    assert np.flatnonzero(found.values == 0).tolist() == [3, 5]
    norms = np.linalg.norm(x, axis=1)
    assert found.values[7] == pytest.approx(np.sort(norms)[5] / norms[7])
    assert np.delete(found.values, [3, 5, 7]).min() > 0.8


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("mean", "l-nearest", "norm-clipping")]
)
@pytest.mark.parametrize("attack", ["far", "flipped", "close-together"])
@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_of_attackers_moves_no_robust_rule_far(name: str, attack: str, seed: int) -> None:
    f = 4
    x = honest(20, 1 if name == "trust-scores" else seed)
    mean = x[f:].mean(axis=0)
    random = np.random.default_rng(100 + seed)
    if attack == "far":
        x[:f] = 1e6 * random.normal(size=(f, K))
    elif attack == "flipped":
        x[:f] *= -1
    else:
        x[:f] = -3 * mean + 0.1 * random.normal(size=(f, K))
    # 0.7 a number is an honest vector's own deviation, and two buckets of ten may be bad in the worst of mixtures
    off = np.linalg.norm(aggregate(rule_of(name, f), x) - mean) / np.sqrt(K)
    assert off < 0.7


@pytest.mark.parametrize("name", NAMES)
def test_equal_or_single_or_zero_vectors_have_weights_that_mean_something(name: str) -> None:
    for x in (
        honest(1, 3),
        np.repeat(honest(1, 1), 6, axis=0),
        np.zeros((4, K)),
        np.vstack([np.zeros((2, K)), honest(5, 1)]),
    ):
        rule = rule_of(name, 2).for_remaining(len(x), 2)
        found = rule.weights(x)
        assert np.isfinite(found.values).all()
        assert np.isfinite(found.scores).all()
        assert (found.values >= 0).all()
        assert found.values.any() or name == "trust-scores"


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=10)
@given(seeds, st.integers(1, 16), st.integers(0, 9))
def test_who_is_which_row_changes_no_weight(name: str, seed: int, count: int, f: int) -> None:
    x = honest(count, seed)
    order = np.random.default_rng(seed + 1).permutation(count)
    rule = rule_of(name, min(f, largest_byzantine(count))).for_remaining(count, 0)
    plain, moved = rule.weights(x), rule.weights(x[order])
    np.testing.assert_allclose(
        plain.values[order], moved.values, rtol=1e-4, atol=1e-9
    )  # iterated until little moves
    np.testing.assert_allclose(plain.scores[order], moved.scores, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if "bucketing" not in name])  # which shuffles anew
def test_scaling_all_vectors_by_two_changes_no_ratio(name: str) -> None:
    x = honest(9, 4)
    one, two = rule_of(name, 2).weights(x).values, rule_of(name, 2).weights(2 * x).values
    np.testing.assert_allclose(one / one.sum(), two / two.sum(), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_selection_works_with_every_rule(name: str) -> None:
    x = honest(12, 1)
    x[4] = x[2]
    x[6] = 0
    x[8] = np.nan
    findings = select(
        x,
        commit_order=range(12),
        rule=rule_of(name, 3),
        norm_limit=1e3,
        max_weight_sum=weight_room(name, 12),
    )
    assert [findings[i].reason for i in (4, 6, 8)] == ["DUPLICATE", "OUT_OF_RANGE", "OUT_OF_RANGE"]
    kept = [finding for i, finding in enumerate(findings) if i not in (4, 6, 8)]
    assert {finding.reason for finding in kept} <= {"CONTRIBUTES", "NOT_SELECTED"}
    # an honest round leaves most with weight
    assert sum(finding.weight > 0 for finding in kept) >= 5
    assert sum(finding.weight for finding in kept) <= weight_room(name, 12)


@pytest.mark.parametrize("name", ["geometric-median", "centred-clipping", "norm-clipping", "nnm+multi-krum"])
def test_an_attacker_far_away_ends_with_no_integer_and_is_an_outlier(name: str) -> None:
    x = honest(9, 6)
    x[3] = 500 * np.random.default_rng(1).normal(size=K)
    finding = select(
        x, commit_order=range(9), rule=rule_of(name, 1), norm_limit=1e6, max_weight_sum=weight_room(name, 9)
    )[3]
    assert (finding.weight, finding.reason) == (0, "OUTLIER")


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=40),
    st.integers(1, 400),
    seeds,
)
def test_integers_keep_the_aggregate_as_close_as_documented(
    weights: list[float], most: int, seed: int
) -> None:
    values = np.array(weights)
    found = whole_weights(values, np.zeros(len(values)), most)
    assert (found >= 0).all()
    assert found[values == 0].sum() == 0
    if not values.any():
        assert not found.any()
        return
    total = int(found.sum())
    assert 1 <= total <= most
    shares = values / values.sum()
    error = np.abs(found / total - shares).sum()
    positive = int((values > 0).sum())
    assert error <= positive / (2 * most) + 1e-6
    x = np.random.default_rng(seed).normal(size=(len(values), 8))
    apart = squared_distances(x[values > 0]).max() ** 0.5
    moved = np.linalg.norm(found @ x / total - shares @ x)
    assert moved <= error / 2 * apart + 1e-9


def test_equal_weights_become_ones_and_too_many_leave_the_best_scores() -> None:
    assert whole_weights(np.full(7, 0.3), np.zeros(7), 100).tolist() == [1] * 7
    assert whole_weights(np.array([2.0, 1.0, 0.0]), np.zeros(3), 50).tolist() == [2, 1, 0]
    scores = np.array([3.0, 1.0, 2.0, 0.0])
    assert whole_weights(np.ones(4), scores, 2).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("bad", [[-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_weights_that_are_none_are_refused(bad: list[float]) -> None:
    with pytest.raises(VectorError, match="finite and not negative"):
        whole_weights(np.array(bad), np.zeros(2), 5)
    with pytest.raises(VectorError, match="max_weight_sum = 0"):
        whole_weights(np.ones(2), np.zeros(2), 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_sketch_loses_little_of_any_rule(name: str) -> None:
    size, k = 4096, 256
    x = honest(12, 1, size)
    x[5] *= -1
    projection = np.random.default_rng(3).choice([-1.0, 1.0], size=(size, k)) / np.sqrt(k)
    root = honest(1, 1, size)[0]
    whole = make_rule(name, {}, 2, root).weights(x).values
    seen = make_rule(name, {}, 2, root @ projection).weights(x @ projection).values
    mean = whole @ x / whole.sum()
    moved = np.linalg.norm(seen @ x / seen.sum() - mean)
    assert moved < 0.25 * np.linalg.norm(mean)


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("nnm", {}, "no robust rule 'nnm'"),
        ("mean+multi-krum", {}, "'mean' cannot come before a rule"),
        ("", {}, "no robust rule ''"),
        ("nnm+nnm+nnm+nnm+mean", {}, "5 parts"),
        ("nnm+mean", {"selected": "1"}, "nnm\\+mean has no parameter 'selected'; it has none"),
        ("trust-scores", {}, "needs the committee's root update"),
        ("norm-clipping", {"clip": "0"}, "above 0"),
        ("norm-clipping", {"clip": "nan"}, "must be a number"),
        ("norm-clipping", {"clip": "-1"}, "must be a number"),
        ("clustering", {"slack": "0.5"}, "at least 1"),
        ("centred-clipping", {"steps": "0"}, "at least 1"),
        ("centred-clipping", {"steps": "100000"}, "at most 1000"),
        ("geometric-median", {"smoothing": "1e999"}, "must be a number"),
        ("geometric-median", {"smoothing": "2"}, "at most 1"),
        ("bucketing+mean", {"bucket_size": "0"}, "at least 1"),
        ("l-nearest", {"nearest": "0"}, "at least 1"),
    ],
)
def test_what_no_rule_can_be_made_of_is_refused(name: str, parameters: dict[str, str], says: str) -> None:
    with pytest.raises(RuleError, match=says):
        make_rule(name, parameters, 1)


def test_a_name_makes_the_rule_it_says() -> None:
    assert make_rule("bucketing+nnm+multi-krum", {"bucket_size": "3", "selected": "2"}, 1) == Mixed(
        Bucketing(3), Mixed(NearestNeighbours(1), MultiKrum(1, 2))
    )
    assert make_rule("geometric-median", {"smoothing": "1e-5"}, 0) == GeometricMedian(1e-5)
    assert make_rule("centred-clipping", {"radius": "0.5", "steps": "3"}, 1) == CentredClipping(0.5, 3)
    assert [
        weight_room(name, 10) for name in ("mean", "multi-krum", "l-nearest", "nnm+mean", "clustering")
    ] == [
        10,
        10,
        10,
        80,
        80,
    ]


@pytest.mark.parametrize(
    "root", [np.zeros(K), np.full(K, np.nan), np.ones((2, K)), np.ones(K, dtype=np.float32)]
)
def test_a_root_update_that_points_nowhere_is_refused(root: np.ndarray) -> None:
    with pytest.raises(RuleError, match="root update"):
        TrustScores(root)


def test_a_root_update_of_another_size_is_refused() -> None:
    with pytest.raises(VectorError, match="a root update of 5"):
        TrustScores(np.ones(5)).weights(honest(3, 1))
