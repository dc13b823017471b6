"""Fixed point: a vector as integers of grid steps, integers as polynomials.

Rules:
- values are clipped to the bound, then rounded onto the grid of 2^-step_bits: half to even, or from a secret up or down at random,
  so that a value comes out right on average and nobody who guesses it knows how it was rounded;
- N values a ciphertext, in the polynomial's *coefficients*, each times 2^shift: exact integers from end to
  end, no Fourier transform rounds them, so no miner's rounding hides in the low bits of an opened sum;
- each value's sign is flipped or not by a public pattern that follows from the parameters (`whitening`).
  Without it an update of one sign throughout would line up with its own shifts, and its sketch would spread.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorumlearn.ckks import residues as r
from quorumlearn.ckks.errors import QuantiseError
from quorumlearn.ckks.parameters import Parameters


def quantise(update: NDArray[np.floating[Any]], p: Parameters, secret: bytes | None = None) -> r.Integers:
    """A vector (d,) in its own units as int64 grid steps (d,) within +-bound_steps: the nearest, or with a `secret` one of the two
    nearest, drawn from it (SHAKE-256) with chances that make its mean the value.

    Raises QuantiseError for another shape, for NaN and for infinity.
    """
    if update.shape != (p.update_size,):
        raise QuantiseError(f"an update of shape {update.shape}, these parameters hold ({p.update_size},)")
    if not np.issubdtype(update.dtype, np.floating):
        raise QuantiseError(f"an update of {update.dtype}: floating point values are wanted")
    finite = np.isfinite(update)
    if not finite.all():
        at = int((~finite).argmax())
        raise QuantiseError(
            f"value {at} of the update is {update[at]}: the training diverged, lower its step size"
        )
    scaled = np.clip(np.ldexp(update.astype(np.float64), p.step_bits), -p.bound_steps, p.bound_steps)
    rounded = np.rint(scaled) if secret is None else np.floor(scaled + _chances(p.update_size, secret))
    steps: r.Integers = rounded.astype(np.int64)
    return steps


def _chances(size: int, secret: bytes) -> r.Floats:
    """Numbers (size,) in [0, 1), multiples of 2^-32."""
    words = np.frombuffer(r.stream("rounding", secret, size=4 * size), dtype="<u4")
    chances: r.Floats = np.ldexp(words.astype(np.float64), -32)
    return chances


def dequantise(values: r.Integers, weight_sum: int, p: Parameters) -> r.Floats:
    """The weighted mean of updates, float64 (d,) in its own units, from an opened sum of grid steps.

    A mean of clipped updates lies within the bound; what a miner smuggled in above it is clipped off here.
    """
    if not 1 <= weight_sum <= p.max_weight_sum:
        raise QuantiseError(f"weight_sum {weight_sum} is outside 1..{p.max_weight_sum}")
    limit = weight_sum * p.bound_steps
    mean: r.Floats = np.ldexp(np.clip(values, -limit, limit).astype(np.float64), -p.step_bits) / weight_sum
    return mean


def check_values(p: Parameters, values: r.Integers) -> None:
    """Raises QuantiseError unless these are (d,) int64 within +-bound_steps."""
    if values.dtype != np.int64 or values.shape != (p.update_size,):
        raise QuantiseError(f"values are {values.dtype} {values.shape}, wanted int64 ({p.update_size},)")
    low, high = int(values.min()), int(values.max())
    if low < -p.bound_steps or high > p.bound_steps:
        raise QuantiseError(f"values from {low} to {high} leave +-{p.bound_steps}: quantise the update first")


@lru_cache(maxsize=8)
def whitening(p: Parameters) -> NDArray[np.int8]:
    """Public signs -1 and 1 (chunks, N) from SHAKE-256 of the parameters."""
    count = p.chunks * p.poly_modulus_degree
    data = r.stream("whitening", p.digest, size=count // 8)
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
    signs = (2 * bits.astype(np.int8) - 1).reshape(p.chunks, p.poly_modulus_degree)
    signs.setflags(write=False)
    return signs


def lay_out(p: Parameters, values: r.Integers, start: int = 0) -> r.Integers:
    """Values from the beginning of chunk `start`, signs flipped, as coefficients (chunks, N), zeros at the end."""
    degree = p.poly_modulus_degree
    whole = np.zeros(-(-len(values) // degree) * degree, dtype=np.int64)
    whole[: len(values)] = values
    chunks = whole.reshape(-1, degree)
    chunks *= whitening(p)[start : start + len(chunks)]
    return chunks


def gather(p: Parameters, coefficients: r.Integers, size: int) -> r.Integers:
    """The inverse of `lay_out` for the first `size` values."""
    return (coefficients * whitening(p)[: len(coefficients)]).reshape(-1)[:size]


def encode(p: Parameters, values: r.Integers, start: int, stop: int) -> r.Residues:
    """Plaintext polynomials (stop - start, primes, N) of these chunks of (d,) values, coefficient form."""
    degree = p.poly_modulus_degree
    return encode_part(p, values[start * degree : stop * degree], start)


def encode_part(p: Parameters, values: r.Integers, start: int) -> r.Residues:
    """Plaintext polynomials (chunks, primes, N) of values that begin with chunk `start`."""
    return r.multiples(lay_out(p, values, start), 1 << p.shift, p.primes)
