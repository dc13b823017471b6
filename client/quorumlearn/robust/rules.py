"""Robust rules that act by weights: vectors in, one weight for each out.

The aggregate is sum_i w_i x_i / sum_i w_i. Weights are all that an encrypted aggregate can carry out, and
all of them come from norms, products and distances, so a rule sees sketches (n, k) or plain updates (n, d)
alike: the plain twin of a rule is the rule itself, given plain updates.

This module has what every rule keeps to, the mean, and the rules that choose some vectors and weigh those
equally. `clipping` has the rules that scale vectors down, `trust`, `clustering` and `agreement` those that judge directions,
`mixing` the pre-aggregations that come before any rule, `rounding` how weights become integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from quorumlearn.robust.errors import RuleError, TooFewVectors, VectorError
from quorumlearn.robust.geometry import (
    Vectors,
    centrality,
    combine,
    halving_sum,
    products,
    squared_distances,
    squared_norms,
)


@dataclass(frozen=True, eq=False)
class Weights:
    """What a rule says of n vectors: `values` float64 (n,), not negative, and only their ratios matter for
    the aggregate; `scores` float64 (n,), the lower the more central, in squared units of the vectors."""

    values: NDArray[np.float64]
    scores: NDArray[np.float64]


class Rule(Protocol):
    """A robust rule. The same vectors in another order give the same weights in that order, but for ties,
    which go to the earlier row, and for rounding in the last bits."""

    def weights(self, vectors: Vectors) -> Weights:
        """Weights of the rows of (n, k), all finite, n >= 1. TooFewVectors if the rule says nothing of so
        few."""
        ...

    def for_remaining(self, count: int, excluded: int) -> Rule:
        """The rule for `count` vectors that are left after `excluded` Byzantine ones were found by other
        means."""
        ...


@dataclass(frozen=True)
class Mean:
    """Every vector with weight 1: federated averaging (McMahan et al., https://arxiv.org/abs/1602.05629).

    Tolerates no Byzantine vector. All scores are 0.
    """

    def weights(self, vectors: Vectors) -> Weights:
        checked(vectors)
        return Weights(np.ones(len(vectors)), np.zeros(len(vectors)))

    def for_remaining(self, count: int, excluded: int) -> Self:
        """The mean needs no assumption, so it stays as it is."""
        return self


@dataclass(frozen=True)
class MultiKrum:
    """Weight 1 for the m vectors with the lowest scores, 0 for the others.

        score(i) = mean of the n - f - 1 smallest |x_i - x_j|^2, j != i

    Blanchard et al., "Machine learning with adversaries: Byzantine tolerant gradient descent", NeurIPS
    2017. The neighbours are n - f - 1, all honest ones but oneself, as in ByzFL; the paper takes one fewer.
    The guarantee needs n > 2f + 2. `byzantine` is f; `selected` is m, at most and by default n - f.

    Scores of sketches are estimates, so the line between the m-th and the next is drawn a place up or down. With a `margin` only
    those are kept whose score is below that of the first left out by this part of it, but at least the lower half of the m:
    whoever whole updates would leave out is then left out by sketches too (docs/cost.md measures it, and what it costs the honest).
    """

    byzantine: int
    selected: int | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        not_negative("byzantine", self.byzantine)
        at_least_one("selected", self.selected)
        if not 0 <= self.margin < 1:
            raise RuleError(f"margin = {self.margin}; it must be from 0 and below 1")

    def weights(self, vectors: Vectors) -> Weights:
        checked(vectors)
        count, f = len(vectors), self.byzantine
        if f > largest_byzantine(count):
            raise TooFewVectors(
                f"multi-Krum needs over {2 * f + 2} vectors (2f + 2) to withstand f = {f}; there are {count}"
            )
        neighbours = count - f - 1
        nearest = np.sort(squared_distances(vectors), axis=1)[:, 1 : 1 + neighbours]
        scores = halving_sum(nearest) / max(1, neighbours)
        most = count - f if self.selected is None else min(self.selected, count - f)
        return Weights(lowest(scores, self._clear(scores, most)), scores)

    def _clear(self, scores: NDArray[np.float64], most: int) -> int:
        """How many of the `most` lowest scores are kept: those clear of the first left out, at least half."""
        if self.margin == 0 or most == len(scores):
            return most
        line = (1 - self.margin) * np.sort(scores)[most]
        return max(-(-most // 2), min(most, int((scores < line).sum())))

    def for_remaining(self, count: int, excluded: int) -> Self:
        """f less those found already, and no less: too few vectors for it are weighed by nobody."""
        return replace(self, byzantine=max(0, self.byzantine - excluded))


@dataclass(frozen=True)
class LNearest:
    """Weight 1 for the l vectors nearest to the sum of all by cosine, 0 for the others.

        d_i = 1 - cos(x_i, sum_j x_j)

    LearningChain: Chen et al., "When Machine Learning Meets Blockchain: A Decentralized, Privacy-preserving
    and Secure Design", IEEE Big Data 2018. As published it does not ask how long a vector is, and one long
    vector turns the sum: `norm_limit` of the selection, or norm clipping in its place, bounds that.
    `byzantine` is f; `nearest` is l, at most and by default n - f. Scores are `centrality`, since a cosine cannot tell
    who is far.
    """

    byzantine: int
    nearest: int | None = None

    def __post_init__(self) -> None:
        not_negative("byzantine", self.byzantine)
        at_least_one("nearest", self.nearest)

    def weights(self, vectors: Vectors) -> Weights:
        checked(vectors)
        count = len(vectors)
        most = max(1, count - self.byzantine)
        if self.nearest is not None:
            most = min(self.nearest, most)
        total = combine(np.ones(count), vectors)
        lengths = np.sqrt(squared_norms(vectors)) * float(np.sqrt(halving_sum(total * total)))
        away = 1.0 - products(vectors, total) / np.where(lengths > 0, lengths, 1.0)
        return Weights(lowest(away, most), centrality(squared_distances(vectors)))

    def for_remaining(self, count: int, excluded: int) -> Self:
        """f less those found already; at least one vector is always chosen."""
        return replace(self, byzantine=min(max(0, self.byzantine - excluded), max(0, count - 1)))


def largest_byzantine(count: int) -> int:
    """The largest f that multi-Krum withstands among `count` vectors, n > 2f + 2; 0 if there is none."""
    return max(0, (count - 3) // 2)


def lowest(scores: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """1 for the `most` lowest scores, ties to the earlier row, 0 for the others."""
    values = np.zeros(len(scores))
    values[np.argsort(scores, kind="stable")[:most]] = 1.0
    return values


def checked(vectors: Vectors) -> Vectors:
    """`vectors` if they are finite float64 (n, k) with n >= 1; VectorError if not."""
    if vectors.ndim != 2 or len(vectors) == 0 or vectors.dtype != np.float64:
        raise VectorError(
            f"{vectors.dtype} of shape {vectors.shape}; a rule takes float64 of shape (n, k), n >= 1"
        )
    if not np.isfinite(vectors).all():
        raise VectorError("a vector is not finite; `select` leaves such vectors out")
    return vectors


def not_negative(name: str, value: int) -> None:
    """RuleError unless `value` counts something."""
    if value < 0:
        raise RuleError(f"{name} = {value}; it is at least 0")


def at_least_one(name: str, value: int | None) -> None:
    """RuleError unless `value` is left out or at least 1."""
    if value is not None and value < 1:
        raise RuleError(f"{name} = {value}; it is at least 1")


def above_zero(name: str, value: float | None) -> None:
    """RuleError unless `value` is left out or a finite number above 0."""
    if value is not None and not 0 < value < float("inf"):
        raise RuleError(f"{name} = {value}; it must be a number above 0")
