"""Where a seat's step of the next round's key waits for the step of the round whose transaction takes it along.

One thread of the seat makes the steps of the key (keyholder), another the steps of the round (verifier): neither waits for what
the other computes. What waits is taken at the moment at which the round's transaction leaves, or withdrawn by who made it, never
both.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from quorumlearn.nodes.market import CarriedKey
from quorumlearn.nodes.steps import Step

Which = tuple[Step, int, int]
"""A step of a ceremony: what it is, its round and its attempt."""


class Tray:
    """One seat's step of the next key, between two threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: tuple[Which, CarriedKey | None] | None = None
        self._leaving: Which | None = None

    def put(self, which: Which, key: CarriedKey | None) -> None:
        """What waits from now on; None: this step is not to be waited for, it cannot be made yet or goes alone."""
        with self._changed:
            if which != self._leaving:
                self._waiting = which, key
                self._changed.notify_all()

    def withdraw(self, which: Which) -> bool:
        """Have this step go alone; False if a transaction that carries it is under way."""
        self.put(which, None)
        with self._changed:
            return which != self._leaving

    @contextlib.contextmanager
    def taken(self, wanted: Callable[[Which], bool], seconds: float) -> Iterator[CarriedKey | None]:
        """What waits, to be sent within the block; None if nothing that is wanted is there in so many seconds. Until the block ends it is
        under way."""
        which: Which | None = None
        key: CarriedKey | None = None
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None and wanted(self._waiting[0]), seconds)
            if self._waiting is not None and wanted(self._waiting[0]):
                which, key = self._waiting
            if key is not None:
                self._waiting, self._leaving = None, which
        try:
            yield key
        finally:
            if key is not None:
                with self._changed:
                    self._leaving = None
