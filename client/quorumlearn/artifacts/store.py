"""The content-addressed store: bytes under their SHA-256, checked before anyone uses them.

Rules:
1. An artifact's name is its digest, so it never changes. Each organisation writes and prunes below its own name only, which the store's
   permissions can hold it to (docs/store.md); so nobody overwrites or removes what another put there.
2. `put` creates. What is there already and is what it should be stays untouched; what somebody removed or damaged is made good.
   Putting back what another organisation had put is welcome, below one's own name.
3. A reader looks below the author's name first if it knows the author, then below its own, then below all others, and takes the first
   that is what the digest says. What others left there instead, or made unreadable, counts as not there.
4. References come from others. The digest's form and the size against the reader's limit are checked before
   anything is touched, and never more than size + 1 bytes are read in one place.
5. Nobody sees bytes that were not checked: `get` and `open` return after the digest has been compared.
6. With a folder for copies a store keeps what its program put and what it will need (`put`, `get` and `keep`, for a purpose), so that it
   can put back the one and loses nothing if somebody removes the other.

Usage:

    store = ArtifactStore("file:///var/lib/quorumlearn/artifacts", organisation="Org1MSP", create=True)
    ref = store.put(b"...")
    data = store.get(ref, limit=1 << 20, author="Org1MSP/miner1")
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit

from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts.backend import CHUNK, Backend, failure
from quorumlearn.artifacts.copies import Copies, Purpose
from quorumlearn.artifacts.errors import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactMissing,
    ArtifactTooLarge,
    NotAllowed,
)
from quorumlearn.artifacts.folder import Folder
from quorumlearn.artifacts.reference import (
    checked,
    checked_organisation,
    is_digest,
    is_organisation,
    path_of,
    reference_of,
)
from quorumlearn.artifacts.remote import Remote

ALONE = "own"
"""In the place of an organisation's name, where one program has the store for itself."""
T = TypeVar("T")
_SPOOL = 1 << 23  # bytes kept in memory before a temporary file is used


