"""The chunks of data sets on a node's own disk: what a round has fetched the next need not fetch again.

Rules:
- a chunk lies under its digest, as it lies in the store: of sealed data the ciphertext. What is read is checked by its digest each time,
  and what does not fit is fetched anew;
- the folder has at most `most` bytes. What was used longest ago goes first, and a chunk that alone is larger is not kept;
- the folder is one process's alone. A disk that is full or fails costs what it would have saved, and a line in the log.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts import ArtifactStore, checked, write_whole
from quorumlearn.replay import MOST_CHUNK_BYTES

log = structlog.get_logger()


@dataclass(frozen=True)
class Fetched:
    """A chunk's bytes, and whether they came from the store."""

    data: bytes = field(repr=False)
    from_store: bool


class ChunkCache:
    """Chunks of `store`, kept below `folder` up to `most` bytes; 0 keeps none. For all threads of a process."""

    def __init__(self, store: ArtifactStore, folder: Path, most: int) -> None:
        self._store = store
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()

    def get(self, ref: ArtifactRef, author: str = "") -> Fetched:
        """The chunk, checked; an ArtifactError if neither the disk nor the store has it. `author` is who put it there, if that is known."""
        checked(ref, MOST_CHUNK_BYTES)
        kept = self._kept(ref)
        if kept is not None:
            return Fetched(kept, from_store=False)
        data = self._store.get(ref, MOST_CHUNK_BYTES, author)
        self._keep(ref, data)
        return Fetched(data, from_store=True)

    def has(self, ref: ArtifactRef) -> bool:
        """Whether something of its size lies here under its digest."""
        path = self._folder / checked(ref).digest
        return path.is_file() and path.stat().st_size == ref.size

    def _kept(self, ref: ArtifactRef) -> bytes | None:
        path = self._folder / ref.digest
        with self._lock:
            try:
                data = path.read_bytes()
                os.utime(path)
            except FileNotFoundError:
                return None
            except OSError as error:
                log.warning("cannot read a kept chunk", path=str(path), error=error.strerror)
                return None
        return data if hashlib.sha256(data).hexdigest() == ref.digest else None

    def _keep(self, ref: ArtifactRef, data: bytes) -> None:
        if len(data) > self._most:
            return
        with self._lock:
            try:
                self._make_room(ref.digest, len(data))
                write_whole(self._folder / ref.digest, data)  # what a power cut takes is fetched again
            except OSError as error:
                log.warning("cannot keep a chunk", folder=str(self._folder), error=error.strerror)

    def _make_room(self, digest: str, size: int) -> None:
        """Remove what was used longest ago until a chunk of this size fits."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = [(path, path.stat()) for path in self._folder.iterdir() if path.name != digest]
        room = self._most - sum(state.st_size for _, state in found)
        for path, state in sorted(found, key=lambda one: one[1].st_mtime_ns):
            if room >= size:
                return
            path.unlink(missing_ok=True)
            room += state.st_size
