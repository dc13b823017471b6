"""Vectorised arithmetic modulo primes agrees with Python's integers, up to the largest prime allowed."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
import tenseal.sealapi as api
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal
from quorumlearn.ckks import seal_layout as layout
from quorumlearn.ckks.ciphertexts import stored

PRIMES = [
    (1073479681, 1073184769),
    (1099511590913, 1099511480321, 562949952700417),
    (2251799813554177, 2251799813160961),
    (18014398508400641, 1125899906826241),
    (72057594037641217, 72057594037616641, 1073479681),
    (288230376151130113, 1152921504606584833),
]


def edges(q: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, q - 1), st.sampled_from([0, 1, 2, q // 2, q // 2 + 1, q - 2, q - 1]))


@pytest.mark.parametrize("primes", PRIMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_products_sums_and_negatives_are_exact(primes: tuple[int, ...], data: st.DataObject) -> None:
    a = [[data.draw(edges(q)) for _ in range(4)] for q in primes]
    b = [[data.draw(edges(q)) for _ in range(4)] for q in primes]
    x, y, q = np.array(a, dtype=np.uint64), np.array(b, dtype=np.uint64), r.column(primes)
    pairs = [(a[i][j], b[i][j], primes[i]) for i in range(len(primes)) for j in range(4)]
    assert r.multiply(x, y, q).ravel().tolist() == [m * n % k for m, n, k in pairs]
    assert r.add(x, y, q).ravel().tolist() == [(m + n) % k for m, n, k in pairs]
    assert r.negate(x, q).ravel().tolist() == [-m % k for m, _, k in pairs]
    wide = np.array([a[i] for i in range(len(primes))], dtype=np.int64) - (1 << 59)
    for row in wide:
        assert r.from_integers(row, q).tolist() == [[int(v) % k for v in row] for k in primes]


@pytest.mark.parametrize("primes", PRIMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_multiples_by_any_integer_are_exact(primes: tuple[int, ...], data: st.DataObject) -> None:
    factor = data.draw(
        st.one_of(st.integers(-(2**130), 2**130), st.sampled_from([0, 1, -1, 2**30, -(2**30), 2**30 + 1]))
    )
    a = [[data.draw(edges(q)) for _ in range(4)] for q in primes]
    scaled = r.scale(np.array(a, dtype=np.uint64), factor, primes)
    assert scaled.tolist() == [[m * factor % q for m in row] for row, q in zip(a, primes, strict=True)]
    small = data.draw(st.lists(st.integers(-(2**32), 2**32), min_size=1, max_size=4))
    residues = r.multiples(np.array(small, dtype=np.int64), factor, primes)
    assert residues.tolist() == [[m * factor % q for m in small] for q in primes]


@pytest.mark.parametrize("primes", PRIMES)
def test_a_million_products_are_exact(primes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    q = r.column(primes)
    x, y = (
        np.stack(
            [
                k - 1 - rng.integers(0, 1 << rng.integers(1, 30), 1 << 18).astype(np.uint64)
                for k in np.array(primes, dtype=np.uint64)
            ]
        )
        for _ in range(2)
    )
    want = (x.astype(object) * y.astype(object)) % q.astype(object)
    assert np.array_equal(r.multiply(x, y, q), want.astype(np.uint64))


@pytest.mark.parametrize("primes", PRIMES)
@pytest.mark.parametrize("count", [1, 7, 70, 128, 300])
def test_sums_of_products_are_exact_for_the_largest_residues(primes: tuple[int, ...], count: int) -> None:
    rng = np.random.default_rng(count)
    q = r.column(primes)
    a, b = (
        q - np.uint64(1) - rng.integers(0, 3, (*lead, len(primes), 16), dtype=np.uint64)
        for lead in ((count,), (2, count))
    )
    a[:, :, 8:], b[:, :, :, 8:] = q // 2 - a[:, :, 8:] % 4, q // 2 + b[:, :, :, 8:] % 3
    a[-1, :, :4] = rng.integers(0, min(primes), (len(primes), 4))
    want = (a.astype(object)[None] * b.astype(object)).sum(axis=1) % q.astype(object)
    assert np.array_equal(r.dot(a, r.halved(b, q), q), want.astype(np.uint64))


@pytest.mark.parametrize("primes", PRIMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_centred_integer_comes_back(primes: tuple[int, ...], data: st.DataObject) -> None:
    total = int(np.prod([int(q) for q in primes], dtype=object))
    near = st.integers(-(2**20), 2**20)
    end = total // 2 - total // primes[-1]
    value = data.draw(st.one_of(st.integers(-end, end), near))
    got = r.centred(r.constant(value, primes), primes)
    assert got.shape == (1,)
    assert got[0] == pytest.approx(value, rel=1e-15, abs=0)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(PRIMES),
    st.integers(1, 3),
    st.sampled_from([4, 64, 100, 256, 8192]),
    st.integers(0, 2**32),
)
def test_packing_is_dense_and_comes_back(
    primes: tuple[int, ...], polynomials: int, degree: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a = np.stack([[rng.integers(0, q, degree, dtype=np.uint64) for q in primes] for _ in range(polynomials)])
    data = r.pack_bits(a, primes)
    assert len(data) == polynomials * r.packed_size(primes, degree)
    back = r.unpack_bits(data, primes, degree, polynomials)
    assert np.array_equal(back[..., :degree], a)
    assert not back[..., degree:].any()


def test_public_uniform_is_pinned_and_below_the_primes() -> None:
    primes = PRIMES[2]
    a = r.public_uniform("test", b"seed", primes, 4096)
    assert r.below(a, r.column(primes))
    assert np.array_equal(a, r.public_uniform("test", b"seed", primes, 4096))
    assert hashlib.sha256(a.astype("<u8").tobytes()).hexdigest()[:16] == "f9be35edd9211779"
    assert not np.array_equal(a, r.public_uniform("test", b"tree", primes, 4096))
    halves = (a.astype(np.float64) / np.array(primes)[:, None]).mean(axis=1)
    assert np.abs(halves - 0.5).max() < 0.03


def test_streams_separate_their_parts() -> None:
    assert r.stream("d", b"ab", b"c", size=32) != r.stream("d", b"a", b"bc", size=32)
    assert r.stream("d", b"a", size=32) != r.stream("e", b"a", size=32)


def test_many_polynomials_are_packed_as_each_alone() -> None:
    """In blocks, that is: more of them than are worked on at once."""
    primes, degree = PRIMES[0], 8192
    many = np.stack([r.public_uniform("p", bytes([i]), primes, degree) for i in range(19)])
    data = r.pack_bits(many, primes)
    assert data == b"".join(r.pack_bits(one, primes) for one in many)
    assert np.array_equal(r.unpack_bits(data, primes, degree, len(many)), many)


def test_secret_uniform_is_below_the_primes_and_never_the_same() -> None:
    a, b = (r.secret_uniform(PRIMES[0], 1024) for _ in range(2))
    assert r.below(a, r.column(PRIMES[0]))
    assert (a == b).mean() < 0.01


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (0, 1), (1, 3), (2, 3)])
def test_seals_transform_is_the_negacyclic_one(start: int, stop: int) -> None:
    """A product in NTT form is the product modulo X^N + 1, for all primes and for some."""
    degree, bits = 1024, (40, 45, 40)
    primes = seal.ring(degree, bits).primes[start:stop]
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-5, 6, degree) for _ in range(2))
    q = r.column(primes)
    transformed = seal.to_ntt(degree, bits, r.from_integers(np.stack([a, b]), q), start)
    product = seal.from_ntt(degree, bits, r.multiply(transformed[0], transformed[1], q)[None], start)[0]
    full = np.convolve(a, b)
    want = full[:degree].copy()
    want[: degree - 1] -= full[degree:]
    assert np.array_equal(r.centred(product, primes), want.astype(np.float64))


def test_many_polynomials_transform_there_and_back() -> None:
    degree, bits = 1024, (45, 45, 45)
    primes = seal.ring(degree, bits).primes
    many = np.stack([r.public_uniform("p", bytes([i]), primes[:2], degree) for i in range(33)])
    many[0] = 0
    assert np.array_equal(seal.from_ntt(degree, bits, seal.to_ntt(degree, bits, many)), many)


@pytest.mark.parametrize("preset", sorted(ckks.PRESETS))
@pytest.mark.parametrize("count", [1, 2, 17])
def test_seal_encrypts_as_plain_arithmetic_does(preset: str, count: int) -> None:
    p = ckks.Parameters.named(preset, 20_000, seats=5, threshold=3)
    degree, bits, q = p.poly_modulus_degree, p.coeff_modulus_bits, r.column(p.primes)
    random = np.random.default_rng(count)
    b, a = (r.secret_uniform(p.primes, degree) for _ in range(2))
    u = r.from_integers(random.integers(-1, 2, size=(count, degree)), q)
    e = r.from_integers(random.integers(-21, 22, size=(count, degree)), q)
    m = np.stack([r.secret_uniform(p.primes, degree) for _ in range(count)])
    turned = seal.to_ntt(degree, bits, u)
    head = r.add(seal.from_ntt(degree, bits, r.multiply(turned, b, q)), m, q)
    mask = r.add(r.multiply(turned, a, q), seal.to_ntt(degree, bits, e), q)
    for dropped, wanted in ((0, seal.to_ntt(degree, bits, head)), (p.dropped, stored(p, head))):
        heads, masks = seal.encrypted(degree, bits, dropped, np.stack([b, a]), u, e, m)
        np.testing.assert_array_equal(masks, mask)
        np.testing.assert_array_equal(heads, wanted)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYBIND", "__pybind11_module_local_v99_"),
        ("FIELDS", struct.Struct("<?7x3Q4Qd6Q")),
        ("FIELDS", struct.Struct("<4Q?7x3Qd8x6Q")),
    ],
)
def test_where_seal_keeps_residues_is_believed_only_if_seal_says_the_same(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    """With another pybind11, and another SEAL, whatever goes through files gives the same."""
    p = ckks.Parameters.named("default", 20_000, seats=3, threshold=2)
    degree, bits, q = p.poly_modulus_degree, p.coeff_modulus_bits, r.column(p.primes)
    b, a, m = (r.secret_uniform(p.primes, degree) for _ in range(3))
    u, e = (r.from_integers(np.random.default_rng(i).integers(-1, 2, size=(1, degree)), q) for i in range(2))

    def all_ways() -> list[r.Residues]:
        transformed = seal.to_ntt(degree, bits, u)
        both = seal.encrypted(degree, bits, p.dropped, np.stack([b, a]), u, e, m[None])
        return [transformed, seal.from_ntt(degree, bits, transformed), *both]

    ciphertext = api.Ciphertext()
    ciphertext.resize(seal.ring(degree, bits).context, seal.ring(degree, bits).context.first_parms_id(), 3)
    residues = layout.in_place(ciphertext)
    assert residues is not None and residues.shape == (3, len(p.primes) - 1, degree)
    known = all_ways()
    monkeypatch.setattr(layout, name, value)
    assert layout.in_place(ciphertext) is None
    for found, wanted in zip(all_ways(), known, strict=True):
        np.testing.assert_array_equal(found, wanted)
