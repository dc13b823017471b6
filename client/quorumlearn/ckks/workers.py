"""Worker processes for what takes long: SEAL holds the interpreter's lock, so threads do not help it.

Rules:
- foreign ciphertexts are parsed and sketched in a worker, so whatever they do to a library they do there: a worker
  that dies takes its pool with it, the pool is made anew, each update that was under way is done again in a process
  of its own, and only one whose process dies again is rejected as malformed;
- updates stream: `ahead` of them are in flight, the rest has not been fetched yet, so memory does not grow with their
  number;
- the results are the same as without workers;
- own values and keys go to workers through pipes between processes of one user, never through files;
- workers end with the process that started them, however it ends.

with Workers(2) as workers:
    data = workers.encrypt(p, key, values)
    for one in workers.sketches(p, plan, (fetch(miner) for miner in miners)):
        ...  # a SketchCiphertext, or the MalformedCiphertext to reject this update with
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from types import TracebackType
from typing import Self

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks.ciphertexts import Ciphertexts, encrypt, encrypt_part, parse
from quorumlearn.ckks.errors import MalformedCiphertext, WorkerDied
from quorumlearn.ckks.keys import read_key
from quorumlearn.ckks.packing import check_values
from quorumlearn.ckks.parameters import Parameters
from quorumlearn.ckks.sketches import SketchCiphertext, SketchPlan, sketch

Sketched = SketchCiphertext | MalformedCiphertext
_FEW_CHUNKS = 16
"""Own values of so many ciphertexts are encrypted sooner than a process starts."""


class Workers:
    """A pool of processes that threads may share; the first call starts them.

    count: as many as the machine has cores unless given; 0 does everything in the calling process, foreign bytes too.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count if count is not None else os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None
        self._making = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Have the processes started without waiting for them: what comes first then finds them ready."""
        if self.count:
            pool = self._running()
            for _ in range(self.count):
                pool.submit(os.getpid)

    def close(self) -> None:
        """Ends the processes; a later call starts new ones."""
        self._discard(self._pool)

    def encrypt(self, p: Parameters, key: bytes, values: r.Integers) -> bytes:
        """`ckks.encrypt`, the chunks spread over the workers if they are many. WorkerDied if one of them ends."""
        if self.count == 0 or p.chunks < _FEW_CHUNKS:
            return encrypt(p, key, values)
        check_values(p, values)
        read_key(p, key)
        degree = p.poly_modulus_degree
        step = -(-p.chunks // self.count)
        pool = self._running()
        try:
            futures = [
                pool.submit(encrypt_part, p, key, values[start * degree : (start + step) * degree], start)
                for start in range(0, p.chunks, step)
            ]
            parts = [future.result() for future in futures]
        except BrokenProcessPool:
            self._discard(pool)
            raise WorkerDied("a worker ended while encrypting; look at the machine's memory") from None
        c0, c1 = (np.concatenate(half) for half in zip(*parts, strict=True))
        return Ciphertexts(p, c0, c1, p.update_size).to_bytes()

    def sketches(self, p: Parameters, plan: SketchPlan, updates: Iterable[bytes]) -> Iterator[Sketched]:
        """For each update's foreign bytes, in order, its sketch's ciphertext or why it is malformed."""
        if self.count == 0:
            for data in updates:
                yield _sketched(p, plan.beacon, data)
            return
        waiting: deque[tuple[bytes, ProcessPoolExecutor, Future[Sketched]]] = deque()
        for data in updates:
            waiting.append((data, *self._submit(p, plan, data)))
            if len(waiting) >= 2 * self.count:
                yield self._first(p, plan, waiting)
        while waiting:
            yield self._first(p, plan, waiting)

    def _first(
        self,
        p: Parameters,
        plan: SketchPlan,
        waiting: deque[tuple[bytes, ProcessPoolExecutor, Future[Sketched]]],
    ) -> Sketched:
        data, pool, future = waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self._discard(pool)
        try:
            with _pool(1) as alone:
                return alone.submit(_sketched, p, plan.beacon, data).result()
        except BrokenProcessPool:
            return MalformedCiphertext("the worker that read these bytes died of them, twice")

    def _submit(
        self, p: Parameters, plan: SketchPlan, data: bytes
    ) -> tuple[ProcessPoolExecutor, Future[Sketched]]:
        """A pool that something before this update has broken is left for a new one; if that breaks too, the update is
        done alone."""
        for _ in range(2):
            pool = self._running()
            try:
                return pool, pool.submit(_sketched, p, plan.beacon, data)
            except BrokenProcessPool as error:
                self._discard(pool)
                broken: Future[Sketched] = Future()
                broken.set_exception(error)
        return pool, broken

    def _running(self) -> ProcessPoolExecutor:
        with self._making:
            if self._pool is None:
                self._pool = _pool(self.count)
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor | None) -> None:
        """End this pool; another that a thread has made in its place since goes on."""
        with self._making:
            if self._pool is pool:
                self._pool = None
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _pool(count: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_begin)


def _begin() -> None:
    """In a worker: interrupts are for the process that started it, and it ends when that one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@lru_cache(maxsize=1)
def _plan(p: Parameters, beacon: bytes) -> SketchPlan:
    return SketchPlan.from_beacon(p, beacon)


def _sketched(p: Parameters, beacon: bytes, data: bytes) -> Sketched:
    """In a worker: the plan is made once a round in each."""
    try:
        return sketch(p, _plan(p, beacon), parse(p, data))
    except MalformedCiphertext as error:
        return error
