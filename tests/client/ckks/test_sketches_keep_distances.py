"""Sketches: what opens is the plain oracle's numbers, distances hold, and cheats show."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from quorumlearn import ckks
from quorumlearn.ckks import decryption, packing, shamir, sketches
from quorumlearn.ckks import residues as r
from quorumlearn.ckks.container import Kind, write

from tests.client.ckks.conftest import Committee


def opened(
    c: Committee, plan: ckks.SketchPlan, ciphertexts: ckks.Ciphertexts, seats: Sequence[int] | None = None
) -> NDArray[np.float64]:
    s = ckks.sketch(c.p, plan, ciphertexts)
    shares = c.sketch_shares(plan, s)
    return ckks.open_sketch(c.p, plan, s, {x: shares[x] for x in seats or range(1, c.p.threshold + 1)})


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31), st.binary(max_size=40), st.sampled_from([(1, 1), (3, 2), (5, 3)]))
def test_any_t_seats_open_the_plain_oracles_numbers(
    small: Callable[..., Committee], seed: int, beacon: bytes, committee: tuple[int, int]
) -> None:
    c = small(*committee)
    plan = ckks.SketchPlan.from_beacon(c.p, beacon)
    values = c.values(seed)
    s = ckks.sketch(c.p, plan, c.encrypt(values))
    shares = c.sketch_shares(plan, s)
    plain = ckks.plain_sketch(c.p, plan, values)
    got = [
        ckks.open_sketch(c.p, plan, s, {x: shares[x] for x in some})
        for some in itertools.combinations(shares, c.p.threshold)
    ]
    assert got[0].shape == (c.p.sketch_size,)
    assert np.abs(got[0] - plain).max() < 1e-9 * np.abs(plain).max()
    assert all(np.array_equal(got[0], other) for other in got)


def test_secure_parameters_open_the_oracles_numbers_at_full_range(real: Committee) -> None:
    p = real.p
    plan = ckks.SketchPlan.from_beacon(p, b"beacon")
    values = np.where(real.values(1) > 0, p.bound_steps, -p.bound_steps).astype(np.int64)
    got = opened(real, plan, real.encrypt(values), (1, 3))
    assert np.abs(got - ckks.plain_sketch(p, plan, values)).max() < 1e-9 * np.abs(got).max()


def test_squared_distances_come_back_within_the_promised_error(real: Committee) -> None:
    """Ten unlike updates, forty beacons; the plain oracle, which opens to the same numbers."""
    p = real.p
    rng = np.random.default_rng(4)
    base = rng.normal(size=p.update_size) * 0.01
    updates = [base + rng.normal(size=p.update_size) * 0.01 * (i + 1) for i in range(6)]
    updates += [
        base * 0,
        -base,
        np.full(p.update_size, 0.02),
        np.where(np.arange(p.update_size) < 3, 0.9, base),
    ]
    values = [ckks.quantise(u, p) for u in updates]
    errors = []
    for i in range(40):
        plan = ckks.SketchPlan.from_beacon(p, bytes([i]))
        rows = [ckks.plain_sketch(p, plan, v) for v in values]
        for (a, x), (b, y) in itertools.combinations(zip(rows, values, strict=True), 2):
            want = ((x - y).astype(float) ** 2).sum() * 4.0**-p.step_bits
            errors.append(((a - b) ** 2).sum() / want - 1)
    rms = math.sqrt(np.square(errors).mean())
    assert abs(np.mean(errors)) < 0.02
    assert rms < 1.25 * p.explain().sketch_error


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(1, 1), (3, 2), (5, 3)]))
def test_rounding_tells_an_update_encrypted_twice_from_one_a_step_off_in_one_value(
    small: Callable[..., Committee], seed: int, committee: tuple[int, int]
) -> None:
    c = small(*committee)
    plan = ckks.SketchPlan.from_beacon(c.p, seed.to_bytes(4, "big"))
    values = c.values(seed)
    other = values.copy()
    at = int(np.abs(other).argmin())
    other[at] += 1 if other[at] < 1 else -1
    one, again, beside = (opened(c, plan, c.encrypt(x)) for x in (values, values, other))
    rounding = ckks.sketch_rounding(c.p)
    assert np.linalg.norm(one - again) <= rounding < np.linalg.norm(one - beside)
    assert rounding <= math.sqrt(1 / 6) * 2.0**-c.p.step_bits


@pytest.mark.parametrize("shape", ["constant", "ramp", "one value", "wave"])
def test_updates_of_one_shape_are_not_lost(real: Committee, shape: str) -> None:
    """The whitening signs keep plain patterns apart from the rows' structure."""
    p = real.p
    at = np.arange(p.update_size)
    update = {
        "constant": np.full(p.update_size, 0.1),
        "ramp": at / p.update_size,
        "one value": (at == 17) * 1.0,
        "wave": 0.1 * np.cos(np.pi * at / p.poly_modulus_degree),
    }[shape]
    values = ckks.quantise(update, p)
    ratios = []
    for i in range(40):
        plan = ckks.SketchPlan.from_beacon(p, bytes([i]))
        estimate = (ckks.plain_sketch(p, plan, values) ** 2).sum()
        ratios.append(estimate / ((values.astype(float) * 2.0**-p.step_bits) ** 2).sum())
    assert abs(np.mean(ratios) - 1) < 0.06
    assert np.std(ratios) < 1.5 * p.explain().sketch_error


