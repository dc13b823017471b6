"""Processes that outlive the command that started them, found again by a record on disk.

Rules: a record (`run/<name>.json`) holds the process id, its start time and its command line; a process
counts as ours only if all three still fit, so that a number taken over by another program is never
signalled. A process prints a line that begins with `ready` on its standard output (`run/<name>.out`) when it
serves; its standard error is appended to `logs/<name>.log`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from quorumlearn_network.errors import NetworkError

_POLL_S = 0.02
_STARTED_WITHIN_S = 2.0  # the system's idea of when it booted, and so of start times, moves a little
_TAIL_LINES = 8


class ProcessError(NetworkError):
    """A process that did not start, or does not stop."""


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

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it in a session of its own; ProcessError if it runs already or cannot be started."""
        if self._find() is not None:
            raise ProcessError(f"{self.name} runs already")
        for path in (self._record, self.log):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._output.open("wb") as output, self.log.open("ab") as log:
                process = subprocess.Popen(
                    list(command),
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

    def wait_until_ready(self, deadline: float) -> None:
        """Return when it has printed its ready line; ProcessError with its last log lines if it ends first.

        `deadline` is in the seconds of time.monotonic().
        """
        while True:
            running = self._find() is not None  # looked at before the output, which may come with the end
            with contextlib.suppress(FileNotFoundError):
                lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
                if running and any(line.startswith("ready") for line in lines):
                    return
            if not running:
                raise ProcessError(f"{self.name} ended while starting; {self.log} ends with:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} is not ready in time; {self.log} ends with:\n{self._tail()}")
            time.sleep(_POLL_S)

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
                try:
                    process.wait(grace_s)
                except psutil.TimeoutExpired:
                    process.kill()
                    try:
                        process.wait(grace_s)
                    except psutil.TimeoutExpired:
                        raise ProcessError(f"{self.name} (process {process.pid}) does not end") from None
        self._record.unlink(missing_ok=True)
        return process is not None

    def _find(self) -> psutil.Process | None:
        try:
            fields = json.loads(self._record.read_text(encoding="utf-8"))
            pid, started, command = int(fields["pid"]), float(fields["started"]), list(fields["command"])
            process = psutil.Process(pid)
            held = process.cmdline()  # empty for a moment in a new process
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

    def _tail(self) -> str:
        return "\n".join(f"  {line}" for line in self.tail(_TAIL_LINES)) or "(nothing)"
