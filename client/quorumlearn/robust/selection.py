"""From the sketches of a round to a weight and a reason for each miner.

Steps, each on what the one before left over, always in the order of the commits (of others than copies, any order that all agree on
will do: `order_matters`):

1. A sketch that is not finite is OUT_OF_RANGE.
2. Of two sketches that are equal the later commit is a DUPLICATE. Equal is what lies at most `rounding` apart, which is
   what noise may do to one update's sketch (`ckks.sketch_rounding`). Honest miners come nearer to each other than any part of their
   norms (docs/robustness.md has measurements), so whatever differs by more than noise is the rule's business.
3. A norm over `norm_limit`, or one of at most `rounding`, is OUT_OF_RANGE. The second is an update of nothing, which a
   rule by distances would find central.
4. Of what is left, who brings less than `least_new` of what is usual beyond the public steps has NOTHING_NEW (`robust.novelty`).
5. The robust rule weighs the rest, with f reduced by those already found. An OUTLIER has a score above `outlier_factor` times
   the median of those to whom the rule gave weight, of their scores or of their squared norms, whichever is larger: where most
   updates are nearly the same, their distances say nothing of how far is far. It is one also if the rule left it a sliver, as
   rules that only shorten do: who is caught does not depend on how an integer is rounded.
6. The weights of the others become integers that add up to at most `max_weight_sum` (`whole_weights`), in levels of which none
   has few members (`robust.levels`); a miner whose integer is 0 is NOT_SELECTED. So are all if the rule says nothing of so few.

A pure function: the same sketches give the same findings on every machine, and who is which row does not
matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quorumlearn.robust.errors import TooFewVectors, VectorError
from quorumlearn.robust.geometry import Vectors, lower_median, squared_distances, squared_norms
from quorumlearn.robust.levels import Levels
from quorumlearn.robust.novelty import lacking
from quorumlearn.robust.rounding import whole_weights
from quorumlearn.robust.rules import Rule, Weights

Reason = Literal["CONTRIBUTES", "OUT_OF_RANGE", "DUPLICATE", "NOTHING_NEW", "OUTLIER", "NOT_SELECTED"]

# Set from honest mnist-cnn updates, three rounds from the start, two seeds a case, sketches of 256: few runs, so
# with room. The highest score was 5.8 times the median of the selected (Dirichlet 0.1).
OUTLIER_FACTOR = 8.0
LEAST_NEW = 0.7
"""In parts of what is usual: `python -m benchmarks.free_riding` measures what honest updates bring."""


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
    rounding: float = 0.0,
    outlier_factor: float = OUTLIER_FACTOR,
    already_found: int = 0,
    levels: Levels | None = None,
    public_steps: Vectors | None = None,
    byzantine: int = 0,
    least_new: float = LEAST_NEW,
) -> list[Finding]:
    """A finding for each row of `sketches`, float64 (n, k), in the order of the rows.

    `commit_order` lists the rows from the earliest commit to the latest. `norm_limit` and `rounding` are lengths in the
    sketches' units; `already_found` counts Byzantine miners without a sketch (malformed or withheld updates); `levels` are the
    rows', by default without a least. `public_steps` are the sketches (m, k) of how the public model moved last, `byzantine` is the
    task's f, `least_new` what must be new. VectorError if the sketches are no matrix, the order no permutation, or a limit no positive
    number.
    """
    order = _checked_order(sketches, commit_order)
    limits = {
        "norm_limit": norm_limit,
        "outlier_factor": outlier_factor,
        "max_weight_sum": max_weight_sum,
    }
    for name, limit in limits.items():
        if not limit > 0:
            raise VectorError(f"{name} = {limit}; it must be above 0")
    if not rounding >= 0 or already_found < 0:
        raise VectorError(f"rounding = {rounding}, already_found = {already_found}; neither may be negative")

    rows = sketches[order]
    squares = squared_norms(rows)
    findings: list[Finding | None] = [
        None if np.isfinite(square) else Finding(0, "OUT_OF_RANGE", "not finite") for square in squares
    ]
    _find_duplicates(rows, rounding, order, findings)
    _find_out_of_range(np.sqrt(squares), norm_limit, rounding, findings)
    if public_steps is not None:
        _find_nothing_new(rows, public_steps, byzantine, least_new, findings)

    left = [place for place, finding in enumerate(findings) if finding is None]
    if left:
        excluded = already_found + len(rows) - len(left)
        levels = (levels or Levels()).of([order[place] for place in left])
        try:
            weights = rule.for_remaining(len(left), excluded).weights(rows[left])
        except TooFewVectors as error:
            weighed = [Finding(0, "NOT_SELECTED", str(error))] * len(left)
        else:
            weighed = _weigh(weights, squares[left], outlier_factor, max_weight_sum, levels)
        for place, finding in zip(left, weighed, strict=True):
            findings[place] = finding

    found: dict[int, Finding] = {
        row: finding for row, finding in zip(order, findings, strict=True) if finding is not None
    }
    return [found[row] for row in range(len(rows))]


def order_matters(sketches: Vectors, rounding: float = 0.0) -> bool:
    """Whether two of the sketches are equal, so that `select` must know which was committed first."""
    finite = np.isfinite(squared_norms(sketches))
    return bool(np.triu(_equal(sketches[finite], rounding), 1).any())


def _equal(rows: Vectors, rounding: float) -> NDArray[np.bool_]:
    """Which of the rows are equal but for rounding noise: (n, n)."""
    equal: NDArray[np.bool_] = squared_distances(rows) <= rounding * rounding
    return equal


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
    rows: Vectors, rounding: float, order: list[int], findings: list[Finding | None]
) -> None:
    finite = [place for place, finding in enumerate(findings) if finding is None]
    equal = _equal(rows[finite], rounding)
    source: dict[int, int] = {}  # place of a copy -> place of the first of its chain
    for later, place in enumerate(finite):
        for earlier in range(later):
            if equal[earlier, later]:
                first = finite[earlier]
                source[place] = source.get(first, first)
                row = order[source[place]]
                findings[place] = Finding(0, "DUPLICATE", f"a copy of {row}, which committed earlier", row)
                break


def _find_out_of_range(
    norms: Vectors, norm_limit: float, rounding: float, findings: list[Finding | None]
) -> None:
    for place in [place for place, finding in enumerate(findings) if finding is None]:
        if norms[place] > norm_limit:
            findings[place] = Finding(0, "OUT_OF_RANGE", "the norm is over the limit")
        elif norms[place] <= rounding:
            findings[place] = Finding(0, "OUT_OF_RANGE", "an update of nothing")


def _find_nothing_new(
    rows: Vectors, public_steps: Vectors, byzantine: int, least_new: float, findings: list[Finding | None]
) -> None:
    left = [place for place, finding in enumerate(findings) if finding is None]
    for place, lacks in zip(left, lacking(rows[left], public_steps, byzantine, least_new), strict=True):
        if lacks is not None:
            findings[place] = Finding(
                0, "NOTHING_NEW", "{:.2f} of it is new, {:.2f} is wanted".format(*lacks)
            )


def _weigh(
    weights: Weights, squares: Vectors, outlier_factor: float, max_weight_sum: int, levels: Levels
) -> list[Finding]:
    """A finding for each of the vectors of these weights and squared norms (n,)."""
    chosen = weights.values > 0
    far = float("inf")
    if chosen.any():
        usual = max(lower_median(weights.scores[chosen]), lower_median(squares[chosen]))
        far = outlier_factor * usual
    outlying = weights.scores > far
    values = np.where(outlying, 0.0, weights.values)
    findings = []
    for whole, weight, out in zip(
        whole_weights(values, weights.scores, max_weight_sum, levels).tolist(),
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
            findings.append(Finding(0, "NOT_SELECTED", "too few have its weight to be added up"))
    return findings
