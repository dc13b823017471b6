"""Whole tasks on data that nobody reads without a key: the owner's node gives keys each round, work is confirmed and paid, and the store
holds no sample in plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from quorumlearn.nodes.recomputing import load_data
from quorumlearn.nodes.work import datakeys, keygrants
from quorumlearn.replay import ChunkError, from_bytes
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import SealedKeys
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.scenarios.stage import TERMS, TIMEOUTS, NodeThread, Stage, payouts, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SAMPLES, CHUNKS = 128, 8
SEALED = keygrants.sealed
FOUR = {f"miners{one}/miner{two}": "honest" for one in (1, 2) for two in (1, 2)}


@pytest.fixture(scope="module")
def described(stage: Stage) -> Path:
    """What `data publish` wrote of a sealed data set."""
    path = stage.folder / "sealed.yaml"
    cut = ("--chunks", str(CHUNKS), "--chunk-samples", str(SAMPLES), "--sealed")
    store = ("--store", str(stage.store_folder))
    told = stage.on_ledger(
        *("data", "publish", str(stage.data), "--workload", "mnist-cnn", *cut, *store, "-o", str(path)),
        who="owner/owner",
    )
    assert told.code == 0, told.err
    return path


def play(
    stage: Stage,
    task: str,
    described: Path,
    miners: dict[str, str],
    *,
    minimum: int | None = None,
    timeouts: dict[str, int] | None = None,
    **recompute: object,
) -> b.TaskView:
    """The task after its end; its owner's node renews each key after one round."""
    least = {**dict.fromkeys(TIMEOUTS, 4), "trace": 4, "replay": 4}
    del least["join"]
    files = stage.node_files(task, miners, accept={**TERMS, "shortest_timeouts": least})
    owner = yaml.safe_load(files["owner"].read_text())
    owner |= {"data_keys": [f"{described}.keys"], "renew_keys": 1}
    files["owner"].write_text(yaml.safe_dump(owner))
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(
            task,
            mode="recompute",
            rule={"name": "mean"},
            miners={"minimum": minimum or len(miners), "maximum": len(miners), "byzantine": 0},
            timeouts=timeouts or {},
            recompute={"data": str(described), "chunks_per_miner": 2, **recompute},
        )
        return stage.played(task, nodes)


def plain_chunks(stage: Stage) -> list[Path]:
    """Artifacts that are chunks which anybody reads."""
    found = []
    for path in (path for path in stage.store_folder.rglob("*") if path.is_file()):
        try:
            from_bytes(path.read_bytes(), SAMPLES)
        except ChunkError:
            continue
        found.append(path)
    return found


def test_seats_that_read_replay_what_miners_trained_on(stage: Stage, described: Path) -> None:
    task, before = "sealed-read", load_data(described)
    miners = dict(list(FOUR.items())[:3])
    view = play(stage, task, described, miners, seats_read=True, drawn=2)
    assert view.state.status == t.COMPLETED
    rounds = list(stage.market().rounds(task))
    assert [one.outcome for one in rounds] == [b.ACCEPTED] * 2
    for one in rounds:
        assert [verdict.reason for verdict in one.selection.verdicts] == [b.CONTRIBUTES] * 3
    for who in miners:
        assert len(payouts(stage.market(), stage.name(who), task)) >= 2
    keys = datakeys.load(Path(f"{described}.keys"))
    assert len(keys.manifests) == 2, "the keys of the first round's chunks were renewed in the second"
    assert keys.manifests[0].digest == before.digest
    last = {miner: set(team.chunks) for team in rounds[-1].teams for miner in team.miners}
    seats = {seat.verifier for seat in view.seats}
    for number, key in enumerate(keys.chunks):
        assigned = {miner for miner, chunks in last.items() if number in chunks}
        assert key.had_by(task) == (assigned | seats if assigned else key.had_by(task))
    assert not plain_chunks(stage)
    of_task = stage.on_ledger("task", "show", task).out
    assert (
        f"2 of {CHUNKS} chunks of {SAMPLES} samples a miner, sealed; 2 of 4 segments of a training are replayed"
        in of_task
    )
    shown = stage.cli("data", "show", str(described), "--store", str(stage.store_folder), "--json")
    assert (shown.code, shown.fields["version"], shown.fields["missing"]) == (0, 2, [])


