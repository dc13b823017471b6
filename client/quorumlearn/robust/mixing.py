"""Pre-aggregations: vectors are averaged with others before a rule looks at them.

A mixture is a matrix M (m, n) with rows that add up to 1. The rule inside weighs M x; with its weights v
the vectors themselves weigh M^T v, so a mixture composes with any rule, also with another mixture.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from quorumlearn.robust.geometry import Vectors, centrality, combine, halving_sum, squared_distances
from quorumlearn.robust.rules import Rule, Weights, at_least_one, checked, not_negative


class Mixture(Protocol):
    """How vectors are averaged with one another."""

    def matrix(self, vectors: Vectors) -> Vectors:
        """M, (m, n), of the rows of (n, k)."""
        ...

    def for_remaining(self, count: int, excluded: int) -> Mixture:
        """As `Rule.for_remaining`."""
        ...


@dataclass(frozen=True)
class NearestNeighbours:
    """Each vector becomes the mean of the n - f nearest to it, itself included.

    Allouah et al., "Fixing by Mixing", https://arxiv.org/abs/2302.01772: with it multi-Krum, the geometric median
    and others reach the best possible robustness when honest vectors differ. `byzantine` is f, below n / 2.
    """

    byzantine: int

    def __post_init__(self) -> None:
        not_negative("byzantine", self.byzantine)

    def matrix(self, vectors: Vectors) -> Vectors:
        count = len(vectors)
        nearest = count - min(self.byzantine, (count - 1) // 2)
        order = np.argsort(squared_distances(vectors), axis=1, kind="stable")[:, :nearest]
        mixture = np.zeros((count, count))
        np.put_along_axis(mixture, order, 1.0 / nearest, axis=1)
        return mixture

    def for_remaining(self, count: int, excluded: int) -> Self:
        """f less those found already."""
        return replace(self, byzantine=max(0, self.byzantine - excluded))


@dataclass(frozen=True)
class Bucketing:
    """The vectors, shuffled, are averaged in buckets of `bucket_size`; the last may be smaller.

    Karimireddy et al., "Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing",
    https://arxiv.org/abs/2006.09365. The order is that of the vectors' own SHA-256: sketches depend on the
    round's beacon, so no miner knows its bucket when it commits, and every verifier finds the same. f Byzantine
    vectors may spoil f buckets.
    """

    bucket_size: int = 2

    def __post_init__(self) -> None:
        at_least_one("bucket_size", self.bucket_size)

    def matrix(self, vectors: Vectors) -> Vectors:
        count = len(vectors)
        names = [hashlib.sha256(row.astype("<f8").tobytes()).digest() for row in vectors]
        order = sorted(range(count), key=lambda row: names[row])
        buckets = [order[at : at + self.bucket_size] for at in range(0, count, self.bucket_size)]
        mixture = np.zeros((len(buckets), count))
        for number, bucket in enumerate(buckets):
            mixture[number, bucket] = 1.0 / len(bucket)
        return mixture

    def for_remaining(self, count: int, excluded: int) -> Self:
        """Buckets stay as they are; the rule inside is told how many there will be."""
        return self


@dataclass(frozen=True)
class Mixed:
    """A rule on mixtures: M^T v, with v what `rule` says of M x. Scores are `centrality` of the vectors."""

    mixture: Mixture
    rule: Rule

    def weights(self, vectors: Vectors) -> Weights:
        matrix = self.mixture.matrix(checked(vectors))
        mixed = np.stack([combine(row, vectors) for row in matrix])
        inner = self.rule.for_remaining(len(mixed), 0).weights(mixed)
        values = halving_sum(np.ascontiguousarray((inner.values[:, None] * matrix).T))
        return Weights(values, centrality(squared_distances(vectors)))

    def for_remaining(self, count: int, excluded: int) -> Mixed:
        """Both parts for what is left; how many mixtures there are the rule learns when it weighs them."""
        return Mixed(self.mixture.for_remaining(count, excluded), self.rule.for_remaining(count, excluded))
