"""Puts values on a grid, so that the last bits in which processors differ are gone before they can grow.

Processors add the terms of a sum in different orders, and libraries fuse some operations: gradients of one and the same step differ by
1e-14 of the largest or less (`python -m benchmarks.useful_work --only noise` measures it). A value is rounded to a multiple of
2^-bits, far coarser, and all come to the same number.

Near ties: a value close to the middle between two grid points may come to lie on either side. Whoever trains logs each value that is
within `noise` of a middle and the side it took; whoever replays takes the log's side, for values within twice as much.

Rules:
1. `noise` is 2^-NOISE_BITS, times the largest value where that is above 1: rounding errors grow with what is added.
2. Values for which that is more than a 16th of the grid's step are refused: no grid would tell them apart.
3. Rounding is adding a number and subtracting it again, each exact by IEEE 754, to even at an exact middle. A zero is +0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.errors import TrainingError, WorkloadError, WrongTie
from quorumlearn.learning.exact.stretch import NearTie

NOISE_BITS = 38
LEAST_GRID_BITS, MOST_GRID_BITS = 8, 26
FOLD = 1 << 10
_MOST = 2.0**200

Floats = NDArray[np.float64]


class Receipt(Protocol):
    """A hash that takes bytes."""

    def update(self, data: Any, /) -> None: ...


class TieLog:
    """Near ties of a stretch: found while training, or given and used up while replaying."""

    def __init__(self, given: Sequence[NearTie] | None, start: int, until: int, size: int) -> None:
        """`size`: how many coordinates there are. WrongTie if one that is given cannot be of these steps."""
        self.replays = given is not None
        self.entries = list(given or ())
        self._next = 0
        before: tuple[int, int] | None = None
        for one in self.entries:
            place = one.step, one.coordinate
            if not start <= one.step < until:
                raise WrongTie(f"a near tie of step {one.step}, in a log of steps {start} to {until - 1}")
            if not 0 <= one.coordinate < size:
                raise WrongTie(f"a near tie of coordinate {one.coordinate}, where there are {size}, from 0")
            if before is not None and place <= before:
                raise WrongTie(
                    f"the near tie {place} after {before}: a log is in order, and names none twice"
                )
            before = place

    def within(self, step: int, first: int, end: int) -> list[NearTie]:
        """The next given ones, as far as they are of this step and of coordinates first to end - 1. Call it in that order."""
        start = self._next
        while self._next < len(self.entries):
            one = self.entries[self._next]
            if one.step != step or one.coordinate >= end:
                break
            self._next += 1
        return self.entries[start : self._next]


class Grid:
    """The multiples of 2^-bits."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._step = 2.0**-bits
        self._shift = 1.5 * 2.0 ** (52 - bits)  # so that a unit in its last place is the grid's step

    @classmethod
    def of(cls, bits: int) -> Grid:
        """What a task may choose. WorkloadError unless bits is LEAST_GRID_BITS to MOST_GRID_BITS."""
        if not LEAST_GRID_BITS <= bits <= MOST_GRID_BITS:
            raise WorkloadError(
                f"grid_bits {bits}: from {LEAST_GRID_BITS} to {MOST_GRID_BITS} there are grids"
            )
        return cls(bits)

    def for_buffer(self, before: float, now: float) -> Grid:
        """A grid as coarse as a buffer needs whose largest value was `before`, which lies on a grid, and is `now`, which does not yet.

        Running variances of unscaled values are large, and need no more digits for that. The choice is by `before`, which is the same
        everywhere, but where a buffer has jumped.
        """
        fits = NOISE_BITS - 8 - self.bits  # 2^fits and 16 times as much fit this grid
        size = before if now < 16 * max(before, 2.0**fits) else now
        if not 2.0**fits <= size < _MOST:
            return self
        return Grid(self.bits + fits - math.frexp(size)[1])

    def noise(self, what: str, largest: float) -> float:
        """How far from a middle is near, for values up to `largest`. TrainingError if the grid is too fine for them."""
        if not math.isfinite(largest):
            raise TrainingError(
                f"{what} is not finite: lower learning_rate, or correct the module or its loss"
            )
        noise = 2.0**-NOISE_BITS * max(1.0, largest)
        if noise > self._step / 16:
            raise TrainingError(
                f"{what} is up to {largest:g}, and a grid of 2^-{self.bits} holds "
                f"{self._step / 16 * 2.0**NOISE_BITS:g} at most: scale the inputs or the loss, or take fewer grid_bits"
            )
        return noise

    def put(
        self, values: Floats, noise: float, step: int, first: int, log: TieLog, receipt: Receipt, room: Room
    ) -> Floats:
        """The grid points of values (n,), as a view of `room` until its next use; `first` is the coordinate of the first.

        WrongTie if the log has a near tie among them that is none.
        """
        points, rest = room.of(len(values))
        np.add(values, self._shift, out=points)
        np.subtract(points, self._shift, out=points)
        np.subtract(values, points, out=rest)
        np.abs(rest, out=rest)
        if log.replays:
            for one in log.within(step, first, first + len(values)):
                self._follow(one, one.coordinate - first, values, points, rest, noise)
        elif rest.max(initial=0.0) > self._step / 2 - noise:
            for at in np.flatnonzero(rest > self._step / 2 - noise):
                log.entries.append(NearTie(step, first + int(at), bool(points[at] > values[at])))
        receipt.update(folded(points))
        return points

    def _follow(
        self,
        one: NearTie,
        at: int,
        values: Floats,
        points: Floats,
        rest: Floats,
        noise: float,
    ) -> None:
        if rest[at] < self._step / 2 - 2 * noise:
            raise WrongTie(
                f"step {one.step}, coordinate {one.coordinate}: it is {rest[at] / self._step:.6f} of the grid's step from a grid point, "
                "and the log says near a middle"
            )
        below = points[at] if points[at] <= values[at] else points[at] - self._step
        points[at] = below + self._step if one.up else below


def folded(values: NDArray[Any]) -> NDArray[Any]:
    """Sums of every FOLD-th value, (FOLD,) or fewer: exact on a grid, and short to hash."""
    whole = len(values) // FOLD * FOLD
    if not whole:
        return values
    sums: NDArray[Any] = np.add.reduce(values[:whole].reshape(-1, FOLD))
    sums[: len(values) - whole] += values[whole:]
    return sums


class Room:
    """Memory for a block of values, so that none is asked for in a step."""

    def __init__(self, size: int) -> None:
        self._rows = np.empty((2, size))

    def of(self, count: int) -> tuple[Floats, Floats]:
        """Two vectors (count,)."""
        return self._rows[0, :count], self._rows[1, :count]
