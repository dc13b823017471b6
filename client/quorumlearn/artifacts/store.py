"""The content-addressed store: bytes under their SHA-256, checked before anyone uses them.

Rules:
1. An artifact's name is its digest, so it never changes, and two writers of one name write the same bytes.
2. References come from others. The digest's form and the size against the reader's limit are checked before
   anything is touched, and never more than size + 1 bytes are read.
3. Nobody sees bytes that were not checked: `get` and `open` return after the digest has been compared.
4. `put` always writes, so that putting an artifact again mends a corrupted one.

Usage:

    store = ArtifactStore("file:///var/lib/quorumlearn/artifacts", create=True)
    ref = store.put(b"...")
    data = store.get(ref, limit=1 << 20)
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts.backend import CHUNK, Backend, failure
from quorumlearn.artifacts.errors import ArtifactCorrupt, ArtifactMissing, ArtifactTooLarge
from quorumlearn.artifacts.folder import Folder
from quorumlearn.artifacts.reference import checked, path_of, reference_of
from quorumlearn.artifacts.remote import Remote

_SPOOL = 1 << 23  # bytes kept in memory before a temporary file is used


class ArtifactStore:
    """Artifacts at `url`: a path or file:// for a folder, s3:// and other fsspec URLs, memory:// for tests.

    `options` go to fsspec (endpoint, credentials) and are never shown. `create` makes the folder or bucket;
    without it StoreUnavailable says that a folder is missing.
    """

    def __init__(
        self, url: str, *, options: Mapping[str, object] | None = None, create: bool = False
    ) -> None:
        scheme = urlsplit(url).scheme if "://" in url else ""
        self._backend: Backend
        if scheme in ("", "file"):
            path = unquote(urlsplit(url).path) if scheme else url
            self._backend = Folder(Path(path).absolute(), create=create)
        else:
            self._backend = Remote(url, options or {}, create=create)

    def __repr__(self) -> str:
        return f"ArtifactStore({self._backend.shown!r})"

    def put(self, data: bytes) -> ArtifactRef:
        """Keep `data`. StoreFull or StoreUnavailable if that fails, and then nothing is left behind."""
        ref = reference_of(data)
        self._backend.write(path_of(ref.digest), data)
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
        with tempfile.NamedTemporaryFile(prefix="quorumlearn-") as spool:
            for chunk in chunks:
                size += len(chunk)
                if limit is not None and size > limit:
                    raise ArtifactTooLarge(f"the stream has over {limit} bytes; nothing was kept")
                digest.update(chunk)
                _spool(spool, chunk)
            self._backend.write_file(path_of(digest.hexdigest()), Path(spool.name))
        return ArtifactRef(digest=digest.hexdigest(), size=size)

    def get(self, ref: ArtifactRef, limit: int) -> bytes:
        """The artifact's bytes, checked.

        BadReference, ArtifactTooLarge (over `limit` bytes), ArtifactMissing, ArtifactCorrupt (other size or
        digest) or StoreUnavailable.
        """
        return b"".join(self._chunks(ref, limit))

    @contextmanager
    def open(self, ref: ArtifactRef, limit: int) -> Iterator[IO[bytes]]:
        """The artifact as a file at its start, checked whole before it is handed out; errors as in `get`."""
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as file:
            for chunk in self._chunks(ref, limit):
                _spool(file, chunk)
            file.seek(0)
            yield file

    def has(self, ref: ArtifactRef) -> bool:
        """Whether the store holds something of the right size under this digest; its bytes are not read."""
        checked(ref)
        return self._backend.size(path_of(ref.digest)) == ref.size

    def delete(self, ref: ArtifactRef) -> bool:
        """Remove the artifact, for everyone; False if it was not there."""
        return self._backend.remove(path_of(checked(ref).digest))

    def wait(
        self, ref: ArtifactRef, *, timeout: float, poll: float = 0.2, stop: threading.Event | None = None
    ) -> None:
        """Return when the store has the artifact, looking every `poll` seconds.

        ArtifactMissing after `timeout` seconds or once `stop` is set.
        """
        deadline = time.monotonic() + timeout
        stop = stop or threading.Event()
        while not self.has(ref):
            left = deadline - time.monotonic()
            if left <= 0 or stop.wait(min(poll, left)):
                raise ArtifactMissing(
                    f"artifact {ref.digest[:12]}… did not come to {self._backend.shown} in time"
                )

    def _chunks(self, ref: ArtifactRef, limit: int) -> Iterator[bytes]:
        """The artifact's chunks. Ends in ArtifactCorrupt if they were not what the digest says: until the end
        has been seen nothing may be used."""
        name = path_of(checked(ref, limit).digest)
        found = self._backend.size(name)
        if found is None:
            raise ArtifactMissing(f"artifact {ref.digest[:12]}… is not in {self._backend.shown}")
        if found != ref.size:
            raise ArtifactCorrupt(
                f"artifact {ref.digest[:12]}… has {found} bytes in {self._backend.shown}, not {ref.size}"
            )
        digest, size = hashlib.sha256(), 0
        for chunk in self._backend.read(name, ref.size):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if size != ref.size or digest.hexdigest() != ref.digest:
            raise ArtifactCorrupt(
                f"what {self._backend.shown} holds as artifact {ref.digest[:12]}… is something else"
            )


def _spool(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        raise failure(error, "copy an artifact", "the temporary folder") from error
