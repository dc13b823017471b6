"""Artifacts in a folder.

Rules:
1. Each organisation writes in a folder of its own, which can belong to it alone (docs/store.md); all read all.
2. An artifact is written to the organisation's `.partial/`, flushed to the disk, and renamed into place: it is there whole or
   not at all, also after a power cut, and writers of the same artifact do not disturb each other.
3. A failed write removes its partial file. Partial files left by killed processes are removed a day later.
4. The store's folder is made only if asked: a mount that is gone is an error, not an empty store.
5. Symbolic links are not followed and nothing but plain files is opened: names in the folder may be hostile.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from quorumlearn.artifacts.backend import CHUNK, failure
from quorumlearn.artifacts.errors import ArtifactCorrupt, ArtifactMissing, StoreUnavailable

_PARTIAL = ".partial"
_STALE_SECONDS = 24 * 3600


class Folder:
    """A `Backend` in the folder `root`, written to below `organisation`. StoreUnavailable if it is not there and `create` is False."""

    def __init__(self, root: Path, organisation: str, *, create: bool) -> None:
        self._root = root
        self._partial = root / organisation / _PARTIAL
        if create:
            try:
                root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnavailable(f"cannot make the folder {root}: {error.strerror}") from error
        self._check_root()
        self._remove_stale()

    @property
    def shown(self) -> str:
        return str(self._root)

    def organisations(self) -> list[str]:
        try:
            return sorted(path.name for path in self._root.iterdir() if path.is_dir())
        except OSError as error:
            self._check_root()
            raise failure(error, "list the organisations", self.shown) from error

    def written(self, organisation: str) -> Iterator[tuple[str, float]]:
        for path in (self._root / organisation).glob("??/*"):
            with suppress(FileNotFoundError):  # removed meanwhile
                yield str(path.relative_to(self._root)), path.lstat().st_mtime

    def write(self, name: str, data: bytes) -> None:
        self._place(name, lambda file: _write_all(file, data))

    def write_file(self, name: str, path: Path) -> None:
        with path.open("rb") as source:
            self._place(name, lambda file: shutil.copyfileobj(source, file, CHUNK))

    def size(self, name: str) -> int | None:
        found = self._found(name)
        return None if found is None else found.st_size

    def mark(self, name: str) -> str | None:
        found = self._found(name)
        return None if found is None else f"{found.st_ino}/{found.st_size}/{found.st_ctime_ns}"

    def read(self, name: str, size: int) -> Iterator[bytes]:
        try:
            with self._open(name) as file:
                left = size + 1
                while left > 0 and (chunk := file.read(min(CHUNK, left))):
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise failure(error, f"read {name}", self.shown) from error

    def remove(self, name: str) -> bool:
        try:
            (self._root / name).unlink()
        except FileNotFoundError:
            self._check_root()
            return False
        except OSError as error:
            raise failure(error, f"remove {name}", self.shown) from error
        return True

    def _found(self, name: str) -> os.stat_result | None:
        try:
            found = (self._root / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            self._check_root()
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise failure(error, f"look for {name}", self.shown) from error
        if not stat.S_ISREG(found.st_mode):
            raise ArtifactCorrupt(f"{name} in {self.shown} is not a plain file; remove it")
        return found

    def _open(self, name: str) -> BinaryIO:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            file = os.fdopen(os.open(self._root / name, flags), "rb", buffering=0)
        except FileNotFoundError as error:
            self._check_root()
            raise ArtifactMissing(f"{name} is not in {self.shown}") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise ArtifactCorrupt(f"{name} in {self.shown} is not a plain file; remove it") from error
            raise
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise ArtifactCorrupt(f"{name} in {self.shown} is not a plain file; remove it")
        return file

    def _place(self, name: str, fill: Callable[[BinaryIO], None]) -> None:
        self._check_root()
        target = self._root / name
        partial: Path | None = None
        changed = {target.parent}
        try:
            for folder in (self._partial.parent, self._partial, target.parent):
                if not folder.exists():
                    folder.mkdir(exist_ok=True)
                    folder.chmod(0o755)  # whatever the umask is: the others read here
                    changed.add(folder.parent)
                if folder.is_symlink():
                    raise StoreUnavailable(f"{folder} is a symbolic link; a store holds none")
            handle, path = tempfile.mkstemp(dir=self._partial, prefix=target.name[:16])
            partial = Path(path)
            with os.fdopen(handle, "wb") as file:
                fill(file)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            partial.replace(target)
            for folder in changed:
                _sync_folder(folder)
        except FileNotFoundError as error:
            self._check_root()
            raise StoreUnavailable(f"{self.shown} changed while {name} was written; try again") from error
        except OSError as error:
            raise failure(error, f"write {name}", self.shown) from error
        finally:
            if partial is not None:
                with suppress(OSError):  # renamed, or the folder is gone with it
                    partial.unlink()

    def _check_root(self) -> None:
        try:
            there = stat.S_ISDIR(self._root.stat().st_mode)
        except OSError as error:
            raise StoreUnavailable(
                f"the store's folder {self._root} cannot be reached ({error.strerror}); mount or create it"
            ) from error
        if not there:
            raise StoreUnavailable(f"{self._root} is not a folder; name another for the store")

    def _remove_stale(self) -> None:
        oldest = time.time() - _STALE_SECONDS
        with suppress(OSError):  # not ours to clean, or cleaned by another process: no reader ever sees them
            for path in self._partial.iterdir():
                if path.lstat().st_mtime < oldest:
                    path.unlink()


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
