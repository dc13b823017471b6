"""What whole weights must keep to, so that an opened sum of updates is a sum of many: levels.

A level is all that have one weight. In a level are at least `least` vectors, or none: whoever is in one of fewer takes the next
lower weight, and the lowest that are left over get none. So nobody weighs more than the rule said, and those who lose a place are
the ones whom the rule thought least of.

Where sums were opened on the same base before, this holds of all of them together: vectors that all of these weigh alike are a group,
and what a new sum makes of a group, those without weight among them, are again levels of at least `least`. Where too few of a group would
go without, more of those with the least weight do. A vector in no group was in no sum before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quorumlearn.robust.geometry import Vectors


@dataclass(frozen=True)
class Levels:
    """`groups` has for each vector the place of its group in `sizes`, None without one; empty: nobody has one. `sizes` counts the
    members of each group, also those who are no vector now."""

    least: int = 1
    groups: tuple[int | None, ...] = ()
    sizes: tuple[int, ...] = ()

    def of(self, rows: Sequence[int]) -> Levels:
        """The same for these rows only: the others get no weight."""
        return replace(self, groups=tuple(self.groups[row] for row in rows)) if self.groups else self

    def keep(self, whole: NDArray[np.int64], scores: Vectors) -> NDArray[np.int64]:
        """Whole weights (n,) as near to these from below as levels allow; where some of one weight must go without, the
        higher scores, then the later rows."""
        order = np.lexsort((scores, -whole))
        kept = np.zeros_like(whole)
        groups = self.groups or (None,) * len(whole)
        for group in set(groups):
            rows = [row for row in order.tolist() if groups[row] == group]
            kept[rows] = self._kept(whole[rows].tolist(), None if group is None else self.sizes[group])
        return kept

    def _kept(self, weights: list[int], size: int | None) -> list[int]:
        """The levels of one group's weights, the highest first."""
        kept = _lowered(weights, self.least)
        without = 0 if size is None else size - len(kept)
        if size is not None and 0 < without < self.least:
            kept = _lowered(weights[: max(0, size - self.least)], self.least)
        return kept + [0] * (len(weights) - len(kept))


def _lowered(weights: list[int], least: int) -> list[int]:
    """Levels of at least `least` of weights in falling order, each the lowest weight in it; those below the last level are left out."""
    levels: list[int] = []
    for place, weight in enumerate(weights, 1):
        if weight > 0 and weight not in weights[place : place + 1] and place - len(levels) >= least:
            levels += [weight] * (place - len(levels))
    return levels
