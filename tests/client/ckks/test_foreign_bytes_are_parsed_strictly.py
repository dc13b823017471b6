"""Whatever bytes arrive, the answer is a value or one typed error; a good container survives unchanged."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.ckks import residues as r
from quorumlearn.ckks.keys import read_key, read_public, read_share
from quorumlearn.ckks.parameters import HEADER_BYTES

from tests.client.ckks.conftest import Committee

Container = tuple[Committee, bytes]
"""A committee and an update encrypted under its key."""


@pytest.fixture(scope="module")
def container(small: Callable[..., Committee]) -> Container:
    c = small()
    return c, ckks.encrypt(c.p, c.key, c.values(1))


def test_a_container_has_its_exact_size_and_survives_parsing(container: Container) -> None:
    c, data = container
    assert len(data) == c.p.update_bytes
    parsed = ckks.parse(c.p, data)
    assert parsed.c0.shape == (c.p.chunks, len(c.p.kept_primes), c.p.poly_modulus_degree)
    assert parsed.c1.shape == (c.p.chunks, len(c.p.primes), c.p.poly_modulus_degree)
    assert parsed.to_bytes() == data


def test_encryption_is_randomised(container: Container) -> None:
    c, data = container
    again = ckks.encrypt(c.p, c.key, c.values(1))
    one, two = ckks.parse(c.p, data), ckks.parse(c.p, again)
    assert (one.c0 == two.c0).mean() < 1e-3
    assert (one.c1 == two.c1).mean() < 1e-3


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_changed_header_byte_is_refused(container: Container, data: st.DataObject) -> None:
    c, good = container
    at = data.draw(st.integers(0, HEADER_BYTES - 1))
    change = data.draw(st.integers(1, 255))
    with pytest.raises(ckks.MalformedCiphertext):
        ckks.parse(c.p, good[:at] + bytes([good[at] ^ change]) + good[at + 1 :])


@pytest.mark.parametrize("field", ["magic", "version", "kind", "zero bytes", "count", "other parameters"])
def test_the_refusal_names_the_field(container: Container, field: str) -> None:
    c, good = container
    at = {"magic": 0, "version": 4, "kind": 5, "zero bytes": 6, "count": 8, "other parameters": 12}[field]
    with pytest.raises(ckks.MalformedCiphertext, match=field):
        ckks.parse(c.p, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_cut_extended_and_garbage_bytes_are_refused(container: Container, data: st.DataObject) -> None:
    c, good = container
    cut = data.draw(st.integers(0, len(good) - 1))
    more = data.draw(st.binary(min_size=1, max_size=64))
    noise = data.draw(st.binary(max_size=256))
    for bad in (good[:cut], good + more, noise, good[: HEADER_BYTES + 1] + noise):
        with pytest.raises(ckks.MalformedCiphertext, match="bytes"):
            ckks.parse(c.p, bad)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_changed_body_parses_to_something_else_or_is_refused(
    container: Container, data: st.DataObject
) -> None:
    c, good = container
    at = data.draw(st.integers(HEADER_BYTES, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    try:
        assert ckks.parse(c.p, bad).to_bytes() == bad
    except ckks.MalformedCiphertext as error:
        assert "not below its prime" in str(error)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_residue_that_reaches_its_prime_is_refused(container: Container, data: st.DataObject) -> None:
    c, good = container
    parsed = ckks.parse(c.p, good)
    half, primes = data.draw(st.sampled_from([("c0", c.p.kept_primes), ("c1", c.p.primes)]))
    residues = getattr(parsed, half).copy()
    place = tuple(data.draw(st.integers(0, size - 1)) for size in residues.shape)
    prime = primes[place[1]]
    residues[place] = data.draw(st.integers(prime, 2 ** prime.bit_length() - 1))
    with pytest.raises(ckks.MalformedCiphertext, match=f"residue {place[2]} .* prime {prime}"):
        ckks.parse(c.p, replace(parsed, **{half: residues}).to_bytes())


def test_a_ciphertext_without_mask_is_refused(container: Container) -> None:
    c, good = container
    for chunk in range(c.p.chunks):
        for prime in range(len(c.p.primes)):
            parsed = ckks.parse(c.p, good)
            c1 = parsed.c1.copy()
            c1[chunk, prime] = 0
            with pytest.raises(ckks.MalformedCiphertext, match=f"ciphertext {chunk} has no mask"):
                ckks.parse(c.p, replace(parsed, c1=c1).to_bytes())


@pytest.mark.parametrize("thing", ["", None, 7, bytearray(b"x"), memoryview(b"x")])
def test_other_types_are_refused(container: Container, thing: Any) -> None:
    c, _ = container
    with pytest.raises(ckks.MalformedCiphertext, match="is bytes, not"):
        ckks.parse(c.p, thing)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_keys_and_shares_from_strangers_end_in_their_own_errors(
    container: Container, data: st.DataObject
) -> None:
    c, update = container
    total = ckks.parse(c.p, update)
    plan = ckks.SketchPlan.from_beacon(c.p, b"beacon")
    s = ckks.sketch(c.p, plan, total)
    partials, sketches = c.partials(total), c.sketch_shares(plan, s)
    readers: dict[
        str, tuple[bytes, Callable[[bytes], object], type[Exception] | tuple[type[Exception], ...]]
    ] = {
        "public": (c.keys[1].public, lambda x: read_public(c.p, x), ckks.MalformedKey),
        "key": (c.key, lambda x: read_key(c.p, x), ckks.MalformedKey),
        "share": (c.shares[1], lambda x: read_share(c.p, x), ckks.MalformedShare),
        "partial": (
            partials[1],
            lambda x: ckks.open_partials(c.p, total, {1: x, 2: partials[2]}),
            (ckks.MalformedShare, ckks.BadPartial),
        ),
        "sketch": (
            sketches[1],
            lambda x: ckks.open_sketch(c.p, plan, s, {1: x, 2: sketches[2]}),
            (ckks.MalformedShare, ckks.OutOfRange),
        ),
    }
    good, reader, errors = readers[data.draw(st.sampled_from(sorted(readers)))]
    reader(good)
    at = data.draw(st.integers(0, HEADER_BYTES - 1))
    cut = data.draw(st.integers(0, len(good) - 1))
    for bad in (good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], good[:cut], good + b"\0", update, b""):
        with pytest.raises(errors):
            reader(bad)
    high = good[:-1] + bytes([good[-1] | 0xFF])
    with pytest.raises(errors):
        reader(high[:-8] + b"\xff" * 8)


def test_a_refused_public_share_names_its_seat_and_a_zero_key_is_no_key(container: Container) -> None:
    c, _ = container
    publics = {seat: key.public for seat, key in c.keys.items()}
    with pytest.raises(ckks.MalformedKey, match="seat 2: "):
        ckks.collective_key(c.p, b"s", publics | {2: publics[2][:-1]})
    zero = publics[2][:HEADER_BYTES] + bytes(len(publics[2]) - HEADER_BYTES)
    with pytest.raises(ckks.MalformedKey, match=r"seat 2: .*protects nothing"):
        ckks.collective_key(c.p, b"s", publics | {2: zero})
    last = read_public(c.p, publics[1])
    from quorumlearn.ckks.container import Kind, write

    cancelling = write(c.p, Kind.PUBLIC_SHARE, r.negate(last, r.column(c.p.primes))[None])
    with pytest.raises(ckks.MalformedKey, match="collective key"):
        ckks.collective_key(c.p, b"s", {1: publics[1], 2: cancelling})


def test_a_container_of_other_parameters_is_refused(
    container: Container, small: Callable[..., Committee]
) -> None:
    c, good = container
    p = ckks.Parameters(**{**vars_of(c.p), "max_weight_sum": 7})
    assert p.update_bytes == len(good)
    with pytest.raises(ckks.MalformedCiphertext, match="made under other parameters"):
        ckks.parse(p, good)


def vars_of(p: ckks.Parameters) -> dict[str, Any]:
    from dataclasses import fields

    return {f.name: getattr(p, f.name) for f in fields(p)}


def test_the_header_is_as_documented(container: Container) -> None:
    c, good = container
    magic, version, kind, zero, count = struct.unpack_from("<4sBBHI", good)
    assert (magic, version, kind, zero, count) == (b"QLCK", 1, 1, 0, 2 * c.p.chunks)
    assert good[12:HEADER_BYTES] == c.p.digest
    assert np.frombuffer(good[HEADER_BYTES : HEADER_BYTES + 6], np.uint8).any()
