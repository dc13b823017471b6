"""Whole tasks whose trainings are replayed: honest work is paid, what is no work is not and is named for it, and seats that do not replay
lose stake. The training is the smallest that there is: two features, a line between two classes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from quorumlearn import learning
from quorumlearn.api import data
from quorumlearn.gateway import GatewayError
from quorumlearn.nodes import steps
from quorumlearn.nodes.audit import replay as audit
from quorumlearn.nodes.audit.checks import Result
from quorumlearn.nodes.audit.records import read as read_records
from quorumlearn.nodes.committee import reports
from quorumlearn.nodes.market import NO_OPTIONS, Contract, Market, StepOptions
from quorumlearn.nodes.organisation import Organisation
from quorumlearn.nodes.work import drawn
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import RIGHT, WRONG, Replay
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.scenarios.stage import SEATS, STAKES, TERMS, TIMEOUTS, NodeThread, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKLOAD = """
from quorumlearn.learning import TorchWorkload, readers
from torch import nn

TINY = TorchWorkload("tiny", lambda: nn.Linear(2, 2), load=readers.csv(features=["x", "y"], target="side"))
"""
CHUNKS, SAMPLES = 24, 16
VERIFIERS = [f"{seat}/verifier" for seat in SEATS]
RECOMPUTE = {"chunks_per_miner": 2, "segment_steps": 2}

CHEATS: Mapping[str, tuple[str, b.Reason]] = {
    "miners1/miner2": ("skipper:1", b.WRONG_WORK),
    "miners1/miner3": ("thief:miner1", b.WRONG_WORK),
    "miners1/miner4": ("no-trace", b.NO_TRACE),
    "miners1/miner5": ("free-rider", b.WRONG_WORK),
    "miners2/miner2": ("other-data", b.WRONG_WORK),
    "miners2/miner3": ("other-rate", b.WRONG_WORK),
    "miners2/miner4": ("other-seed", b.WRONG_WORK),
    "miners2/miner5": ("scaling:3", b.WRONG_WORK),
}
HONEST = ("miners1/miner1", "miners2/miner1", "miners1/miner6", "miners2/miner6")


@pytest.fixture(scope="module")
def miners_each() -> int:
    return 6


@pytest.fixture(scope="module")
def held(stage: Stage) -> Path:
    return published(stage)


def published(stage: Stage) -> Path:
    """The task's data, in chunks in the store."""
    random = np.random.default_rng(1)
    inputs = random.normal(size=(CHUNKS * SAMPLES, 2)).astype(np.float32)
    targets = (inputs[:, 0] + inputs[:, 1] > 0).astype(np.int64)
    cut = data.Cut("tiny", learning.Samples(inputs, targets), CHUNKS, SAMPLES, 0)
    rows = [f"{x:.4f},{y:.4f},{side}" for (x, y), side in zip(inputs, targets, strict=True)]
    (stage.folder / "tests.csv").write_text("x,y,side\n" + "\n".join(rows) + "\n")
    path = stage.folder / "data.yaml"
    data.write(path, data.publish(cut, stage.store))
    return path


def node_files(stage: Stage, task: str, miners: Mapping[str, str]) -> dict[str, Path]:
    """Files of nodes that know the workload, and score it on its samples."""
    timeouts = dict.fromkeys([*(name for name in TIMEOUTS if name != "join"), "trace", "replay"], 4)
    accept = {**TERMS, "shortest_timeouts": timeouts, "largest_replays": 100}
    files = stage.node_files(task, miners, owner=False, accept=accept)
    for folder in (stage.folder, stage.folder / "nodes" / task):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tiny.py").write_text(WORKLOAD)
    for file in files.values():
        node = yaml.safe_load(file.read_text())
        node |= {"workloads": {"tiny": "tiny:TINY"}, "data": {"tiny": str(stage.folder / "tests.csv")}}
        for identity in node["identities"]:
            identity.pop("shard")
        file.write_text(yaml.safe_dump(node))
    return files


def publish(stage: Stage, task: str, held: Path, drawn_segments: int, **changes: object) -> t.TaskSpec:
    file = stage.task_file(
        task,
        workload={"name": "tiny", "module": "tiny:TINY", "config": {"batch_size": "4", "epochs": "2"}},
        mode="recompute",
        recompute={"data": str(held), "drawn": drawn_segments, **RECOMPUTE},
        **{"timeouts": {"trace": 15}, **changes},
    )
    told = stage.on_ledger(
        "task", "publish", str(file), "--store", str(stage.store_folder), who="owner/owner"
    )
    assert told.code == 0, told.err
    return stage.market().task(task).task.spec


