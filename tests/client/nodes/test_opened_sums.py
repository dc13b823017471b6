"""An opened sum is a sum of many: what nodes select the contracts' check lets pass, and what is opened tells no two updates apart."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from quorumlearn.nodes import screening
from quorumlearn.robust import RULES, GeometricMedian, Levels, make_rule, select, whole_weights
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.contribution import after_sums, divided
from quorumlearn_proto.derived import (
    WEIGHT_A_MINER,
    least_aggregate,
    sum_fault,
    weighed_alike,
    weights_of,
)
from quorumlearn_proto.rules import least_miners

Values = NDArray[np.int64]
K = 32
ANY_RULE = st.sampled_from([*RULES, "nnm+multi-krum", "bucketing+geometric-median", "nnm+agreement"])


def task(rule: str, f: int, miners: int) -> t.TaskSpec:
    return t.TaskSpec(
        task_id="t",
        byzantine=f,
        min_miners=miners,
        max_miners=miners,
        rule=t.RobustRule(name=rule),
        ckks=t.CkksParameters(
            update_size=100, bound_steps=1 << 14, step_bits=14, max_weight_sum=WEIGHT_A_MINER * miners
        ),
    )


def voted(
    spec: t.TaskSpec, sketches: Mapping[str, NDArray[np.float64] | int], known: list[list[str]]
) -> b.Selection:
    """What a seat votes when these are the sketches of the round's miners; a number is the reason why there is none."""
    now = b.Round(task_id="t", number=1, miners=sorted(sketches), beacon="be" * 32)
    came = {miner: b.Submission(miner=miner, manifest=b.Manifest(sample_count=1)) for miner in sketches}
    root = np.random.default_rng(9).normal(size=K)
    return screening.select(spec, now, came, sketches, lambda _: (1, 0), root, groups=known)


@settings(deadline=None, max_examples=150)
@given(
    ANY_RULE,
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.booleans(),
)
def test_every_selection_of_a_node_passes_the_contracts_and_isolates_nobody(
    rule: str, f: int, more: int, seed: int, rounds: int, grouped: bool
) -> None:
    """Of several rounds on one base, with random distances and miners who now and then fail, stay away or are new; with one sum a round
    or, where pay is by contribution, one for each group."""
    miners = least_miners(task(rule, f, 1)) + more
    spec, random = task(rule, f, miners), np.random.default_rng(seed)
    spec.reward.by_contribution = grouped
    least = least_aggregate(spec)
    known: list[list[str]] = []
    for _ in range(rounds):
        centre, away = random.normal(size=K), random.exponential(size=miners + 2)
        sketches: dict[str, NDArray[np.float64] | int] = {
            f"M/{i:02d}": centre + away[i] * random.normal(size=K) if random.integers(9) else b.MALFORMED
            for i in random.permutation(miners + 2)[:miners]
        }
        weights = weights_of(voted(spec, sketches, known).verdicts)
        assert sum_fault(spec, miners, known, weights) == ""
        assert sum(weights.values()) <= WEIGHT_A_MINER * miners
        groups = divided(spec, random.bytes(32).hex(), known, weights)
        sums = [
            {miner: weights[miner] for miner, one in groups.items() if one == group}
            for group in set(groups.values())
        ] or [weights]
        assert all(sum_fault(spec, miners, known, one) == "" for one in sums)
        known = after_sums(known, sums)
    # Any combination of the sums shows whole groups: of which f may be colluders, never less than two others
    assert all(len(group) - f >= least - f >= 2 for group in known)


def trained(count: int, size: int, seed: int) -> Values:
    """Updates (count, size) in grid steps, spread as those of one training: 2^-14 of a bound of 1, deviation 0.004."""
    spread = np.random.default_rng(seed).normal(scale=0.004, size=(count, size))
    return np.rint(np.ldexp(spread, 14)).astype(np.int64)


