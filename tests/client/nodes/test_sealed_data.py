"""Sealed chunks are read by those whom a round assigns them, and by nobody else: not by others, not by who left, not by two readers in two
ways. What their owner does wrong costs it and its task a round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.nodes import sealing
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.work import datakeys, datasets, keygrants
from quorumlearn.nodes.work.chunks import NotGranted
from quorumlearn.nodes.work.datakeys import DataKeys, DataKeysError
from quorumlearn.nodes.work.granting import Granting
from quorumlearn.replay import ChunkError, SealError
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import DataManifest, SealedKeys
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import Participation
from structlog.testing import capture_logs

from tests.client.nodes.sealed_data import MINERS, OWNER, SEATS, TASK, DataSet, chunk

A, B, C = MINERS
SEAT = SEATS[1]


@dataclass
class Ledger(Market):
    """The owner's market: what the miners have shown, and what the owner gives."""

    shown: dict[str, bytes]
    given: dict[int, ArtifactRef] = field(default_factory=dict)

    def participations(self, task: str) -> Iterator[Participation]:
        assert task == TASK
        for miner, key in self.shown.items():
            yield Participation(task_id=task, miner=miner, sealing_key=key)

    def grant(self, task: str, number: int, keys: ArtifactRef) -> None:
        assert task == TASK
        self.given[number] = keys


@dataclass
class Played:
    data: DataSet
    ledger: Ledger
    most_rounds: int = 0

    def give(self, view: b.TaskView) -> b.TaskView:
        """The view once the owner's node has given the round's keys."""
        granting = Granting(OWNER, self.ledger, self.data.store, (self.data.keys,), self.most_rounds)
        assert granting.due(view)
        granting.give(view)
        return self.granted(view, self.ledger.given[view.round.number])

    def granted(self, view: b.TaskView, keys: ArtifactRef) -> b.TaskView:
        view.grant.CopyFrom(b.Grant(task_id=TASK, round=view.round.number, keys=keys))
        return view

    def read(self, me: str, view: b.TaskView, of: str = "") -> list[int]:
        """What somebody reads of the chunks of a miner, by default its own."""
        team = next(one for one in view.round.teams if (of or me) in one.miners)
        targets: list[int] = self.data.reader(me).samples(view, team).targets.tolist()
        return targets

    def held(self) -> DataKeys:
        return datakeys.load(self.data.keys)

    def manifest(self) -> DataManifest:
        return datasets.manifest_of_task(self.data.store, self.data.spec(), self.held().manifest)


@pytest.fixture
def played(tmp_path: Path) -> Played:
    data = DataSet(tmp_path, sealed=True)
    return Played(data, Ledger({miner: sealing.public_key(data.privates[miner]) for miner in MINERS}))


def test_each_miner_reads_its_teams_chunks_and_no_others(played: Played) -> None:
    view = played.give(played.data.view())
    for at, miner in enumerate(MINERS):
        assert played.read(miner, view) == [*chunk(2 * at), *chunk(2 * at + 1)]
    for miner, other in ((A, B), (B, C), (SEAT, A)):
        with pytest.raises(NotGranted, match="was given no key"):
            played.read(miner, view, of=other)


def test_seats_read_where_the_task_says_so(played: Played) -> None:
    view = played.give(played.data.view(seats_read=True))
    for seat in SEATS.values():
        assert played.read(seat, view, of=B) == [*chunk(2), *chunk(3)]


def test_before_a_grant_nobody_reads(played: Played) -> None:
    with pytest.raises(NotGranted, match=f"{OWNER} has given no keys for round 1"):
        played.read(A, played.data.view())


def test_replicas_read_the_same(played: Played) -> None:
    view = played.data.view(teams={A: [0, 3]})
    view.round.teams[0].miners.append(B)
    view = played.give(view)
    assert played.read(A, view) == played.read(B, view) == [*chunk(0), *chunk(3)]


def test_a_grant_of_another_round_opens_nothing(played: Played) -> None:
    first = played.give(played.data.view(1))
    later = played.granted(played.data.view(2), first.grant.keys)
    with pytest.raises(Exception, match="another round than its transaction"):
        played.read(A, later)
    record = keygrants.given(played.data.store, first)
    record.round = 2
    relabelled = played.data.store.put(record.SerializeToString())
    with pytest.raises(NotGranted):
        played.read(A, played.granted(played.data.view(2), relabelled))


