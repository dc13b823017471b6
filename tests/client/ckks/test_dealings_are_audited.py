"""A false dealing is found from any t opened shares and said to be what it is; an honest one never is."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.ckks import keys, seal, shamir
from quorumlearn.ckks import residues as r
from quorumlearn.ckks.audit import Wrong, audit_dealing
from quorumlearn.ckks.container import Kind, write

SEED = b"task/1/1"


@lru_cache
def parameters(seats: int, threshold: int) -> ckks.Parameters:
    return ckks.Parameters.choose(
        700, seats=seats, threshold=threshold, sketch_size=16, minimum_security_bits=0
    )


def dealt(p: ckks.Parameters, secret: np.ndarray, error: np.ndarray) -> tuple[bytes, dict[int, bytes]]:
    """Public share and shares of a secret and an error given as coefficients (N,)."""
    q = r.column(p.primes)
    both = r.from_integers(np.stack([secret, error]).astype(np.int64), q)
    s, e = seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, both)
    public = r.negate(r.add(r.multiply(keys.common_polynomial(p, SEED), s, q), e, q), q)
    return (
        write(p, Kind.PUBLIC_SHARE, public[None]),
        ckks.deal(p, ckks.SecretPolynomial(s), range(1, p.seats + 1)),
    )


def drawn(p: ckks.Parameters) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    n = p.poly_modulus_degree
    return random.integers(-1, 2, n), random.integers(-keys.ERROR_BOUND, keys.ERROR_BOUND + 1, n)


def shifted(p: ckks.Parameters, share: bytes, at: int) -> bytes:
    """The share with one residue moved by one."""
    residues = keys.read_share(p, share).copy()
    residues[at % len(p.primes), at % p.poly_modulus_degree] ^= np.uint64(1)
    return write(p, Kind.SHARE, residues[None])


@pytest.mark.parametrize(("seats", "threshold"), [(1, 1), (3, 2), (5, 3)])
def test_what_the_ceremony_draws_passes_with_any_t_shares(seats: int, threshold: int) -> None:
    p = parameters(seats, threshold)
    key = ckks.new_key_share(p, SEED)
    shares = ckks.deal(p, key.secret, range(1, seats + 1))
    for count in range(threshold, seats + 1):
        for some in combinations(shares, count):
            assert audit_dealing(p, SEED, key.public, {seat: shares[seat] for seat in some}) is None


@lru_cache
def honest(seats: int, threshold: int) -> tuple[bytes, dict[int, bytes]]:
    p = parameters(seats, threshold)
    return dealt(p, *drawn(p))


@settings(max_examples=20, deadline=None)
@given(
    seat=st.integers(1, 4), at=st.integers(0, 4095), opened=st.sets(st.integers(1, 4), min_size=2, max_size=4)
)
def test_one_residue_of_one_opened_share_is_enough(seat: int, at: int, opened: set[int]) -> None:
    p = parameters(4, 2)
    public, right = honest(4, 2)
    shares = {**right, seat: shifted(p, right[seat], at)}
    flaw = audit_dealing(p, SEED, public, {one: shares[one] for one in opened})
    assert (flaw is not None and flaw.wrong is Wrong.DEALING) == (seat in opened)


@pytest.mark.parametrize("large", [2, -2, 1 << 20])
def test_a_secret_that_is_not_ternary_is_a_false_dealing(large: int) -> None:
    p = parameters(3, 2)
    secret, error = drawn(p)
    secret[17] = large
    flaw = audit_dealing(p, SEED, *dealt(p, secret, error))
    assert flaw is not None
    assert (flaw.wrong, "not ternary" in flaw.why) == (Wrong.DEALING, True)


@pytest.mark.parametrize("large", [keys.ERROR_BOUND + 1, -keys.ERROR_BOUND - 1, 1 << 30])
def test_an_error_beyond_the_gaussians_table_is_a_false_public_share(large: int) -> None:
    p = parameters(3, 2)
    secret, error = drawn(p)
    error[5] = large
    flaw = audit_dealing(p, SEED, *dealt(p, secret, error))
    assert flaw is not None
    assert (flaw.wrong, "the error reaches" in flaw.why) == (Wrong.PUBLIC_SHARE, True)


def test_the_public_share_of_another_secret_or_attempt_is_false() -> None:
    p = parameters(3, 2)
    _, shares = dealt(p, *drawn(p))
    other = ckks.new_key_share(p, SEED)
    for public, seed in ((other.public, SEED), (dealt(p, *drawn(p))[0], b"task/1/2")):
        flaw = audit_dealing(p, seed, public, shares)
        assert flaw is not None
        assert flaw.wrong is Wrong.PUBLIC_SHARE


def test_a_dealing_of_too_high_a_degree_is_false() -> None:
    p = parameters(4, 2)
    public, _ = dealt(p, *drawn(p))
    steep = dataclasses.replace(p, threshold=3)
    secret = keys.SecretPolynomial(np.ones((len(p.primes), p.poly_modulus_degree), dtype=np.uint64))
    shares = shamir.share(secret.residues(), steep.threshold, range(1, 5), p.primes)
    flaw = audit_dealing(
        p, SEED, public, {seat: write(p, Kind.SHARE, one[None]) for seat, one in shares.items()}
    )
    assert flaw is not None
    assert "no polynomial of degree 1" in flaw.why


@pytest.mark.parametrize("cut", [b"", b"QLCK", b"x" * 100])
def test_bytes_that_are_no_polynomial_are_said_to_be_none(cut: bytes) -> None:
    p = parameters(3, 2)
    public, shares = dealt(p, *drawn(p))
    flaw = audit_dealing(p, SEED, cut, shares)
    assert flaw is not None
    assert flaw.wrong is Wrong.PUBLIC_SHARE
    flaw = audit_dealing(p, SEED, public, {**shares, 3: cut})
    assert flaw is not None
    assert (flaw.wrong, flaw.why.startswith("to seat 3")) == (Wrong.DEALING, True)


def test_fewer_than_t_shares_or_seats_that_are_none_are_refused() -> None:
    p = parameters(3, 2)
    public, shares = dealt(p, *drawn(p))
    for some in ({1: shares[1]}, {}, {0: shares[1], 1: shares[1]}, {1: shares[1], 4: shares[2]}):
        with pytest.raises(ckks.ParameterError, match="2 or more of seats 1 to 3"):
            audit_dealing(p, SEED, public, some)
