"""Whole tasks on data that nobody reads without a key: the owner's node gives keys each round, work is confirmed and paid, and the store
holds no sample in plain."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from quorumlearn.nodes import datakeys
from quorumlearn.nodes.recomputing import load_data
from quorumlearn.replay import ChunkError, from_bytes
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import NodeThread, Stage, payouts, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SAMPLES, CHUNKS = 128, 8
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


def play(stage: Stage, task: str, described: Path, miners: dict[str, str], **recompute: object) -> b.TaskView:
    """The task after its end; its owner's node renews each key after one round."""
    files = stage.node_files(task, miners)
    owner = yaml.safe_load(files["owner"].read_text())
    owner |= {"data_keys": [f"{described}.keys"], "renew_keys": 1}
    files["owner"].write_text(yaml.safe_dump(owner))
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(
            task,
            mode="recompute",
            rule={"name": "mean"},
            miners={"minimum": len(miners), "maximum": len(miners), "byzantine": 0},
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
    assert not plain_chunks(stage)
