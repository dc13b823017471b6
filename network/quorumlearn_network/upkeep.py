"""While a command waits for a network's nodes, what is down is started again, and the wait says for whom.

Rules:
- a node that ends is started again, at most `RESTARTS` times for one command; one that goes on ending is an error with
  its last words;
- a step that waits for longer than `TOLD_AFTER_S` says what for, and again every `TOLD_EVERY_S`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from quorumlearn_network.processes import ProcessError, last_words

RESTARTS = 3
TOLD_AFTER_S, TOLD_EVERY_S = 1.0, 10.0
_POLL_S, _LOOK_S = 0.1, 0.5
_LOG_LINES, _LONGEST = 1000, 300


class Startable(Protocol):
    """Nodes by name, whatever they run in."""

    def running(self) -> Collection[str]: ...
    def start(self, names: Sequence[str]) -> None: ...
    def tail(self, name: str, lines: int) -> list[str]: ...
    def where(self, name: str) -> str: ...


class Upkeep:
    """Keeps `names` running until `deadline` (time.monotonic()), whenever a command pauses to wait."""

    def __init__(
        self, nodes: Startable, names: Sequence[str], progress: Callable[[str], None], deadline: float
    ) -> None:
        self.deadline = deadline
        self._nodes = nodes
        self._names = tuple(names)
        self._progress = progress
        self._starts: Counter[str] = Counter()
        self._looked = 0.0
        self._tell_at = time.monotonic() + TOLD_AFTER_S
        self._since = time.monotonic()

    @property
    def late(self) -> bool:
        """Whether the deadline is over."""
        return time.monotonic() > self.deadline

    def begin(self, step: str) -> None:
        """Say which step the command is at."""
        self._since = time.monotonic()
        self._tell_at = self._since + TOLD_AFTER_S
        self._progress(step)

    def pause(self, awaited: str) -> None:
        """Wait for a moment; `awaited` says, with a node's name, why. ProcessError: a node ends again and again."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._start_again()
        if now >= self._tell_at:
            self._tell_at = now + TOLD_EVERY_S
            self._progress(f"waiting for {now - self._since:.0f} s: {' '.join(awaited.split())[:_LONGEST]}")
        time.sleep(_POLL_S)

    def until(self, done: Callable[[], bool], name: str) -> None:
        """Return when node `name` is ready; ProcessError with its last words at the deadline."""
        while not done():
            if self.late:
                raise ProcessError(f"{name} is not ready in time; {self._said(name)}")
            self.pause(f"{name} is not ready yet")

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

    def _said(self, name: str) -> str:
        lines = last_words(self._nodes.tail(name, _LOG_LINES)) or ["(nothing)"]
        said = "\n".join(f"  {line}" for line in lines)
        return f"{self._nodes.where(name)} ends with:\n{said}"
