"""What the encryption of updates costs here, measured: a round of one task's parameters, without a ledger.

Seconds are of one core's processor time. Of models beyond MOST_MEASURED parameters a part is measured, and scaled to the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from quorumlearn import ckks

MOST_MEASURED = 1_000_000
_SEED = b"quorumlearn trial"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Price:
    """update_bytes: one encrypted update. encrypt: a miner's update. screen: a verifier's look at one update (parse, sketch).
    aggregate: adding up all of them. open: the sum, with as many seats as it takes. All in seconds. exact: whether the opened sum was the
    plain one, number for number."""

    update_bytes: int
    miners: int
    measured: int
    encrypt: float
    screen: float
    aggregate: float
    open: float
    exact: bool


def measured(p: ckks.Parameters, updates: Sequence[NDArray[np.float64]], miners: int) -> Price:
    """The price of a round of so many miners, who submit these updates (d,) in turn."""
    size = min(p.update_size, MOST_MEASURED)
    small = replace(p, update_size=size)
    scale = p.chunks / small.chunks
    seats = {seat: ckks.new_key_share(small, _SEED) for seat in range(1, p.seats + 1)}
    key = ckks.collective_key(small, _SEED, {seat: one.public for seat, one in seats.items()})
    dealt = [ckks.deal(small, one.secret, tuple(seats)) for one in seats.values()]
    shares = {seat: ckks.sum_shares(small, [one[seat] for one in dealt]) for seat in seats}
    plan = ckks.SketchPlan.from_beacon(small, _SEED)
    values = [ckks.quantise(one[:size], small) for one in updates[:miners]]
    submitted = [values[place % len(values)] for place in range(miners)]

    data, encrypt = _timed(lambda: [ckks.encrypt(small, key, one) for one in values])
    ckks.sketch(small, plan, ckks.parse(small, data[0]))  # the signs of a round are made once
    parsed, parse = _timed(lambda: [ckks.parse(small, one) for one in data])
    _, sketch = _timed(lambda: ckks.sketch(small, plan, parsed[0]))
    total, aggregate = _timed(
        lambda: ckks.aggregate(small, ((1, parsed[place % len(parsed)]) for place in range(miners)))
    )
    few = list(shares)[: p.threshold]
    opened, opening = _timed(
        lambda: ckks.open_partials(
            small, total, {seat: ckks.partial_decrypt(small, shares[seat], total) for seat in few}
        )
    )
    return Price(
        update_bytes=p.update_bytes,
        miners=miners,
        measured=size,
        encrypt=scale * encrypt / len(data),
        screen=scale * (parse / len(data) + sketch),
        aggregate=scale * aggregate,
        open=scale * opening,
        exact=np.array_equal(opened, np.sum(submitted, axis=0)),
    )


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    began = time.process_time()
    return work(), time.process_time() - began
