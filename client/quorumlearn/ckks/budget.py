"""How large each noise is, and so how large scale and modulus must be. Numbers only; the README derives them.

Rules:
- a noise that protects something (flooding) is measured by statistical distance over *all* coefficients
  published at once, not by one coefficient;
- a noise that could spoil a sum is bounded by a tail proven for it (sub-Gaussian), over all numbers opened;
- everything holds for any t of the v seats, and for weights that pile up on one update.

Sources: Boneh et al. 2018 (Threshold Cryptosystems from Threshold FHE), 5.3: clearing denominators;
Laurent and Massart 2000, lemma 1: the tail of a sum of squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from quorumlearn.ckks.sampling import BINOMIAL_BITS
from quorumlearn.ckks.shamir import clearing

FAILURE_BITS = 40
"""A sum of honest updates opens wrongly, or an honest update fails the sketch, at most once in 2^40."""
KEY_ERROR_STD = 3.2
"""Standard deviation of each seat's error in its public share."""
ENCRYPTION_ERROR_VARIANCE = BINOMIAL_BITS / 4
"""Of each coefficient of the errors with which an update is encrypted."""
UNIFORMS = 4
"""A flooding term is the sum of this many uniform integers of `width` bits."""
FISHER = 1.04
"""Fisher information of a sum of four uniforms times its variance (a Gaussian has 1)."""
SECRET_SHOWN = 0.5
"""Most that the square of noise hidden from the sketch's test may be, beside the flooding's, for each coefficient of the
secret: with it an opening tells at most log2(1.5) / 2, or 0.3, bits of one."""
SKETCH_POLYNOMIALS = 4
"""The k coefficients of a sketch come from this many independent combinations."""
FRESH_TAIL = 20.0
"""Standard deviations allowed to noise whose distribution is no exact sub-Gaussian; flooding dwarfs it."""


@dataclass(frozen=True)
class Flooding:
    """Noise on a published partial decryption: sum of four uniform integers of `width` bits, centred."""

    width: int
    std: float
    security_bits: float


@dataclass(frozen=True)
class Budget:
    """All noises of one parameter set. Standard deviations are of polynomial coefficients."""

    fresh_std: float
    stored_std: float
    opening: Flooding
    sketch: Flooding
    opened_std: float
    sketch_std: float
    sketch_square_limit: float
    grid_slack: float
    half_step: float
    shift: int
    range_steps: int
    modulus_bits: float
    failure_bits: float


def tail(bits: float, numbers: float) -> float:
    """Standard deviations a sub-Gaussian among `numbers` of them exceeds at most once in 2^bits."""
    return math.sqrt(2 * math.log(2) * (bits + 1 + math.log2(numbers)))


def flooding(shift_norm: float, bits: float, least_std: float = 0.0) -> Flooding:
    """The smallest flooding of at least this std that hides a shift of L2 norm `shift_norm` within statistical
    distance 2^-bits.

    For independent terms of Fisher information I the distance is at most norm * sqrt(I) / 2.
    """
    wanted = max(shift_norm * math.sqrt(FISHER) / 2 * 2.0**bits, least_std)
    width = max(8, math.ceil(math.log2(wanted * math.sqrt(12 / UNIFORMS))))
    std = 2.0**width * math.sqrt(UNIFORMS / 12)
    return Flooding(width, std, math.log2(2 * std / (shift_norm * math.sqrt(FISHER))))


