"""Worker processes for what takes long: SEAL holds the interpreter's lock, so threads do not help it.

Rules:
- foreign ciphertexts are parsed and sketched in a worker, so whatever they do to a library they do there: only the
  update that a worker was at when it died is done again, by a new one, and rejected as malformed if that dies too;
- updates stream: `ahead` of them are in flight, the rest has not been fetched yet, so memory does not grow with their
  number;
- the results are the same as without workers;
- own values and keys go to workers through pipes between processes of one user, never through files;
- workers end with the process that started them, however it ends.

with Workers(2) as workers:
    data = workers.encrypt(p, key, values)
    for one in workers.sketches(p, plan, (fetch(miner) for miner in miners)):
        ...  # a SketchCiphertext, or the MalformedCiphertext to reject this update with

Every worker has a pipe of its own. Python's ProcessPoolExecutor has one queue for all: it waits for ever for the rest
of what a process was writing when it was killed (seen with Python 3.11), and one death is the death of all.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks.ciphertexts import Ciphertexts, encrypt, encrypt_part, parse
from quorumlearn.ckks.errors import MalformedCiphertext, WorkerDied
from quorumlearn.ckks.keys import read_key
from quorumlearn.ckks.packing import check_values
from quorumlearn.ckks.parameters import Parameters
from quorumlearn.ckks.sketches import SketchCiphertext, SketchPlan, round_plan, sketch

T = TypeVar("T")
Sketched = SketchCiphertext | MalformedCiphertext
_FEW_CHUNKS = 16
"""Own values of so many ciphertexts are encrypted sooner than a process starts."""
_GRACE_S = 10.0


class Workers:
    """Processes that threads may share; each is started when it is first needed.

    count: as many as the machine has cores unless given; 0 does everything in the calling process, foreign bytes too.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count if count is not None else os.cpu_count() or 1
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(self.count):
            self._idle.put(None)
        self._pids: set[int] = set()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that there are now."""
        return tuple(sorted(self._pids))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Have the processes started without waiting for them: what comes first then finds them ready."""
        taken = [self._idle.get() for _ in range(self.count)]
        for one in taken:
            self._idle.put(one or self._new())

    def close(self) -> None:
        """Ends the processes once they are done with what they are at; a later call starts new ones."""
        taken = [self._idle.get() for _ in range(self.count)]
        for one in taken:
            if one is not None:
                one.end()
                self._pids.discard(one.pid)
            self._idle.put(None)

    def encrypt(self, p: Parameters, key: bytes, values: r.Integers) -> bytes:
        """`ckks.encrypt`, the chunks spread over the workers if they are many. WorkerDied if one of them ends."""
        if self.count == 0 or p.chunks < _FEW_CHUNKS:
            return encrypt(p, key, values)
        check_values(p, values)
        read_key(p, key)
        degree = p.poly_modulus_degree
        step = -(-p.chunks // self.count)
        with ThreadPoolExecutor(self.count) as threads:
            futures = [
                threads.submit(
                    self._ask, encrypt_part, p, key, values[start * degree : (start + step) * degree], start
                )
                for start in range(0, p.chunks, step)
            ]
            parts = [future.result() for future in futures]
        c0, c1 = (np.concatenate(half) for half in zip(*parts, strict=True))
        return Ciphertexts(p, c0, c1, p.update_size).to_bytes()

    def prepare(self, plan: SketchPlan) -> None:
        """Have workers make a round's plan before its updates are there, without waiting for them."""
        for _ in range(self.count):
            threading.Thread(target=self._prepare, args=(plan,), daemon=True).start()

    def _prepare(self, plan: SketchPlan) -> None:
        with contextlib.suppress(WorkerDied):  # whoever needs the plan then makes it
            self._ask(_transform, plan.parameters, plan.beacon)

    def sketches(self, p: Parameters, plan: SketchPlan, updates: Iterable[bytes]) -> Iterator[Sketched]:
        """For each update's foreign bytes, in order, its sketch's ciphertext or why it is malformed."""
        if self.count == 0:
            for data in updates:
                yield _sketched(p, plan.beacon, data)
            return
        waiting: deque[Future[Sketched]] = deque()
        with ThreadPoolExecutor(self.count) as threads:
            for data in updates:
                waiting.append(threads.submit(self._sketch, p, plan, data))
                if len(waiting) >= 2 * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _sketch(self, p: Parameters, plan: SketchPlan, data: bytes) -> Sketched:
        for _ in range(2):
            try:
                return self._ask(_sketched, p, plan.beacon, data)
            except WorkerDied:
                continue
        return MalformedCiphertext("the worker that read these bytes died of them, twice")

    def _ask(self, work: Callable[..., T], *arguments: object) -> T:
        """What a worker makes of it, the next that is idle; WorkerDied if it ends meanwhile."""
        worker = self._idle.get()
        try:
            worker = worker or self._new()
            answer = worker.ask(work, arguments)
        except BaseException:
            if worker is not None:
                worker.kill()
                self._pids.discard(worker.pid)
            worker = None
            raise
        finally:
            self._idle.put(worker)
        if isinstance(answer, _Raised):
            raise answer.error
        made: T = answer
        return made

    def _new(self) -> _Worker:
        worker = _Worker()
        self._pids.add(worker.pid)
        return worker


@dataclass(frozen=True)
class _Raised:
    """What the work raised, in place of its answer."""

    error: Exception


class _Worker:
    """One process, and our end of its pipe."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        try:
            self._process.start()
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid or 0

    def ask(self, work: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
        try:
            self._pipe.send((work, arguments))
            return self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerDied("a worker process ended at its work; look at the machine's memory") from None

    def end(self) -> None:
        """Let it go: it ends when nobody is left at the other end of its pipe."""
        self._pipe.close()
        self._process.join(_GRACE_S)
        self._process.kill()
        self._process.join()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection) -> None:
    """In a worker: interrupts are for the process that started it, and it ends when that one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            work, arguments = pipe.recv()
            try:
                answer = work(*arguments)
            except Exception as error:  # noqa: BLE001 - raised again where the work was asked for
                answer = _Raised(error)
            pipe.send(answer)
        except (EOFError, OSError):
            return


def _transform(p: Parameters, beacon: bytes) -> None:
    """In a worker: what `_sketched` needs first."""
    _ = round_plan(p, beacon).transformed


def _sketched(p: Parameters, beacon: bytes, data: bytes) -> Sketched:
    """In a worker: the plan is made once a round in each."""
    try:
        return sketch(p, round_plan(p, beacon), parse(p, data))
    except MalformedCiphertext as error:
        return error
