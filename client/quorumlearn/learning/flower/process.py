"""The process that a Flower app runs in, as a node sees it: asked over pipes, and ended when it does not answer.

Rules:
1. one question at a time, for an app draws from generators that its whole process shares;
2. a process that ends, answers in another form or takes longer than `timeout` is killed, with all that it has started, and the next
   question begins a new one. What an app raises costs nothing but this answer;
3. what it prints to standard error goes to the log at `debug`, a line at a time, cut and printable. Of an error only one line is told;
4. its environment is the node's without PYTHONPATH and what begins with QUORUMLEARN_. Numerical libraries get one thread unless
   OMP_NUM_THREADS says otherwise, and Flower's telemetry stays off;
5. it ends when this process does, however that ends (`worker` says how).
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from quorumlearn.learning.errors import TrainingError, WorkloadError
from quorumlearn.learning.flower import worker

START_S = 120.0
"""How long an app may take to be imported and its model to be built, before its own time begins."""
_TICK_S = 0.2
_MOST_LINE = 500
_LAST_LINES = 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opening:
    """What a process is started with: names as `module:name`, which are looked for in `folder` first."""

    python: str
    app: str
    model: str
    folder: Path
    run_config: tuple[tuple[str, bool | int | float | str], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What an app answered: JSON, float64 numbers (little-endian) and float32 arrays (little-endian)."""

    header: Mapping[str, object]
    numbers: bytes
    arrays: bytes


class AppProcess:
    """The process of one app, started by its first question. Threads may share it; their questions wait for each other.

    timeout: seconds that an answer may take, beside START_S for a process that has just been started.
    """

    def __init__(self, name: str, opening: Opening, timeout: float) -> None:
        self._name, self._opening, self._timeout = name, opening, timeout
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._shapes: dict[str, tuple[int, ...]] | None = None

    @property
    def pid(self) -> int | None:
        """The process there is now."""
        return None if self._running is None else self._running.pid

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor that travels, by its name; WorkloadError if the app or its model cannot be had."""
        with self._lock:
            if self._shapes is None:
                self._ready()
            assert self._shapes is not None
            return self._shapes

    def ask(
        self,
        request: Mapping[str, object],
        secret: bytes,
        arrays: bytes,
        *,
        meanwhile: Callable[[], None] | None = None,
        most_arrays: int = 0,
    ) -> Answer:
        """The answer to a request; `most_arrays` bytes at most may be in its arrays.

        `meanwhile` is called several times a second; what it raises ends the process, and passes through. WorkloadError if
        the app cannot be started, TrainingError if it raises, ends, does not answer in time or answers in another form.
        """
        with self._lock:
            running = self._ready()
            limits = (8 * (worker.MOST_NUMBERS + 1), most_arrays)
            try:
                answer = running.ask(request, secret, arrays, limits, self._timeout, meanwhile)
            except _NoAnswer as error:
                raise TrainingError(f"the app of {self._name} {error}") from None
            finally:
                if not running.usable:
                    self._end()
        if "error" in answer.header:
            raise TrainingError(f"the app of {self._name}: {_printable(str(answer.header['error']))}")
        return answer

    def close(self) -> None:
        """End the process; a later question starts a new one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running = None

    def _ready(self) -> _Running:
        """A process that has loaded the app."""
        if self._running is not None:
            return self._running
        one = self._opening
        try:
            running = _Running(self._name, one.python)
        except OSError as error:
            raise WorkloadError(
                f"{self._name}: cannot run {one.python} ({error.strerror}); `python` names the interpreter that the app runs in"
            ) from None
        opening = {
            "app": one.app,
            "model": one.model,
            "folder": str(one.folder),
            "run_config": dict(one.run_config),
        }
        try:
            answer = running.ask(opening, b"", b"", (0, 0), START_S, None)
            if "error" in answer.header:
                raise WorkloadError(
                    f"{self._name}: the app {one.app} cannot be had: {_printable(str(answer.header['error']))}"
                )
            shapes = _shapes(answer.header.get("shapes"))
            if self._shapes not in (None, shapes):
                raise WorkloadError(f"{self._name}: the model has other tensors than when this node began")
        except _NoAnswer as error:
            running.kill()
            raise WorkloadError(
                f"{self._name}: the app {one.app} cannot be had: its process {error}"
            ) from None
        except BaseException:
            running.kill()
            raise
        self._running, self._shapes = running, shapes
        return running