class ArtifactStore:
    """Artifacts at `url`: a path or file:// for a folder, s3:// and other fsspec URLs, memory:// for tests.

    `organisation` is whose artifacts are written, an MSP ID; a store that one program has for itself needs none. `options` go to fsspec
    (endpoint, credentials) and are never shown. `create` makes the folder or bucket; without it StoreUnavailable says that a folder is
    missing. `copies` is a folder of this program's own.
    """

    def __init__(
        self,
        url: str,
        *,
        organisation: str = ALONE,
        options: Mapping[str, object] | None = None,
        create: bool = False,
        copies: Path | None = None,
    ) -> None:
        scheme = urlsplit(url).scheme if "://" in url else ""
        self.organisation = checked_organisation(organisation)
        self._backend: Backend
        if scheme in ("", "file"):
            path = unquote(urlsplit(url).path) if scheme else url
            self._backend = Folder(Path(path).absolute(), organisation, create=create)
        else:
            self._backend = Remote(url, options or {}, create=create)
        self.copies = Copies(copies) if copies is not None else None
        self._intact_marks: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"ArtifactStore({self._backend.shown!r}, organisation={self.organisation!r})"

    @property
    def shown(self) -> str:
        """Where it is, as messages and logs show it: without credentials."""
        return self._backend.shown

    def put(self, data: bytes, purpose: Purpose | None = None) -> ArtifactRef:
        """Have the store hold `data`, and a copy of it be kept for `purpose`.

        StoreFull or StoreUnavailable if that fails, and then nothing is left behind.
        """
        ref = reference_of(data)
        if not self._intact(ref):
            self._backend.write(path_of(self.organisation, ref.digest), data)
        if purpose is not None and self.copies is not None:
            self.copies.add(purpose, ref.digest, data, own=True)
        return ref

    def put_file(self, path: Path) -> ArtifactRef:
        """Keep the content of a file that does not change meanwhile, without holding it in memory."""
        with path.open("rb") as file:
            return self.put_stream(iter(lambda: file.read(CHUNK), b""))

    def put_stream(self, chunks: Iterable[bytes], *, limit: int | None = None) -> ArtifactRef:
        """Keep a stream of bytes, gathered in a temporary file first because its digest is its name.

        ArtifactTooLarge if it passes `limit` bytes.
        """
        digest, size = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(prefix="quorumlearn-", buffering=0) as spool:
            for chunk in chunks:
                size += len(chunk)
                if limit is not None and size > limit:
                    raise ArtifactTooLarge(f"the stream has over {limit} bytes; nothing was kept")
                digest.update(chunk)
                _spool(spool, chunk)
            ref = ArtifactRef(digest=digest.hexdigest(), size=size)
            if not self._intact(ref):
                self._backend.write_file(path_of(self.organisation, ref.digest), Path(spool.name))
        return ref

    def put_back(self) -> None:
        """Make good what somebody removed or damaged of what was put for a purpose that lasts."""
        if self.copies is None:
            return
        known, self._intact_marks = self._intact_marks, {}
        for ref in self.copies.own():
            mark = self._backend.mark(path_of(self.organisation, ref.digest))
            if mark is not None and (mark == known.get(ref.digest) or self._intact(ref)):
                self._intact_marks[ref.digest] = mark
                continue
            with suppress(ArtifactMissing):  # forgotten meanwhile
                self.put(self.get(ref, ref.size))

    def get(self, ref: ArtifactRef, limit: int, author: str = "", kept_for: Purpose | None = None) -> bytes:
        """The artifact's bytes, checked. `author` is the account or the MSP ID that put it, if that is known; a copy is kept for the
        purpose `kept_for`, so that nobody can take it away any more.

        BadReference, ArtifactTooLarge (over `limit` bytes), ArtifactMissing, ArtifactCorrupt (other size or
        digest) or StoreUnavailable; StoreFull if the copy does not fit.
        """
        checked(ref, limit)
        data = self._first(ref, author, b"".join)
        if kept_for is not None and self.copies is not None and not self._is_kept(ref):
            self.copies.add(kept_for, ref.digest, data, own=False)
        return data

    def keep(self, ref: ArtifactRef, limit: int, purpose: Purpose, author: str = "") -> None:
        """Fetch a copy for this purpose unless there is one; errors as in `get`."""
        if self.copies is not None and not self._is_kept(ref):
            self.get(ref, limit, author, purpose)

    @contextmanager
    def open(self, ref: ArtifactRef, limit: int, author: str = "") -> Iterator[IO[bytes]]:
        """The artifact as a file at its start, checked whole before it is handed out; errors as in `get`."""
        checked(ref, limit)
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL, buffering=0) as file:

            def filled(chunks: Iterator[bytes]) -> None:
                file.seek(0)
                file.truncate()
                for chunk in chunks:
                    _spool(file, chunk)

            self._first(ref, author, filled)
            file.seek(0)
            yield file

    def has(self, ref: ArtifactRef, author: str = "") -> bool:
        """Whether the store holds something of the right size under this digest; its bytes are not read."""
        checked(ref)
        for name in self._names(ref, author):
            with self._others_left_out(name), suppress(ArtifactCorrupt):
                if self._backend.size(name) == ref.size:
                    return True
        return False

    def delete(self, ref: ArtifactRef) -> bool:
        """Remove the organisation's own artifact, for everyone; False if it was not there."""
        return self._backend.remove(path_of(self.organisation, checked(ref).digest))

    def prune(self, keep: Collection[str], before: float) -> list[str]:
        """Remove the organisation's own artifacts but those with a digest in `keep`, and those written since `before` (seconds since
        1970); the digests of what is gone."""
        gone = []
        for name, when in list(self._backend.written(self.organisation)):
            digest = name.rpartition("/")[2]
            own = is_digest(digest) and name == path_of(self.organisation, digest)
            if own and digest not in keep and when < before and self._backend.remove(name):
                gone.append(digest)
        return sorted(gone)

    def wait(
        self,
        ref: ArtifactRef,
        *,
        timeout: float,
        poll: float = 0.2,
        stop: threading.Event | None = None,
        author: str = "",
    ) -> None:
        """Return when the store has the artifact, or a copy was kept of it, looking every `poll` seconds.

        ArtifactMissing after `timeout` seconds or once `stop` is set.
        """
        deadline = time.monotonic() + timeout
        stop = stop or threading.Event()
        while not (self._is_kept(ref) or self.has(ref, author)):
            left = deadline - time.monotonic()
            if left <= 0 or stop.wait(min(poll, left)):
                raise ArtifactMissing(
                    f"artifact {ref.digest[:12]}… did not come to {self._backend.shown} in time"
                )

    def _is_kept(self, ref: ArtifactRef) -> bool:
        return self.copies is not None and self.copies.has(ref.digest)

    def _first(self, ref: ArtifactRef, author: str, use: Callable[[Iterator[bytes]], T]) -> T:
        """What `use` makes of the first place that holds the artifact whole; it is told by an error where one does not."""
        found: ArtifactError = ArtifactMissing(f"artifact {ref.digest[:12]}… is not in {self._backend.shown}")
        if self.copies is not None:
            with suppress(ArtifactError):  # the store is asked then
                return use(self._checked(self.copies.read(ref.digest, ref.size), ref, self.copies.shown))
        for name in self._names(ref, author):
            with self._others_left_out(name), suppress(ArtifactMissing):
                try:
                    if self._size(name, ref) is not None:
                        return use(
                            self._checked(self._backend.read(name, ref.size), ref, self._backend.shown)
                        )
                except ArtifactCorrupt as error:
                    found = error
        raise found

    def _size(self, name: str, ref: ArtifactRef) -> int | None:
        """How many bytes lie there, None if nothing does; ArtifactCorrupt if they are not the artifact's."""
        size = self._backend.size(name)
        if size is not None and size != ref.size:
            raise ArtifactCorrupt(
                f"artifact {ref.digest[:12]}… has {size} bytes in {self._backend.shown}, not {ref.size}"
            )
        return size

    @contextmanager
    def _others_left_out(self, name: str) -> Iterator[None]:
        """Whoever makes its own part of the store unreadable takes nothing from others."""
        try:
            yield
        except NotAllowed:
            if name.startswith(f"{self.organisation}/"):
                raise

    def _names(self, ref: ArtifactRef, author: str) -> Iterator[str]:
        """Where the artifact may lie, the likeliest place first; all organisations are listed only if it is not there."""
        looked: list[str] = []
        for organisation in (author.partition("/")[0], self.organisation):
            if is_organisation(organisation) and organisation not in looked:
                looked.append(organisation)
                yield path_of(organisation, ref.digest)
        for organisation in self._backend.organisations():
            if is_organisation(organisation) and organisation not in looked:
                yield path_of(organisation, ref.digest)

    def _intact(self, ref: ArtifactRef) -> bool:
        """Whether what lies below the own name is what it should be."""
        name = path_of(self.organisation, ref.digest)
        try:
            if self._backend.size(name) != ref.size:
                return False
            for _ in self._checked(self._backend.read(name, ref.size), ref, self._backend.shown):
                pass
        except (ArtifactMissing, ArtifactCorrupt):
            return False
        return True

    def _checked(self, chunks: Iterator[bytes], ref: ArtifactRef, shown: str) -> Iterator[bytes]:
        """The chunks. Ends in ArtifactCorrupt if they were not what the digest says: until the end has been seen nothing may be used."""
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if size != ref.size or digest.hexdigest() != ref.digest:
            raise ArtifactCorrupt(f"what {shown} holds as artifact {ref.digest[:12]}… is something else")


def _spool(file: IO[bytes], chunk: bytes) -> None:
    """Write it whole to an unbuffered file: what a full disk left in a buffer would fail once more when the file is closed."""
    left = memoryview(chunk)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise failure(error, "copy an artifact", "the temporary folder") from error
