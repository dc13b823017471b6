"""Processes that outlive the command that started them, found again by a record on disk.

Rules: a record (`run/<name>.json`) holds the process id, its start time and its command line; a process counts as ours
only if all three still fit, so that a number taken over by another program is never signalled. A zombie, which only waits
for its parent to look at its exit code, does not run. A process prints a line that begins with `ready` on its standard
output (`run/<name>.out`) when it serves; its standard error is appended to `logs/<name>.log`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from quorumlearn_network.errors import NetworkError

_POLL_S = 0.02
_STARTED_WITHIN_S = 2.0  # the system's idea of when it booted, and so of start times, moves a little
_TAIL_LINES = 8
_BIND = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LAST_WORD = re.compile(r'\bpanic: |\b(PANI|FATA)\b|"level":"(panic|fatal)"')
_EVENT = re.compile(r"\d{4}-\d\d-\d\d |\{\"")


class ProcessError(NetworkError):
    """A process that did not start, or does not stop."""


def with_parent(command: Sequence[str]) -> list[str]:
    """The command, so that it gets SIGTERM when the thread that starts it ends, even by kill -9. Only Linux can do that."""
    bound = [sys.executable, "-I", "-S", "-c", _BIND, str(os.getpid()), *command]
    return bound if sys.platform == "linux" else list(command)


def stop_recorded(folder: Path) -> None:
    """Stop every process that was started in the folder, by whomever."""
    stop_all([Detached(folder, record.stem) for record in (folder / "run").glob("*.json")])


def stop_all(processes: Sequence[Detached]) -> bool:
    """Stop them at the same time; False if none ran."""
    for process in processes:
        process.ask_to_stop()
    stopped = [process.stop() for process in processes]
    return any(stopped)


def uncoloured(line: str) -> str:
    """A log's line without the escapes that colour it on a terminal."""
    return _COLOUR.sub("", line)


def last_words(lines: Sequence[str]) -> list[str]:
    """Those lines at a log's end that say why its process ended: from the last panic on, whose trace follows it."""
    plain = [uncoloured(line) for line in lines]
    start = -_TAIL_LINES
    for number in range(len(plain) - 1, -1, -1):
        if _LAST_WORD.search(plain[number]):
            start = number
            break
        if _EVENT.match(plain[number]):  # what panicked before it was started again since
            break
    return plain[start:][:_TAIL_LINES]


def last_word(lines: Sequence[str]) -> str:
    """The one of them that says it: the panic, else the last line; empty without any."""
    words = last_words(lines) or [""]
    return words[0] if _LAST_WORD.search(words[0]) else words[-1]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP wait until the block is over: for what must not be done by half.

    They interrupt the main thread only; in any other nothing needs to be done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told: list[int] = []
    before = {
        one: signal.signal(one, lambda number, _: told.append(number))
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(one) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if told:
        signal.raise_signal(told[0])


@dataclass(frozen=True)
class Detached:
    """A process by its name in a network's folder, whether it runs or not."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.folder / "run" / f"{self.name}.json"

    @property
    def _output(self) -> Path:
        return self.folder / "run" / f"{self.name}.out"

    def pid(self) -> int | None:
        """The process id if it runs, else None."""
        process = self._find()
        return process.pid if process is not None else None

    def start(self, command: Sequence[str], environment: Mapping[str, str], bound: bool = False) -> None:
        """Start it in a session of its own, `bound` to this process or not; ProcessError if it runs already or cannot be started."""
        if self._find() is not None:
            raise ProcessError(f"{self.name} runs already")
        for path in (self._record, self.log):
            path.parent.mkdir(parents=True, exist_ok=True)
        with undisturbed():  # interrupted in between, a process would run that nobody knows of
            try:
                with self._output.open("wb") as output, self.log.open("ab") as log:
                    process = subprocess.Popen(
                        with_parent(command) if bound else list(command),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=log,
                        cwd=self.folder,
                        env={**os.environ, **environment},
                        start_new_session=True,
                    )
            except OSError as error:
                raise ProcessError(f"{self.name} cannot be started: {error}") from error
            try:
                started = psutil.Process(process.pid).create_time()
                fields = {"pid": process.pid, "started": started, "command": list(command)}
                partial = self._record.with_suffix(".new")
                partial.write_text(json.dumps(fields), encoding="utf-8")
                partial.replace(self._record)
            except BaseException:
                process.kill()
                process.wait()
                raise

    def ready(self) -> bool:
        """Whether it runs and has printed its ready line."""
        running = self._find() is not None  # looked at before the output, which may come with the end
        with contextlib.suppress(FileNotFoundError):
            lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
            return running and any(line.startswith("ready") for line in lines)
        return False

    def ask_to_stop(self) -> None:
        """Ask it to end and do not wait, so that several end at the same time."""
        process = self._find()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()

    def stop(self, grace_s: float = 10.0) -> bool:
        """Ask it to end, after `grace_s` force it to, and forget it. False if it did not run."""
        process = self._find()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
            if not self._ends(grace_s):
                self.kill(grace_s)
        self._record.unlink(missing_ok=True)
        return process is not None

    def kill(self, grace_s: float = 10.0) -> None:
        """kill -9, and wait until it is gone."""
        process = self._find()
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        if not self._ends(grace_s):
            raise ProcessError(f"{self.name} (process {process.pid}) does not end")

    def _ends(self, grace_s: float) -> bool:
        """Whether it ends within so many seconds. What has ended and is not reaped by its parent has ended."""
        deadline = time.monotonic() + grace_s
        while self._find() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _find(self) -> psutil.Process | None:
        try:
            fields = json.loads(self._record.read_text(encoding="utf-8"))
            pid, started, command = int(fields["pid"]), float(fields["started"]), list(fields["command"])
            process = psutil.Process(pid)
            # Empty for a moment in a new process; before a script's comes its interpreter.
            held = process.cmdline()[-len(command) :]
            same = abs(process.create_time() - started) < _STARTED_WITHIN_S and held in ([], command)
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, KeyError, TypeError, psutil.Error):
            return None
        return process if same and alive else None

    def tail(self, lines: int) -> list[str]:
        """The last lines of its log."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []
