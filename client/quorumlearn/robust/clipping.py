"""Rules that scale long or far vectors down. None needs f; the last two tolerate f < n / 2.

Each starts from what the vectors themselves say is usual (lower medians), so none has a length to be tuned,
although a task may set one. An encrypted aggregate is divided by the sum of its weights, so a rule
whose factors do not add up to n gives the published rule's direction, with a length between those of its
vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from quorumlearn.robust.errors import RuleError
from quorumlearn.robust.geometry import (
    Vectors,
    centrality,
    combine,
    distances_to,
    halving_sum,
    lower_median,
    squared_distances,
    squared_norms,
)
from quorumlearn.robust.rules import Weights, above_zero, at_least_one, checked

SETTLED = 1e-12  # changes, in parts of the whole, that are rounding
_NOTHING = 1e-200  # keeps a division by a distance finite where all vectors are zero


@dataclass(frozen=True)
class NormClipping:
    """Every vector, cut to a length of at most c.

        w_i = min(1, c / |x_i|)

    Sun et al., "Can You Really Backdoor Federated Learning?", https://arxiv.org/abs/1911.07963. `clip` is c, in
    the vectors' units, by default the lower median of the norms. It bounds what one vector does, not where it
    points. Scores are `centrality`.
    """

    clip: float | None = None

    def __post_init__(self) -> None:
        above_zero("clip", self.clip)

    def weights(self, vectors: Vectors) -> Weights:
        norms = np.sqrt(squared_norms(checked(vectors)))
        limit = lower_median(norms) if self.clip is None else self.clip
        return Weights(shrink(norms, limit), centrality(squared_distances(vectors)))

    def for_remaining(self, count: int, excluded: int) -> Self:
        """Nothing here depends on f."""
        return self


@dataclass(frozen=True)
class CentredClipping:
    """What is far from the centre is moved towards it, and the centre with it, a few times.

        v <- v + (1 / n) sum_i (x_i - v) min(1, r / |x_i - v|)

    Karimireddy et al., "Learning from History for Byzantine Robust Optimization",
    https://arxiv.org/abs/2012.10333. v is always a combination of the vectors that adds up to 1, so weights
    express it exactly. The paper starts from the last round's aggregate; here v starts from the mean of the
    majority nearest to the most central vector. `radius` is r, in the vectors' units, by default the lower
    median of |x_i - v| in each step; `steps` is at least 1. Scores are `centrality`.
    """

    radius: float | None = None
    steps: int = 10

    def __post_init__(self) -> None:
        above_zero("radius", self.radius)
        at_least_one("steps", self.steps)

    def weights(self, vectors: Vectors) -> Weights:
        squared = squared_distances(checked(vectors))
        count = len(vectors)
        values = majority(squared)
        for _ in range(self.steps):
            away = distances_to(vectors, combine(values, vectors))
            factors = shrink(away, lower_median(away) if self.radius is None else self.radius) / count
            values = factors + (1.0 - float(halving_sum(factors))) * values
        return Weights(values, centrality(squared))

    def for_remaining(self, count: int, excluded: int) -> Self:
        """Nothing here depends on f."""
        return self


@dataclass(frozen=True)
class GeometricMedian:
    """The point with the least sum of distances to the vectors, by Weiszfeld's steps.

        w_i = 1 / max(nu, |x_i - z|),  z <- sum_i w_i x_i / sum_i w_i

    Pillutla et al., "Robust Aggregation for Federated Learning", https://arxiv.org/abs/1912.13445 (smoothed
    Weiszfeld). nu is `smoothing` times the median distance from the start, which is the mean of the majority
    nearest to the most central vector; at most `steps` steps. Scores are `centrality`.
    """

    smoothing: float = 1e-3
    steps: int = 64

    def __post_init__(self) -> None:
        above_zero("smoothing", self.smoothing)
        if self.smoothing > 1:
            raise RuleError(f"smoothing = {self.smoothing}; it is at most 1")
        at_least_one("steps", self.steps)

    def weights(self, vectors: Vectors) -> Weights:
        squared = squared_distances(checked(vectors))
        values = majority(squared)
        start = distances_to(vectors, combine(values, vectors))
        largest = float(np.sqrt(squared_norms(vectors).max()))
        least = max(self.smoothing * lower_median(start), SETTLED * largest, _NOTHING)
        for _ in range(self.steps):
            away = distances_to(vectors, combine(values, vectors))
            inverse = 1.0 / np.maximum(away, least)
            after = inverse / float(halving_sum(inverse))
            moved = float(np.abs(after - values).max())
            values = after
            if moved <= SETTLED:
                break
        return Weights(values, centrality(squared))

    def for_remaining(self, count: int, excluded: int) -> Self:
        """Nothing here depends on f."""
        return self


def majority(squared: Vectors) -> Vectors:
    """Equal coefficients, adding up to 1, of the most central vector and its floor(n / 2) nearest."""
    count = len(squared)
    centre = int(np.argmin(centrality(squared)))
    values = np.zeros(count)
    values[np.argsort(squared[centre], kind="stable")[: count // 2 + 1]] = 1.0 / (count // 2 + 1)
    return values


def shrink(lengths: Vectors, limit: float) -> Vectors:
    """min(1, limit / length); 1 for what has no length."""
    factors: Vectors = np.minimum(1.0, limit / np.where(lengths > 0, lengths, 1.0))
    return np.where(lengths > 0, factors, 1.0)
