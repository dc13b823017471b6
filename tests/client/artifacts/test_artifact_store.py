"""What a store promises, in a folder and through fsspec: whole and checked artifacts, or a typed error."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    ArtifactTooLarge,
    BadReference,
    NotAllowed,
    StoreFull,
    StoreUnavailable,
)
from quorumlearn.artifacts.store import ALONE
from quorumlearn_proto.common_pb2 import ArtifactRef

MB = 1 << 20


class BrokenFileSystem(MemoryFileSystem):
    """A remote that does not show whole uploads only, and whose calls fail as `failing` says."""

    protocol = "broken"
    failing: OSError | Exception | None = None
    after = ""

    def _fail(self, call: str) -> None:
        if self.failing is not None and self.after == call:
            raise self.failing

    def pipe_file(self, path: str, value: bytes, **kwargs: object) -> None:
        if self.failing is not None and self.after == "half":
            super().pipe_file(path, value[: len(value) // 2])
            raise self.failing
        self._fail("write")
        super().pipe_file(path, value)

    def info(self, path: str, **kwargs: object) -> dict[str, object]:
        self._fail("info")
        return super().info(path, **kwargs)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: object
    ) -> bytes:
        self._fail("read")
        if self.after == "too much":
            return bytes(super().cat_file(path)) * 3
        return bytes(super().cat_file(path, start=start, end=end))


fsspec.register_implementation("broken", BrokenFileSystem, clobber=True)


@pytest.fixture
def broken() -> Iterator[BrokenFileSystem]:
    yield fsspec.filesystem("broken")
    BrokenFileSystem.failing, BrokenFileSystem.after = None, ""


@pytest.fixture(params=["path", "file", "memory", "broken"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    urls = {
        "path": str(tmp_path / "a store"),
        "file": (tmp_path / "a store").as_uri(),
        "memory": f"memory://{uuid.uuid4()}",
        "broken": f"broken://{uuid.uuid4()}",
    }
    return ArtifactStore(urls[request.param], create=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def place(folder: Path, ref: ArtifactRef) -> Path:
    return folder / ALONE / ref.digest[:2] / ref.digest


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    "data", [b"", b"a", b"\0" * 100, os.urandom(9 * MB + 1)], ids=["0", "1", "100", "9M"]
)
def test_what_was_put_is_got_in_every_way(store: ArtifactStore, data: bytes, tmp_path: Path) -> None:
    ref = store.put(data)
    assert (ref.digest, ref.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert store.has(ref)
    assert store.get(ref, limit=len(data)) == data
    with store.open(ref, limit=len(data)) as file:
        assert file.read() == data
    (tmp_path / "source").write_bytes(data)
    assert store.put_file(tmp_path / "source") == ref
    assert store.put_stream([data[:5], data[5:]], limit=len(data)) == ref
    assert store.get(ref, limit=len(data)) == data


def test_all_that_a_power_cut_could_take_of_an_artifact_is_flushed_and_no_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        flushed.append(os.fstat(handle).st_ino)
        fsync(handle)

    def inodes(*paths: Path) -> list[int]:
        return sorted(path.stat().st_ino for path in paths)

    first = b"0"
    second = next(
        data
        for data in (str(number).encode() for number in range(1, 1 << 16))
        if hashlib.sha256(data).hexdigest()[:2] == hashlib.sha256(first).hexdigest()[:2]
    )
    store = ArtifactStore(str(folder), create=True)
    monkeypatch.setattr(os, "fsync", noted)
    path = place(folder, store.put(first))
    assert sorted(flushed) == inodes(path, path.parent, folder / ALONE, folder), "each has a new entry"
    flushed.clear()
    path = place(folder, store.put(second))
    assert sorted(flushed) == inodes(path, path.parent)
    flushed.clear()
    store.put(second)
    assert flushed == []


def test_an_artifact_can_be_deleted(store: ArtifactStore) -> None:
    ref = store.put(b"once")
    assert store.delete(ref)
    assert not store.delete(ref)
    assert not store.has(ref)
    with pytest.raises(ArtifactMissing, match=ref.digest[:12]):
        store.get(ref, limit=10)


def test_a_missing_artifact_is_missing(store: ArtifactStore) -> None:
    ref = ArtifactRef(digest="ab" * 32, size=3)
    assert not store.has(ref)
    for read in (lambda: store.get(ref, limit=10), lambda: store.open(ref, limit=10).__enter__()):
        with pytest.raises(ArtifactMissing):
            read()


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "ab",
        "AB" * 32,
        "ab" * 32 + "\n",
        "../" + "a" * 61,
        "/etc/passwd".ljust(64, "a"),
        "٣" * 64,
        "ab" * 33,
    ],
)
def test_a_digest_that_is_none_touches_nothing(store: ArtifactStore, digest: str) -> None:
    ref = ArtifactRef(digest=digest, size=1)
    for act in (
        store.has,
        store.delete,
        lambda r: store.get(r, limit=10),
        lambda r: store.wait(r, timeout=0),
    ):
        with pytest.raises(BadReference):
            act(ref)


@settings(deadline=None)
@given(st.text(max_size=70))
def test_only_sha_256_in_lower_hex_is_a_digest(text: str) -> None:
    right = len(text) == 64 and set(text) <= set("0123456789abcdef")
    store = ArtifactStore("memory://digests", create=True)
    if right:
        assert not store.has(ArtifactRef(digest=text))
    else:
        with pytest.raises(BadReference):
            store.has(ArtifactRef(digest=text))


def test_sizes_are_checked_before_reading(store: ArtifactStore) -> None:
    ref = store.put(b"12345")
    with pytest.raises(ArtifactTooLarge, match="at most 4"):
        store.get(ref, limit=4)
    with pytest.raises(BadReference):
        store.get(ArtifactRef(digest=ref.digest, size=-1), limit=10)
    for size in (4, 6):
        with pytest.raises(ArtifactCorrupt):
            store.get(ArtifactRef(digest=ref.digest, size=size), limit=10)
        assert not store.has(ArtifactRef(digest=ref.digest, size=size))


def test_a_stream_over_its_limit_is_not_kept(folder: Path) -> None:
    store = ArtifactStore(str(folder), create=True)
    with pytest.raises(ArtifactTooLarge, match="over 5"):
        store.put_stream([b"123", b"456"], limit=5)
    assert files(folder) == []


@pytest.mark.parametrize("bad", [b"", b"whole", b"wholE artifact", b"whole artifact, and more"])
def test_corrupted_artifacts_are_told_and_mended_by_putting_again(folder: Path, bad: bytes) -> None:
    store = ArtifactStore(str(folder), create=True)
    ref = store.put(b"whole artifact")
    place(folder, ref).write_bytes(bad)
    with pytest.raises(ArtifactCorrupt, match=ref.digest[:12]):
        store.get(ref, limit=100)
    with pytest.raises(ArtifactCorrupt), store.open(ref, limit=100):
        pytest.fail("handed out before it was checked")
    store.put(b"whole artifact")
    assert store.get(ref, limit=100) == b"whole artifact"


def test_links_pipes_and_folders_are_not_opened(folder: Path, tmp_path: Path) -> None:
    store = ArtifactStore(str(folder), create=True)
    ref = store.put(b"content")
    (tmp_path / "elsewhere").write_bytes(b"content")
    makers = (
        lambda path: path.symlink_to(tmp_path / "elsewhere"),
        os.mkfifo,
        lambda path: path.mkdir(),
    )
    for make in makers:
        path = place(folder, ref)
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        with pytest.raises(ArtifactCorrupt, match="not a plain file"):
            store.get(ref, limit=100)
    place(folder, ref).rmdir()
    place(folder, ref).symlink_to(tmp_path / "elsewhere")
    store.put(b"content")
    assert not place(folder, ref).is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == b"content"


def test_a_folder_of_the_store_that_leads_out_is_refused(folder: Path, tmp_path: Path) -> None:
    store = ArtifactStore(str(folder), create=True)
    (tmp_path / "outside").mkdir()
    (folder / ALONE).mkdir()
    (folder / ALONE / hashlib.sha256(b"x").hexdigest()[:2]).symlink_to(tmp_path / "outside")
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        store.put(b"x")
    assert files(tmp_path / "outside") == []


def test_a_missing_folder_is_made_only_if_asked(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="mount or create it"):
        ArtifactStore(str(tmp_path / "gone"))
    (tmp_path / "file").write_text("")
    for create in (True, False):
        with pytest.raises(StoreUnavailable):
            ArtifactStore(str(tmp_path / "file"), create=create)


def test_a_folder_that_goes_away_is_not_an_empty_store(folder: Path) -> None:
    store = ArtifactStore(str(folder), create=True)
    ref = store.put(b"data")
    folder.rename(folder.with_name("unmounted"))
    for act in (
        lambda: store.put(b"new"),
        lambda: store.has(ref),
        lambda: store.get(ref, 9),
        lambda: store.delete(ref),
    ):
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            act()
    assert not folder.exists()


_LIMITED = """
import resource, sys
from quorumlearn.artifacts import ArtifactStore, StoreFull
store = ArtifactStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for act in (lambda: store.put(b"x" * 200_000), lambda: store.put_stream([b"x" * 200_000])):
    try:
        act()
    except StoreFull as error:
        print("full:", error)
