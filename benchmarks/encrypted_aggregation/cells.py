"""One cell of the benchmark, n miners and d parameters, ours and the peers', each in a process of its own.

Rules:
- a fresh process for each, so that peak memory is that party's and nobody's caches help anybody;
- what a library prints (TenSEAL warns of every long vector) goes nowhere: that is the caller's;
- a peer that would need more than `PEER_LIMIT` parameters is not run (it holds every value as a Python float).
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.encrypted_aggregation import ours, peers
from benchmarks.encrypted_aggregation.machine import machine

T = TypeVar("T")
PEER_LIMIT = 1_000_000


@dataclass(frozen=True)
class Cell:
    """All figures of one n and d. Peers are None where they are not run."""

    ours: ours.Round
    pairwise: peers.Pairwise | None
    flare: peers.Flare | None
    plain_seconds: float
    workers_seconds: float | None
    workers: int
    taken: str

    @property
    def key(self) -> tuple[int, int, str]:
        return self.ours.miners, self.ours.parameters, self.ours.preset

    @property
    def ratio_pairwise(self) -> float | None:
        """How many times the pairwise way's seconds screening takes less."""
        if self.pairwise is None:
            return None
        return self.pairwise.all_seconds / self.ours.screening_seconds

    @staticmethod
    def from_fields(fields: dict[str, Any]) -> Cell:
        """A cell from what `dataclasses.asdict` gave."""
        pairwise, flare = fields["pairwise"], fields["flare"]
        return Cell(
            ours.Round(**fields["ours"]),
            None if pairwise is None else peers.Pairwise(**pairwise),
            None if flare is None else peers.Flare(**flare),
            fields["plain_seconds"],
            fields["workers_seconds"],
            fields["workers"],
            fields["taken"],
        )


def measure(miners: int, size: int, preset: str, repeats: int) -> Cell:
    """Runs one cell; fewer repeats the larger it is."""
    count = max(1, min(repeats, 6 * 10**7 // (miners * size)))
    workers = os.cpu_count() or 1
    small = size <= PEER_LIMIT
    return Cell(
        ours=_alone(ours.play, miners, size, preset, count),
        pairwise=_alone(peers.pairwise, miners, size) if small else None,
        flare=_alone(peers.flare, miners, size, min(count, 3)) if small else None,
        plain_seconds=_alone(peers.plain_multi_krum, miners, size, min(count, 3)),
        workers_seconds=_alone(ours.screen_with_workers, miners, size, preset, workers) if small else None,
        workers=workers,
        taken=machine(),
    )


def _alone(work: Callable[..., T], *arguments: object) -> T:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_quiet, work, arguments).result()


def _quiet(work: Callable[..., T], arguments: tuple[object, ...]) -> T:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    return work(*arguments)
