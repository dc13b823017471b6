"""Robust rules that act by weights: vectors in, one small integer weight for each out.

The aggregate is sum_i w_i x_i / sum_i w_i. Weights are all that an encrypted aggregate can carry out, and
all of them come from distances, so a rule sees sketches (n, k) or plain updates (n, d) alike.

Pre-aggregations fit the same frame. One that replaces the vectors by integer mixtures M x
(nearest-neighbour mixing, Allouah et al., https://arxiv.org/abs/2302.01772: row i of M marks the n - f
nearest to x_i; bucketing, Karimireddy et al., https://arxiv.org/abs/2006.09365: a row marks a bucket)
gives, with weights v of the rule applied to M x, the weights M^T v. Clipping and geometric median by
Weiszfeld's steps scale each vector by a factor, rounded to an integer. Each is a Rule that holds another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from quorumlearn.robust.errors import RuleError, TooFewVectors, VectorError
from quorumlearn.robust.geometry import Vectors, halving_sum, squared_distances

RULES = ("mean", "multi-krum")


@dataclass(frozen=True, eq=False)
class Weights:
    """What a rule says of n vectors: `values` int64 (n,), not negative; `scores` float64 (n,), in squared
    units of the vectors, the lower the more central."""

    values: NDArray[np.int64]
    scores: NDArray[np.float64]


class Rule(Protocol):
    """A robust rule. The same vectors in another order give the same weights in that order, but for ties,
    which go to the earlier row."""

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
        return Weights(np.ones(len(vectors), dtype=np.int64), np.zeros(len(vectors)))

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
    """

    byzantine: int
    selected: int | None = None

    def __post_init__(self) -> None:
        if self.byzantine < 0:
            raise RuleError(f"byzantine = {self.byzantine}; the number of Byzantine vectors is at least 0")
        if self.selected is not None and self.selected < 1:
            raise RuleError(f"selected = {self.selected}; at least 1 vector must be selected")

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
        values = np.zeros(count, dtype=np.int64)
        values[np.argsort(scores, kind="stable")[:most]] = 1
        return Weights(values, scores)

    def for_remaining(self, count: int, excluded: int) -> Self:
        """f less those found already, and at most what n > 2f + 2 allows of the `count` left: f' = min(f -
        excluded, floor((count - 3) / 2)), at least 0. With f' below f - excluded fewer Byzantine vectors
        are withstood than the task assumed; the other choice would be to drop a round because miners stayed
        away."""
        left = max(0, self.byzantine - excluded)
        return replace(self, byzantine=min(left, largest_byzantine(count)))


def largest_byzantine(count: int) -> int:
    """The largest f that multi-Krum withstands among `count` vectors, n > 2f + 2; 0 if there is none."""
    return max(0, (count - 3) // 2)


def make_rule(name: str, parameters: Mapping[str, str], byzantine: int) -> Rule:
    """The rule of a task. RuleError for an unknown name, a parameter it has not, or a value it refuses.

    `mean` has no parameters; `multi-krum` has `selected`, m, a whole number of at least 1 (default n - f).
    """
    known = {"mean": (), "multi-krum": ("selected",)}.get(name)
    if known is None:
        raise RuleError(f"no robust rule {name!r}; there are {', '.join(RULES)}")
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise RuleError(f"{name} has no parameter {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    if name == "mean":
        return Mean()
    return MultiKrum(
        byzantine, _whole("selected", parameters["selected"]) if "selected" in parameters else None
    )


def checked(vectors: Vectors) -> Vectors:
    """`vectors` if they are finite float64 (n, k) with n >= 1; VectorError if not."""
    if vectors.ndim != 2 or len(vectors) == 0 or vectors.dtype != np.float64:
        raise VectorError(
            f"{vectors.dtype} of shape {vectors.shape}; a rule takes float64 of shape (n, k), n >= 1"
        )
    if not np.isfinite(vectors).all():
        raise VectorError("a vector is not finite; `select` leaves such vectors out")
    return vectors


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        raise RuleError(f"{name} = {text!r}; it must be a whole number")
    return int(text)