def storable_bits(
    *,
    degree: int,
    update_size: int,
    seats: int,
    threshold: int,
    flooding_bits: int,
    sketch_size: int,
) -> int:
    """How many low bits c0 can lose before what is lost would outweigh the flooding of a sketch.

    Sent are all bits of c1 and those left of c0. One more bit off c0 costs the modulus, twice, up to a bit once
    it outweighs the flooding: here the size is smallest.
    """
    clear = clearing(seats, threshold)
    numbers = -(-update_size // degree) * degree
    combined = _fresh_std(degree, seats) * math.sqrt(numbers / 2)
    sketch = flooding(
        2 * combined * math.sqrt(sketch_size) * clear.share_factor * clear.honest_norm, flooding_bits
    )
    hidden = sketch.std * clear.combine_norm / clear.share_factor
    return max(0, math.floor(math.log2(hidden / math.sqrt(numbers / 2) * math.sqrt(12))))


def _fresh_std(degree: int, seats: int) -> float:
    """Standard deviation of e u + e0 + e1 s: the noise of a fresh ciphertext."""
    secret_variance = 2 * seats / 3
    return math.sqrt(
        degree * (seats * KEY_ERROR_STD**2 * 2 / 3 + ENCRYPTION_ERROR_VARIANCE * secret_variance)
        + ENCRYPTION_ERROR_VARIANCE
    )


def budget(
    *,
    degree: int,
    dropped_bits: int,
    update_size: int,
    seats: int,
    threshold: int,
    bound_steps: int,
    max_weight_sum: int,
    flooding_bits: int,
    sketch_size: int,
    shift: int | None = None,
) -> Budget:
    """The budget of these numbers; `shift` (bits of one grid step) is the smallest that fits unless given.

    `dropped_bits` of every c0 are rounded away before it is stored.
    """
    clear = clearing(seats, threshold)
    chunks = -(-update_size // degree)
    numbers = chunks * degree
    fresh = _fresh_std(degree, seats)
    aggregate = max_weight_sum * fresh
    combined = fresh * math.sqrt(numbers / 2)
    # What c0 lost is a function of the unrounded ciphertext, which anybody might see: it spoils sums, but it
    # betrays nothing, so no flooding has to hide it.
    stored = 2.0**dropped_bits / math.sqrt(12) if dropped_bits else 0.0

    spread = clear.share_factor * clear.honest_norm
    sketch = flooding(2 * combined * math.sqrt(sketch_size) * spread, flooding_bits)
    flooded_std = sketch.std * clear.combine_norm / clear.share_factor
    sketch_std = math.hypot(flooded_std, stored * math.sqrt(numbers / 2))

    x = math.log(2) * (FAILURE_BITS + 1)
    square_limit = 1 + 2 * math.sqrt(x / sketch_size) + 2 * x / sketch_size
    # A cheat's own noise may be none at all: then only the flooding takes its part of what the test lets through.
    slack_square = square_limit * sketch_std**2 - flooded_std**2 * (1 - 2 * math.sqrt(7 / sketch_size))
    grid_slack = math.sqrt(2 * slack_square)

    # Noise that passes may be a multiple of the secret in every ciphertext: an opening must not show that either.
    passing = max_weight_sum * grid_slack * spread / math.sqrt(SECRET_SHOWN * degree)
    opening = flooding(1.25 * aggregate * math.sqrt(numbers) * spread, flooding_bits, passing)
    opened_std = math.hypot(opening.std * clear.combine_norm / clear.share_factor, max_weight_sum * stored)

    fixed = FRESH_TAIL * aggregate + max_weight_sum * grid_slack
    half_step = tail(FAILURE_BITS, numbers) * opened_std + fixed
    # The sketch too must tell grid from no grid: uniform deviations have 1/12, allow a quarter of that.
    for_sketch = math.sqrt(12 * 4 * square_limit) * sketch_std
    if shift is None:
        shift = math.ceil(math.log2(max(2 * half_step, for_sketch)))
    room = max(2.0 ** (shift - 1) - fixed, 0.0)
    failure_bits = (room / opened_std) ** 2 / (2 * math.log(2)) - 1 - math.log2(numbers)

    deviations = tail(FAILURE_BITS, sketch_size)
    range_steps = math.ceil(
        deviations * (bound_steps * math.sqrt(update_size / 2) + sketch_std / 2.0**shift)
        + FRESH_TAIL * combined / 2.0**shift
    )
    modulus_bits = (
        math.log2(clear.share_factor * clear.combine_factor)
        + shift
        + math.log2(4 * max_weight_sum * range_steps)
    )
    return Budget(
        fresh_std=fresh,
        stored_std=stored,
        opening=opening,
        sketch=sketch,
        opened_std=opened_std,
        sketch_std=sketch_std,
        sketch_square_limit=square_limit,
        grid_slack=grid_slack,
        half_step=max(half_step, for_sketch / 2),
        shift=shift,
        range_steps=range_steps,
        modulus_bits=modulus_bits,
        failure_bits=failure_bits,
    )
