"""Copies of artifacts on this machine, by what they are kept for: a round of a task.

Rules: `own` copies are of what this organisation put into the store, to be put back if somebody removes it; the others are of what it
will need and somebody may remove. A copy is trusted as little as the store is: its digest is checked by who reads it. It is not flushed to
the disk, for whatever a power cut takes is fetched or made again.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts.backend import CHUNK, failure
from quorumlearn.artifacts.errors import ArtifactMissing
from quorumlearn.artifacts.reference import checked_digest
from quorumlearn.artifacts.whole import write_whole

_OWN, _OTHERS = "own", "others"


Purpose = tuple[str, int]
"""A task and the number of a round in it."""


class Copies:
    """Copies in `folder`, which is this program's alone. For all its threads: one at a time changes the folder or looks through it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    @property
    def shown(self) -> str:
        return str(self._folder)

    def add(self, purpose: Purpose, digest: str, data: bytes, *, own: bool) -> None:
        """Keep a copy, whole or not at all. StoreFull or StoreUnavailable if that fails."""
        path = self._of(purpose) / (_OWN if own else _OTHERS) / digest
        with self._lock:
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_whole(path, data)
            except OSError as error:
                raise failure(error, "keep a copy of an artifact", self.shown) from error

    def own(self) -> list[ArtifactRef]:
        """What is to be put back, by digest."""
        with self._lock:
            paths = [path for path in self._folder.glob(f"*/*/{_OWN}/*") if not path.name.startswith(".")]
            found = {path.name: path.stat().st_size for path in paths}
        return [ArtifactRef(digest=digest, size=size) for digest, size in sorted(found.items())]

    def has(self, digest: str) -> bool:
        return self._find(digest) is not None

    def read(self, digest: str, size: int) -> Iterator[bytes]:
        """A copy's bytes in chunks, at most size + 1 of them; ArtifactMissing if there is none."""
        path = self._find(digest)
        if path is None:
            raise ArtifactMissing(f"no copy of artifact {digest[:12]}… is in {self.shown}")
        try:
            with path.open("rb", buffering=0) as file:
                left = size + 1
                while left > 0 and (chunk := file.read(min(CHUNK, left))):
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise failure(error, "read a copy of an artifact", self.shown) from error

    def forget(self, task: str, before: int | None = None) -> None:
        """Nothing is kept any more for the task's rounds before this one, or for all of them."""
        folder = self._of((task, 0)).parent
        with self._lock:
            for path in folder.glob("*"):
                if before is None or int(path.name) < before:
                    shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):  # others are left in it
                folder.rmdir()

    def forget_others(self, tasks: Iterable[str]) -> None:
        """Nothing is kept any more but for these tasks."""
        theirs = {self._of((task, 0)).parent for task in tasks}
        with self._lock:
            for path in self._folder.glob("*"):
                if path not in theirs:
                    shutil.rmtree(path, ignore_errors=True)

    def _find(self, digest: str) -> Path | None:
        with self._lock:
            return next(self._folder.glob(f"*/*/*/{checked_digest(digest)}"), None)

    def _of(self, purpose: Purpose) -> Path:
        task, number = purpose
        return self._folder / hashlib.sha256(task.encode()).hexdigest()[:32] / str(number)