class _NoAnswer(Exception):
    """A process did not answer as it should; the message says what it did."""


class _Running:
    """One process and our ends of its pipes."""

    def __init__(self, name: str, python: str) -> None:
        self.usable = True
        self._name = name
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = subprocess.Popen(
            [python, "-P", worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
            process_group=0,
        )
        self.pid = self._process.pid
        assert self._process.stderr is not None
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr,), daemon=True)
        self._listener.start()

    def ask(
        self,
        request: Mapping[str, object],
        secret: bytes,
        arrays: bytes,
        limits: tuple[int, int],
        seconds: float,
        meanwhile: Callable[[], None] | None,
    ) -> Answer:
        """_NoAnswer if there is none; this process is not usable any more then, or after what `meanwhile` raised."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self.usable = False
        pipes = _Pipes(self._process.stdin, self._process.stdout, seconds, meanwhile)
        try:
            worker.send(pipes, request, secret, arrays)
            found = Answer(*worker.receive(pipes, *limits))
        except TimeoutError:
            raise _NoAnswer(f"did not answer within {seconds:g} s{self._last_words()}") from None
        except worker.BadFrame as error:
            raise _NoAnswer(f"answered in another form: {error}") from None
        except (EOFError, OSError):
            raise _NoAnswer(f"ended {self._how()}{self._last_words()}") from None
        self.usable = True
        return found

    def kill(self) -> None:
        """End it and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join(1.0)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _listen(self, errors: IO[bytes]) -> None:
        with errors:
            rest = b""
            while data := errors.read(8192):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._hear(line)
                rest = rest[-_MOST_LINE:]
            self._hear(rest)

    def _hear(self, line: bytes) -> None:
        if text := _printable(line.decode(errors="replace")).strip():
            self._said.append(text)
            _log.debug("the app of %s says: %s", self._name, text)

    def _how(self) -> str:
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "its pipe"
        if code < 0:
            return f"by signal {signal.Signals(-code).name}"
        return f"with exit code {code}"

    def _last_words(self) -> str:
        if self._process.poll() is not None:
            self._listener.join(1.0)
        return f"; its last words: {self._said[-1][:200]}" if self._said else ""


class _Pipes:
    """Both pipes, read and written until a deadline; TimeoutError after it."""

    def __init__(
        self, requests: IO[bytes], answers: IO[bytes], seconds: float, meanwhile: Callable[[], None] | None
    ) -> None:
        self._requests, self._answers = requests.fileno(), answers.fileno()
        self._deadline = time.monotonic() + seconds
        self._meanwhile = meanwhile
        os.set_blocking(self._requests, False)
        os.set_blocking(self._answers, False)

    def write(self, data: memoryview, /) -> int:
        self._wait(self._requests, selectors.EVENT_WRITE)
        try:
            return os.write(self._requests, data)
        except BlockingIOError:
            return 0

    def readinto(self, buffer: memoryview, /) -> int:
        self._wait(self._answers, selectors.EVENT_READ)
        return os.readv(self._answers, [buffer])

    def _wait(self, file: int, event: int) -> None:
        with selectors.PollSelector() as selector:
            selector.register(file, event)
            while not selector.select(min(_TICK_S, max(0.0, self._deadline - time.monotonic()))):
                if time.monotonic() >= self._deadline:
                    raise TimeoutError
                if self._meanwhile is not None:
                    self._meanwhile()


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME") and not name.startswith("QUORUMLEARN_")
    }
    kept.setdefault("OMP_NUM_THREADS", "1")
    return kept | {"FLWR_TELEMETRY_ENABLED": "0", "PYTHONUNBUFFERED": "1"}


def _shapes(found: object) -> dict[str, tuple[int, ...]]:
    """The shapes that a process tells; _NoAnswer for anything else."""
    if not isinstance(found, dict) or not found:
        raise _NoAnswer("told no tensors")
    shapes = {}
    for name, shape in found.items():
        if not isinstance(shape, list) or not all(isinstance(one, int) and one >= 0 for one in shape):
            raise _NoAnswer("told tensors that have no shape")
        shapes[str(name)] = tuple(shape)
    return {name: shapes[name] for name in sorted(shapes)}


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:_MOST_LINE])
