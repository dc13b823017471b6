"""What a place to keep bytes must do for the store, and how its failures are named."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from quorumlearn.artifacts.errors import (
    ArtifactError,
    ArtifactMissing,
    NotAllowed,
    StoreFull,
    StoreUnavailable,
)

CHUNK = 1 << 22  # bytes read or written at a time

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Backend(Protocol):
    """Byte strings by name, `organisation/ab/digest`. Every failure is an ArtifactError."""

    @property
    def shown(self) -> str:
        """The place as messages show it, without credentials."""
        ...

    def organisations(self) -> list[str]:
        """The first parts of all names, sorted."""
        ...

    def written(self, organisation: str) -> Iterator[tuple[str, float]]:
        """The names below an organisation, and when each was written, in seconds since 1970."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`, whole or not at all, replacing what was there."""
        ...

    def write_file(self, name: str, path: Path) -> None:
        """Keep the content of the file `path` under `name`, whole or not at all, replacing what was there."""
        ...

    def size(self, name: str) -> int | None:
        """How many bytes lie under `name`; None if nothing does. ArtifactCorrupt if it is no plain file."""
        ...

    def mark(self, name: str) -> str | None:
        """Something that changes whenever what lies under `name` is written; None if nothing does."""
        ...

    def read(self, name: str, size: int) -> Iterator[bytes]:
        """What lies under `name` in chunks, at most size + 1 bytes; ArtifactMissing if nothing does."""
        ...

    def remove(self, name: str) -> bool:
        """Forget `name`; False if there was nothing."""
        ...


def failure(error: Exception, action: str, shown: str) -> ArtifactError:
    """The error to raise for what a file system raised while it was asked to do `action`."""
    if isinstance(error, ArtifactError):
        return error
    if isinstance(error, OSError) and error.errno in _FULL:
        return StoreFull(f"no room to {action} in {shown} ({error.strerror}); make room and try again")
    if isinstance(error, FileNotFoundError):
        return ArtifactMissing(f"could not {action}: it is not in {shown}")
    if isinstance(error, PermissionError):
        return NotAllowed(f"not allowed to {action} in {shown}; check the store's permissions or credentials")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return StoreUnavailable(f"could not {action} in {shown} ({reason}); check that the store is reachable")
