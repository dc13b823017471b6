"""Worker processes for what takes long: SEAL holds the interpreter's lock, so threads do not help it.

Rules:
- foreign ciphertexts are parsed and sketched in a worker, so whatever they do to a library they do there: only the
  update that a worker was at when it died is done again, by a new one, and rejected as malformed if that dies too;
- updates stream: `ahead` of them are in flight, the rest has not been fetched yet, so memory does not grow with their
  number;
- the results are the same as without workers;
- a worker's answers are plain bytes of a form that the question fixes (quorumlearn.ckks.frames): one that foreign bytes have taken over
  can send wrong numbers, and nothing that runs here;
- own values and keys go to workers through pipes between processes of one user, never through files;
- workers end with the process that started them, however it ends.

with Workers(2) as workers:
    data = workers.encrypt(p, key, values)
    for one in workers.sketches(p, plan, (fetch(miner) for miner in miners)):
        ...  # a SketchCiphertext, or the MalformedCiphertext to reject this update with

Every worker has pipes of its own. Python's ProcessPoolExecutor has one queue for all: it waits for ever for the rest
of what a process was writing when it was killed (seen with Python 3.11), and one death is the death of all.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from types import TracebackType
from typing import Self

import numpy as np

from quorumlearn.ckks import frames
from quorumlearn.ckks import residues as r
from quorumlearn.ckks.budget import SKETCH_POLYNOMIALS
from quorumlearn.ckks.ciphertexts import Ciphertexts, encrypt, parse
from quorumlearn.ckks.errors import MalformedCiphertext, WorkerDied, WorkerFailed
from quorumlearn.ckks.frames import Answer, BadFrame, Work
from quorumlearn.ckks.keys import read_key
from quorumlearn.ckks.packing import check_values
from quorumlearn.ckks.parameters import Parameters
from quorumlearn.ckks.sketches import SketchCiphertext, SketchPlan, round_plan, sketch

Sketched = SketchCiphertext | MalformedCiphertext
_FEW_CHUNKS = 16
"""Own values of so many ciphertexts are encrypted sooner than a process starts."""
_GRACE_S = 10.0
PROGRAM = ("-P", "-m", "quorumlearn.ckks.worker")
"""What a worker process runs, after the interpreter's name."""
Shapes = tuple[tuple[int, ...], tuple[int, ...]]
Arrays = tuple[r.Residues, r.Residues]


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
                    self._encrypt_part, p, key, values[start * degree : (start + step) * degree], start
                )
                for start in range(0, p.chunks, step)
            ]
            parts = [future.result() for future in futures]
        c0, c1 = (np.concatenate(half) for half in zip(*parts, strict=True))
        return Ciphertexts(p, c0, c1, p.update_size).to_bytes()

    def _encrypt_part(self, p: Parameters, key: bytes, values: r.Integers, start: int) -> Arrays:
        """c0 (chunks, kept primes, N) and c1 (chunks, primes, N) of the values that begin with chunk `start`."""
        chunks, degree = -(-len(values) // p.poly_modulus_degree), p.poly_modulus_degree
        shapes = (chunks, len(p.kept_primes), degree), (chunks, len(p.primes), degree)
        second = frames.START.pack(start) + frames.packed(values)
        return self._ask(p, Work.ENCRYPT, key, second, shapes, p.kept_primes)

    def prepare(self, plan: SketchPlan) -> None:
        """Have workers make a round's plan before its updates are there, without waiting for them."""
        for _ in range(self.count):
            threading.Thread(target=self._prepare, args=(plan,), daemon=True).start()

    def _prepare(self, plan: SketchPlan) -> None:
        with contextlib.suppress(WorkerDied):  # whoever needs the plan then makes it
            self._ask(plan.parameters, Work.PREPARE, plan.beacon, b"", ((0, 1, 1), (0, 1, 1)))

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
        shapes = (len(p.primes), p.sketch_size), (SKETCH_POLYNOMIALS, len(p.primes), p.poly_modulus_degree)
        for _ in range(2):
            try:
                return SketchCiphertext(*self._ask(p, Work.SKETCH, plan.beacon, data, shapes))
            except MalformedCiphertext as error:
                return error
            except WorkerDied:
                continue
        return MalformedCiphertext("the worker that read these bytes died of them, twice")

    def _ask(
        self,
        p: Parameters,
        work: Work,
        first: bytes,
        second: bytes,
        shapes: Shapes,
        primes: tuple[int, ...] | None = None,
    ) -> Arrays:
        """Two arrays of residues of these shapes from the next worker that is idle, the first over `primes`, or all of them.

        WorkerDied if it ends meanwhile or answers in another form, MalformedCiphertext if it says so, WorkerFailed for what it raised.
        """
        worker = self._idle.get()
        try:
            worker = worker or self._new()
            kind, *parts = worker.ask((work.value, frames.parameters_to(p), first, second), shapes)
            said = bytes(kind)
            if said == Answer.MADE.value:
                return (
                    frames.residues(parts[0], shapes[0], primes or p.primes),
                    frames.residues(parts[1], shapes[1], p.primes),
                )
            if said not in (Answer.MALFORMED.value, Answer.FAILED.value):
                raise BadFrame("an answer of no known kind")
        except BaseException as error:
            if worker is not None:
                worker.kill()
                self._pids.discard(worker.pid)
            worker = None
            if isinstance(error, BadFrame):
                raise WorkerDied(f"a worker process was ended: {error}") from error
            raise
        finally:
            self._idle.put(worker)
        why = frames.text_of(parts[0])
        raise MalformedCiphertext(why) if said == Answer.MALFORMED.value else WorkerFailed(why)

    def _new(self) -> _Worker:
        worker = _Worker()
        self._pids.add(worker.pid)
        return worker


class _Worker:
    """One process, and our ends of its pipes. It is in a process group of its own: a terminal's interrupt is for us."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            process_group=0,
        )
        self.pid = self._process.pid

    def ask(self, request: tuple[bytes, bytes, bytes, bytes], shapes: Shapes) -> list[bytearray]:
        """The answer's fields, none longer than its kind of answer may be; WorkerDied if the process ends, BadFrame for a longer one."""
        requests, answers = self._process.stdin, self._process.stdout
        assert isinstance(requests, FileIO) and isinstance(answers, FileIO), "its pipes have no buffers"
        first, second = (frames.bytes_of(shape) for shape in shapes)
        try:
            frames.send(requests, *request)
            return frames.receive(answers, (frames.MAX_LINE, max(first, frames.MAX_LINE), second))
        except (EOFError, OSError):
            raise WorkerDied("a worker process ended at its work; look at the machine's memory") from None

    def end(self) -> None:
        """Let it go: it ends when nobody is left at the other end of its pipe."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _sketched(p: Parameters, beacon: bytes, data: bytes) -> Sketched:
    """Without workers; the plan is made once a round."""
    try:
        return sketch(p, round_plan(p, beacon), parse(p, data))
    except MalformedCiphertext as error:
        return error