def test_who_left_reads_nothing_that_was_sealed_after_and_the_old_chunk_is_gone(played: Played) -> None:
    before = played.manifest()
    first = played.give(played.data.view(1))
    keys = keygrants.opened(first, keygrants.given(played.data.store, first), A, played.data.privates[A])
    assert sorted(keys) == [0, 1]
    second = played.data.view(2, teams={B: [0, 2], C: [4, 5]})
    second.miners.remove(A)
    played.give(second)
    after = played.manifest()
    assert after.version == 2
    renewed = [number for number in range(6) if after.chunks[number] != before.chunks[number]]
    assert renewed == [0], "of what the round uses, the chunk of which it had the key"
    assert not played.data.store.has(before.chunks[0])
    assert played.read(B, second) == [*chunk(0), *chunk(2)]
    with pytest.raises(NotGranted):
        played.read(A, second, of=B)
    sealed = played.data.store.get(after.chunks[0], 1 << 20)
    with pytest.raises(SealError):
        datasets.unsealed(sealed, keys[0], after, 0)


def test_a_key_is_renewed_after_so_many_rounds(played: Played) -> None:
    played.most_rounds = 2
    versions = []
    for number in range(1, 6):
        assert played.read(A, played.give(played.data.view(number))) == [*chunk(0), *chunk(1)]
        versions.append(played.manifest().version)
    assert versions == [1, 1, 2, 2, 3]


def test_giving_again_after_a_restart_counts_the_round_once(played: Played) -> None:
    for _ in range(3):
        played.give(played.data.view(1))
    assert [sorted(one.rounds) for one in played.held().chunks] == [[f"{TASK} 1"]] * 6


def test_who_is_revoked_is_given_no_key_and_those_it_had_are_renewed(played: Played) -> None:
    played.give(played.data.view(1))
    held = played.held()
    datakeys.save(played.data.keys, DataKeys(held.manifests, held.chunks, frozenset({A})))
    view = played.give(played.data.view(2))
    with pytest.raises(NotGranted):
        played.read(A, view)
    assert played.read(B, view) == [*chunk(2), *chunk(3)]
    crossed = played.give(played.data.view(3, teams={B: [0, 1], A: [2, 3]}))
    assert played.read(B, crossed) == [*chunk(0), *chunk(1)]
    assert played.manifest().version == 2


def test_a_wrong_key_of_the_owners_is_no_key(played: Played) -> None:
    """The owner gives a seat another key than the miner. The seat reads what the miner read, or nothing."""
    view = played.data.view(seats_read=True)
    right = {number: one.key for number, one in enumerate(played.held().chunks)}
    wrong = {**right, 0: bytes(32)}
    public = {one: sealing.public_key(private) for one, private in played.data.privates.items()}
    store, data = played.data.store, played.held().manifest
    records = [
        SealedKeys.FromString(keygrants.sealed(view, data, keys, public, {reader: [0, 1]}))
        for reader, keys in ((A, right), (SEAT, wrong))
    ]
    records[0].keys.extend(records[1].keys)
    played.granted(view, store.put(records[0].SerializeToString()))
    assert played.read(A, view) == [*chunk(0), *chunk(1)]
    with pytest.raises(NotGranted, match="no key that opens chunk 0"):
        played.read(SEAT, view, of=A)


def test_a_chunk_commits_to_one_key(played: Played) -> None:
    """AES-GCM does not: an owner who knows both keys can make one ciphertext that two of them open, to two texts."""
    manifest, keys = played.manifest(), [one.key for one in played.held().chunks]
    for number, ref in enumerate(manifest.chunks):
        data = played.data.store.get(ref, 1 << 20)
        assert [datasets.opens(data, key) for key in keys] == [at == number for at in range(len(keys))]
    other = datasets.sealed(b"something else", keys[1], manifest, 0)
    crafted = played.data.store.get(manifest.chunks[0], 1 << 20)[:32] + other[32:]
    for key in keys[:2]:
        with pytest.raises(SealError):
            datasets.unsealed(crafted, key, manifest, 0)


