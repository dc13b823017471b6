"""Trust scores against a root update, which the committee trains itself on a little clean data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from quorumlearn.robust.errors import RuleError, VectorError
from quorumlearn.robust.geometry import (
    Vectors,
    centrality,
    halving_sum,
    products,
    squared_distances,
    squared_norms,
)
from quorumlearn.robust.rules import Weights, checked


@dataclass(frozen=True, eq=False)
class TrustScores:
    """Who points where the root update points is trusted; everyone is cut or stretched to the same length.

        w_i = max(0, cos(x_i, root)) |root| / |x_i|

    FLTrust: Cao et al., https://arxiv.org/abs/2012.13995. FLTrust divides by the sum of the cosines; an
    encrypted aggregate is divided by the sum of its weights, which gives the same direction and a length of the
    vectors' own. Needs no f, and holds even against a majority, as long as the root update is clean. `root` is
    the root update in the vectors' own form, (k,): the sketch of it where sketches are weighed. Scores are
    `centrality`. When nobody is trusted all weights are 0.
    """

    root: Vectors = field(repr=False)

    def __post_init__(self) -> None:
        if self.root.ndim != 1 or self.root.dtype != np.float64 or not np.isfinite(self.root).all():
            raise RuleError(
                f"the root update is {self.root.dtype} of shape {self.root.shape}; a finite float64 (k,) is wanted"
            )
        if not self.root.any():
            raise RuleError("the root update is zero, so nothing points where it points")

    def weights(self, vectors: Vectors) -> Weights:
        checked(vectors)
        if vectors.shape[1:] != self.root.shape:
            raise VectorError(f"vectors of {vectors.shape[1]} numbers, a root update of {len(self.root)}")
        length = float(np.sqrt(halving_sum(self.root * self.root)))
        norms = np.sqrt(squared_norms(vectors))
        safe = np.where(norms > 0, norms, 1.0)
        cosines = products(vectors, self.root) / (safe * length)
        return Weights(np.maximum(0.0, cosines) * (length / safe), centrality(squared_distances(vectors)))

    def for_remaining(self, count: int, excluded: int) -> Self:
        """Nothing here depends on f."""
        return self
