"""The collective key is everybody's alike; secrets stay inside; SEAL itself agrees that it is CKKS."""

from __future__ import annotations

import logging
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tenseal.sealapi as api
from quorumlearn import ckks
from quorumlearn.ckks import keys, packing, seal
from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal_layout as layout
from quorumlearn.ckks.ciphertexts import lifted

from tests.client.ckks.conftest import Committee


def test_the_collective_key_is_the_same_whatever_the_order(small: Callable[..., Committee]) -> None:
    c = small()
    publics = {seat: key.public for seat, key in c.keys.items()}
    backwards = dict(reversed(publics.items()))
    assert ckks.collective_key(c.p, b"task/1/round/1", backwards) == c.key
    assert ckks.collective_key(c.p, b"task/1/round/2", publics) != c.key
    assert ckks.collective_key(c.p, b"task/1/round/1", {1: publics[1], 3: publics[3]}) != c.key


def test_a_seat_that_drops_out_before_dealing_is_left_out(small: Callable[..., Committee]) -> None:
    c = small(3, 2)
    taking_part = (1, 3)
    key = ckks.collective_key(c.p, b"task/1/round/1", {s: c.keys[s].public for s in taking_part})
    dealt = {s: ckks.deal(c.p, c.keys[s].secret, (1, 2, 3)) for s in taking_part}
    shares = {s: ckks.sum_shares(c.p, [dealt[t][s] for t in taking_part]) for s in (1, 2, 3)}
    values = c.values(7)
    total = ckks.aggregate(c.p, [(1, ckks.parse(c.p, ckks.encrypt(c.p, key, values)))])
    for some in ((1, 2), (2, 3)):
        opened = ckks.open_partials(
            c.p, total, {s: ckks.partial_decrypt(c.p, shares[s], total) for s in some}
        )
        assert np.array_equal(opened, values)


def test_too_few_or_unknown_seats_make_no_key(small: Callable[..., Committee]) -> None:
    c = small(3, 2)
    with pytest.raises(ckks.ParameterError, match="1 seats take part, the threshold is 2"):
        ckks.collective_key(c.p, b"s", {1: c.keys[1].public})
    for seats in ((1, 1), (0, 1), (1, 4)):
        with pytest.raises(ckks.ParameterError, match="distinct numbers from 1 to 3"):
            ckks.deal(c.p, c.keys[1].secret, seats)
    with pytest.raises(ckks.MalformedShare, match="0 shares"):
        ckks.sum_shares(c.p, [])
    with pytest.raises(ckks.MalformedShare, match="share 1: "):
        ckks.sum_shares(c.p, [c.shares[1], c.key])


def test_seal_itself_decrypts_what_was_encrypted(real: Committee) -> None:
    """The oracle: SEAL's own Decryptor, given the summed secret, finds the plaintext polynomial."""
    p = real.p
    values = real.values(11)
    c = real.encrypt(values)
    degree, bits = p.poly_modulus_degree, p.coeff_modulus_bits
    spare = next(size for size in range(60, 30, -1) if size not in bits)
    ring = seal.ring(
        degree, (*bits, spare)
    )  # SEAL keeps the last prime for the keys, the data has all of ours
    small = r.centred(seal.from_ntt(degree, bits, real.raw_secret()[None]), p.primes).astype(np.int64)
    residues = seal.to_ntt(degree, (*bits, spare), r.from_integers(small, r.column(ring.primes)))
    body_size = layout.SECRET + residues.nbytes
    template = layout.save(api.KeyGenerator(ring.context).secret_key(), body_size)
    secret = layout.load(api.SecretKey(), ring.context, template[: layout.SECRET], residues)
    decryptor = api.Decryptor(ring.context, secret)
    for chunk in range(p.chunks):
        body = layout.ciphertext_body(
            ring.context.first_parms_id(), np.stack([lifted(p, c.c0)[chunk], c.c1[chunk]]), ntt=True
        )
        plain = api.Plaintext()
        decryptor.decrypt(layout.load(api.Ciphertext(), ring.context, *body), plain)
        polynomial = np.frombuffer(layout.save(plain, body_size), dtype="<u8", offset=layout.SECRET)
        coefficients = seal.from_ntt(degree, bits, polynomial.reshape(1, len(p.primes), -1))
        steps = np.rint(r.centred(coefficients[0], p.primes) / 2.0**p.shift).astype(np.int64)
        assert np.array_equal(steps, packing.lay_out(p, values)[chunk])