def test_a_sealed_chunk_opens_in_its_own_place_only(played: Played) -> None:
    manifest, key = played.manifest(), played.held().chunks[0].key
    data = played.data.store.get(manifest.chunks[0], 1 << 20)
    with pytest.raises(SealError):
        datasets.unsealed(data, key, manifest, 1)


def test_a_list_of_other_data_in_a_grant_is_refused(played: Played) -> None:
    view = played.give(played.data.view())
    record, other = keygrants.given(played.data.store, view), played.manifest()
    del other.chunks[5]
    record.data.CopyFrom(datasets.put_manifest(played.data.store, other))
    with pytest.raises(ChunkError, match="number of chunks '5'"):
        played.read(A, played.granted(view, played.data.store.put(record.SerializeToString())))


def test_a_miner_that_showed_no_key_is_given_none_and_the_others_are(played: Played) -> None:
    played.ledger.shown[A] = b""
    with capture_logs() as logs:
        view = played.give(played.data.view())
    assert [one["reader"] for one in logs if one["event"] == "no key to seal to"] == [A]
    with pytest.raises(NotGranted):
        played.read(A, view)
    assert played.read(C, view) == [*chunk(4), *chunk(5)]
    assert [one.had_by(TASK) for one in played.held().chunks] == [set(), set(), {B}, {B}, {C}, {C}]


def test_the_owner_waits_for_the_miners_keys_for_half_of_the_time(played: Played) -> None:
    """A miner can show its key in COMMIT only, if the task began with its join."""
    granting = Granting(OWNER, played.ledger, played.data.store, (played.data.keys,))
    view = played.data.view()
    view.task.spec.timeouts.commit = 60
    view.now_ms, view.round.deadline_ms = 1_000_000, 1_060_000
    assert not granting.waits(view)
    key, played.ledger.shown[A] = played.ledger.shown[A], b""
    assert granting.waits(view)
    view.now_ms += 30_000
    assert not granting.waits(view), "the others train without it"
    view.now_ms -= 1
    assert granting.waits(view)
    played.ledger.shown[A] = key
    assert not granting.waits(view)


def test_a_key_is_in_the_owners_file_alone(played: Played) -> None:
    with capture_logs() as logs:
        for number in range(1, 3):
            view = played.give(played.data.view(number, seats_read=True))
            played.read(B, view)
            played.read(SEAT, view, of=B)
    keys = [one.key for one in played.held().chunks]
    said = repr([logs, played.held(), [played.data.reader(A)]])
    for path in (path for path in played.data.root.rglob("*") if path.is_file() and path != played.data.keys):
        content = path.read_bytes()
        assert not any(key in content or key.hex().encode() in content for key in keys), path
    assert not any(key.hex() in said or repr(key) in said for key in keys)


def test_a_file_of_keys_is_its_owners_alone(played: Played) -> None:
    path = played.data.keys
    assert path.stat().st_mode & 0o777 == 0o600
    datakeys.save(path, played.held())
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(DataKeysError, match="its mode is 0640: chmod 600"):
        datakeys.load(path)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": 1, "manifests": [], "chunks": []}', '["secret words"]']
)
def test_what_is_no_file_of_keys_is_said_without_what_is_in_it(played: Played, text: str) -> None:
    played.data.keys.write_text(text)
    with pytest.raises(DataKeysError) as raised:
        datakeys.load(played.data.keys)
    assert "secret" not in str(raised.value)


def test_an_owner_whose_files_hold_no_keys_of_the_data_is_told_so(played: Played) -> None:
    other = DataSet(played.data.root / "other", sealed=True)
    granting = Granting(OWNER, played.ledger, played.data.store, (other.keys,))
    with pytest.raises(DataKeysError, match="no file under data_keys holds the keys"):
        granting.give(played.data.view())
    assert not played.ledger.given


def test_a_chunk_that_is_gone_is_not_renewed_and_nothing_is_forgotten(played: Played) -> None:
    played.give(played.data.view(1))
    held = played.held()
    played.data.store.delete(played.manifest().chunks[0])
    second = played.data.view(2, teams={B: [0, 1]})
    second.miners.remove(A)
    with pytest.raises(ArtifactMissing):
        played.give(second)
    assert played.held() == held