def test_the_worst_update_against_known_signs_still_shows_its_size(real: Committee) -> None:
    """A cheat that undoes the public signs can make its spectrum one line; four combinations keep it in sight."""
    p = real.p
    wave = np.cos(np.pi * np.arange(p.poly_modulus_degree) / p.poly_modulus_degree)
    laid_out = np.rint(1000 * np.tile(wave, (p.chunks, 1))).astype(np.int64)
    values = packing.gather(p, laid_out, p.update_size)
    ratios = []
    for i in range(60):
        plan = ckks.SketchPlan.from_beacon(p, bytes([i]))
        norm = ((values.astype(float) * 2.0**-p.step_bits) ** 2).sum()
        ratios.append((ckks.plain_sketch(p, plan, values) ** 2).sum() / norm)
    assert 0.7 < np.mean(ratios) < 1.3
    assert np.std(ratios) < 0.8  # one combination alone: 1.0 and more
    assert (np.array(ratios) < 0.1).sum() <= 1


def test_an_honest_sketch_reaches_neither_limit_and_its_noise_is_as_budgeted(real: Committee) -> None:
    p, noise = real.p, real.p.budget
    away = []
    for seed in range(6):
        plan = ckks.SketchPlan.from_beacon(p, bytes([seed]))
        s = ckks.sketch(p, plan, real.encrypt(real.values(seed)))
        posted = real.sketch_shares(plan, s)
        shares = sketches.read_sketch_shares(p, s, posted)
        for some in itertools.combinations((1, 2, 3), 2):
            ckks.open_sketch(p, plan, s, {x: posted[x] for x in some})
            steps = decryption.scaled(p, s.public, {x: shares[x] for x in some})
            away.append((some, steps - np.rint(steps)))
    worst = np.concatenate([a for some, a in away if some == (2, 3)])
    assert 0.9 < worst.std() / (noise.sketch_std / 2.0**p.shift) < 1.1
    assert all(a.std() < 1.15 * noise.sketch_std / 2.0**p.shift for _, a in away)


def plaintext_modulus(p: ckks.Parameters) -> int:
    """What opens is the plaintext times the committee's factors modulo Q, so the plaintext counts modulo this."""
    clear = shamir.clearing(p.seats, p.threshold)
    return math.prod(p.primes) // (clear.share_factor * clear.combine_factor)


