"""Work in other processes gives the same; bytes that kill a worker cost their sender a submission and nobody else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from quorumlearn import ckks


class Bomb(bytes):
    """Bytes that end the process which receives them."""

    def __reduce__(self) -> object:
        return os._exit, (3,)


@pytest.fixture(scope="module")
def workers() -> Iterator[ckks.Workers]:
    with ckks.Workers(2) as made:
        yield made


def test_an_update_encrypted_by_workers_opens_to_its_values(small, workers):
    c = small(3, 2)
    values = c.values(1)
    total = ckks.aggregate(c.p, [(1, ckks.parse(c.p, workers.encrypt(c.p, c.key, values)))])
    assert np.array_equal(ckks.open_partials(c.p, total, c.partials(total)), values)
    with pytest.raises(ckks.QuantiseError):
        workers.encrypt(c.p, c.key, values * 2)
    with pytest.raises(ckks.MalformedKey):
        workers.encrypt(c.p, c.key[:-1], values)


def test_sketches_come_in_order_whatever_some_bytes_do_to_their_worker(small, workers):
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"beacon")
    updates = [ckks.encrypt(c.p, c.key, c.values(i)) for i in range(7)]
    sent = [*updates[:2], updates[0][:-1], Bomb(updates[3]), *updates[4:], b""]
    fetched = []

    def fetch() -> Iterator[bytes]:
        for at, one in enumerate(sent):
            fetched.append(at)
            yield one

    found = []
    for one in workers.sketches(c.p, plan, fetch()):
        found.append(one)
        assert len(fetched) <= len(found) + 2 * workers.count
    assert len(found) == len(sent)
    for one, data in zip(found, sent, strict=True):
        if data in updates and not isinstance(data, Bomb):
            assert one.digest == ckks.sketch(c.p, plan, ckks.parse(c.p, data)).digest
        else:
            assert isinstance(one, ckks.MalformedCiphertext)
    assert "died" in str(found[3])
    assert "bytes, not" in str(found[2])


def test_a_claim_is_what_the_opened_sketch_gives_and_only_of_known_values(small):
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"beacon")
    values = c.values(1, 100)

    def opened(update: ckks.Ciphertexts) -> np.ndarray:
        s = ckks.sketch(c.p, plan, update)
        shares = c.sketch_shares(plan, s)
        return ckks.open_sketch(c.p, plan, s, {1: shares[1], 2: shares[2]})

    update = c.encrypt(values)
    said = ckks.claim(c.p, plan, values, "Org/miner")
    assert said == ckks.claim_of(c.p, plan, opened(update), "Org/miner")
    assert said != ckks.claim_of(c.p, plan, opened(update), "Org/copier")
    assert said != ckks.claim(c.p, ckks.SketchPlan.from_beacon(c.p, b"other"), values, "Org/miner")
    # c1 plus one whole step: the plaintext gains the secret itself, in a size that range and grid let pass.
    mask = update.c1.copy()
    one = np.zeros((1, len(c.p.primes), c.p.poly_modulus_degree), dtype=np.uint64)
    one[0, :, 0] = [(1 << c.p.shift) % q for q in c.p.primes]
    turned = ckks.seal.to_ntt(c.p.poly_modulus_degree, c.p.coeff_modulus_bits, one)[0]
    mask[0] = ckks.residues.add(mask[0], turned, ckks.residues.column(c.p.primes))
    crafted = ckks.parse(c.p, ckks.Ciphertexts(c.p, update.c0, mask, update.size).to_bytes())
    assert said != ckks.claim_of(c.p, plan, opened(crafted), "Org/miner")
