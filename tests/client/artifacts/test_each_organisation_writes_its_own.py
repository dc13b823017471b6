"""Who may write what: in a folder held by its permissions with real users. test_s3_policy has the same for S3."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from quorumlearn.artifacts import ArtifactCorrupt, ArtifactMissing, ArtifactStore, BadReference
from quorumlearn_proto.common_pb2 import ArtifactRef

VICTIM, RIVAL, THIRD = "VictimMSP", "RivalMSP", "ThirdMSP"
DATA = b"an encrypted update"


def opened(url: Path | str, organisation: str, **settings: object) -> ArtifactStore:
    return ArtifactStore(str(url), organisation=organisation, create=True, **settings)  # type: ignore[arg-type]


def below(folder: Path, organisation: str, ref: ArtifactRef) -> Path:
    return folder / organisation / ref.digest[:2] / ref.digest


def test_artifacts_are_found_whoever_put_them(tmp_path: Path) -> None:
    victim, third = opened(tmp_path, VICTIM), opened(tmp_path, THIRD)
    ref = victim.put(DATA)
    assert below(tmp_path, VICTIM, ref).read_bytes() == DATA
    for author in ("", VICTIM, f"{VICTIM}/miner1", RIVAL, "../..", "no such/one"):
        assert third.has(ref, author)
        assert third.get(ref, 100, author) == DATA
    assert third.put(DATA) == ref
    below(tmp_path, VICTIM, ref).unlink()
    assert victim.get(ref, 100) == third.get(ref, 100, VICTIM) == DATA
    assert not victim.delete(ref)
    assert third.delete(ref)
    with pytest.raises(ArtifactMissing):
        victim.get(ref, 100)
    with pytest.raises(BadReference, match="organisation"):
        opened(tmp_path, "../VictimMSP")


def written(place: Path) -> tuple[int, int]:
    """Which file it is and when it was last changed, not when it was last read."""
    found = place.stat()
    return found.st_ino, found.st_ctime_ns


def test_what_is_damaged_is_made_good_and_what_is_intact_is_not_touched(tmp_path: Path) -> None:
    store = opened(tmp_path, VICTIM)
    ref = store.put(DATA)
    place = below(tmp_path, VICTIM, ref)
    before = written(place)
    store.put(DATA)
    store.put_stream([DATA])
    assert written(place) == before
    for damage in (
        place.unlink,
        lambda: place.write_bytes(b"x" * len(DATA)),
        lambda: place.write_bytes(b""),
    ):
        damage()
        assert store.put(DATA) == ref
        assert place.read_bytes() == DATA


def test_what_a_rival_leaves_under_its_own_name_hides_nothing(tmp_path: Path) -> None:
    victim, third = opened(tmp_path, VICTIM), opened(tmp_path, THIRD)
    ref = victim.put(DATA)
    fake = below(tmp_path, RIVAL, ref)
    fake.parent.mkdir(parents=True)
    fake.write_bytes(b"y" * len(DATA))
    assert third.get(ref, 100, RIVAL) == DATA
    fake.write_bytes(b"y" * 1000)
    assert third.get(ref, 100, RIVAL) == DATA
    fake.unlink()
    fake.symlink_to(below(tmp_path, VICTIM, ref))
    assert third.get(ref, 100, RIVAL) == DATA
    fake.unlink()
    fake.symlink_to(fake)
    assert third.get(ref, 100, RIVAL) == DATA
    fake.unlink()
    fake.mkdir()
    assert third.has(ref, RIVAL)
    assert third.get(ref, 100, RIVAL) == DATA
    victim.delete(ref)
    assert not third.has(ref, RIVAL)
    with pytest.raises(ArtifactCorrupt):
        third.get(ref, 100, RIVAL)


def test_pruning_takes_ones_own_only(tmp_path: Path) -> None:
    for url in (str(tmp_path), f"memory://{uuid.uuid4()}"):
        victim, rival = opened(url, VICTIM), opened(url, RIVAL)
        kept, gone, theirs = victim.put(DATA), victim.put(b"of no use"), rival.put(b"a rival's")
        assert victim.prune({kept.digest}, time.time() - 3600) == []
        assert victim.prune({kept.digest}, time.time() + 60) == [gone.digest]
        assert [victim.has(one) for one in (kept, gone, theirs)] == [True, False, True]


def test_a_copy_is_put_back_as_long_as_its_purpose_lasts(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    author = opened(folder, VICTIM, copies=tmp_path / "copies")
    ref = author.put(DATA, ("task", 1))
    place = below(folder, VICTIM, ref)
    for damage in (place.unlink, lambda: place.write_bytes(b"x" * len(DATA))):
        author.put_back()
        damage()
        assert author.get(ref, 100) == DATA, "its own copy"
        author.put_back()
        assert place.read_bytes() == DATA
    untouched = written(place)
    author.put_back()
    assert written(place) == untouched
    assert author.copies is not None
    author.copies.forget("task", before=1)
    place.unlink()
    author.put_back()
    assert author.has(ref)
    author.copies.forget("task", before=2)
    place.unlink()
    author.put_back()
    assert not author.has(ref)


def test_a_reader_that_kept_an_artifact_has_it_when_it_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    reader = opened(folder, THIRD, copies=tmp_path / "copies")
    ref = opened(folder, VICTIM).put(DATA)
    with pytest.raises(ArtifactMissing):
        reader.keep(ArtifactRef(digest="ab" * 32, size=3), 100, ("task", 1))
    reader.keep(ref, 100, ("task", 1), f"{VICTIM}/miner1")
    below(folder, VICTIM, ref).unlink()
    assert reader.get(ref, 100) == DATA
    with reader.open(ref, 100) as file:
        assert file.read() == DATA
    reader.put_back()
    assert not reader.has(ref), "what others put, others put back"
    next((tmp_path / "copies").rglob(ref.digest)).write_bytes(b"x" * len(DATA))
    with pytest.raises(ArtifactMissing):
        reader.get(ref, 100)


_AS_RIVAL = """
import os, sys
from pathlib import Path
from quorumlearn.artifacts import ArtifactStore, NotAllowed
from quorumlearn_proto.common_pb2 import ArtifactRef
folder, digest, uid = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
victim = folder / "VictimMSP"
place = victim / digest[:2] / digest
aside = folder / "RivalMSP" / "aside"
aside.write_bytes(b"garbage")
ref = ArtifactRef(digest=digest, size=19)
pretends = ArtifactStore(str(folder), organisation="VictimMSP")
deeds = {
    "delete": lambda: pretends.delete(ref),
    "put": lambda: pretends.put(b"something new"),
    "unlink": place.unlink,
    "overwrite": lambda: place.write_bytes(b"garbage"),
    "append": lambda: place.open("ab"),
    "replace": lambda: aside.replace(place),
    "rename": lambda: place.rename(aside),
    "rename the folder": lambda: victim.rename(folder / "RivalMSP" / "taken"),
    "chmod": lambda: place.chmod(0o777),
    "new folder": lambda: (folder / "Another").mkdir(),
    "link": lambda: (victim / "link").symlink_to(aside),
}
for name, deed in deeds.items():
    try:
        deed()
    except (NotAllowed, PermissionError):
        pass
    else:
        print("could", name)
