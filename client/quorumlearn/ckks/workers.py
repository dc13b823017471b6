"""Worker processes for what takes long: SEAL holds the interpreter's lock, so threads do not help it.

Rules:
- foreign ciphertexts are parsed and sketched in a worker, so whatever they do to a library they do there: a worker
  that dies takes its pool with it, the pool is made anew, what was under way is done again alone, and only the
  update whose worker dies a second time is rejected as malformed;
- updates stream: `ahead` of them are in flight, the rest has not been fetched yet, so memory does not grow with their
  number;
- the results are the same as without workers;
- own values and keys go to workers through pipes between processes of one user, never through files.

with Workers(2) as workers:
    data = workers.encrypt(p, key, values)
    for one in workers.sketches(p, plan, (fetch(miner) for miner in miners)):
        ...  # a SketchCiphertext, or the MalformedCiphertext to reject this update with
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from types import TracebackType
from typing import Self

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks.ciphertexts import Ciphertexts, encrypt_part, parse
from quorumlearn.ckks.errors import MalformedCiphertext, WorkerDied
from quorumlearn.ckks.keys import read_key
from quorumlearn.ckks.packing import check_values
from quorumlearn.ckks.parameters import Parameters
from quorumlearn.ckks.sketches import SketchCiphertext, SketchPlan, sketch

Sketched = SketchCiphertext | MalformedCiphertext


class Workers:
    """A pool of processes; the first call starts them. Not to be shared between threads."""

    def __init__(self, count: int | None = None) -> None:
        self.count = max(1, count if count is not None else os.cpu_count() or 1)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes; a later call starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def encrypt(self, p: Parameters, key: bytes, values: r.Integers) -> bytes:
        """`ckks.encrypt`, the chunks spread over the workers. WorkerDied if one of them ends."""
        check_values(p, values)
        read_key(p, key)
        degree = p.poly_modulus_degree
        step = -(-p.chunks // self.count)
        starts = range(0, p.chunks, step)
        futures = [
            self._running().submit(
                encrypt_part, p, key, values[start * degree : (start + step) * degree], start
            )
            for start in starts
        ]
        try:
            parts = [future.result() for future in futures]
        except BrokenProcessPool:
            self.close()
            raise WorkerDied("a worker ended while encrypting; look at the machine's memory") from None
        c0, c1 = (np.concatenate(half) for half in zip(*parts, strict=True))
        return Ciphertexts(p, c0, c1, p.update_size).to_bytes()

    def sketches(self, p: Parameters, plan: SketchPlan, updates: Iterable[bytes]) -> Iterator[Sketched]:
        """For each update's foreign bytes, in order, its sketch's ciphertext or why it is malformed."""
        waiting: deque[tuple[bytes, Future[Sketched]]] = deque()
        ahead = 2 * self.count
        for data in updates:
            waiting.append((data, self._submit(p, plan, data)))
            if len(waiting) >= ahead:
                yield self._first(p, plan, waiting)
        while waiting:
            yield self._first(p, plan, waiting)

    def _first(
        self, p: Parameters, plan: SketchPlan, waiting: deque[tuple[bytes, Future[Sketched]]]
    ) -> Sketched:
        data, future = waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self.close()
        try:
            return self._submit(p, plan, data).result()
        except BrokenProcessPool:
            self.close()
            return MalformedCiphertext("the worker that read these bytes died of them, twice")
        finally:
            again = [(other, self._submit(p, plan, other)) for other, _ in waiting]
            waiting.clear()
            waiting.extend(again)

    def _submit(self, p: Parameters, plan: SketchPlan, data: bytes) -> Future[Sketched]:
        try:
            return self._running().submit(_sketched, p, plan.beacon, data)
        except BrokenProcessPool as error:  # by an update before this one: both are done again
            broken: Future[Sketched] = Future()
            broken.set_exception(error)
            return broken

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.count, mp_context=multiprocessing.get_context("spawn"))
        return self._pool


@lru_cache(maxsize=1)
def _plan(p: Parameters, beacon: bytes) -> SketchPlan:
    return SketchPlan.from_beacon(p, beacon)


def _sketched(p: Parameters, beacon: bytes, data: bytes) -> Sketched:
    """In a worker: the plan is made once a round in each."""
    try:
        return sketch(p, _plan(p, beacon), parse(p, data))
    except MalformedCiphertext as error:
        return error
