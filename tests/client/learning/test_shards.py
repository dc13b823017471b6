"""Every division is a partition, repeats for its seed, and is what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.learning import ShardError, ShardSpec, dirichlet, iid, one_class

seeds = st.integers(0, 2**62)
counts = st.integers(1, 25)


@st.composite
def labelled(draw: st.DrawFn) -> np.ndarray:
    size, classes = draw(st.integers(25, 300)), draw(st.integers(1, 10))
    return np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, classes, size).astype(np.int64)


def assert_partition(shards: list[np.ndarray], size: int, count: int) -> None:
    assert len(shards) == count
    assert all(len(shard) > 0 and (np.diff(shard) > 0).all() for shard in shards)
    assert np.array_equal(np.sort(np.concatenate(shards)), np.arange(size))


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@settings(deadline=None)
@given(labelled(), counts, seeds)
def test_iid_is_an_even_partition(labels: np.ndarray, count: int, seed: int) -> None:
    shards = iid(labels, count, seed)
    assert_partition(shards, len(labels), count)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    assert same(shards, iid(labels, count, seed))


@settings(deadline=None)
@given(labelled(), counts, st.floats(1e-6, 1e6), seeds)
def test_dirichlet_is_a_partition(labels: np.ndarray, count: int, alpha: float, seed: int) -> None:
    shards = dirichlet(labels, count, alpha, seed)
    assert_partition(shards, len(labels), count)
    assert same(shards, dirichlet(labels, count, alpha, seed))


@settings(deadline=None)
@given(labelled(), counts, seeds)
def test_one_class_is_a_partition(labels: np.ndarray, count: int, seed: int) -> None:
    assert_partition(one_class(labels, count, seed), len(labels), count)


def test_one_class_shards_hold_one_class() -> None:
    labels = np.arange(600, dtype=np.int64) % 10
    for count in (10, 12, 25):
        shards = one_class(labels, count, 1)
        assert [np.unique(labels[shard]).tolist() for shard in shards] == [[i % 10] for i in range(count)]
    assert max(len(np.unique(labels[shard])) for shard in one_class(labels, 6, 1)) == 2


def test_a_small_alpha_gives_few_classes_and_a_large_one_all() -> None:
    labels = np.arange(6000, dtype=np.int64) % 10

    def largest_class(alpha: float) -> float:
        shards = dirichlet(labels, 8, alpha, 3)
        return float(np.mean([np.bincount(labels[shard]).max() / len(shard) for shard in shards]))

    assert largest_class(0.05) > 0.5 > 0.35 > largest_class(1.0) > 0.2 > 0.11 > largest_class(1000.0)


def test_other_seeds_give_other_shards() -> None:
    labels = np.arange(100, dtype=np.int64) % 10
    assert not same(iid(labels, 4, 1), iid(labels, 4, 2))
    assert not same(dirichlet(labels, 4, 1.0, 1), dirichlet(labels, 4, 1.0, 2))


@pytest.mark.parametrize("count", [0, -1, 6])
def test_shards_that_would_be_empty_are_refused(count: int) -> None:
    labels = np.zeros(5, dtype=np.int64)
    for divide in (iid, one_class, lambda x, n, seed: dirichlet(x, n, 1.0, seed)):
        with pytest.raises(ShardError, match=f"5 samples cannot be divided into {count}"):
            divide(labels, count, 1)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_an_alpha_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(ShardError, match="alpha"):
        dirichlet(np.zeros(5, dtype=np.int64), 2, alpha, 1)
    with pytest.raises(ShardError, match="alpha"):
        ShardSpec("dirichlet", 2, 0, alpha)


specs = st.builds(
    lambda scheme, count, part, alpha, seed: ShardSpec(
        scheme, count, int(part * (count - 1)), alpha if scheme == "dirichlet" else None, seed
    ),
    st.sampled_from(["iid", "dirichlet", "one_class"]),
    st.integers(1, 25),
    st.floats(0, 1),
    st.floats(1e-6, 1e6),
    st.integers(0, 10**18 - 1),
)


@settings(deadline=None)
@given(specs)
def test_the_text_of_a_shard_leads_back_to_it(spec: ShardSpec) -> None:
    assert ShardSpec.parse(str(spec)) == spec


@settings(deadline=None)
@given(specs, labelled())
def test_the_shards_of_one_division_fit_together(spec: ShardSpec, labels: np.ndarray) -> None:
    parts = [
        ShardSpec(spec.scheme, spec.count, i, spec.alpha, spec.seed).indices(labels)
        for i in range(spec.count)
    ]
    assert_partition(parts, len(labels), spec.count)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no shard"),
        ("iid", "names no shard"),
        ("iid:0/6 ", "names no shard"),
        ("iid:-1/6", "names no shard"),
        ("iid:0/6@x", "names no shard"),
        ("iid:٠/6", "names no shard"),
        ("iid:6/6", "shard 6 of 6"),
        ("iid:0/0", "shard 0 of 0"),
        ("sorted:0/6", "no scheme 'sorted'"),
        ("iid:0.5:0/6", "takes no alpha"),
        ("dirichlet:0/6", "needs an alpha"),
        ("dirichlet:0:0/6", "alpha"),
        ("dirichlet:1e999:0/6", "alpha"),
        ("dirichlet:1-1:0/6", "not a number"),
    ],
)
def test_text_that_names_no_shard_is_refused(text: str, says: str) -> None:
    with pytest.raises(ShardError, match=says):
        ShardSpec.parse(text)
