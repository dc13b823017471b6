"""Whether a node can write where it must: its state folder and the artifact store.

Looked at by writing, flushing and removing something small. While one of them takes nothing a node begins nothing new: it joins no
task, takes no seat, and commits to no round. What it has begun it goes on with, for it would be slashed if it did not. It says so once in
the log, in its metrics and at /healthz, and looks again every few seconds until it can write.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable

import structlog

from quorumlearn.artifacts import ArtifactError, ArtifactStore, StoreFull, StoreUnavailable
from quorumlearn.nodes import metrics
from quorumlearn.nodes.journal import Journal, JournalError

log = structlog.get_logger()

PROBE_BYTES = 1 << 20
"""About what a small update takes: a disk that has room for less is full."""
FRESH_SECONDS, WELL_SECONDS, UNWELL_SECONDS = 5.0, 30.0, 2.0
"""A finding counts for so long; a node that can write looks so often, and one that cannot."""
STATE, STORE = "state", "store"


class Health:
    """Of one node; its threads share it."""

    def __init__(self, journal: Journal, store: ArtifactStore) -> None:
        sample = secrets.token_bytes(PROBE_BYTES)  # no other node writes or removes the same
        self._probes: dict[str, Callable[[], None]] = {
            STATE: lambda: _probe_journal(journal),
            STORE: lambda: _probe_store(store, sample),
        }
        self._looking = threading.Lock()
        self._looked_at = float("-inf")
        self._doubted = threading.Event()
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> list[str]:
        """Why nothing can be written, as last seen; empty if all is well."""
        return list(self._problems.values())

    @property
    def doubted(self) -> bool:
        """Whether something failed since the last look that calls for another one at once."""
        return self._doubted.is_set()

    def may_begin(self) -> bool:
        """Whether something new may be begun, by a finding that is no older than a few seconds."""
        with self._looking:
            if time.monotonic() - self._looked_at > FRESH_SECONDS:
                self._look()
        return not self._problems

    def doubt(self, error: BaseException) -> None:
        """Something could not be done: if it is for want of the state folder or the store, that is looked into at once."""
        if isinstance(error, (JournalError, StoreFull, StoreUnavailable)):
            self._doubted.set()

    def watch(self, stop: threading.Event) -> None:
        """Look again and again until `stop`; `doubt` ends the waiting early, and so should who sets `stop`."""
        while not stop.is_set():
            with self._looking:
                self._look()
            self._doubted.wait(UNWELL_SECONDS if self._problems else WELL_SECONDS)
            if self._doubted.is_set():
                self._doubted.clear()
                stop.wait(UNWELL_SECONDS / 2)  # many steps may fail of the same thing

    def end(self) -> None:
        """Nobody waits any more."""
        self._doubted.set()

    def _look(self) -> None:
        for where, probe in self._probes.items():
            known = self._problems.get(where)
            try:
                probe()
            except (JournalError, ArtifactError) as error:
                self._problems[where] = str(error)
                if known is None:
                    log.error("cannot write, begins nothing new", where=where, error=str(error))
            else:
                if self._problems.pop(where, None) is not None:
                    log.info("can write again", where=where)
            metrics.WRITABLE.labels(where).set(where not in self._problems)
        self._looked_at = time.monotonic()


def _probe_journal(journal: Journal) -> None:
    name = f"probe-{secrets.token_hex(4)}"
    journal.put(name, bytes(PROBE_BYTES))
    journal.erase(name)


def _probe_store(store: ArtifactStore, sample: bytes) -> None:
    """Where a node may write and not remove, one sample stays."""
    ref = store.put(sample)
    with contextlib.suppress(ArtifactError):
        store.delete(ref)
