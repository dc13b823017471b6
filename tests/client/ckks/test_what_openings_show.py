"""What a seat publishes shows the result, and next to nothing else: not what c0 lost, nor a secret hidden in the noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.ckks.budget import SECRET_SHOWN
from quorumlearn.ckks.ciphertexts import lifted
from quorumlearn.ckks.container import Kind, read
from quorumlearn.ckks.keys import read_share
from quorumlearn.ckks.packing import encode

from tests.client.ckks.conftest import Committee


def polynomials(p: ckks.Parameters, kind: Kind, data: bytes, count: int, length: int) -> np.ndarray:
    (found,), _ = read(p, kind, data, ckks.MalformedShare, counts=((count, len(p.primes)),), length=length)
    return found


def test_what_a_seat_publishes_is_no_function_of_c0(small: Callable[..., Committee]) -> None:
    """The README's argument that c0 may be rounded needs it: the rest of the view follows from c1 and the shares."""
    c = small(3, 2)
    p = c.p
    one = c.encrypt(c.values(1))
    other = c.plus(one, 0, {0: 5 << p.shift, 7: 1})
    assert not np.array_equal(one.c0, other.c0)
    assert np.array_equal(one.c1, other.c1)
    for share in c.shares.values():
        a, b = (
            polynomials(
                p,
                Kind.PARTIAL,
                ckks.partial_decrypt(p, share, x),
                p.chunks,
                p.poly_modulus_degree,
            )
            for x in (one, other)
        )
        assert np.array_equal(a, b)
        plan = ckks.SketchPlan.from_beacon(p, b"beacon")
        a, b = (
            polynomials(
                p,
                Kind.SKETCH_SHARE,
                ckks.sketch_share(p, plan, share, ckks.sketch(p, plan, x)),
                1,
                p.sketch_size,
            )
            for x in (one, other)
        )
        assert np.array_equal(a, b)


@pytest.mark.parametrize(("seats", "threshold"), [(1, 1), (3, 2), (5, 3), (4, 4), (7, 4)])
@pytest.mark.parametrize("preset", ["fast", "default"])
def test_noise_that_passes_the_sketch_is_flooded_in_every_opening(
    seats: int, threshold: int, preset: str
) -> None:
    p = ckks.Parameters.named(preset, 50_000, seats=seats, threshold=threshold)
    clear, budget = shamir.clearing(seats, threshold), p.budget
    hidden = p.max_weight_sum * budget.grid_slack * clear.share_factor * clear.honest_norm
    assert (hidden / budget.opening.std) ** 2 <= SECRET_SHOWN * p.poly_modulus_degree


def test_a_miner_in_league_with_seats_reads_no_secret_off_an_opening(small: Callable[..., Committee]) -> None:
    """It adds a constant to every c1, so that the secret itself is in its noise, as much as can pass the sketch."""
    c = small(5, 3)
    p, q = c.p, r.column(c.p.primes)
    degree, bits = p.poly_modulus_degree, p.coeff_modulus_bits
    secret = r.centred(seal.from_ntt(degree, bits, c.raw_secret()[None])[0], p.primes)
    most = p.budget.grid_slack / math.sqrt(p.chunks * float(secret @ secret))
    values = c.values(3)

    def planted(amount: int) -> ckks.Ciphertexts:
        honest = c.encrypt(values)
        return ckks.Ciphertexts(p, honest.c0, r.add(honest.c1, r.constant(amount, p.primes), q), honest.size)

    def passes(update: ckks.Ciphertexts, beacon: bytes) -> bool:
        plan = ckks.SketchPlan.from_beacon(p, beacon)
        s = ckks.sketch(p, plan, update)
        shares = {seat: ckks.sketch_share(p, plan, c.shares[seat], s) for seat in (1, 2, 3)}
        try:
            opened = ckks.open_sketch(p, plan, s, shares)
        except ckks.OutOfRange:
            return False
        return np.array_equal(opened, ckks.plain_sketch(p, plan, values))

    assert passes(planted(int(most / 4)), b"1")  # the multiple is there, and the claim holds
    assert not any(passes(planted(int(2 * most)), beacon) for beacon in (b"1", b"2", b"3"))

    total = ckks.aggregate(p, [(p.max_weight_sum, planted(int(most)))])
    factor = shamir.clearing(5, 3).share_factor
    lagrange = shamir.lagrange((0, 1, 2), 3)
    assert all(x == Fraction(int(x)) for x in lagrange)
    known = np.zeros_like(c.raw_secret())
    for seat, weight in zip((1, 2), lagrange[1:], strict=True):
        known = r.add(known, r.scale(read_share(p, c.shares[seat]), int(weight), p.primes), q)
    ours = r.multiply(total.c1, r.scale(known, factor, p.primes), q)
    ours = seal.from_ntt(degree, bits, ours)
    shown = polynomials(p, Kind.PARTIAL, ckks.partial_decrypt(p, c.shares[3], total), p.chunks, degree)
    public = lifted(p, seal.from_ntt(degree, bits, total.c0, p.dropped))
    message = r.scale(encode(p, values, 0, p.chunks), p.max_weight_sum, p.primes)
    public = r.scale(r.add(public, r.negate(message, q), q), factor * int(lagrange[0]), p.primes)
    left = r.centred(r.add(r.add(shown, r.negate(ours, q), q), public, q), p.primes).sum(axis=0)
    seen = float(np.corrcoef(left, secret)[0, 1])
    assert seen**2 < SECRET_SHOWN / (1 + SECRET_SHOWN) + 0.1
