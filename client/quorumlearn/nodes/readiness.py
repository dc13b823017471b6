"""Whether a node is ready for its tasks, and what it still lacks: its peer, its data, the list of tasks.

Rules:
- a node is ready once it has read the ledger, has every identity's part of the data, and has listed the tasks;
- it is no longer ready while its last look at the ledger failed, and is again after the next that succeeds;
- what it lacks is said in a sentence, with the error if there was one. Whether it can write is another question (`health`).
"""

from __future__ import annotations

import threading
from enum import StrEnum

from quorumlearn.nodes import metrics


class Part(StrEnum):
    """What a node must have; the value says what it lacks without it."""

    PEER = "it has not reached the ledger"
    DATA = "its data are not ready"
    TASKS = "it has not listed the tasks"


class Readiness:
    """Of one node; its threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lacks = {part: part.value for part in Part}
        metrics.READY.set(0)

    @property
    def lacks(self) -> list[str]:
        """A sentence for each part that is missing; empty if the node is ready."""
        with self._lock:
            return [self._lacks[part] for part in Part if part in self._lacks]

    def has(self, part: Part) -> bool:
        with self._lock:
            return part not in self._lacks

    def done(self, part: Part) -> None:
        """The node has this part."""
        with self._lock:
            self._lacks.pop(part, None)
            metrics.READY.set(not self._lacks)

    def failed(self, part: Part, error: BaseException) -> bool:
        """The node could not get this part, or has lost it; whether that is news."""
        sentence = f"{part.value}: {error}"
        with self._lock:
            known, self._lacks[part] = self._lacks.get(part), sentence
            metrics.READY.set(0)
        return known != sentence
