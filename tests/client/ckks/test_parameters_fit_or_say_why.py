"""Parameters are chosen so that everything holds, and refused with a reason when it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.ckks import packing, shamir
from quorumlearn.ckks.budget import budget

from tests.client.ckks.conftest import Committee


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 2_000_000),
    committee=st.integers(1, 7).flatmap(lambda v: st.tuples(st.just(v), st.integers(1, v))),
    flooding=st.integers(20, 45),
    weights=st.integers(1, 32),
    k=st.sampled_from([8, 64, 256]),
)
def test_what_is_chosen_checks_out_and_keeps_its_promises(
    size: int, committee: tuple[int, int], flooding: int, weights: int, k: int
) -> None:
    p = ckks.Parameters.choose(
        size,
        seats=committee[0],
        threshold=committee[1],
        flooding_bits=flooding,
        max_weight_sum=weights,
        sketch_size=k,
    )
    p.check()
    told = p.explain()
    assert told.security_bits >= 128
    assert told.flooding_bits >= flooding
    assert told.failure_bits >= 40
    assert told.opening_margin_bits >= 0
    assert p.update_bytes == pytest.approx(told.bytes_per_parameter * size)
    assert p.chunks == -(-size // p.poly_modulus_degree)
    assert all(q % (2 * p.poly_modulus_degree) == 1 for q in p.primes)
    assert [q.bit_length() for q in p.primes] == list(p.coeff_modulus_bits)
    with pytest.raises(ckks.ParameterError, match="raise scale_bits"):
        replace(p, scale_bits=p.scale_bits - 1).check()
    with pytest.raises(ckks.ParameterError, match="needed"):
        replace(p, max_weight_sum=p.max_weight_sum * 64, scale_bits=p.scale_bits + 6).check()


@pytest.mark.parametrize("size", [24 * 4096, 100_000, 1_000_000])
def test_the_usual_task_costs_at_most_21_bytes_a_parameter(size: int) -> None:
    p = ckks.Parameters.choose(size, seats=3, threshold=2, max_weight_sum=10)
    told = p.explain()
    assert told.flooding_bits >= 40
    assert told.bytes_per_parameter <= 21
    assert 8 * p.update_bytes == pytest.approx(
        (told.mask_bits + told.public_bits) * p.chunks * p.poly_modulus_degree, abs=400
    )


def test_what_c0_loses_stays_below_the_flooding() -> None:
    for flooding in (20, 40, 64):
        p = ckks.Parameters.choose(10**5, seats=3, threshold=2, flooding_bits=flooding)
        noise, clear = p.budget, shamir.clearing(3, 2)
        numbers = p.chunks * p.poly_modulus_degree
        assert p.dropped >= 1
        assert (
            noise.stored_std * (numbers / 2) ** 0.5
            <= noise.sketch.std * clear.combine_norm / clear.share_factor
        )
        whole = budget(
            degree=p.poly_modulus_degree,
            dropped_bits=0,
            update_size=p.update_size,
            seats=3,
            threshold=2,
            bound_steps=p.bound_steps,
            max_weight_sum=p.max_weight_sum,
            flooding_bits=flooding,
            sketch_size=p.sketch_size,
        )
        assert whole.opening == noise.opening
        assert whole.sketch == noise.sketch
        assert noise.modulus_bits <= whole.modulus_bits + 2


@pytest.mark.parametrize(
    ("name", "bits", "security"), [("fast", 30, 128), ("default", 40, 128), ("paranoid", 64, 256)]
)
def test_a_name_stands_for_computed_strength_and_single_numbers_may_differ(
    name: str, bits: int, security: int
) -> None:
    p = ckks.Parameters.named(name, 52138, seats=3, threshold=2)
    p.check(security)
    told = p.explain()
    assert told.security_bits >= security
    assert told.flooding_bits >= bits
    other = ckks.Parameters.named(
        name, 52138, seats=3, threshold=2, flooding_bits=25, bound=0.5, sketch_size=64
    )
    assert (other.flooding_bits, other.sketch_size, other.step_bits) == (25, 64, p.step_bits)
    assert other.bound_steps == p.bound_steps // 2
    with pytest.raises(ckks.ParameterError, match="there are fast, default, paranoid"):
        ckks.Parameters.named(name.upper(), 52138, seats=3, threshold=2)


def test_the_explanation_is_readable() -> None:
    lines = ckks.Parameters.choose(52138, seats=3, threshold=2).explain().lines
    assert lines[0] == "security of the encryption: 128 bits"
    assert "would be noise below the flooding" in lines[-2]
    assert "bytes a parameter" in lines[-1]


def test_insecure_sets_are_refused_unless_asked_for() -> None:
    p = ckks.Parameters.choose(1000, seats=3, threshold=2, minimum_security_bits=0)
    assert p.poly_modulus_degree < 4096
    p.check(minimum_security_bits=0)
    with pytest.raises(ckks.ParameterError, match="bits of security, wanted 128"):
        p.check()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("poly_modulus_degree", 0),
        ("poly_modulus_degree", 8191),
        ("poly_modulus_degree", 1 << 40),
        ("coeff_modulus_bits", ()),
        ("coeff_modulus_bits", (50,)),
        ("coeff_modulus_bits", (48, 48, 61)),
        ("coeff_modulus_bits", (10, 10)),
        ("coeff_modulus_bits", (50,) * 9),
        ("scale_bits", 0),
        ("scale_bits", 10**9),
        ("sign_scale_bits", 12),
        ("step_bits", 64),
        ("bound_steps", 0),
        ("bound_steps", 1 << 40),
        ("max_weight_sum", 0),
        ("max_weight_sum", 1 << 31),
        ("flooding_bits", 0),
        ("flooding_bits", 1000),
        ("sketch_size", 0),
        ("sketch_size", 1 << 20),
        ("update_size", 0),
        ("update_size", 1 << 40),
        ("seats", 0),
        ("seats", 1000),
        ("threshold", 0),
        ("threshold", 4),
    ],
)
def test_a_senseless_number_is_refused_by_name(field: str, value: Any) -> None:
    p = ckks.Parameters.choose(9000, seats=3, threshold=2)
    with pytest.raises(ckks.ParameterError, match=str(value)[:6].replace("(", r"\(").split(")")[0]):
        replace(p, **{field: value}).check()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_numbers_from_a_ledger_check_out_or_end_in_a_parameter_error(data: st.DataObject) -> None:
    p = ckks.Parameters.choose(9000, seats=3, threshold=2)
    numbers = st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 64))
    for field in data.draw(st.lists(st.sampled_from([f.name for f in fields(p)]), min_size=1, max_size=4)):
        value: int | tuple[int, ...] = data.draw(numbers)
        if field == "coeff_modulus_bits":
            value = tuple(data.draw(st.lists(st.one_of(numbers, st.integers(30, 51)), max_size=9)))
        changed: dict[str, Any] = {field: value}
        p = replace(p, **changed)
    try:
        p.check()
    except ckks.ParameterError:
        return
    assert p.explain().flooding_bits >= p.flooding_bits


@pytest.mark.parametrize(
    "kwargs", [{"bound": float("nan")}, {"bound": 0.0}, {"step_bits": 31}, {"flooding_bits": 81}]
)
def test_choosing_the_impossible_says_why(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ckks.ParameterError):
        ckks.Parameters.choose(1000, seats=3, threshold=2, **kwargs)


def test_every_field_is_in_the_digest() -> None:
    p = ckks.Parameters.choose(9000, seats=3, threshold=2)
    changes: list[dict[str, Any]] = [
        {f.name: 1 if f.name != "coeff_modulus_bits" else (50, 50)} for f in fields(p)
    ]
    other = [replace(p, **change) for change in changes]
    assert len({p.digest, *(o.digest for o in other)}) == len(other) + 1


# Fixed point ---------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-6, 4))
def test_quantising_clips_and_is_off_by_half_a_step_at_most(
    small: Callable[..., Committee], seed: int, scale: float
) -> None:
    p = small().p
    update = np.random.default_rng(seed).normal(size=p.update_size) * scale
    values = ckks.quantise(update, p)
    assert values.dtype == np.int64
    back = ckks.dequantise(values, 1, p)
    assert np.abs(back - np.clip(update, -1, 1)).max() <= 2.0**-15
    assert np.array_equal(ckks.quantise(back, p), values)


def test_rounding_is_half_to_even() -> None:
    p = ckks.Parameters.choose(5, seats=1, threshold=1, minimum_security_bits=0)
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5]) * 2.0**-14
    assert ckks.quantise(halves, p).tolist() == [0, 2, 2, 0, -2]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-6, 4), st.binary(min_size=32, max_size=32))
def test_rounding_from_a_secret_is_off_by_less_than_a_step_and_the_same_for_the_same_secret(
    small: Callable[..., Committee], seed: int, scale: float, secret: bytes
) -> None:
    p = small().p
    update = np.random.default_rng(seed).normal(size=p.update_size) * scale
    values = ckks.quantise(update, p, secret)
    assert np.abs(ckks.dequantise(values, 1, p) - np.clip(update, -1, 1)).max() < 2.0**-14
    assert np.array_equal(ckks.quantise(update, p, secret), values)
    assert np.array_equal(ckks.quantise(ckks.dequantise(values, 1, p), p, secret), values)


def test_rounding_from_a_secret_is_right_on_average_and_another_for_each_secret() -> None:
    p = ckks.Parameters.choose(10_000, seats=1, threshold=1, minimum_security_bits=0)
    for steps in (0.25, -3.25, 7.5, 0.01):
        update = np.full(10_000, steps * 2.0**-14)
        drawn = [ckks.quantise(update, p, bytes([secret]) * 32) for secret in range(8)]
        assert not any(np.array_equal(drawn[0], other) for other in drawn[1:])
        assert set(np.unique(drawn)) == {np.floor(steps), np.floor(steps) + 1}
        assert abs(np.mean(drawn) - steps) < 5 * 0.5 / np.sqrt(80_000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_diverged_update_is_refused_by_place(small: Callable[..., Committee], bad: float) -> None:
    p = small().p
    update = np.zeros(p.update_size, dtype=np.float32)
    update[42] = bad
    with pytest.raises(ckks.QuantiseError, match="value 42 of the update"):
        ckks.quantise(update, p)


def test_values_off_the_contract_are_not_encrypted(small: Callable[..., Committee]) -> None:
    c = small()
    good = c.values(1)
    high = good.copy()
    high[3] = c.p.bound_steps + 1
    for bad in (good[:-1], good.astype(np.float64), good.astype(np.int32), high, -high):
        with pytest.raises(ckks.QuantiseError):
            ckks.encrypt(c.p, c.key, bad)  # type: ignore[arg-type]
    with pytest.raises(ckks.QuantiseError):
        ckks.quantise(np.zeros(3), c.p)
    with pytest.raises(ckks.QuantiseError):
        ckks.quantise(good, c.p)
    for weight_sum in (0, c.p.max_weight_sum + 1):
        with pytest.raises(ckks.QuantiseError):
            ckks.dequantise(good, weight_sum, c.p)


def test_laying_out_and_gathering_are_inverse(small: Callable[..., Committee]) -> None:
    p = small().p
    values = small().values(3)
    assert np.array_equal(packing.gather(p, packing.lay_out(p, values), p.update_size), values)
    assert abs(packing.whitening(p).mean()) < 0.1