def cheats(c: Committee) -> dict[str, dict[int, int]]:
    p = c.p
    q = plaintext_modulus(p)
    step = 1 << p.shift
    return {
        "one huge value": {5: 3 * p.budget.range_steps * step},
        "half the modulus": {5: q // 2},
        "half the modulus, twice": {5: q // 2, 9: q // 2},
        "a third of the modulus, three times": {5: q // 3, 9: q // 3, 700: q // 3},
        "between two steps": {5: step // 2},
        "a quarter off": {5: step // 4},
        "a little off everywhere": dict.fromkeys(range(500), step // 20),
        "outside by little, everywhere": dict.fromkeys(range(900), 40 * p.bound_steps * step),
    }


@pytest.mark.parametrize(
    "name",
    [
        "one huge value",
        "half the modulus",
        "half the modulus, twice",
        "a third of the modulus, three times",
        "between two steps",
        "a quarter off",
        "a little off everywhere",
        "outside by little, everywhere",
    ],
)
def test_an_update_out_of_range_or_off_the_grid_is_refused(
    small: Callable[..., Committee], name: str
) -> None:
    c = small(3, 2)
    honest = c.encrypt(c.values(1, 100))
    bad = c.plus(honest, 1, cheats(c)[name])
    for beacon in (b"one", b"two", b"three"):
        plan = ckks.SketchPlan.from_beacon(c.p, beacon)
        opened(c, plan, honest)
        with pytest.raises(ckks.OutOfRange):
            opened(c, plan, bad)


def test_whole_plaintext_moduli_change_nothing(small: Callable[..., Committee]) -> None:
    c = small(3, 2)
    honest = c.encrypt(c.values(1, 100))
    bad = c.plus(honest, 1, {5: plaintext_modulus(c.p), 9: 3 * plaintext_modulus(c.p)})
    plan = ckks.SketchPlan.from_beacon(c.p, b"b")
    assert np.array_equal(opened(c, plan, bad), opened(c, plan, honest))
    total = ckks.aggregate(c.p, [(3, bad)])
    assert np.array_equal(ckks.open_partials(c.p, total, c.partials(total)), 3 * c.values(1, 100))


def test_what_passes_the_sketch_cannot_spoil_the_sum(small: Callable[..., Committee]) -> None:
    """A cheat just inside what the sketch admits, at the full weight: opens exactly, and the mean is clipped."""
    c = small(3, 2)
    p = c.p
    values = c.values(1, 100)
    step = 1 << p.shift
    excess = p.budget.range_steps // 2
    off_grid = int(0.5 * p.budget.grid_slack)
    bad = c.plus(c.encrypt(values), 0, {3: excess * step + off_grid})
    opened(c, ckks.SketchPlan.from_beacon(p, b"b"), bad)
    total = ckks.aggregate(p, [(p.max_weight_sum, bad)])
    partials = c.partials(total)
    want = values.copy()
    want[3] += excess * int(packing.whitening(p)[0, 3])
    for some in itertools.combinations((1, 2, 3), 2):
        got = ckks.open_partials(p, total, {s: partials[s] for s in some})
        assert np.array_equal(got, p.max_weight_sum * want)
    mean = ckks.dequantise(got, p.max_weight_sum, p)
    assert np.abs(mean).max() <= p.bound_steps * 2.0**-p.step_bits
    assert mean[3] == int(packing.whitening(p)[0, 3])


def test_random_ciphertexts_and_ciphertexts_of_another_key_are_refused(
    small: Callable[..., Committee], new_round: Callable[[Committee, bytes], Committee]
) -> None:
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"b")
    rng = np.random.default_rng(1)
    shape = (c.p.chunks, c.p.poly_modulus_degree)
    c0, c1 = (
        np.stack([rng.integers(0, q, shape, dtype=np.uint64) for q in primes], axis=1)
        for primes in (c.p.kept_primes, c.p.primes)
    )
    stranger = new_round(c, b"elsewhere").encrypt(c.values(1))
    for bad in (ckks.parse(c.p, ckks.Ciphertexts(c.p, c0, c1, c.p.update_size).to_bytes()), stranger):
        with pytest.raises(ckks.OutOfRange):
            opened(c, plan, bad)


def test_a_wrong_sketch_share_is_seen_when_a_spare_one_tells(small: Callable[..., Committee]) -> None:
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"b")
    s, other = (ckks.sketch(c.p, plan, c.encrypt(c.values(i))) for i in (1, 2))
    shares = c.sketch_shares(plan, s)
    assert ckks.sketch_shares_agree(c.p, s, shares)
    wrong = sketches.read_sketch_shares(c.p, other, c.sketch_shares(plan, other))[3]
    forged = shares | {3: write(c.p, Kind.SKETCH_SHARE, wrong[None], binding=s.digest)}
    assert not ckks.sketch_shares_agree(c.p, s, forged)
    with pytest.raises(ckks.OutOfRange):
        ckks.open_sketch(c.p, plan, s, {1: forged[1], 3: forged[3]})
    with pytest.raises(ckks.MalformedShare, match="seat 3: this share is of another sketch"):
        ckks.open_sketch(c.p, plan, s, {1: shares[1], 3: c.sketch_shares(plan, other)[3]})
    for some in ({1: shares[1]}, shares):
        with pytest.raises(ckks.ParameterError):
            ckks.open_sketch(c.p, plan, s, some)


def test_a_share_shows_k_numbers_and_repeats_itself(small: Callable[..., Committee]) -> None:
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"b")
    s = ckks.sketch(c.p, plan, c.encrypt(c.values(1)))
    share = ckks.sketch_share(c.p, plan, c.shares[1], s)
    assert share == ckks.sketch_share(c.p, plan, c.shares[1], s)
    assert len(share) == 44 + 32 + r.packed_size(c.p.primes, c.p.sketch_size)


@settings(max_examples=10, deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_plan_is_a_function_of_its_beacon(small: Callable[..., Committee], one: bytes, two: bytes) -> None:
    c = small(3, 2)
    a, b = (ckks.SketchPlan.from_beacon(c.p, x) for x in (one, two))
    assert (a.digest == b.digest) == (one == two)
    assert np.array_equal(a.signs, b.signs) == (one == two)
    assert sum(len(x) for x in a.positions) == c.p.sketch_size
    assert all(len(set(x.tolist())) == len(x) and (np.diff(x) > 0).all() for x in a.positions)
    shares = [(a.signs == x).mean() for x in (-1, 0, 1)]
    assert np.abs(np.array(shares) - [0.25, 0.5, 0.25]).max() < 0.03
