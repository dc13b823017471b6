"""Threads that run contract functions.

Rules: at most `size` threads, started as they are needed and then kept; a function that blocks holds up its own
thread only; the threads are daemons, so that a function that never returns cannot keep a stopped service alive.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

_log = logging.getLogger(__name__)


class WorkerPool:
    """Runs jobs in the order they come, as many at a time as there are threads. A job must not raise."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._unfinished = 0
        self._overloaded = False

    def submit(self, job: Callable[[], None]) -> None:
        """Runs `job` as soon as a thread is free."""
        with self._lock:
            self._unfinished += 1
            if self._started < min(self._unfinished, self.size):
                self._started += 1
                threading.Thread(target=self._work, name=f"worker-{self._started}", daemon=True).start()
            becomes_overloaded = self._unfinished > self.size and not self._overloaded
            self._overloaded |= becomes_overloaded
        if becomes_overloaded:
            _log.warning("all %d workers are busy: transactions wait", self.size)
        self._jobs.put(job)

    def close(self) -> None:
        """Ends each thread after the jobs that were submitted so far."""
        with self._lock:
            for _ in range(self._started):
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._unfinished -= 1
                self._overloaded &= self._unfinished >= self.size
