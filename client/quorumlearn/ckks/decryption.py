"""Opening a sum with any t shares: flooded partial decryptions, and integers from them.

A seat with share s_i publishes p_i = f c1 s_i + e_i, in coefficient form, with f the committee's
`share_factor` and e_i flooding. Integers lambda_i take any t of them to g f c1 s + small, g the
`combine_factor`; adding f g c0 leaves f g times the message, whose coefficients are grid steps times 2^shift.

Rules:
- flooding is drawn by ChaCha20 under a key that SHAKE-256 makes of the share and c1: a seat that is restarted repeats
  itself, since two answers with independent noise would flood less than one;
- a partial decryption is bound to the digest of the ciphertexts it is for;
- with more than t partial decryptions all are checked against each other before t of them are used.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks import sampling, seal, shamir
from quorumlearn.ckks.budget import FAILURE_BITS, UNIFORMS, Flooding, tail
from quorumlearn.ckks.ciphertexts import Ciphertexts, frozen, lifted, stored
from quorumlearn.ckks.container import Kind, read, write
from quorumlearn.ckks.errors import BadPartial, MalformedShare, ParameterError
from quorumlearn.ckks.keys import read_key, read_share
from quorumlearn.ckks.packing import encode, gather
from quorumlearn.ckks.parameters import Parameters

_LIMB = 56
_UNLIKE_GRID = 0.2
"""Rms distance from the grid, in steps, above which a chunk is no honest opening (uniform: 0.29)."""


def test_values(p: Parameters, seed: bytes) -> r.Integers:
    """The N known values of the ceremony's test, within +-bound_steps."""
    words = np.frombuffer(r.stream("test values", seed, size=8 * p.poly_modulus_degree), dtype="<u8")
    return (words % np.uint64(2 * p.bound_steps + 1)).astype(np.int64) - p.bound_steps


@lru_cache(maxsize=1)
def test_ciphertext(p: Parameters, key: bytes, seed: bytes) -> Ciphertexts:
    """A deterministic encryption of `test_values`, the same bytes for everybody: for the ceremony's test.

    (b X^n + m, a X^n) with n from the seed: it needs no secrecy, and opens only if the shares fit the key.
    """
    degree, bits, q = p.poly_modulus_degree, p.coeff_modulus_bits, r.column(p.primes)
    turn = int.from_bytes(r.stream("test turn", seed, size=8), "little") % degree
    monomial = np.zeros((1, len(p.primes), degree), dtype=np.uint64)
    monomial[0, :, turn] = 1
    whole = np.zeros(p.chunks * degree, dtype=np.int64)
    whole[:degree] = test_values(p, seed)
    message = encode(p, whole, 0, 1)
    turned = seal.to_ntt(degree, bits, monomial)
    b, a = read_key(p, key)
    c0 = seal.from_ntt(degree, bits, r.multiply(b, turned, q))
    c0 = stored(p, r.add(c0, message, q))
    return frozen(p, c0, r.multiply(a, turned, q), degree, Kind.TEST)


def flooding_terms(
    flooding: Flooding, key: bytes, label: int, count: int, primes: Sequence[int]
) -> r.Residues:
    """`count` flooding terms as residues (primes, count): each the centred sum of four uniform integers."""
    limbs = 1 if flooding.width <= _LIMB else 2
    drawn_from = r.stream("flooding", key, label.to_bytes(8, "little"), size=32)
    data = sampling.expand(drawn_from, 8 * UNIFORMS * limbs * count)
    words = np.frombuffer(data, dtype="<u8").reshape(limbs, UNIFORMS, count)
    q = r.column(primes)
    low = (words[0] & np.uint64((1 << min(flooding.width, _LIMB)) - 1)).sum(axis=0, dtype=np.uint64)
    total = low % q
    if limbs == 2:
        high = (words[1] & np.uint64((1 << (flooding.width - _LIMB)) - 1)).sum(axis=0, dtype=np.uint64)
        total = r.add(total, r.scale(high % q, 1 << _LIMB, primes), q)
    centre = UNIFORMS * ((1 << flooding.width) - 1) // 2
    return r.add(total, r.constant(-centre, primes), q)


def flooding_key(share: bytes, *context: bytes) -> bytes:
    """The key of a share's flooding for one opening; as secret as the share."""
    return r.stream("flooding key", share, *context, size=32)


def partial_decrypt(p: Parameters, share: bytes, c: Ciphertexts) -> bytes:
    """This seat's flooded partial decryption of `c`; the same bytes however often it is asked.

    Raises MalformedShare for a share of other parameters.
    """
    _same(p, c)
    q = r.column(p.primes)
    secret = r.scale(read_share(p, share), shamir.clearing(p.seats, p.threshold).share_factor, p.primes)
    key = flooding_key(share, p.digest, hashlib.sha256(c.c1.tobytes()).digest())
    products = np.stack([r.multiply(chunk, secret, q) for chunk in c.c1])
    parts = seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, products)
    for i, part in enumerate(parts):
        noise = flooding_terms(p.budget.opening, key, i, p.poly_modulus_degree, p.primes)
        part[...] = r.add(part, noise, q)
    return write(p, Kind.PARTIAL, parts, binding=c.digest())


