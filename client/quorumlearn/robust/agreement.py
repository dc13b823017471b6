"""Who agrees with the others, and says what few others say: weighed by how much it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from quorumlearn.robust.clipping import shrink
from quorumlearn.robust.geometry import (
    Vectors,
    centrality,
    cosine_distances,
    halving_sum,
    lower_median,
    squared_distances,
    squared_norms,
)
from quorumlearn.robust.rules import Weights, above_zero, checked

_DEVIATION = 1.4826  # of a normal distribution, in parts of its median absolute deviation
_ROUNDING = 1e-9  # cosines that differ by less are equal
_NEARLY_SAME = 0.99  # a cosine above which vectors are alike whatever is usual


@dataclass(frozen=True)
class Agreement:
    """Directions that agree with the rest, each colluding group counted as one, cut to the median length; needs no f.

        c_ij = cos(x_i, x_j);  t = median_i max_j c_ij, at least 0
        p_ij = (c_ij - t) / (1 - t) within [0, 1], p_ii = 1;  m_i = sum_j p_ij
        a_i = median_j c_ij, afterwards mean_j, each weighing v_j (1 - p_ij) / m_j;  v_j = 1 at first
        v_i = (a_i - l) / (median a - l) within [0, 1];  l = median a - s deviations of a
        w_i = v_i / m_i  min(1, median |x| / |x_i|)

    One update of a few steps of stochastic training is mostly noise: two honest ones hardly agree (cosines of 0.05 were
    measured), so distances and single links show little. A vector's agreement with all others together shows more, and it is a
    linear measure, so sketches lose little of it. m_i counts how many say nearly the same as i, as in FoolsGold (Fung et al.,
    https://arxiv.org/abs/1808.04866), by what is usual among the vectors: a group of colluders has the weight of one and cannot
    confirm itself. Deviations are median absolute ones; cutting to the median length is FLAME's (https://arxiv.org/abs/2101.02281).
    The composition is ours: docs/robustness.md has what it holds against. `slack` is s, above 0; `steps` is how often a is
    found. Scores are `centrality`.
    """

    slack: float = 2.5
    steps: int = 3

    def __post_init__(self) -> None:
        above_zero("slack", self.slack)

    def weights(self, vectors: Vectors) -> Weights:
        norms = np.sqrt(squared_norms(checked(vectors)))
        scores = centrality(squared_distances(vectors))
        lengths = shrink(norms, lower_median(norms))
        if len(vectors) < 3:
            return Weights(lengths, scores)
        cosines = 1.0 - cosine_distances(vectors)
        alike = _alike(cosines)
        groups = halving_sum(alike)
        values = np.ones(len(vectors))
        for step in range(self.steps):
            heard = (1.0 - alike) * (values / groups)
            values = self._graded(_medians(cosines, heard) if step == 0 else _means(cosines, heard), values)
        return Weights(values / groups * lengths, scores)

    def _graded(self, agreement: Vectors, before: Vectors) -> Vectors:
        """1 for agreement of at least the median of those who had weight before, 0 for `slack` deviations below it."""
        among = agreement[before > 0]
        middle = lower_median(among)
        room = self.slack * max(_DEVIATION * lower_median(np.abs(among - middle)), _ROUNDING)
        graded: Vectors = np.clip((agreement - middle + room) / room, 0.0, 1.0)
        return graded

    def for_remaining(self, count: int, excluded: int) -> Self:
        """Nothing here depends on f."""
        return self


def _alike(cosines: Vectors) -> Vectors:
    """By how much each two are more alike than most are with whom they are most alike, (n, n), 1 with themselves."""
    others = np.where(np.eye(len(cosines)) > 0, -1.0, cosines)
    usual = min(max(0.0, lower_median(others.max(axis=1))), _NEARLY_SAME)
    alike: Vectors = np.clip((cosines - usual) / (1.0 - usual), 0.0, 1.0)
    np.fill_diagonal(alike, 1.0)
    return alike


def _means(cosines: Vectors, heard: Vectors) -> Vectors:
    total = halving_sum(heard)
    means: Vectors = halving_sum(cosines * heard) / np.where(total > 0, total, 1.0)
    return means


def _medians(cosines: Vectors, heard: Vectors) -> Vectors:
    """Lower medians of each row's cosines by their weights, (n,); 0 where nobody is heard."""
    order = np.argsort(cosines, axis=1, kind="stable")
    reached = np.cumsum(np.take_along_axis(heard, order, axis=1), axis=1)
    at = np.argmax(reached >= reached[:, -1:] / 2, axis=1)
    medians = np.take_along_axis(cosines, order, axis=1)[np.arange(len(cosines)), at]
    return np.where(reached[:, -1] > 0, medians, 0.0)