def violations(stage: Stage, task: str, replayed: int = 0) -> list[str]:
    """What anybody finds wrong who replays the task, so many honest segments a round among it."""
    record = read_records(stage.market(), task)
    checks = audit.audit(record, stage.store, replayed)
    return [f"{one.round} {one.what}: {one.detail}" for one in checks if one.result is Result.VIOLATION]


def verdicts(stage: Stage, task: str, number: int) -> dict[str, b.Verdict]:
    return {one.miner: one for one in stage.market().round(task, number).selection.verdicts}


def test_who_has_not_done_the_work_is_named_and_unpaid_and_honest_miners_are_paid(
    stage: Stage, held: Path
) -> None:
    """All segments are drawn, so that every cheat is found at once."""
    task = "useful-cheats"
    behaviours = dict.fromkeys(HONEST, "honest") | {who: name for who, (name, _) in CHEATS.items()}
    files = node_files(stage, task, behaviours)
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        spec = publish(
            stage, task, held, 8, miners={"minimum": 3, "maximum": len(behaviours), "byzantine": 0}
        )
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in stage.market().rounds(task)] == [b.ACCEPTED] * spec.rounds
    first = verdicts(stage, task, 1)
    for who, (name, reason) in CHEATS.items():
        verdict = first[stage.name(who)]
        assert (b.Reason.Name(verdict.reason), verdict.weight) == (b.Reason.Name(reason), 0), name
    second = verdicts(stage, task, 2)
    for who in HONEST:
        name = stage.name(who)
        assert (first[name].reason, second[name].reason) == (b.CONTRIBUTES, b.CONTRIBUTES), who
    last_items = {
        who: first[stage.name(who)].proof.item == 9 for who in CHEATS if CHEATS[who][1] == b.WRONG_WORK
    }
    assert [who for who, last in last_items.items() if last] == ["miners2/miner5"], (
        "an update that is not the trace's is found by its last checkpoint only"
    )
    slashed = {
        who: 2 * STAKES["miner_slash"] for who, (_, reason) in CHEATS.items() if reason == b.WRONG_WORK
    }
    assert_settled(stage, task, [*behaviours, *VERIFIERS], slashed)
    assert violations(stage, task, 3) == []
    assert {stage.market().stake(task, stage.name(one)).slashed for one in VERIFIERS} == {0}


class LazySeat(Market):
    """Seat 3's market: its report says of every item what nobody has replayed. In round 1 that all is right, in round 2 that all is
    wrong."""

    def __init__(self, contract: Contract, organisation: Organisation) -> None:
        super().__init__(contract)
        self._organisation = organisation

    def post_replay(
        self, task: str, number: int, report: ArtifactRef, options: StepOptions = NO_OPTIONS
    ) -> None:
        view = self.view(task)
        mine = reports.of_seat(drawn.items(view), 3)
        said = [
            Replay(
                miner=one.miner,
                item=one.number,
                found=RIGHT if number == 1 else WRONG,
                receipt=secrets.token_bytes(32),
                digest=secrets.token_bytes(32),
            )
            for one in mine
        ]
        store = self._organisation.store
        super().post_replay(task, number, store.put(reports.made(view.round, 3, said)), options)

    def accuse(self, task: str, number: int, accusation: b.Accusation) -> None:
        raise GatewayError("seat 3 accuses nobody")


class LazyOrganisation(Organisation):
    def market(self, user: str) -> Market:
        return LazySeat(self.contract(user), self)


def test_a_seat_that_does_not_replay_is_named_by_the_others_and_no_miner_is_harmed(
    stage: Stage, held: Path
) -> None:
    task = "useful-lazy"
    miners = dict.fromkeys(HONEST[:3], "honest")
    files = node_files(stage, task, miners)
    lazy = NodeThread(files.pop(SEATS[2]), LazyOrganisation)
    with running(lazy, *(NodeThread(file) for file in files.values())) as nodes:
        publish(stage, task, held, 2, stakes={**STAKES, "verifier": 1000})
        view = stage.played(task, nodes)
    market = stage.market()
    assert view.state.status == t.COMPLETED
    assert [one.outcome for one in market.rounds(task)] == [b.ACCEPTED] * 2
    for number in (1, 2):
        assert {one.reason for one in verdicts(stage, task, number).values()} == {b.CONTRIBUTES}
    named = [(one.round, one.seat, one.fault, one.step) for one in market.misconducts(task)]
    assert named == [(1, 3, b.FALSE_REPLAY, "SELECT"), (2, 3, b.FALSE_REPLAY, "SELECT")]
    slashed = {"verifier3/verifier": 2 * STAKES["verifier_slash"]}
    assert_settled(stage, task, [*miners, *VERIFIERS], slashed)
    assert violations(stage, task) == []
    assert all(steps.is_opened(one) for one in market.submissions(task, 1))
