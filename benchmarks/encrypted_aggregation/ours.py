"""One round of n miners and d parameters through `quorumlearn.ckks`, phase by phase, on one core.

Rules:
- each phase does all that one party does in it: a miner encrypts, one verifier screens (parses, sketches, makes its
  share, opens with t shares) all n, adds up all n, makes its partial decryption and opens the sum;
- at most `DISTINCT` different updates are encrypted and used in turn: the work is that of n, the memory is not;
- seconds are of the processor, of one process with one thread, so that what else the machine does counts little;
  only `screen_with_workers` reads the clock on the wall;
- what is opened is compared with the plain sum, and the sketches with the plain ones, or nothing is reported.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
from quorumlearn import ckks

DISTINCT = 6
SEATS, THRESHOLD = 3, 2


@dataclass(frozen=True)
class Round:
    """Seconds (medians), bytes and peak memory (MiB, up to the end of each phase) of one cell."""

    miners: int
    parameters: int
    preset: str
    repeats: int
    flooding_bits: float
    security_bits: int
    bytes_per_parameter: float
    update_bytes: int
    sketch_share_bytes: int
    partial_bytes: int
    ceremony_seconds: float
    encryption_seconds: float
    screening_seconds: float
    aggregation_seconds: float
    decryption_seconds: float
    encryption_memory: float
    screening_memory: float
    aggregation_memory: float
    decryption_memory: float

    @property
    def microseconds_per_parameter(self) -> float:
        """Of encryption, on one core."""
        return self.encryption_seconds / self.parameters * 1e6


def peak_memory() -> float:
    """Largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of the processor of `repeats` runs."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return median(seconds)


@dataclass(frozen=True)
class Committee:
    """A collective key, and each seat's share of its secret."""

    key: bytes
    shares: dict[int, bytes]


def make_committee(p: ckks.Parameters) -> Committee:
    """A whole ceremony, all seats in one."""
    seed, seats = b"benchmark", tuple(range(1, p.seats + 1))
    drawn = {seat: ckks.new_key_share(p, seed) for seat in seats}
    dealt = {seat: ckks.deal(p, one.secret, seats) for seat, one in drawn.items()}
    return Committee(
        ckks.collective_key(p, seed, {seat: one.public for seat, one in drawn.items()}),
        {seat: ckks.sum_shares(p, [dealt[other][seat] for other in seats]) for seat in seats},
    )


def play(miners: int, size: int, preset: str, repeats: int) -> Round:
    """One cell. AssertionError if anything opens to something else than it should."""
    p = ckks.Parameters.named(preset, size, seats=SEATS, threshold=THRESHOLD, max_weight_sum=miners)
    told = p.explain()
    made: list[Committee] = []
    ceremony_seconds = timed(lambda: made.append(make_committee(p)), min(repeats, 3))
    committee = made[-1]
    rng = np.random.default_rng(size)
    values = [ckks.quantise(rng.normal(scale=0.05, size=size), p) for _ in range(min(miners, DISTINCT))]
    updates = [ckks.encrypt(p, committee.key, one) for one in values]
    encryption_seconds = timed(lambda: ckks.encrypt(p, committee.key, values[0]), repeats)
    encryption_memory = peak_memory()

    beacon = b"beacon"
    plan = ckks.SketchPlan.from_beacon(p, beacon)
    sketched = [ckks.sketch(p, plan, ckks.parse(p, one)) for one in updates]
    theirs = [ckks.sketch_share(p, plan, committee.shares[2], one) for one in sketched]
    opened: list[np.ndarray] = []
    own: list[bytes] = []

    def screen() -> None:
        opened.clear()
        fresh = ckks.SketchPlan.from_beacon(p, beacon)
        for i in range(miners):
            one = ckks.sketch(p, fresh, ckks.parse(p, updates[i % len(updates)]))
            share = ckks.sketch_share(p, fresh, committee.shares[1], one)
            own.append(share)
            opened.append(ckks.open_sketch(p, fresh, one, {1: share, 2: theirs[i % len(updates)]}))

    del plan, sketched
    screening_seconds = timed(screen, repeats)
    screening_memory = peak_memory()
    checked = ckks.SketchPlan.from_beacon(p, beacon)
    _demand(np.array_equal(opened[-1], ckks.plain_sketch(p, checked, values[(miners - 1) % len(values)])))
    del checked

    totals: list[ckks.Ciphertexts] = []

    def add_up() -> None:
        totals.clear()
        totals.append(
            ckks.aggregate(p, ((1, ckks.parse(p, updates[i % len(updates)])) for i in range(miners)))
        )
        totals[0].digest()

    aggregation_seconds = timed(add_up, repeats)
    aggregation_memory = peak_memory()
    total = totals[0]
    other = ckks.partial_decrypt(p, committee.shares[2], total)
    sums: list[np.ndarray] = []

    def decrypt() -> None:
        mine = ckks.partial_decrypt(p, committee.shares[1], total)
        sums[:] = [ckks.open_partials(p, total, {1: mine, 2: other})]

    decryption_seconds = timed(decrypt, repeats)
    _demand(np.array_equal(sums[0], sum(values[i % len(values)] for i in range(miners))))
    return Round(
        miners=miners,
        parameters=size,
        preset=preset,
        repeats=repeats,
        flooding_bits=told.flooding_bits,
        security_bits=told.security_bits,
        bytes_per_parameter=len(updates[0]) / size,
        update_bytes=len(updates[0]),
        sketch_share_bytes=len(own[0]),
        partial_bytes=len(other),
        ceremony_seconds=ceremony_seconds,
        encryption_seconds=encryption_seconds,
        screening_seconds=screening_seconds,
        aggregation_seconds=aggregation_seconds,
        decryption_seconds=decryption_seconds,
        encryption_memory=encryption_memory,
        screening_memory=screening_memory,
        aggregation_memory=aggregation_memory,
        decryption_memory=peak_memory(),
    )


def screen_with_workers(miners: int, size: int, preset: str, processes: int) -> float:
    """Seconds to parse and sketch n updates in worker processes that are already running."""
    p = ckks.Parameters.named(preset, size, seats=SEATS, threshold=THRESHOLD, max_weight_sum=miners)
    committee = make_committee(p)
    values = ckks.quantise(np.random.default_rng(1).normal(scale=0.05, size=size), p)
    update = ckks.encrypt(p, committee.key, values)
    with ckks.Workers(processes) as workers:
        plan = ckks.SketchPlan.from_beacon(p, b"beacon")
        list(workers.sketches(p, plan, [update] * processes))
        begin = time.perf_counter()
        found = list(workers.sketches(p, plan, (update for _ in range(miners))))
        seconds = time.perf_counter() - begin
    _demand(all(isinstance(one, ckks.SketchCiphertext) for one in found))
    return seconds


def _demand(holds: bool) -> None:
    if not holds:
        raise AssertionError("a benchmark opened something else than what was encrypted")