print(store.get(store.put(b"x" * 1000), 1000) == b"x" * 1000)
"""


def test_a_full_disk_leaves_nothing_behind(folder: Path) -> None:
    ArtifactStore(str(folder), create=True)
    run = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(folder)], capture_output=True, text=True, check=True, timeout=60
    )
    lines = run.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["full", "full", "True"]
    assert len(files(folder)) == 1


_READ_ONLY = """
import os, sys
from quorumlearn.artifacts import ArtifactStore, StoreUnavailable
from quorumlearn_proto.common_pb2 import ArtifactRef
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
store = ArtifactStore(sys.argv[1])
ref = ArtifactRef(digest=sys.argv[2], size=4)
assert store.get(ref, 10) == b"data"
for act in (lambda: store.put(b"new"), lambda: store.delete(ref)):
    try:
        act()
    except StoreUnavailable as error:
        print("not allowed" in str(error))
"""


def test_a_read_only_store_can_be_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("read-only")
    ref = ArtifactStore(str(folder), create=True).put(b"data")
    above = folder
    while above.stat().st_mode & 0o005 != 0o005 and above != above.parent:
        above.chmod(0o755)
        above = above.parent
    for path in (folder, folder / ALONE, folder / ALONE / ".partial", place(folder, ref).parent):
        path.chmod(0o555)
    run = subprocess.run(
        [sys.executable, "-c", _READ_ONLY, str(folder), ref.digest],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    for path in (folder, folder / ALONE, folder / ALONE / ".partial", place(folder, ref).parent):
        path.chmod(0o755)
    assert run.stdout.split() == ["True", "True"], run.stderr


def test_partial_files_of_killed_writers_go_after_a_day(folder: Path) -> None:
    ArtifactStore(str(folder), create=True).put(b"data")
    for name, age in (("old", 25 * 3600), ("new", 3600)):
        (folder / ALONE / ".partial" / name).write_bytes(b"half")
        os.utime(folder / ALONE / ".partial" / name, (time.time() - age,) * 2)
    ArtifactStore(str(folder))
    assert sorted(path.name for path in (folder / ALONE / ".partial").iterdir()) == ["new"]


def test_many_writers_of_one_artifact_do_not_disturb_each_other(store: ArtifactStore) -> None:
    data = os.urandom(MB)
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(lambda _: store.put(data), range(32)))
        read = list(pool.map(lambda ref: store.get(ref, limit=MB) == data, refs))
    assert len({ref.digest for ref in refs}) == 1
    assert all(read)


def test_waiting_ends_with_the_artifact_or_the_time_or_a_stop(store: ArtifactStore) -> None:
    ref = ArtifactRef(digest=hashlib.sha256(b"late").hexdigest(), size=4)
    with pytest.raises(ArtifactMissing, match="in time"):
        store.wait(ref, timeout=0.05, poll=0.01)
    stop = threading.Event()
    stop.set()
    with pytest.raises(ArtifactMissing):
        store.wait(ref, timeout=60, stop=stop)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, ref, timeout=30, poll=0.01)
        store.put(b"late")
        waiting.result()


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StoreFull),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), StoreFull),
        (PermissionError(errno.EACCES, "Forbidden"), NotAllowed),
        (FileNotFoundError("no such bucket"), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (RuntimeError("secret-key-in-a-message"), StoreUnavailable),
    ],
)
@pytest.mark.parametrize("after", ["write", "half"])
def test_a_failing_remote_is_named_and_keeps_nothing(
    broken: BrokenFileSystem, failing: Exception, expected: type[Exception], after: str
) -> None:
    root = str(uuid.uuid4())
    store = ArtifactStore(f"broken://{root}", create=True)
    BrokenFileSystem.failing, BrokenFileSystem.after = failing, after
    with pytest.raises(expected) as caught:
        store.put(b"some data")
    assert type(caught.value) is expected
    assert "secret" not in str(caught.value)
    BrokenFileSystem.failing, BrokenFileSystem.after = None, ""
    assert broken.find(f"/{root}") == []


@pytest.mark.parametrize("after", ["info", "read"])
def test_a_remote_that_goes_away_is_not_an_empty_store(broken: BrokenFileSystem, after: str) -> None:
    store = ArtifactStore(f"broken://{uuid.uuid4()}", create=True)
    ref = store.put(b"data")
    BrokenFileSystem.failing, BrokenFileSystem.after = ConnectionError("reset"), after
    with pytest.raises(StoreUnavailable):
        store.get(ref, limit=10)


def test_a_remote_that_sends_too_much_is_cut_off(broken: BrokenFileSystem) -> None:
    store = ArtifactStore(f"broken://{uuid.uuid4()}", create=True)
    ref = store.put(b"data")
    BrokenFileSystem.after = "too much"
    with pytest.raises(ArtifactCorrupt, match="more"):
        store.get(ref, limit=10)


def test_credentials_are_never_shown(tmp_path: Path) -> None:
    for url in ("nosuch://key:hidden@host/bucket", "s3://key:hidden@bucket/x"):
        try:
            shown = repr(ArtifactStore(url, options={"secret": "hidden"}))
        except StoreUnavailable as error:
            shown = str(error)
        assert "hidden" not in shown
    store = ArtifactStore(f"memory://{uuid.uuid4()}", options={"secret": "hidden"}, create=True)
    assert "hidden" not in repr(store)
