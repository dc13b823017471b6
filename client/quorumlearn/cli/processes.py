"""The demo's own processes: commands of this program, started, watched and ended together."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import psutil
from quorumlearn_network.processes import Detached, stop_all, undisturbed, with_parent

from quorumlearn.cli.terminal import Failure

SAMPLE_SECONDS, SAMPLES_A_LOOK = 1.0, 5
REPEATABLE = "--repeatable"
"""With it the demo's nodes and the benchmarks' are started; their tasks ask for it too."""


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
                with_parent(command(*arguments)),
                stdout=file,
                stderr=subprocess.PIPE,
                start_new_session=True,
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
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, in the main thread. One that is ignored stays so, as below nohup."""
    main = threading.current_thread() is threading.main_thread()
    changed = [
        one for one in (signal.SIGTERM, signal.SIGHUP) if main and signal.getsignal(one) is signal.SIG_DFL
    ]
    for one in changed:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in changed:
            signal.signal(one, signal.SIG_DFL)


class Nodes:
    """Node processes that live as long as the block they are used in, and are recorded in a folder (network's processes.py).

    SIGTERM and SIGHUP end the block as Ctrl-C does. Killed, it takes the nodes along; what that leaves, `stop_recorded` ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Detached] = []
        self._signals = contextlib.ExitStack()

    def start(self, file: Path, *, repeatable: bool = True) -> None:
        """Run the node of a file; it writes to `logs/<file's name>.log` in the folder."""
        process = Detached(self._folder, file.stem)
        options = (REPEATABLE,) if repeatable else ()
        with undisturbed():
            process.start(command("node", "run", str(file.resolve()), *options), {}, bound=True)
            self._running.append(process)

    def check(self) -> None:
        """Failure if a node has ended by itself."""
        for process in self._running:
            if process.pid() is None:
                raise Failure(f"the node {process.name} ended; see {process.log}")

    def __enter__(self) -> Self:
        self._signals.enter_context(interruptible())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._signals.close()

    def stop(self) -> None:
        """End them all."""
        stop_all(self._running)
        self._running.clear()


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
