"""A key under which honest updates would look like cheats' does not pass its rehearsal; every honest key does."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.ckks.container import Kind, write
from scipy.stats import chi2

SEED = b"task/1/1"


def made(p: ckks.Parameters, error: float = 0.0) -> tuple[bytes, dict[int, bytes]]:
    """A collective key, and the seats' shares; the last seat adds an error of this standard deviation to its own."""
    drawn = {seat: ckks.new_key_share(p, SEED) for seat in range(1, p.seats + 1)}
    publics = {seat: one.public for seat, one in drawn.items()}
    q = r.column(p.primes)
    extra = np.random.default_rng(4).normal(0, 1, p.poly_modulus_degree) * error
    added = r.from_integers(extra.astype(np.int64), q)
    added = seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, added[None])[0]
    loud = r.add(ckks.read_public(p, publics[p.seats]), added, q)
    publics[p.seats] = write(p, Kind.PUBLIC_SHARE, loud[None])
    dealt = [ckks.deal(p, one.secret, sorted(drawn)) for one in drawn.values()]
    shares = {seat: ckks.sum_shares(p, [part[seat] for part in dealt]) for seat in drawn}
    return ckks.collective_key(p, SEED, publics), shares


def opened(p: ckks.Parameters, key: bytes, shares: dict[int, bytes]) -> None:
    rehearsal = ckks.rehearsal(p, key, b"test")
    rehearsal.check({seat: rehearsal.share(share) for seat, share in shares.items()})


@settings(max_examples=12, deadline=None)
@given(data=st.data(), seats=st.integers(1, 5), size=st.integers(1, 3000))
def test_every_honest_key_passes_with_any_t_seats_or_more(data: st.DataObject, seats: int, size: int) -> None:
    threshold = data.draw(st.integers(1, seats))
    p = ckks.Parameters.choose(
        size, seats=seats, threshold=threshold, sketch_size=64, minimum_security_bits=0
    )
    key, shares = made(p)
    some = data.draw(st.sets(st.sampled_from(sorted(shares)), min_size=threshold))
    opened(p, key, {seat: shares[seat] for seat in some})


@pytest.mark.parametrize(("seats", "threshold"), [(3, 2), (5, 3)])
def test_an_error_that_would_spoil_honest_sketches_does_not_pass_though_sums_open(
    seats: int, threshold: int
) -> None:
    """In units of what the flooding of a sketch hides: a hundredth is far above any honest error, and harmless."""
    p = ckks.Parameters.choose(9000, seats=seats, threshold=threshold)
    numbers = p.chunks * p.poly_modulus_degree
    unit = p.budget.sketch_std / math.sqrt(2 * p.poly_modulus_degree / 3 * numbers / 2)
    values = np.random.default_rng(5).integers(-99, 100, p.update_size)
    for share, passes in ((0.01, True), (1.5, False)):
        key, shares = made(p, unit * share)
        sample = ckks.test_ciphertext(p, key, b"test")
        partials = {seat: ckks.partial_decrypt(p, one, sample) for seat, one in shares.items()}
        assert (ckks.open_partials(p, sample, partials) == ckks.test_values(p, b"test")).all()
        update = ckks.parse(p, ckks.encrypt(p, key, values))
        plan = ckks.SketchPlan.from_beacon(p, b"beacon")
        sketch = ckks.sketch(p, plan, update)
        worst = dict(list(shares.items())[-threshold:])
        parts = {seat: ckks.sketch_share(p, plan, one, sketch) for seat, one in worst.items()}
        if passes:
            opened(p, key, shares)
            ckks.open_sketch(p, plan, sketch, parts)
        else:
            with pytest.raises(ckks.BadPartial, match="of noise"):
                opened(p, key, shares)
            with pytest.raises(ckks.OutOfRange, match="off the grid"):
                ckks.open_sketch(p, plan, sketch, parts)


@pytest.mark.parametrize(("seats", "threshold", "chance"), [(3, 2, 1e-10), (5, 3, 1e-14), (2, 2, 0.13)])
def test_who_aims_for_the_line_has_little_chance_to_spoil_an_honest_update(
    seats: int, threshold: int, chance: float
) -> None:
    """That one key passes although an honest update under it, opened by the noisiest t, is judged off the grid: at most this,
    whatever the error. Without a seat to spare the best choice has one chance in eight."""
    p = ckks.Parameters.named("default", 100_000, seats=seats, threshold=threshold)
    budget, k, factor = p.budget, p.sketch_size, shamir.clearing(seats, threshold).share_factor
    stored = budget.stored_std * math.sqrt(p.chunks * p.poly_modulus_degree / 2)
    norms = [
        math.sqrt(sum(float(part) ** 2 for part in shamir.lagrange(some, 0)))
        for some in combinations(range(1, seats + 1), threshold)
    ]
    quiet = budget.sketch.std * min(norms) / factor
    loud = math.hypot(budget.sketch.std * max(norms) / factor, stored)
    assert loud == pytest.approx(budget.sketch_std)
    error = np.linspace(0, 5, 2000) * loud
    limits = k * budget.sketch_square_limit * np.array([quiet**2, loud**2])
    passes = chi2.cdf(limits[0] / (quiet**2 + error**2), k)
    spoils = chi2.sf(limits[1] / (loud**2 + error**2), k)
    assert 0 < (passes * spoils).max() < chance


def test_a_part_of_another_share_or_of_another_key_does_not_pass() -> None:
    p = ckks.Parameters.choose(700, seats=3, threshold=2, sketch_size=64, minimum_security_bits=0)
    key, shares = made(p)
    rehearsal = ckks.rehearsal(p, key, b"test")
    parts = {seat: rehearsal.share(share) for seat, share in shares.items()}
    with pytest.raises(ckks.BadPartial, match="different numbers"):
        rehearsal.check({**parts, 3: rehearsal.share(shares[2])})
    with pytest.raises(ckks.BadPartial, match="of noise"):
        rehearsal.check({1: parts[1], 3: rehearsal.share(shares[2])})
    other = ckks.rehearsal(p, made(p)[0], b"test")
    with pytest.raises(ckks.MalformedShare, match="seat 2"):
        rehearsal.check({**parts, 2: other.share(shares[2])})
    with pytest.raises(ckks.MalformedShare, match="seat 1"):
        rehearsal.check({**parts, 1: b""})
    with pytest.raises(ckks.ParameterError):
        rehearsal.check({1: parts[1]})


def test_the_rehearsal_is_the_same_for_all_and_another_for_each_key_and_attempt() -> None:
    p = ckks.Parameters.choose(700, seats=3, threshold=2, sketch_size=64, minimum_security_bits=0)
    key, _ = made(p)
    first = ckks.rehearsal(p, key, b"test").ciphertext.digest
    ckks.rehearsal.cache_clear()
    assert ckks.rehearsal(p, key, b"test").ciphertext.digest == first
    assert ckks.rehearsal(p, key, b"next").ciphertext.digest != first
    assert ckks.rehearsal(p, made(p)[0], b"test").ciphertext.digest != first