def open_partials(p: Parameters, c: Ciphertexts, partials: Mapping[int, bytes]) -> r.Integers:
    """The values of `c` as exact int64 grid steps (size,), the same for any t honest partial decryptions.

    Raises MalformedShare for bytes that are no partial decryption of `c`, naming the seat; BadPartial when
    the result is not an opened sum or the partial decryptions disagree, with the seats at fault where more
    than t are there to tell; ParameterError for fewer than t.
    """
    parts, public = read_partials(p, c, partials), public_part(p, c)
    steps = _plausible_steps(p, public, parts)
    if steps is None:
        bad = blame(p, parts, lambda some: _plausible_steps(p, public, some) is not None)
        known = (
            f"seats {list(bad)} are at fault" if bad else "more partial decryptions are needed to tell whose"
        )
        raise BadPartial(f"the partial decryptions of seats {sorted(partials)} do not open: {known}", bad)
    return gather(p, np.rint(steps).astype(np.int64), c.size)


def check_partial(p: Parameters, c: Ciphertexts, partial: bytes) -> None:
    """Raises MalformedShare unless the bytes are a partial decryption of `c`; whether a right one, they do not show."""
    read_partial(p, c, partial)


def consistent(p: Parameters, parts: Mapping[int, r.Residues], std: float) -> bool:
    """Whether shares (..., primes, count) lie on one polynomial of degree below t, but for noise of this std.

    Divided differences of order t over each t+1 seats in turn vanish on such a polynomial. True for t shares.
    """
    seats, q = sorted(parts), r.column(p.primes)
    for at in range(len(seats) - p.threshold):
        window = seats[at : at + p.threshold + 1]
        factors = shamir.parity(window)
        rest = combine(p, {seat: parts[seat] for seat in window}, factors, q)
        value = r.centred(rest, p.primes)
        limit = tail(FAILURE_BITS, value.size) * std * math.sqrt(sum(f * f for f in factors))
        if np.abs(value).max() > limit:
            return False
    return True


def combine(
    p: Parameters, parts: Mapping[int, r.Residues], factors: Sequence[int], q: r.Residues
) -> r.Residues:
    """The sum of integer factors times residues, seats in order."""
    total: r.Residues | None = None
    for (_, part), factor in zip(sorted(parts.items()), factors, strict=True):
        term = r.scale(part, factor, p.primes)
        total = term if total is None else r.add(total, term, q)
    if total is None:
        raise ParameterError("no shares to combine")
    return total


def scaled(p: Parameters, public: r.Residues, parts: Mapping[int, r.Residues]) -> r.Floats:
    """Grid steps, float64 (..., count), from public residues (..., primes, count) and t partial ones."""
    clear, q = shamir.clearing(p.seats, p.threshold), r.column(p.primes)
    factor = clear.share_factor * clear.combine_factor
    total = combine(p, parts, shamir.combining(p.seats, p.threshold, sorted(parts)), q)
    total = r.add(total, r.scale(public, factor, p.primes), q)
    return r.centred(total, p.primes) / (float(factor) * 2.0**p.shift)


def blame(
    p: Parameters, parts: Mapping[int, r.Residues], plausible: Callable[[Mapping[int, r.Residues]], bool]
) -> tuple[int, ...]:
    """The seats outside the one largest set of t or more that is plausible; empty if there is no such one."""
    seats = sorted(parts)
    for size in range(len(seats), p.threshold - 1, -1):
        good = [s for s in combinations(seats, size) if plausible({seat: parts[seat] for seat in s})]
        if len(good) == 1:
            return tuple(seat for seat in seats if seat not in good[0])
        if good:
            return ()
    return ()


def _same(p: Parameters, c: Ciphertexts) -> None:
    if c.parameters != p:
        raise ParameterError(f"{c!r} belongs to other parameters")


def check_enough(p: Parameters, seats: Sequence[int]) -> None:
    """Raises ParameterError unless these are at least t distinct seats of the committee."""
    if len(seats) < p.threshold:
        raise ParameterError(f"{len(seats)} seats answered, {p.threshold} are needed")
    if len(set(seats)) != len(seats) or not all(1 <= seat <= p.seats for seat in seats):
        raise ParameterError(f"seats {sorted(seats)}: need numbers from 1 to {p.seats}")


def read_partials(p: Parameters, c: Ciphertexts, partials: Mapping[int, bytes]) -> dict[int, r.Residues]:
    """Partial decryptions by seat, as `read_partial` reads them. Raises as `open_partials` does for what it cannot read."""
    _same(p, c)
    check_enough(p, list(partials))
    out = {}
    for seat, data in sorted(partials.items()):
        try:
            out[seat] = read_partial(p, c, data)
        except MalformedShare as error:
            raise MalformedShare(f"seat {seat}: {error}") from None
    return out


def read_partial(p: Parameters, c: Ciphertexts, partial: bytes) -> r.Residues:
    """A partial decryption of `c` as residues (chunks, primes, N), coefficients. Raises MalformedShare."""
    (parts,), binding = read(p, Kind.PARTIAL, partial, MalformedShare, counts=((len(c.c1), len(p.primes)),))
    if binding != c.digest():
        raise MalformedShare("this partial decryption is of other ciphertexts")
    return parts


def public_part(p: Parameters, c: Ciphertexts) -> r.Residues:
    """The c0 of `c` modulo all primes, (chunks, primes, N), coefficients: what the partial decryptions are added to."""
    return lifted(p, seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, c.c0, p.dropped))


def _plausible_steps(p: Parameters, public: r.Residues, parts: Mapping[int, r.Residues]) -> r.Floats | None:
    """Grid steps (chunks, N) as the first t of these seats open them; None if the seats contradict each other or it is no opening."""
    if not consistent(p, parts, p.budget.opening.std):
        return None
    steps = scaled(p, public, {seat: parts[seat] for seat in sorted(parts)[: p.threshold]})
    if np.abs(steps).max() > 2 * p.max_weight_sum * p.budget.range_steps:
        return None
    away = np.sqrt(((steps - np.rint(steps)) ** 2).mean(axis=-1))
    return steps if (away < _UNLIKE_GRID).all() else None
