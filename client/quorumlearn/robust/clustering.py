"""The largest cluster of directions, cut to the usual length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from quorumlearn.robust.clipping import shrink
from quorumlearn.robust.errors import RuleError
from quorumlearn.robust.geometry import (
    Vectors,
    centrality,
    cosine_distances,
    lower_median,
    squared_distances,
    squared_norms,
)
from quorumlearn.robust.rules import Weights, checked


@dataclass(frozen=True)
class Clustering:
    """A majority that points the same way, cut to the median length; needs no f.

        d_ij = 1 - cos(x_i, x_j);  t = the least link at which one component holds over n / 2 vectors
        w_i = min(1, c / |x_i|) if d_ij <= s t for some j of that component, else 0;  c = median |x_j|

    After FLAME (Nguyen et al., https://arxiv.org/abs/2101.02281), which clusters cosines by HDBSCAN with a least
    size of n / 2 + 1 and clips to the median norm; its noise is the encryption's business here. Single links
    stand in for HDBSCAN: they are what it clusters by, and come out the same on every machine. `slack` is s, at
    least 1: how much further than the majority's own links an honest vector may be. Scores are `centrality`.
    """

    slack: float = 1.25

    def __post_init__(self) -> None:
        if not 1 <= self.slack < float("inf"):
            raise RuleError(f"slack = {self.slack}; it must be a number of at least 1")

    def weights(self, vectors: Vectors) -> Weights:
        norms = np.sqrt(squared_norms(checked(vectors)))
        distances = cosine_distances(vectors)
        core, link = _majority_component(distances)
        if len(vectors) == 1:
            return Weights(np.ones(1), np.zeros(1))
        others = distances + np.where(np.eye(len(vectors)) > 0, np.inf, 0.0)
        links = others[:, core].min(axis=1)
        # a link of zero would shut out everyone a rounding away
        near = links <= max(self.slack * link, 1e-9)
        values = np.where(near, shrink(norms, lower_median(norms)), 0.0)
        return Weights(values, centrality(squared_distances(vectors)))

    def for_remaining(self, count: int, excluded: int) -> Self:
        """Nothing here depends on f."""
        return self


def _majority_component(distances: Vectors) -> tuple[list[int], float]:
    """The first single-link component with over half of the rows, and the longest link in it."""
    count = len(distances)
    component = list(range(count))
    first, second = np.triu_indices(count, 1)
    lengths = distances[first, second]
    link = 0.0
    for edge in np.argsort(lengths, kind="stable").tolist():
        old, new = component[int(second[edge])], component[int(first[edge])]
        if old == new:
            continue
        link = float(lengths[edge])
        component = [new if one == old else one for one in component]
        members = [row for row in range(count) if component[row] == new]
        if 2 * len(members) > count:
            return members, link
    return list(range(count)), link
