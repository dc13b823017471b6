"""Artifacts in any file system that fsspec reaches: S3-compatible storage, memory, and others.

Object stores show an object when its upload is complete, so an artifact is uploaded under its name. Elsewhere
it is written under a name of its own and moved.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from quorumlearn.artifacts.backend import CHUNK, failure
from quorumlearn.artifacts.errors import ArtifactCorrupt, ArtifactMissing, StoreUnavailable

_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"}


class Remote:
    """A `Backend` at an fsspec URL; StoreUnavailable if there is no such kind of store or it refuses."""

    def __init__(self, url: str, options: Mapping[str, object], *, create: bool) -> None:
        protocol, _, rest = url.partition("://")
        self._shown = f"{protocol}://{rest.rpartition('@')[2]}"
        self._whole_uploads = protocol in _OBJECT_STORES
        try:
            filesystem, root = url_to_fs(url, **options)
        except (ImportError, ValueError) as error:
            extra = "; install quorumlearn[s3]" if protocol in ("s3", "s3a") else ""
            raise StoreUnavailable(
                f"no way to reach {self._shown} ({type(error).__name__}){extra}"
            ) from error
        except Exception as error:
            raise failure(error, "open the store", self._shown) from error
        self._fs: fsspec.AbstractFileSystem = filesystem
        self._root = root.rstrip("/")
        if create:
            self._do("create the store", lambda: self._fs.makedirs(self._root, exist_ok=True))

    @property
    def shown(self) -> str:
        return self._shown

    def organisations(self) -> list[str]:
        def listed() -> list[str]:
            self._fs.invalidate_cache()  # others write here too
            return [
                str(one["name"]).rstrip("/").rpartition("/")[2]
                for one in self._fs.ls(self._root, detail=True)
                if one.get("type") == "directory"
            ]

        try:
            return sorted(self._do("list the organisations", listed))
        except ArtifactMissing:
            return []

    def written(self, organisation: str) -> Iterator[tuple[str, float]]:
        def listed() -> dict[str, dict[str, Any]]:
            self._fs.invalidate_cache()
            found: dict[str, dict[str, Any]] = self._fs.find(self._path(organisation), detail=True)
            return found

        for path, info in self._do("list artifacts", listed).items():
            when = info.get("LastModified", info.get("mtime", info.get("created")))
            if isinstance(when, datetime):
                when = when.timestamp()
            if isinstance(when, (int, float)):  # else nobody can say how old it is
                yield path.removeprefix(f"{self._root}/"), float(when)

    def write(self, name: str, data: bytes) -> None:
        self._place(name, lambda path: self._fs.pipe_file(path, data))

    def write_file(self, name: str, path: Path) -> None:
        self._place(name, lambda target: self._fs.put_file(str(path), target))

    def size(self, name: str) -> int | None:
        info = self._info(name)
        return None if info is None else int(info["size"])

    def mark(self, name: str) -> str | None:
        info = self._info(name)
        if info is None:
            return None
        return "/".join(str(info.get(key)) for key in ("size", "ETag", "LastModified", "mtime", "created"))

    def read(self, name: str, size: int) -> Iterator[bytes]:
        start = 0
        while start < size:  # S3 refuses a range that begins at the end
            end = size + 1 if size - start <= CHUNK else start + CHUNK
            chunk = self._range(name, start, end)
            if len(chunk) > end - start:
                raise ArtifactCorrupt(f"{self._shown} sent more of {name} than was asked for")
            if chunk:
                yield chunk
            start += len(chunk)
            if start < end:
                return

    def remove(self, name: str) -> bool:
        if self.size(name) is None:
            return False
        try:
            self._do(f"remove {name}", lambda: self._fs.rm_file(self._path(name)))
        except ArtifactMissing:
            return False
        return True

    def _info(self, name: str) -> Mapping[str, Any] | None:
        try:
            self._fs.invalidate_cache()  # others write here too
            info: Mapping[str, Any] = self._do(f"look for {name}", lambda: self._fs.info(self._path(name)))
        except ArtifactMissing:
            return None
        if info.get("type") != "file" or not isinstance(info.get("size"), int):
            raise ArtifactCorrupt(f"{name} in {self._shown} is not a plain file; remove it")
        return info

    def _range(self, name: str, start: int, end: int) -> bytes:
        return bytes(
            self._do(f"read {name}", lambda: self._fs.cat_file(self._path(name), start=start, end=end))
        )

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _place(self, name: str, upload: Callable[[str], object]) -> None:
        target = self._path(name)
        if self._whole_uploads:
            self._do(f"write {name}", lambda: upload(target), missing_is_store=True)
            return
        partial = f"{target}.{secrets.token_hex(8)}.partial"
        try:
            self._do(
                f"write {name}",
                lambda: (
                    self._fs.makedirs(target.rpartition("/")[0], exist_ok=True),
                    upload(partial),
                    self._fs.mv(partial, target),
                ),
                missing_is_store=True,
            )
        except BaseException:
            with suppress(Exception):  # the error that led here is the one to tell
                self._fs.rm_file(partial)
            raise

    def _do(self, action: str, call: Callable[[], Any], *, missing_is_store: bool = False) -> Any:
        """Run one call of the file system; whatever it raises becomes an ArtifactError."""
        try:
            return call()
        except Exception as error:
            named = failure(error, action, self._shown)
            if missing_is_store and isinstance(named, ArtifactMissing):
                named = StoreUnavailable(f"could not {action}: {self._shown} is not there; create it")
            raise named from error
