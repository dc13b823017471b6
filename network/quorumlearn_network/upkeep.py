"""While a command waits for a network's nodes, what is down is started again, and the wait says for whom.

Rules:
- a node that ends is started again, at most `RESTARTS` times for one command; one that goes on ending is an error with
  its last words;
- a step that lasts longer than `TOLD_AFTER_S` says what it waits for, and again every `TOLD_EVERY_S`.

A thread sees to both, for the command itself may hang in a call to the very node that has ended.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from quorumlearn_network.processes import ProcessError, last_words

RESTARTS = 3
TOLD_AFTER_S, TOLD_EVERY_S = 1.0, 10.0
LOG_LINES = 5000
_POLL_S, LOOK_S = 0.1, 0.5
_LONGEST = 300


class Startable(Protocol):
    """Nodes by name, whatever they run in."""

    def running(self) -> Collection[str]: ...
    def start(self, names: Sequence[str]) -> None: ...
    def tail(self, name: str, lines: int) -> list[str]: ...
    def where(self, name: str) -> str: ...


class Upkeep:
    """Keeps `names` running for as long as the block it is used in; the command is late after `deadline` (time.monotonic())."""

    def __init__(
        self, nodes: Startable, names: Sequence[str], progress: Callable[[str], None], deadline: float
    ) -> None:
        self._nodes = nodes
        self._names = tuple(names)
        self._progress = progress
        self._deadline = deadline
        self._starts: Counter[str] = Counter()
        self._failure: Exception | None = None
        self._over = threading.Event()
        self._at_work = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._awaited = ""
        self._since = self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def late(self) -> bool:
        """Whether the deadline is over."""
        return time.monotonic() > self._deadline

    def begin(self, step: str) -> None:
        """Say which step the command is at."""
        self._awaited = step
        self._since = self._told = time.monotonic()
        self._progress(step)

    def pause(self, awaited: str) -> None:
        """Wait for a moment; `awaited` says, with a node's name, why. ProcessError: a node ends again and again."""
        self._awaited = " ".join(awaited.split())[:_LONGEST]
        if self._failure is not None:
            raise self._failure
        time.sleep(_POLL_S)

    def until(self, done: Callable[[], bool], name: str) -> None:
        """Return when node `name` is ready; ProcessError with its last words at the deadline."""
        while not done():
            if self.late:
                raise ProcessError(f"{name} is not ready in time; {self._said(name)}")
            self.pause(f"{name} is not ready yet")

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave alone what is down in this block: it is meant to be."""
        with self._at_work:
            yield

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            try:
                with self._at_work:
                    self._start_again()
            except Exception as error:  # noqa: BLE001 - raised where the command waits
                self._failure = error
                return
            self._tell()

    def _start_again(self) -> None:
        running = self._nodes.running()
        down = [name for name in self._names if name not in running]
        for name in down:
            if self._starts[name] == RESTARTS:
                raise ProcessError(f"{name} has ended {RESTARTS + 1} times; {self._said(name)}")
            self._starts[name] += 1
            self._progress(f"{name} has ended; starting it again")
        if down:
            self._nodes.start(down)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= (TOLD_EVERY_S if self._told > self._since else TOLD_AFTER_S):
            self._told = now
            self._progress(f"waiting for {now - self._since:.0f} s: {self._awaited}")

    def _said(self, name: str) -> str:
        lines = last_words(self._nodes.tail(name, LOG_LINES)) or ["(nothing)"]
        said = "\n".join(f"  {line}" for line in lines)
        return f"{self._nodes.where(name)} ends with:\n{said}"
