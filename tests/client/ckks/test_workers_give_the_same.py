"""Work in other processes gives the same; bytes that kill a worker cost their sender a submission and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from quorumlearn import ckks

from tests.client.ckks.conftest import Committee


class Bomb(bytes):
    """Bytes that end the process which receives them."""

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return os._exit, (3,)


@pytest.fixture(scope="module")
def workers() -> Iterator[ckks.Workers]:
    with ckks.Workers(2) as made:
        yield made


def test_an_update_encrypted_by_workers_opens_to_its_values(
    small: Callable[..., Committee], workers: ckks.Workers
) -> None:
    c = small(3, 2)
    values = c.values(1)
    total = ckks.aggregate(c.p, [(1, ckks.parse(c.p, workers.encrypt(c.p, c.key, values)))])
    assert np.array_equal(ckks.open_partials(c.p, total, c.partials(total)), values)
    with pytest.raises(ckks.QuantiseError):
        workers.encrypt(c.p, c.key, values * 2)
    with pytest.raises(ckks.MalformedKey):
        workers.encrypt(c.p, c.key[:-1], values)


def test_sketches_come_in_order_whatever_some_bytes_do_to_their_worker(
    small: Callable[..., Committee], workers: ckks.Workers
) -> None:
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
            assert isinstance(one, ckks.SketchCiphertext)
            assert one.digest == ckks.sketch(c.p, plan, ckks.parse(c.p, data)).digest
        else:
            assert isinstance(one, ckks.MalformedCiphertext)
    assert "died" in str(found[3])
    assert "bytes, not" in str(found[2])


def test_a_plan_made_ready_changes_nothing_and_nobody_waits_for_a_worker_that_dies_of_it(
    small: Callable[..., Committee],
) -> None:
    c = small(3, 2)
    update = ckks.encrypt(c.p, c.key, c.values(1))
    with ckks.Workers(1) as workers:
        for beacon in (b"one", b"two"):
            plan = ckks.SketchPlan.from_beacon(c.p, beacon)
            workers.prepare(plan)
            (found,) = workers.sketches(c.p, plan, [update])
            assert isinstance(found, ckks.SketchCiphertext)
            assert found.digest == ckks.sketch(c.p, plan, ckks.parse(c.p, update)).digest
        workers.prepare(ckks.SketchPlan.from_beacon(c.p, Bomb(b"three")))
        (found,) = workers.sketches(c.p, plan, [update])
        assert isinstance(found, ckks.SketchCiphertext)
    ckks.Workers(0).prepare(plan)


def test_a_worker_killed_in_the_middle_costs_nobody_an_update(
    small: Callable[..., Committee], workers: ckks.Workers
) -> None:
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"beacon")
    updates = [ckks.encrypt(c.p, c.key, c.values(i)) for i in range(6)]
    expected = [ckks.sketch(c.p, plan, ckks.parse(c.p, data)).digest for data in updates]
    found = []
    for one in workers.sketches(c.p, plan, iter(updates)):
        found.append(one)
        if len(found) == 2:
            for pid in workers.pids:
                os.kill(pid, signal.SIGKILL)
    assert [one.digest for one in found if isinstance(one, ckks.SketchCiphertext)] == expected


def test_threads_share_the_workers_and_one_threads_bytes_cost_the_others_nothing(
    small: Callable[..., Committee], workers: ckks.Workers
) -> None:
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"beacon")
    updates = [ckks.encrypt(c.p, c.key, c.values(i)) for i in range(4)]
    expected = [ckks.sketch(c.p, plan, ckks.parse(c.p, data)).digest for data in updates]
    deadly = [*updates[:2], Bomb(updates[2]), updates[3]]

    def sketched(sent: list[bytes]) -> list[object]:
        found = list(workers.sketches(c.p, plan, iter(sent)))
        return [one.digest if isinstance(one, ckks.SketchCiphertext) else None for one in found]

    with ThreadPoolExecutor(3) as threads:
        good, bad, other = threads.map(sketched, [updates, deadly, updates])
    assert good == other == expected
    assert bad == [*expected[:2], None, expected[3]]


def test_without_workers_everything_is_done_here(small: Callable[..., Committee]) -> None:
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"beacon")
    alone = ckks.Workers(0)
    data = alone.encrypt(c.p, c.key, c.values(1))
    good, bad = alone.sketches(c.p, plan, iter([data, data[:-1]]))
    assert isinstance(good, ckks.SketchCiphertext)
    assert good.digest == ckks.sketch(c.p, plan, ckks.parse(c.p, data)).digest
    assert isinstance(bad, ckks.MalformedCiphertext)
    assert alone.pids == ()


def test_workers_end_with_a_parent_that_is_killed() -> None:
    program = (
        "import os, sys\nfrom quorumlearn.ckks import Workers\n"
        "if __name__ == '__main__':\n"
        "    workers = Workers(2)\n    workers.start()\n"
        "    print(*workers.pids, flush=True)\n    sys.stdin.read()\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "parent.py"
        script.write_text(program)
        parent = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
        parent.wait()
        parent.stdout.close()
        assert not psutil.wait_procs(children, timeout=60)[1]


def test_a_claim_is_what_the_opened_sketch_gives_and_only_of_known_values(
    small: Callable[..., Committee],
) -> None:
    c = small(3, 2)
    plan = ckks.SketchPlan.from_beacon(c.p, b"beacon")
    values = c.values(1, 100)

    def opened(update: ckks.Ciphertexts) -> np.ndarray:
        s = ckks.sketch(c.p, plan, update)
        shares = c.sketch_shares(plan, s)
        return ckks.open_sketch(c.p, plan, s, {1: shares[1], 2: shares[2]})

    update = c.encrypt(values)
    salt = bytes(32)
    said = ckks.claim(c.p, plan, values, "Org/miner", salt)
    assert said == ckks.claim_of(c.p, plan, opened(update), "Org/miner", salt)
    assert said != ckks.claim_of(c.p, plan, opened(update), "Org/miner", b"\1" * 32)
    assert said != ckks.claim_of(c.p, plan, opened(update), "Org/copier", salt)
    assert said != ckks.claim(c.p, ckks.SketchPlan.from_beacon(c.p, b"other"), values, "Org/miner", salt)
    # c1 plus one whole step: the plaintext gains the secret itself, in a size that range and grid let pass.
    mask = update.c1.copy()
    one = np.zeros((1, len(c.p.primes), c.p.poly_modulus_degree), dtype=np.uint64)
    one[0, :, 0] = [(1 << c.p.shift) % q for q in c.p.primes]
    turned = ckks.seal.to_ntt(c.p.poly_modulus_degree, c.p.coeff_modulus_bits, one)[0]
    mask[0] = ckks.residues.add(mask[0], turned, ckks.residues.column(c.p.primes))
    crafted = ckks.parse(c.p, ckks.Ciphertexts(c.p, update.c0, mask, update.size).to_bytes())
    assert said != ckks.claim_of(c.p, plan, opened(crafted), "Org/miner", salt)
