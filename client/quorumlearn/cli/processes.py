"""The demo's own processes: commands of this program, started, watched and ended together."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import psutil

from quorumlearn.cli.terminal import Failure

END_SECONDS = 10.0
SAMPLE_SECONDS, SAMPLES_A_LOOK = 1.0, 5


def command(*arguments: str) -> list[str]:
    """How this program calls itself."""
    return [sys.executable, "-m", "quorumlearn.cli", *arguments]


def call(*arguments: str, log: Path) -> None:
    """Run a command to its end; Failure with the last line it wrote if it fails. Its output goes to the log.

    Interrupted, it passes the interrupt on and waits until the command has undone what it began.
    """
    with log.open("ab") as file:
        with undisturbed():
            process = subprocess.Popen(
                command(*arguments), stdout=file, stderr=subprocess.PIPE, start_new_session=True
            )
        said = b""
        try:
            said = process.communicate()[1]
        except BaseException:
            with undisturbed():
                process.send_signal(signal.SIGINT)
                said = process.communicate()[1]
            raise
        finally:
            file.write(said)
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        last = lines[-1].removeprefix("error: ") if lines else f"exit code {process.returncode}"
        raise Failure(f"`quorumlearn {' '.join(arguments)}` failed: {last}")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the block is over: for what must not be done by half. Only in the main thread."""
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if told and callable(before):
        before(told[0], None)


class Nodes:
    """Node processes that live as long as the block they are used in."""

    def __init__(self) -> None:
        self._running: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, file: Path, log: Path) -> None:
        with log.open("ab") as output, undisturbed():
            self._running[file] = subprocess.Popen(
                command("node", "run", str(file)),
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches us alone; we end them in order
            )

    def check(self) -> None:
        """Failure if a node has ended by itself."""
        for file, process in self._running.items():
            if process.poll() is not None:
                raise Failure(f"the node of {file} ended with exit code {process.returncode}; see its log")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class MemoryPeak:
    """The most memory that some processes and their children held at the same time, sampled once a second.

    `bytes` adds up their resident sets; pages that several of them share count for each. Which processes there are is looked up
    more seldom, for to read the table of all of them takes time that the demo's own would use.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self.bytes = 0
        self._pids = list(pids)
        self._stop = threading.Event()

    @contextlib.contextmanager
    def sampled(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._sample, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _sample(self) -> None:
        samples = 0
        while not self._stop.wait(SAMPLE_SECONDS):
            if samples % SAMPLES_A_LOOK == 0:
                processes = [one for pid in self._pids for one in _family(pid)]
            samples += 1
            self.bytes = max(self.bytes, sum(map(_resident, processes)))


def _family(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0
