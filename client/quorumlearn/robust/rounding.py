"""Weights as small integers, which is what ciphertexts can be multiplied by.

For each total T up to the limit the weights p_i = w_i / sum w are rounded to m_i with sum T by largest
remainders: floor(p_i T), and one more for those with the largest remainders until T is reached. Then they are lowered to
levels (`robust.levels`). Taken is the T with the least error e = sum_i |m_i / sum m - p_i|, the smallest of equals, so that equal
weights become ones, and weights fall into levels where that costs least.

What that costs: since both sides add up to 1 the aggregate moves by at most e / 2 times the largest distance between two vectors that
have weight. Without levels e <= n' / (2 T) for the n' weights above zero; what levels cost docs/robustness.md has measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quorumlearn.robust.errors import VectorError
from quorumlearn.robust.geometry import Vectors, halving_sum
from quorumlearn.robust.levels import Levels

MOST_TOTALS = 4096
"""Totals above this are not tried: the error is below n' / 8192 by then."""
_AT_ONCE = 256
_GRAIN = 2.0**-30  # remainders and errors that differ by less are equal: rounding, not meaning


def whole_weights(
    values: Vectors, scores: Vectors, max_weight_sum: int, levels: Levels | None = None
) -> NDArray[np.int64]:
    """Integers (n,), not negative, with a sum of at most `max_weight_sum`, in the ratios of `values` as far as `levels` allow.

    Equal remainders go to the lower score, then to the earlier row. All zero if `values` are, or if no levels can be made. VectorError
    for a negative or infinite value.
    """
    levels = levels or Levels()
    if not np.isfinite(values).all() or (values < 0).any():
        raise VectorError("weights must be finite and not negative")
    if max_weight_sum < 1:
        raise VectorError(f"max_weight_sum = {max_weight_sum}; it must be above 0")
    best = np.zeros(len(values), dtype=np.int64)
    largest = float(values.max(initial=0.0))
    if largest == 0:
        return best
    scaled = values / largest
    shares = scaled / float(halving_sum(scaled))
    by_score = np.argsort(scores, kind="stable")
    least = float("inf")
    most = min(max_weight_sum, MOST_TOTALS)
    for first in range(1, most + 1, _AT_ONCE):
        totals = np.arange(first, min(first + _AT_ONCE, most + 1))
        found = _by_largest_remainders(shares, by_score, totals)
        if levels.least > 1:
            found = np.stack([levels.keep(row, scores) for row in found])
        sums = found.sum(axis=1)
        errors = halving_sum(np.abs(found / np.maximum(sums, 1)[:, None] - shares))
        errors[sums == 0] = np.inf
        for row, error in enumerate(errors.tolist()):
            if error < least - _GRAIN:
                best, least = found[row], error
        if least < _GRAIN:
            break
    return best


def _by_largest_remainders(
    shares: Vectors, by_score: NDArray[np.intp], totals: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each of the totals (t,) its integers, (t, n)."""
    quotas = shares * totals[:, None]
    whole = np.floor(quotas + _GRAIN)
    remainders = np.rint((quotas - whole) / _GRAIN)
    remainders[:, shares == 0] = -np.inf
    order = by_score[np.argsort(-remainders[:, by_score], axis=1, kind="stable")]
    missing = totals - whole.sum(axis=1).astype(np.int64)
    more = np.zeros(quotas.shape, dtype=np.int64)
    np.put_along_axis(more, order, np.arange(len(shares)) < missing[:, None], axis=1)
    return whole.astype(np.int64) + more