def test_secrets_show_nothing_and_do_not_pickle(
    small: Callable[..., Committee], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    c = small()
    key = ckks.new_key_share(c.p, b"seed")
    for shown in (repr(key), repr(key.secret), str(key.secret), f"{key}"):
        assert not re.search(r"\d{5}|\[|array", shown.replace("0x", ""))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key.secret)
    share = c.shares[1]
    for bad in (share[:-1], share[:-8] + b"\xff" * 8, share[:20] + b"\0" + share[21:]):
        with pytest.raises(ckks.MalformedShare) as caught:
            ckks.partial_decrypt(c.p, bad, c.encrypt(c.values(1)))
        text = str(caught.value)
        assert share[60:68].hex() not in text
        assert all(str(int(x)) not in text for x in keys.read_share(c.p, share)[0, -4:])
    assert not caplog.records


def test_a_secret_survives_its_own_journal_and_is_erased(small: Callable[..., Committee]) -> None:
    c = small()
    secret = c.keys[1].secret
    back = ckks.SecretPolynomial.restore(c.p, secret.reveal(c.p))
    assert np.array_equal(back.residues(), secret.residues())
    with pytest.raises(ckks.MalformedShare):
        ckks.SecretPolynomial.restore(c.p, c.shares[1])
    back.erase()
    assert not back.residues().any()
    assert secret.residues().any()


def test_secrets_are_ternary_errors_gaussian_and_public_shares_fit(real: Committee) -> None:
    p = real.p
    q = r.column(p.primes)
    common = keys.common_polynomial(p, b"task/1/round/1")
    for share in real.keys.values():
        secret = share.secret.residues()
        coefficients = seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, secret[None])[0]
        values = r.centred(coefficients, p.primes)
        assert set(np.unique(values)) == {-1.0, 0.0, 1.0}
        public = keys.read_public(p, share.public)
        noise = r.negate(r.add(public, r.multiply(common, secret, q), q), q)
        error = r.centred(
            seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, noise[None])[0], p.primes
        )
        assert 3.0 < error.std() < 3.4
        assert np.abs(error).max() <= 40
        assert abs(error.mean()) < 0.25


def test_another_process_makes_the_same_bytes(small: Callable[..., Committee]) -> None:
    c = small()
    code = (
        "import sys; from quorumlearn import ckks\n"
        "p = ckks.Parameters.choose(2100, seats=3, threshold=2, sketch_size=64, minimum_security_bits=0)\n"
        "key = sys.stdin.buffer.read()\n"
        "print(p.digest.hex(), ckks.test_ciphertext(p, key, b'n').digest().hex(),"
        " ckks.SketchPlan.from_beacon(p, b'b').digest.hex())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        input=c.key,
        capture_output=True,
        check=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    plan = ckks.SketchPlan.from_beacon(c.p, b"b")
    want = [c.p.digest, ckks.test_ciphertext(c.p, c.key, b"n").digest(), plan.digest]
    assert out.stdout.decode().split() == [x.hex() for x in want]


def test_threads_do_not_meet_in_a_file(small: Callable[..., Committee]) -> None:
    c = small()
    values = [c.values(i) for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(c.encrypt, values))
    for value, ciphertexts in zip(values, done, strict=True):
        total = ckks.aggregate(c.p, [(1, ciphertexts)])
        assert np.array_equal(ckks.open_partials(c.p, total, c.partials(total)), value)


def test_without_memory_files_a_private_folder_does_and_is_left_empty(
    small: Callable[..., Committee], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    c = small()
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    total = ckks.aggregate(c.p, [(1, c.encrypt(c.values(2)))])
    assert np.array_equal(ckks.open_partials(c.p, total, c.partials(total)), c.values(2))
    assert list(Path(tmp_path).iterdir()) == []
