"""What a node remembers on disk, so that killed anywhere it goes on from the ledger and this.

Rules: an entry is written whole or not at all (temporary file, fsync, rename); folders are mode 700 and files 600, for
entries may be key shares; `erase` overwrites before it unlinks. Overwriting reaches the medium only where the file system writes in
place: on copy-on-write or flash storage keep the folder on an encrypted or memory-backed file system (docs/threat-model.md).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from quorumlearn_proto.accounts import NAME, NAME_IN_WORDS

from quorumlearn.artifacts import write_whole

_ENTRY = re.compile(f"{NAME}(/{NAME})*", re.ASCII)
"""Each part of an entry's name may be what a part of an account may be, so that an account names a folder."""


class JournalError(Exception):
    """The journal cannot be read or written; the message says which file and why."""


class Journal:
    """Entries by name (`round-3/update`) below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._forgotten = 0
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise JournalError(f"cannot make the journal {folder}: {error.strerror}") from error

    def below(self, name: str) -> Journal:
        """The journal of one part of the work, in a folder of its own."""
        return Journal(self._path(name))

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(path, data, durable=True)
        except OSError as error:
            raise JournalError(f"cannot write {path}: {error.strerror}") from error

    def get(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalError(f"cannot read {self._path(name)}: {error.strerror}") from error

    def names(self) -> list[str]:
        """The first parts of all entries' names, sorted."""
        try:
            return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            raise JournalError(f"cannot read {self.folder}: {error.strerror}") from error

    def erase(self, name: str) -> None:
        """Remove an entry or all entries below a name, overwritten first; nothing happens if there is none."""
        path = self._path(name)
        try:
            if path.is_dir():
                for entry in path.rglob("*"):
                    if entry.is_file():
                        _overwrite(entry)
                shutil.rmtree(path)
            elif path.exists():
                _overwrite(path)
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
        except OSError as error:
            raise JournalError(f"cannot erase {path}: {error.strerror}") from error

    def forget_rounds(self, before: int | None = None) -> None:
        """Erase what rounds (`round-N`) left, of all or of those before this one: no later compromise opens what was sent in them.

        Asked again for the same round it does not look again: nothing is written for a round that is over.
        """
        if before is not None and before == self._forgotten:
            return
        for name in self.names():
            kind, _, number = name.partition("-")
            if kind == "round" and (before is None or int(number) < before):
                self.erase(name)
        self._forgotten = before or 0

    def _path(self, name: str) -> Path:
        if not _ENTRY.fullmatch(name):
            raise JournalError(
                f"{name!r} is no name of a journal entry: parts between slashes, each {NAME_IN_WORDS}"
            )
        return self.folder / name


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
