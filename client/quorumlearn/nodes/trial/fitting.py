"""Which bound and grid fit a workload's updates, from updates that were trained.

Rules:
- the bound is the least power of two that leaves every value seen room to be twice as large: other parties' data are others;
- the grid is as fine as makes rounding cost at most ROUNDING of the usual tensor's update, also in a small one as later rounds make them,
  and no finer: each bit more costs every update bytes. How many bits the budget still has is told, not taken;
- where bound and grid do not go together the bound gives way, as long as less than MOST_CLIPPED of an update is beyond it; then the grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quorumlearn import ckks, learning, robust
from quorumlearn.nodes.encryption import clipped
from quorumlearn.nodes.tasksettings import EncryptionPart, RulePart
from quorumlearn.nodes.training import MOST_CLIPPED

ROUNDING = 0.01
"""Root mean square of what rounding changes, in parts of that of a tensor's update."""
SEATS, THRESHOLD = 3, 2
DEFAULT_BOUND: float = EncryptionPart.model_fields["bound"].default
RULE: str = RulePart.model_fields["name"].default
_ROOM = 2.0
_RANGE_BITS = 31  # of bound_steps
_FINEST, _COARSEST, _LEAST_BOUND = 30, 4, -20
_SAME = 1.05  # an update of at most so many times the bytes costs as much


@dataclass(frozen=True)
class Grid:
    """A choice of step_bits: what an update takes, in bytes, and what rounding changes, in parts of an update's length."""

    step_bits: int
    update_bytes: int
    rounding: float


@dataclass(frozen=True)
class Beyond:
    """A tensor of which values lie beyond the default bound: how many, of how many, and the largest."""

    tensor: str
    values: int
    of: int
    largest: float


@dataclass(frozen=True)
class Fit:
    """What is proposed for `encryption.bound` and `encryption.step_bits`, and what it is taken from.

    clipped, clipped_by_default: the largest share of an update beyond the proposed and beyond the default bound. rounding: as in `Grid`.
    beyond: by tensor. grids: the proposed one, coarser and finer. free_bits: the step_bits that cost next to nothing more.
    """

    parameters: ckks.Parameters
    bound: float
    step_bits: int
    clipped: float
    clipped_by_default: float
    rounding: float
    beyond: tuple[Beyond, ...]
    grids: tuple[Grid, ...]
    free_bits: int


def fit(updates: Sequence[learning.Update], shapes: learning.Shapes, *, preset: str, miners: int) -> Fit:
    """What fits these updates (d,), of tensors of these shapes; at least one value is not zero. ParameterError for an unknown preset, or
    if nothing fits."""
    size = learning.size_of(shapes)
    bound_bits, step_bits = _bits(updates, shapes)

    def chosen(bits: int) -> ckks.Parameters:
        return ckks.Parameters.named(
            preset,
            size,
            seats=SEATS,
            threshold=THRESHOLD,
            bound=2.0**bound_bits,
            step_bits=bits,
            max_weight_sum=robust.weight_room(RULE, miners),
        )

    p = chosen(step_bits)
    finest = min(_FINEST, _RANGE_BITS - bound_bits)
    free = step_bits
    while free < finest and chosen(free + 1).update_bytes <= _SAME * p.update_bytes:
        free += 1
    around = sorted({max(0, step_bits - 2), step_bits, min(step_bits + 2, finest)})
    return Fit(
        parameters=p,
        bound=2.0**bound_bits,
        step_bits=step_bits,
        clipped=max(clipped(one, p) / one.size for one in updates),
        clipped_by_default=max(
            int(np.count_nonzero(np.abs(one) > DEFAULT_BOUND)) / one.size for one in updates
        ),
        rounding=_rounding(updates, p),
        beyond=_beyond(updates, shapes),
        grids=tuple(
            Grid(bits, chosen(bits).update_bytes, _rounding(updates, chosen(bits))) for bits in around
        ),
        free_bits=free,
    )


def _bits(updates: Sequence[learning.Update], shapes: learning.Shapes) -> tuple[int, int]:
    """The bound and the step as powers of two: 2^first and 2^-second."""
    largest = max(float(np.abs(one).max()) for one in updates)
    usual = sorted(rms for one in updates if (rms := _usual(one, shapes)) > 0)
    small = usual[(len(usual) - 1) // 4]
    bound = max(_LEAST_BOUND, math.ceil(math.log2(_ROOM * largest)))
    # rounding up or down at random changes a value by sqrt(1 / 6) of a step, root mean square
    step = math.ceil(-math.log2(math.sqrt(6) * ROUNDING * small))
    step = min(max(step, _COARSEST - bound), _FINEST)
    if bound + step > _RANGE_BITS:
        most = max(float(np.quantile(np.abs(one), 1 - MOST_CLIPPED / 2)) for one in updates)
        least = _LEAST_BOUND if most == 0 else math.ceil(math.log2(_ROOM * most))
        bound = max(least, _RANGE_BITS - step)
    return bound, max(0, min(step, _RANGE_BITS - bound))


def _usual(update: learning.Update, shapes: learning.Shapes) -> float:
    """Root mean square of the values of a usual tensor that moved: of the median one, or of that in which the median value is, if that is
    less. 0 if none did."""
    moved = sorted(
        (rms, values.size)
        for values in _by_tensor(update, shapes).values()
        if (rms := math.sqrt(float(np.mean(values**2)))) > 0
    )
    if not moved:
        return 0.0
    counted = np.cumsum([size for _, size in moved])
    of_values = int(np.searchsorted(counted, counted[-1] / 2))
    return min(moved[(len(moved) - 1) // 2][0], moved[of_values][0])


def _by_tensor(update: learning.Update, shapes: learning.Shapes) -> dict[str, learning.Update]:
    parts, start = {}, 0
    for name in sorted(shapes):
        end = start + math.prod(shapes[name])
        if end > start:
            parts[name] = update[start:end]
        start = end
    return parts


def _beyond(updates: Sequence[learning.Update], shapes: learning.Shapes) -> tuple[Beyond, ...]:
    """Of the update that has most of them, the largest tensor first."""
    found: dict[str, Beyond] = {}
    for update in updates:
        for name, values in _by_tensor(update, shapes).items():
            count = int(np.count_nonzero(np.abs(values) > DEFAULT_BOUND))
            if count > (found[name].values if name in found else 0):
                found[name] = Beyond(name, count, values.size, float(np.abs(values).max()))
    return tuple(sorted(found.values(), key=lambda one: -one.largest))


def _rounding(updates: Sequence[learning.Update], p: ckks.Parameters) -> float:
    """What rounding onto the grid changes, clipping left out, in parts of an update's length: the largest over the updates."""
    limit = p.bound_steps * 2.0**-p.step_bits
    worst = 0.0
    for place, update in enumerate(updates):
        inside = np.clip(update, -limit, limit)
        length = float(np.linalg.norm(inside))
        if length > 0:
            rounded = ckks.quantise(inside, p, b"trial %d" % place) * 2.0**-p.step_bits
            worst = max(worst, float(np.linalg.norm(rounded - inside)) / length)
    return worst