def read(rest: Values, first: int, second: int) -> tuple[Values, Values]:
    """The shortest whole x, y with first x + second y = rest, by coordinate: what a knapsack of two is solved to."""
    common = math.gcd(first, second)
    a, c = first // common, second // common
    x = (rest // common) * pow(a, -1, c) % c if c > 1 else np.zeros_like(rest)
    turns = np.arange(-400, 401)
    xs = x[:, None] + c * turns
    ys = (rest[:, None] // common - a * xs) // c
    best = np.argmin(xs.astype(np.float64) ** 2 + ys.astype(np.float64) ** 2, axis=1)
    rows = np.arange(len(rest))
    return xs[rows, best], ys[rows, best]


def test_owner_and_one_miner_read_two_honest_updates_of_unlike_weights_and_nothing_of_a_level() -> None:
    """The play: f + 2 updates by the geometric median, the accomplice's own taken out. Before, sums of weights had room for 65,536."""
    updates = trained(3, 2000, 5)
    weights = GeometricMedian().weights(np.ldexp(updates.astype(np.float64), -14))
    before = whole_weights(weights.values, weights.scores, 65_536)
    assert len(set(before[:2].tolist())) == 2
    x, y = read(before[:2] @ updates[:2], *before[:2].tolist())
    assert (x == updates[0]).mean() > 0.9 < (y == updates[1]).mean()

    found = select(
        np.ldexp(updates.astype(np.float64), -14),
        commit_order=range(3),
        rule=make_rule("geometric-median", {}, 1),
        norm_limit=1e3,
        max_weight_sum=WEIGHT_A_MINER * 3,
        levels=Levels(3),
    )
    assert [one.weight for one in found] == [1, 1, 1]
    x, y = read(updates[0] + updates[1], 1, 1)
    assert (
        x == updates[0]
    ).mean() < 0.02  # as often as the two happen to be equal: changed about they give the same sum


def test_a_sum_and_the_next_without_one_of_its_miners_are_not_both_opened() -> None:
    """A block is voted down, one miner stays away, the base is the same: the difference would be that miner's update."""
    spec = task("mean", 0, 4)
    everybody = {f"M/{i}": np.random.default_rng(i).normal(size=K) for i in range(4)}
    first = weights_of(voted(spec, everybody, []).verdicts)
    assert len(first) == 4
    known = weighed_alike([], first)
    without = dict(list(everybody.items())[1:])
    naive = weights_of(voted(spec, without, []).verdicts)
    assert "only 1 miners are weighed like M/0" in sum_fault(spec, 4, known, naive)
    second = weights_of(voted(spec, without, known).verdicts)
    assert len(second) == 2
    assert sum_fault(spec, 4, known, second) == ""
    again = weights_of(voted(spec, everybody, known).verdicts)
    assert again == first


def test_equal_contributors_are_weighed_equally_again_or_the_two_sums_are_a_knapsack() -> None:
    spec = task("mean", 0, 4)
    known = weighed_alike([], dict.fromkeys("abcd", 1))
    assert sum_fault(spec, 4, known, dict.fromkeys("abcd", 1)) == ""
    assert sum_fault(spec, 4, known, dict.fromkeys("abcd", 2)) == ""  # a multiple says nothing new
    assert sum_fault(spec, 4, known, {"a": 2, "b": 2, "c": 1, "d": 1}) == ""
    assert "weighed like a" in sum_fault(spec, 4, known, {"a": 2, "b": 1, "c": 1, "d": 1})
    split = weighed_alike(known, {"a": 2, "b": 2, "c": 1, "d": 1})
    assert split == [["a", "b"], ["c", "d"]]
    assert "weighed like a" in sum_fault(spec, 4, split, {"a": 2, "b": 1, "c": 2, "d": 1})
    assert sum_fault(spec, 4, split, {}) == ""


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"a": 3, "b": 3}, "only 2 miners are weighed like a"),
        ({"a": 3, "b": 3, "c": 3, "d": 1}, "only 1 miners are weighed like d"),
        ({"a": 11, "b": 11, "c": 11}, "add up to 33: at most 32"),
    ],
)
def test_a_sum_of_few_or_of_much_weight_is_refused(weights: dict[str, int], says: str) -> None:
    assert says in sum_fault(task("agreement", 1, 4), 4, [], weights)