own = ArtifactStore(str(folder), organisation="RivalMSP")
assert own.get(ref, 19) == b"an encrypted update"
mine = own.put(b"an encrypted update")
assert mine == ref and own.delete(mine) and not own.delete(mine)
(folder / "RivalMSP" / digest[:2]).chmod(0)
print("done")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_others_read_what_a_user_with_a_narrow_umask_put(everybodys: Path) -> None:
    before = os.umask(0o077)
    try:
        ref = opened(everybodys, VICTIM).put(DATA)
    finally:
        os.umask(before)
    assert run_as(61003, _AS_THIRD, everybodys, ref) == "True an encrypted update\n"


_AS_THIRD = """
import os, sys
from quorumlearn.artifacts import ArtifactStore
from quorumlearn_proto.common_pb2 import ArtifactRef
folder, digest, uid = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
store, ref = ArtifactStore(folder, organisation="ThirdMSP"), ArtifactRef(digest=digest, size=19)
print(store.has(ref, "RivalMSP"), store.get(ref, 19, "RivalMSP").decode())
"""


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder that every user can enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run_as(uid: int, program: str, folder: Path, ref: ArtifactRef) -> str:
    arguments = [sys.executable, "-c", program, str(folder), ref.digest, str(uid)]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    return run.stdout + run.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_in_a_folder_a_user_changes_only_what_is_its_organisations(everybodys: Path) -> None:
    users = {VICTIM: 61001, RIVAL: 61002, THIRD: 61003}
    for organisation, uid in users.items():
        (everybodys / organisation).mkdir()
        os.chown(everybodys / organisation, uid, uid)
    ref = opened(everybodys, VICTIM).put(DATA)
    for path in (everybodys / VICTIM).rglob("*"):
        os.chown(path, users[VICTIM], users[VICTIM])
    assert run_as(users[RIVAL], _AS_RIVAL, everybodys, ref) == "done\n"
    found = run_as(users[THIRD], _AS_THIRD, everybodys, ref)
    assert found == "True an encrypted update\n", "a folder that its owner closes hides nothing of others"
