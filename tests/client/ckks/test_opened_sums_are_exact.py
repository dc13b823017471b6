"""Any t of v seats open the integer sum exactly; fewer, wrong or outdated shares open nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.ckks import decryption, packing, seal, shamir
from quorumlearn.ckks import residues as r
from quorumlearn.ckks.ciphertexts import hidden, lifted
from quorumlearn.ckks.container import Kind, write
from quorumlearn.ckks.keys import read_key

from tests.client.ckks.conftest import Committee

COMMITTEES = [(1, 1), (3, 2), (5, 3)]


@pytest.mark.parametrize(("seats", "threshold"), COMMITTEES)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_any_t_seats_open_the_weighted_sum(
    small: Callable[..., Committee], seats: int, threshold: int, data: st.DataObject
) -> None:
    c = small(seats, threshold)
    weights = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda w: sum(w) <= 8))
    seed = data.draw(st.integers(0, 2**31))
    values = [c.values(seed + i) for i in range(len(weights))]
    total = ckks.aggregate(c.p, [(w, c.encrypt(v)) for w, v in zip(weights, values, strict=True)])
    partials = c.partials(total)
    want = sum(w * v for w, v in zip(weights, values, strict=True))
    for some in itertools.combinations(range(1, seats + 1), threshold):
        assert np.array_equal(ckks.open_partials(c.p, total, {s: partials[s] for s in some}), want)
    assert np.array_equal(ckks.open_partials(c.p, total, partials), want)


def test_extreme_values_at_the_full_weight_open_exactly_with_secure_parameters(real: Committee) -> None:
    p = real.p
    values = np.where(np.arange(p.update_size) % 2, p.bound_steps, -p.bound_steps).astype(np.int64)
    total = ckks.aggregate(p, [(p.max_weight_sum, real.encrypt(values))])
    partials = real.partials(total)
    for some in itertools.combinations((1, 2, 3), 2):
        opened = ckks.open_partials(p, total, {s: partials[s] for s in some})
        assert np.array_equal(opened, p.max_weight_sum * values)


def test_measured_noise_stays_within_the_budget(real: Committee) -> None:
    p, budget = real.p, real.p.budget
    values = real.values(1)
    c = real.encrypt(values)
    q = r.column(p.primes)
    secret = real.raw_secret()
    nothing = np.zeros((4, len(p.primes), p.poly_modulus_degree), dtype=np.uint64)
    c0, c1 = hidden(p, read_key(p, real.key), nothing, 0)
    raw = r.add(c0, r.multiply(c1, secret, q), q)
    coefficients = seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, raw)
    assert 0.9 < r.centred(coefficients, p.primes).std() / budget.fresh_std < 1.05

    raw = np.stack(
        [r.add(a, r.multiply(b, secret, q), q) for a, b in zip(lifted(p, c.c0), c.c1, strict=True)]
    )
    coefficients = seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, raw)
    message = packing.encode(p, values, 0, p.chunks)
    away = r.centred(r.add(coefficients, r.negate(message, q), q), p.primes)
    assert p.dropped > 0
    assert 0.97 < away.std() / budget.stored_std < 1.03

    total = ckks.aggregate(p, [(p.max_weight_sum, c)])
    public = decryption.public_part(p, total)
    parts = decryption.read_partials(p, total, real.partials(total))
    for some in itertools.combinations((1, 2, 3), 2):
        steps = decryption.scaled(p, public, {s: parts[s] for s in some})
        away = (steps - np.rint(steps)) * 2.0**p.shift
        norm = math.sqrt(sum(x * x for x in shamir.lagrange(some, 0)))
        flooded = budget.opening.std * norm / shamir.clearing(3, 2).share_factor
        expected = math.hypot(flooded, p.max_weight_sum * budget.stored_std)
        assert 0.97 < away.std() / expected < 1.03
        assert away.std() <= 1.03 * budget.opened_std
        assert np.abs(away).max() < budget.half_step


def test_fewer_than_t_seats_are_refused_and_their_partials_hold_nothing(
    small: Callable[..., Committee],
) -> None:
    c = small(3, 2)
    total = ckks.aggregate(c.p, [(1, c.encrypt(c.values(5)))])
    partials = c.partials(total)
    with pytest.raises(ckks.ParameterError, match="1 seats answered, 2 are needed"):
        ckks.open_partials(c.p, total, {1: partials[1]})
    part = decryption.read_partials(c.p, total, partials)[1]
    q = r.column(c.p.primes)
    public = decryption.public_part(c.p, total)
    for factor in (1, 2, -1, 3):
        guess = r.add(public, r.multiply(part, r.constant(factor, c.p.primes), q), q)
        steps = r.centred(guess, c.p.primes) / 2.0**c.p.shift
        away = steps - np.rint(steps)
        assert 0.27 < away.std() < 0.31  # uniform over the step: 0.289
        assert np.abs(np.corrcoef(steps.ravel()[: c.p.update_size], c.values(5))[0, 1]) < 0.15


def test_t_minus_one_shares_of_a_known_secret_are_uniform(small: Callable[..., Committee]) -> None:
    """Chi-square over 64 classes; 63 degrees of freedom pass 160 once in 10^10."""
    c = small(5, 3)
    q = np.array(c.p.primes, dtype=np.float64)[:, None]
    secret = np.zeros((len(c.p.primes), c.p.poly_modulus_degree), dtype=np.uint64)
    dealt = shamir.share(secret, 3, (1, 2, 3, 4, 5), c.p.primes)
    for one, other in itertools.combinations(dealt.values(), 2):
        for residues in (one, other, r.add(one, other, r.column(c.p.primes))):
            counts = np.bincount((residues / q * 64).astype(int).ravel(), minlength=64)
            assert ((counts - residues.size / 64) ** 2 / (residues.size / 64)).sum() < 160


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 7).flatmap(lambda v: st.tuples(st.just(v), st.integers(1, v))), st.integers(0, 2**32))
def test_any_t_shares_give_the_secret_and_any_t_plus_one_agree(committee: tuple[int, int], seed: int) -> None:
    seats, threshold = committee
    primes = (1099511590913, 562949952700417)
    q = r.column(primes)
    secret = np.stack([np.random.default_rng(seed).integers(0, x, 8, dtype=np.uint64) for x in primes])
    dealt = shamir.share(secret, threshold, range(1, seats + 1), primes)

    def combined(factors: Sequence[int], some: Sequence[int]) -> r.Residues:
        total = np.zeros_like(secret)
        for factor, seat in zip(factors, some, strict=True):
            total = r.add(total, r.multiply(dealt[seat], r.constant(factor, primes), q), q)
        return total

    factor = r.constant(shamir.clearing(seats, threshold).combine_factor, primes)
    for some in itertools.combinations(range(1, seats + 1), threshold):
        got = combined(shamir.combining(seats, threshold, some), some)
        assert np.array_equal(got, r.multiply(secret, factor, q))
    for some in itertools.combinations(range(1, seats + 1), threshold + 1):
        assert not combined(shamir.parity(some), some).any()


def test_an_old_rounds_share_does_not_open_a_new_rounds_ciphertext(
    small: Callable[..., Committee], new_round: Callable[[Committee, bytes], Committee]
) -> None:
    old = small(3, 2)
    new = new_round(old, b"task/1/round/2")
    total = ckks.aggregate(new.p, [(1, new.encrypt(new.values(9)))])
    with pytest.raises(ckks.BadPartial):
        ckks.open_partials(new.p, total, {s: old.partials(total)[s] for s in (1, 2)})
    mixed = {1: new.partials(total)[1], 2: old.partials(total)[2]}
    with pytest.raises(ckks.BadPartial) as caught:
        ckks.open_partials(new.p, total, mixed)
    assert caught.value.seats == ()


def test_a_wrong_partial_is_named_when_more_than_t_tell(small: Callable[..., Committee]) -> None:
    c = small(3, 2)
    total = ckks.aggregate(c.p, [(2, c.encrypt(c.values(3)))])
    other = ckks.aggregate(c.p, [(1, c.encrypt(c.values(4)))])
    partials = c.partials(total)
    parts = decryption.read_partials(c.p, other, c.partials(other))[2]
    forged = partials | {2: write(c.p, Kind.PARTIAL, parts, binding=total.digest())}
    with pytest.raises(ckks.BadPartial, match=r"seats \[2\] are at fault") as caught:
        ckks.open_partials(c.p, total, forged)
    assert caught.value.seats == (2,)
    del forged[2]
    assert np.array_equal(ckks.open_partials(c.p, total, forged), 2 * c.values(3))


def test_a_partial_shifted_by_whole_steps_is_seen_and_named_by_two_spare_seats(
    small: Callable[..., Committee],
) -> None:
    c = small(5, 3)
    total = ckks.aggregate(c.p, [(1, c.encrypt(c.values(3)))])
    partials = c.partials(total)
    parts = decryption.read_partials(c.p, total, partials)[4].copy()
    q = r.column(c.p.primes)
    step = shamir.clearing(5, 3).share_factor << c.p.shift
    at = parts[0, :, 7:8]
    parts[0, :, 7:8] = r.add(at, r.constant(step, c.p.primes), q)
    forged = partials | {4: write(c.p, Kind.PARTIAL, parts, binding=total.digest())}
    with pytest.raises(ckks.BadPartial) as caught:
        ckks.open_partials(c.p, total, forged)
    assert caught.value.seats == (4,)
    one_spare = {seat: forged[seat] for seat in (1, 2, 4, 5)}
    with pytest.raises(ckks.BadPartial) as caught:
        ckks.open_partials(c.p, total, one_spare)
    assert caught.value.seats == ()


def test_one_garbled_coefficient_of_a_partial_does_not_open_quietly(small: Callable[..., Committee]) -> None:
    c = small(3, 2)
    total = ckks.aggregate(c.p, [(1, c.encrypt(c.values(3)))])
    partials = c.partials(total)
    parts = decryption.read_partials(c.p, total, partials)[1].copy()
    parts[1, 0, 5] ^= np.uint64(1 << 40)
    parts[1, 0, 5] %= np.uint64(c.p.primes[0])
    forged = partials | {1: write(c.p, Kind.PARTIAL, parts, binding=total.digest())}
    with pytest.raises(ckks.BadPartial):
        ckks.open_partials(c.p, total, forged)


def test_a_partial_of_other_ciphertexts_or_from_a_stranger_is_refused(
    small: Callable[..., Committee],
) -> None:
    c = small(3, 2)
    total = ckks.aggregate(c.p, [(1, c.encrypt(c.values(3)))])
    other = ckks.aggregate(c.p, [(1, c.encrypt(c.values(3)))])
    partials = c.partials(total)
    with pytest.raises(ckks.MalformedShare, match="seat 2: this partial decryption is of other ciphertexts"):
        ckks.open_partials(c.p, total, partials | {2: c.partials(other)[2]})
    with pytest.raises(ckks.ParameterError, match="numbers from 1 to 3"):
        ckks.open_partials(c.p, total, {1: partials[1], 4: partials[2]})


def test_a_seat_asked_twice_repeats_itself_and_floods_each_ciphertext_anew(
    small: Callable[..., Committee],
) -> None:
    c = small(3, 2)
    values = c.values(3)
    one, two = (ckks.aggregate(c.p, [(1, c.encrypt(values))]) for _ in range(2))
    assert ckks.partial_decrypt(c.p, c.shares[1], one) == ckks.partial_decrypt(c.p, c.shares[1], one)
    keys = {decryption.flooding_key(c.shares[1], x.c1.tobytes()) for x in (one, two)}
    assert len(keys) == 2


@pytest.mark.parametrize("width", [20, 55, 60, 75])
def test_flooding_is_centred_with_the_spread_the_budget_counts_on(width: int) -> None:
    from quorumlearn.ckks.budget import Flooding

    primes = (562949952700417, 562949952798721, 562949952847873)
    std = 2.0**width * math.sqrt(4 / 12)
    terms = decryption.flooding_terms(Flooding(width, std, 40.0), b"k" * 32, 0, 1 << 15, primes)
    values = r.centred(terms, primes)
    assert abs(values.mean()) < 5 * std / math.sqrt(values.size)
    assert 0.98 < values.std() / std < 1.02
    assert np.abs(values).max() <= 2.0 * 2**width
    assert 2.6 < ((values / std) ** 4).mean() < 2.8  # a sum of four uniforms: 3 - 1.2 / 4
    other = r.centred(
        decryption.flooding_terms(Flooding(width, std, 40.0), b"k" * 32, 1, 1 << 15, primes), primes
    )
    assert abs(np.corrcoef(values, other)[0, 1]) < 0.04


def test_the_ceremonys_test_opens_to_known_values_for_right_keys_only(
    small: Callable[..., Committee], new_round: Callable[[Committee, bytes], Committee]
) -> None:
    c = small(3, 2)
    test = ckks.test_ciphertext(c.p, c.key, b"nonce")
    assert test.digest() == ckks.test_ciphertext(c.p, c.key, b"nonce").digest()
    assert test.digest() != ckks.test_ciphertext(c.p, c.key, b"other").digest()
    partials = c.partials(test)
    for some in itertools.combinations((1, 2, 3), 2):
        opened = ckks.open_partials(c.p, test, {s: partials[s] for s in some})
        assert np.array_equal(opened, ckks.test_values(c.p, b"nonce"))
    stranger = ckks.test_ciphertext(c.p, new_round(c, b"task/1/round/1").key, b"nonce")
    with pytest.raises(ckks.BadPartial):
        ckks.open_partials(c.p, stranger, c.partials(stranger))


def test_a_sum_is_the_same_bytes_in_any_order_and_weights_are_checked(
    small: Callable[..., Committee],
) -> None:
    c = small(3, 2)
    a, b = c.encrypt(c.values(1)), c.encrypt(c.values(2))
    assert (
        ckks.aggregate(c.p, [(2, a), (3, b)]).digest() == ckks.aggregate(c.p, iter([(3, b), (2, a)])).digest()
    )
    assert ckks.aggregate(c.p, [(0, a), (1, b)]).to_bytes() == b.to_bytes()
    for items in ([(8, a), (1, b)], [(-1, a)], [(0, a)], [], [(True, a)]):
        with pytest.raises(ckks.ParameterError):
            ckks.aggregate(c.p, items)
    with pytest.raises(ckks.ParameterError, match="not an update"):
        ckks.aggregate(c.p, [(1, ckks.test_ciphertext(c.p, c.key, b"x"))])
    with pytest.raises(ValueError, match="read-only"):
        a.c1[0, 0, 0] = 1
