"""Threads that run contract functions.

Rules: at most `size` threads, started as they are needed and then kept; a function that blocks holds up its
own thread only; the threads are daemons, so that a function that never returns cannot keep a stopped
service alive.
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
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._started = 0

    def submit(self, job: Callable[[], None]) -> None:
        """Runs `job` as soon as a thread is free."""
        if not self._idle.acquire(blocking=False) and not self._start_one():
            _log.warning("all %d workers are busy: a transaction waits for one", self.size)
        self._jobs.put(job)

    def close(self) -> None:
        """Ends the threads that are idle now, and each of the others after its job."""
        with self._lock:
            for _ in range(self._started):
                self._jobs.put(None)

    def _start_one(self) -> bool:
        with self._lock:
            if self._started >= self.size:
                return False
            self._started += 1
            threading.Thread(target=self._work, name=f"worker-{self._started}", daemon=True).start()
            return True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            self._idle.release()
