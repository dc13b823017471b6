"""A robust rule and an attack of one's own.

`medoid` weighs the n - f vectors that are nearest to the medoid, the vector with the least sum of distances to all. It needs no
coordinates: distances will do, and sketches keep those. Kaufman and Rousseeuw, "Clustering by means of medoids", 1987.

`mirror` submits its own update turned round and stretched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from quorumlearn.attacks import BehaviourDefinition, Sight
from quorumlearn.robust import RuleDefinition, TooFewVectors, Weights, squared_distances


@dataclass(frozen=True)
class Medoid:
    """`byzantine` is f; n must be over 2 f."""

    byzantine: int

    def weights(self, vectors: NDArray[np.float64]) -> Weights:
        count = len(vectors)
        if count <= 2 * self.byzantine:
            raise TooFewVectors(
                f"medoid needs over {2 * self.byzantine} vectors to withstand f = {self.byzantine}; there are {count}"
            )
        distances = np.sqrt(squared_distances(vectors))
        away = distances[int(np.argmin(distances.sum(axis=1)))]
        values = np.zeros(count)
        values[np.argsort(away, kind="stable")[: count - self.byzantine]] = 1.0
        return Weights(values, away**2)

    def for_remaining(self, count: int, excluded: int) -> Self:
        return replace(self, byzantine=max(0, self.byzantine - excluded))


def _medoid(parameters: Mapping[str, str], byzantine: int) -> Medoid:
    return Medoid(byzantine)


def _mirrored(sight: Sight, factor: float) -> NDArray[np.float64]:
    return -factor * sight.trained


medoid = RuleDefinition(version="1", make=_medoid, equal=True)
mirror = BehaviourDefinition("its own update, turned round and three times as long", _mirrored, strength=3.0)
