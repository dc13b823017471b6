"""From sketches to weights and reasons: copies, noise, nothing and too much are found, honest miners kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.robust import Finding, Mean, MultiKrum, Rule, VectorError, make_rule, order_matters, select

K = 256


def honest(count: int, seed: int, size: int = K) -> np.ndarray:
    """Updates as IID miners of mnist-cnn make them: a common direction, and as much of their own."""
    random = np.random.default_rng(seed)
    return random.normal(size=size) + random.normal(size=(count, size))


def find(
    sketches: np.ndarray,
    *,
    order: Sequence[int] | None = None,
    rule: Rule | None = None,
    norm_limit: float = 1e3,
    max_weight_sum: int = 100,
    rounding: float = 0.0,
    already_found: int = 0,
) -> list[Finding]:
    return select(
        sketches,
        commit_order=range(len(sketches)) if order is None else order,
        rule=rule or MultiKrum(2),
        norm_limit=norm_limit,
        max_weight_sum=max_weight_sum,
        rounding=rounding,
        already_found=already_found,
    )


def reasons(findings: Sequence[Finding]) -> list[str]:
    return [finding.reason for finding in findings]


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_copies_are_found_and_honest_miners_kept(seed: int) -> None:
    random = np.random.default_rng(1000 + seed)
    x = honest(10, seed)
    x[3] = x[1]  # a copy, committed later
    x[6] = 6 * random.normal(size=K)  # noise instead of work
    findings = find(x)
    assert findings[3] == Finding(0, "DUPLICATE", "a copy of 1, which committed earlier", copy_of=1)
    assert findings[6].reason == "OUTLIER"
    kept = [i for i in range(10) if i not in (3, 6)]
    assert [findings[i] for i in kept] == [Finding(1, "CONTRIBUTES")] * 8


@pytest.mark.parametrize("seed", range(20))
def test_noise_of_an_honest_norm_is_passed_over_but_costs_no_stake(seed: int) -> None:
    x = honest(9, seed)
    x[4] = np.sqrt(2) * np.random.default_rng(1000 + seed).normal(size=K)
    assert find(x, rule=MultiKrum(1))[4].reason == "NOT_SELECTED"


@pytest.mark.parametrize("parts", [1e-1, 1e-3, 1e-6, 1e-9])
def test_whoever_is_further_away_than_rounding_is_no_copy(parts: float) -> None:
    x = honest(8, 1)
    apart = np.random.default_rng(2).normal(size=K)
    x[5] = x[2] + apart * np.sqrt(parts * (x[2] @ x[2]) / (apart @ apart))
    distance = float(np.linalg.norm(x[5] - x[2]))
    assert "DUPLICATE" not in reasons(find(x, rounding=0.99 * distance))
    assert reasons(find(x, rounding=1.01 * distance)).count("DUPLICATE") == 1


@pytest.mark.parametrize("parts", [1e-2, 1e-4, 1e-6])
def test_a_near_copy_earns_what_the_rule_gives_it(parts: float) -> None:
    """Under multi-Krum as much as the one whose update it is; under agreement the two share one weight."""
    x = honest(9, 5)
    apart = np.random.default_rng(2).normal(size=K)
    x[8] = x[0] + apart * np.sqrt(parts * (x[0] @ x[0]) / (apart @ apart))
    krum = [one.weight for one in find(x, rule=MultiKrum(2))]
    assert krum[8] == krum[0] == 1
    agreed = [one.weight for one in find(x, rule=make_rule("agreement", {}, 2), max_weight_sum=72)]
    alone = [one.weight for one in find(x[:8], rule=make_rule("agreement", {}, 2), max_weight_sum=72)]
    assert 0 < agreed[8] + agreed[0] <= 1.25 * alone[0]


def test_where_most_are_nearly_the_same_others_of_an_honest_length_are_no_outliers() -> None:
    """Six miners hold one class, two others each one of their own."""
    random = np.random.default_rng(6)
    classes = random.normal(size=(3, K))
    x = classes[[0, 0, 0, 0, 0, 0, 1, 2]] + 0.05 * random.normal(size=(8, K))
    assert set(reasons(find(x))) == {"CONTRIBUTES", "NOT_SELECTED"}
    x[7] *= 5
    assert find(x)[7].reason == "OUTLIER"


@pytest.mark.parametrize("seed", range(5))
def test_the_sketch_of_plain_updates_leads_to_the_plain_updates_findings(seed: int) -> None:
    random = np.random.default_rng(1000 + seed)
    plain = honest(8, seed, size=4096)
    plain[2], plain[5] = -3 * plain[0], plain[4]
    projection = random.choice([-1.0, 1.0], size=(4096, K)) / np.sqrt(K)
    assert find(plain @ projection) == find(plain)
    assert reasons(find(plain)).count("CONTRIBUTES") == 6


def test_an_honest_round_pays_everyone_or_passes_over_f() -> None:
    assert reasons(find(honest(7, 1), rule=Mean())) == ["CONTRIBUTES"] * 7
    counted = reasons(find(honest(7, 1)))
    assert (counted.count("CONTRIBUTES"), counted.count("NOT_SELECTED")) == (5, 2)


def test_the_later_commit_is_the_copy() -> None:
    x = honest(7, 2)
    x[4] = x[1]
    assert find(x)[4].copy_of == 1
    late = find(x, order=[4, 0, 2, 3, 5, 6, 1], rule=Mean())
    assert (late[1].reason, late[1].copy_of, late[4].reason) == ("DUPLICATE", 4, "CONTRIBUTES")


@pytest.mark.parametrize("seed", range(20))
def test_the_order_matters_where_some_order_finds_a_copy(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = honest(7, seed)
    x[2] = x[5] + (0.0, 1e-3, 1e-2)[seed % 3] * random.normal(size=K)
    x[seed % 7] = (np.nan, 0.0, 1e200, 1.0)[seed % 4]
    orders = [random.permutation(7).tolist() for _ in range(5)]
    found = {"DUPLICATE" in reasons(find(x, order=order, rounding=0.05)) for order in orders}
    assert found == {order_matters(x, 0.05)}


def test_a_chain_of_copies_leads_to_its_first() -> None:
    x = honest(8, 3)
    step = np.random.default_rng(9).normal(size=(3, K)) * 0.01
    x[2], x[4], x[6] = x[0] + step[0], x[0] + step[0] + step[1], x[0] + step.sum(axis=0)
    findings = find(x, rounding=0.2)
    assert [findings[i].copy_of for i in (2, 4, 6)] == [0, 0, 0]
    assert [findings[i].reason for i in (2, 4, 6)] == ["DUPLICATE"] * 3


def test_zero_updates_earn_nothing() -> None:
    x = honest(9, 4)
    x[1] = 0
    assert find(x)[1].reason == "OUT_OF_RANGE"
    x[5] = 0
    findings = find(x)
    assert (findings[1].reason, findings[5].reason, findings[5].copy_of) == ("OUT_OF_RANGE", "DUPLICATE", 1)


def test_what_is_no_more_than_rounding_is_nothing() -> None:
    x = honest(9, 4)
    x[7] = 1e-4 * np.random.default_rng(1).normal(size=K)
    assert find(x, rounding=1e-2)[7].reason == "OUT_OF_RANGE"


def test_a_short_update_is_an_update() -> None:
    x = honest(9, 4)
    x[7] *= 1e-4
    assert find(x)[7].weight == 1


def test_a_round_of_zeros_pays_nobody() -> None:
    findings = find(np.zeros((4, K)))
    assert reasons(findings) == ["OUT_OF_RANGE", "DUPLICATE", "DUPLICATE", "DUPLICATE"]


def test_huge_and_endless_sketches_are_out_of_range_and_hurt_nobody() -> None:
    x = honest(9, 5)
    clean = find(np.delete(x, [2, 3, 6, 7], axis=0), rule=MultiKrum(0))
    x[2], x[3], x[6], x[7] = np.nan, np.inf, 1e200, -1e200
    findings = find(x, rule=MultiKrum(2))
    assert reasons([findings[i] for i in (2, 3, 6, 7)]) == ["OUT_OF_RANGE"] * 4
    assert [findings[i] for i in (0, 1, 4, 5, 8)] == clean
    assert find(x * 1.0, norm_limit=1.0)[0].detail == "the norm is over the limit"


def test_the_assumed_f_shrinks_by_those_found() -> None:
    x = honest(9, 6)
    x[8] = x[0]
    assert reasons(find(x, rule=MultiKrum(1))).count("CONTRIBUTES") == 8
    assert reasons(find(x, rule=MultiKrum(2))).count("CONTRIBUTES") == 7
    assert reasons(find(x, rule=MultiKrum(2), already_found=1)).count("CONTRIBUTES") == 8


def test_too_few_for_f_are_selected_by_nobody_and_told_why() -> None:
    findings = find(honest(6, 7), rule=MultiKrum(2))
    assert reasons(findings) == ["NOT_SELECTED"] * 6
    assert "to withstand f = 2; there are 6" in findings[0].detail
    assert reasons(find(honest(7, 7), rule=MultiKrum(2))).count("CONTRIBUTES") == 5


def test_weights_never_pass_their_sum() -> None:
    x = honest(7, 8)
    ranked = np.argsort(MultiKrum(2).weights(x).scores)
    findings = find(x, max_weight_sum=3)
    assert {i for i in range(7) if findings[i].weight} == set(ranked[:3].tolist())
    assert findings[ranked[3]].detail == "too few have its weight to be added up"


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 3), st.sampled_from(["mean", "multi-krum"])
)
def test_who_is_which_row_does_not_matter(seed: int, count: int, f: int, name: str) -> None:
    random = np.random.default_rng(1000 + seed)
    x = honest(count, seed, size=24)
    for row in range(count):  # every kind of miner, and exact ties
        kind = random.integers(7)
        if kind == 0:
            x[row] = x[random.integers(count)]
        elif kind == 1:
            x[row] *= -5
        elif kind == 2:
            x[row] = 0
        elif kind == 3:
            x[row] *= 1e4
    order = random.permutation(count)
    places = random.permutation(count)  # row i becomes row places[i]
    moved = np.empty_like(x)
    moved[places] = x
    rule = make_rule(name, {}, f)
    plain = find(x, order=order.tolist(), rule=rule, max_weight_sum=8)
    permuted = find(moved, order=places[order].tolist(), rule=rule, max_weight_sum=8)
    for row in range(count):
        before, after = plain[row], permuted[places[row]]
        assert (before.weight, before.reason) == (after.weight, after.reason)
        assert after.copy_of == (None if before.copy_of is None else places[before.copy_of])
    assert sum(finding.weight for finding in plain) <= 8
    assert all((finding.weight > 0) == (finding.reason == "CONTRIBUTES") for finding in plain)


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [0, 1, 3], [0, 1, 2, 2]])
def test_an_order_that_is_no_permutation_is_refused(order: list[int]) -> None:
    with pytest.raises(VectorError, match="each of the 3 rows once"):
        find(honest(3, 1), order=order)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_limits_that_mean_nothing_are_refused(limit: float) -> None:
    with pytest.raises(VectorError, match="norm_limit"):
        find(honest(3, 1), norm_limit=limit)


def test_no_sketches_no_findings() -> None:
    assert find(np.zeros((0, K))) == []
