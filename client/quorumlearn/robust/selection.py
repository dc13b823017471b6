"""From the sketches of a round to a weight and a reason for each miner.

Steps, each on what the one before left over, always in the order of the commits (of others than copies, any order that all agree on
will do: `order_matters`):

1. A sketch that is not finite is OUT_OF_RANGE.
2. Of two sketches closer than `duplicate_tolerance` times the smaller squared norm the later commit is a
   DUPLICATE, also if the earlier is one itself: a chain of copies, each a little off the last, has one
   author.
3. A norm over `norm_limit`, or at most `least_norm` times the median norm (of what steps 1 and 2 left and
   `norm_limit` allows), is OUT_OF_RANGE. The second keeps out zero updates and their like, which a rule by
   distances would find central.
4. The robust rule weighs the rest, with f reduced by those already found. Whose score is above `outlier_factor` times
   the median score of those to whom the rule gave weight is an OUTLIER, also if the rule left it a sliver, as rules that
   only shorten do: what is slashed does not depend on how an integer is rounded.
5. The weights of the others become integers that add up to at most `max_weight_sum` (`whole_weights`); a miner whose
   integer is 0 is NOT_SELECTED.

A pure function: the same sketches give the same findings on every machine, and who is which row does not
matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quorumlearn.robust.errors import VectorError
from quorumlearn.robust.geometry import Vectors, lower_median, squared_distances, squared_norms
from quorumlearn.robust.rounding import whole_weights
from quorumlearn.robust.rules import Rule, Weights

Reason = Literal["CONTRIBUTES", "OUT_OF_RANGE", "DUPLICATE", "OUTLIER", "NOT_SELECTED"]

# Set from honest mnist-cnn updates, three rounds from the start, two seeds a case, sketches of 256: few runs, so
# with room. The smallest squared distance was 0.56 of the smaller squared norm between IID or Dirichlet shards (0.1
# and 0.3) but 0.022 between two miners of one and the same class; the smallest norm 0.38 of the median; the highest
# score 5.8 times the median of the selected (Dirichlet 0.1). A task on IID data can afford a tolerance of 0.1.
DUPLICATE_TOLERANCE = 0.01
LEAST_NORM = 0.05
OUTLIER_FACTOR = 8.0


@dataclass(frozen=True)
class Finding:
    """What was found of one miner. `reason` is named as in block.proto; `copy_of` is the row of which this
    one is a copy; `detail` is a sentence for people, naming rows."""

    weight: int
    reason: Reason
    detail: str = ""
    copy_of: int | None = None


def select(
    sketches: Vectors,
    *,
    commit_order: Sequence[int],
    rule: Rule,
    norm_limit: float,
    max_weight_sum: int,
    duplicate_tolerance: float = DUPLICATE_TOLERANCE,
    outlier_factor: float = OUTLIER_FACTOR,
    least_norm: float = LEAST_NORM,
    already_found: int = 0,
) -> list[Finding]:
    """A finding for each row of `sketches`, float64 (n, k), in the order of the rows.

    `commit_order` lists the rows from the earliest commit to the latest. `norm_limit` is in the sketches'
    units;
    `already_found` counts Byzantine miners without a sketch (malformed or withheld updates). VectorError if
    the sketches are no matrix, the order no permutation, or a limit no positive number.
    """
    order = _checked_order(sketches, commit_order)
    limits = {
        "norm_limit": norm_limit,
        "duplicate_tolerance": duplicate_tolerance,
        "outlier_factor": outlier_factor,
        "max_weight_sum": max_weight_sum,
    }
    for name, limit in limits.items():
        if not limit > 0:
            raise VectorError(f"{name} = {limit}; it must be above 0")
    if least_norm < 0 or already_found < 0:
        raise VectorError(
            f"least_norm = {least_norm}, already_found = {already_found}; neither may be negative"
        )

    rows = sketches[order]
    squares = squared_norms(rows)
    findings: list[Finding | None] = [
        None if np.isfinite(square) else Finding(0, "OUT_OF_RANGE", "not finite") for square in squares
    ]
    _find_duplicates(rows, squares, duplicate_tolerance, order, findings)
    _find_out_of_range(np.sqrt(squares), norm_limit, least_norm, findings)

    left = [place for place, finding in enumerate(findings) if finding is None]
    if left:
        excluded = already_found + len(rows) - len(left)
        weights = rule.for_remaining(len(left), excluded).weights(rows[left])
        for place, finding in zip(left, _weigh(weights, outlier_factor, max_weight_sum), strict=True):
            findings[place] = finding

    found: dict[int, Finding] = {
        row: finding for row, finding in zip(order, findings, strict=True) if finding is not None
    }
    return [found[row] for row in range(len(rows))]


def order_matters(sketches: Vectors, duplicate_tolerance: float = DUPLICATE_TOLERANCE) -> bool:
    """Whether two of the sketches are so near to each other that `select` must know which was committed first."""
    squares = squared_norms(sketches)
    finite = np.isfinite(squares)
    return bool(np.triu(_copies(sketches[finite], squares[finite], duplicate_tolerance), 1).any())


def _copies(rows: Vectors, squares: Vectors, tolerance: float) -> NDArray[np.bool_]:
    """Which of the rows, of these squared norms, are so near to each other that one is a copy: (n, n)."""
    near: NDArray[np.bool_] = squared_distances(rows) <= tolerance * np.minimum.outer(squares, squares)
    return near


def _checked_order(sketches: Vectors, commit_order: Sequence[int]) -> list[int]:
    if sketches.ndim != 2 or sketches.dtype != np.float64:
        raise VectorError(
            f"sketches are {sketches.dtype} of shape {sketches.shape}; they must be float64 (n, k)"
        )
    order = [int(row) for row in commit_order]
    if sorted(order) != list(range(len(sketches))):
        raise VectorError(f"the commit order must name each of the {len(sketches)} rows once")
    return order


def _find_duplicates(
    rows: Vectors, squares: Vectors, tolerance: float, order: list[int], findings: list[Finding | None]
) -> None:
    finite = [place for place, finding in enumerate(findings) if finding is None]
    near = _copies(rows[finite], squares[finite], tolerance)
    source: dict[int, int] = {}  # place of a copy -> place of the first of its chain
    for later, place in enumerate(finite):
        for earlier in range(later):
            if near[earlier, later]:
                first = finite[earlier]
                source[place] = source.get(first, first)
                row = order[source[place]]
                findings[place] = Finding(0, "DUPLICATE", f"a copy of {row}, which committed earlier", row)
                break


def _find_out_of_range(
    norms: Vectors, norm_limit: float, least_norm: float, findings: list[Finding | None]
) -> None:
    left = [place for place, finding in enumerate(findings) if finding is None]
    for place in left:
        if norms[place] > norm_limit:
            findings[place] = Finding(0, "OUT_OF_RANGE", "the norm is over the limit")
    allowed = [place for place in left if findings[place] is None]
    if not allowed:
        return
    least = least_norm * lower_median(norms[allowed])
    for place in allowed:
        if norms[place] <= least:
            findings[place] = Finding(0, "OUT_OF_RANGE", "the norm is next to nothing beside the others'")


def _weigh(weights: Weights, outlier_factor: float, max_weight_sum: int) -> list[Finding]:
    chosen = weights.values > 0
    far = outlier_factor * lower_median(weights.scores[chosen]) if chosen.any() else float("inf")
    outlying = weights.scores > far
    values = np.where(outlying, 0.0, weights.values)
    findings = []
    for whole, weight, out in zip(
        whole_weights(values, weights.scores, max_weight_sum).tolist(),
        values.tolist(),
        outlying.tolist(),
        strict=True,
    ):
        if whole > 0:
            findings.append(Finding(whole, "CONTRIBUTES"))
        elif out:
            findings.append(Finding(0, "OUTLIER", "far from the others"))
        elif weight == 0:
            findings.append(Finding(0, "NOT_SELECTED", "not among the most central"))
        else:
            findings.append(Finding(0, "NOT_SELECTED", f"the weights may add up to {max_weight_sum} only"))
    return findings