def test_replicas_confirm_each_other_where_no_seat_reads(stage: Stage, described: Path) -> None:
    task = "sealed-replicas"
    view = play(stage, task, described, FOUR, replicas=2)
    assert view.state.status == t.COMPLETED
    seats = {seat.verifier for seat in view.seats}
    for one in stage.market().rounds(task):
        assert one.outcome == b.ACCEPTED
        reasons = {verdict.miner: verdict.reason for verdict in one.selection.verdicts}
        for team in one.teams:
            assert len({miner.partition("/")[0] for miner in team.miners}) == 2
            assert sorted(reasons[miner] for miner in team.miners) == sorted((b.CONTRIBUTES, b.REPLICA))
    paid = [payouts(stage.market(), stage.name(who), task) for who in FOUR]
    assert all(len(one) >= 2 for one in paid)
    keys = datakeys.load(Path(f"{described}.keys"))
    assert not any(key.had_by(task) & seats for key in keys.chunks), "no seat was given a key"
    checked = stage.cli("node", "check", str(stage.folder / "nodes" / task / "miners1.yaml"), "--task", task)
    assert checked.code == 0, checked.err
    assert "no seat reads the data: 2 miners of a team confirm each other" in checked.out
    assert f"a miner trains 8 steps a round, on 2 of {CHUNKS} chunks of {SAMPLES} samples" in checked.out
    assert not plain_chunks(stage)


@dataclass
class HostileGrants:
    """What an owner seals in place of the right keys: to one seat in the first round, to one miner in the second."""

    seat: str
    miner: str

    def sealed(
        self,
        view: b.TaskView,
        data: ArtifactRef,
        keys: Mapping[int, bytes],
        to: Mapping[str, bytes],
        wanted: Mapping[str, Sequence[int]],
    ) -> bytes:
        victim = self.seat if view.round.number == 1 else self.miner
        wrong = {number: bytes(32) for number in keys}
        others = {reader: chunks for reader, chunks in wanted.items() if reader != victim}
        record = SealedKeys.FromString(SEALED(view, data, keys, to, others))
        mine = SealedKeys.FromString(SEALED(view, data, wrong, to, {victim: wanted[victim]}))
        record.keys.extend(mine.keys)
        return record.SerializeToString()


def test_wrong_keys_of_the_owners_cost_nobody_stake(
    stage: Stage, described: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, victim = "sealed-hostile", "miners2/miner2"
    hostile = HostileGrants(stage.name("verifier1/verifier"), stage.name(victim))
    monkeypatch.setattr("quorumlearn.nodes.work.keygrants.sealed", hostile.sealed)
    view = play(
        stage,
        task,
        described,
        FOUR,
        minimum=3,
        seats_read=True,
        drawn=2,
        timeouts={"commit": 15, "replay": 12},
    )
    assert view.state.status == t.COMPLETED
    first, second = stage.market().rounds(task)
    assert (first.outcome, second.outcome) == (b.ACCEPTED, b.ACCEPTED)
    assert [verdict.reason for verdict in first.selection.verdicts] == [b.CONTRIBUTES] * 4
    assert second.absentees == [stage.name(victim)]
    for who in (*FOUR, *(f"verifier{seat}/verifier" for seat in (1, 2, 3))):
        assert stage.market().stake(task, stage.name(who)).slashed == 0, who
    assert not list(stage.market().misconducts(task))


def test_what_is_revoked_or_rotated_is_sealed_anew(stage: Stage, described: Path) -> None:
    store, who = ("--store", str(stage.store_folder), "--json"), "owner/owner"
    account = stage.name("miners1/miner1")
    revoked = stage.on_ledger("data", "revoke", str(described), account, *store, who=who)
    assert (revoked.code, revoked.fields["revoked"]) == (0, account), revoked.err
    rotated = stage.on_ledger("data", "rotate", str(described), *store, who=who)
    assert (rotated.code, rotated.fields["renewed"]) == (0, CHUNKS), rotated.err
    shown = stage.cli("data", "show", str(described), *store)
    assert (shown.fields["version"], shown.fields["missing"]) == (rotated.fields["version"], [])
    assert (shown.fields["revoked"], shown.fields["readers"]) == ([account], [])
    assert load_data(described).digest == rotated.fields["digest"]
