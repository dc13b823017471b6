"""A node whose folders, journals and data are not as they should be plays its part, and loses no more than it must."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from quorumlearn import learning
from quorumlearn.gateway import read_block
from quorumlearn.nodes.config import IdentityConfig
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import SEATS, NodeThread, Stage, assert_settled, at, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK = "rough"
MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
FOLDER = "User1@miners1.example.com"
EARLIER = "1a" * 32
DYING = "miner2"


class DyingDevice(Organisation):
    """Its second miner has no device to train on until `mended`."""

    mended = False

    def shard(self, identity: IdentityConfig, workload: learning.Workload) -> learning.Data:
        part = super().shard(identity, workload)
        if identity.user == DYING and self.begun and not self.mended:
            raise RuntimeError("the device is gone")
        return part

    begun = False


def renamed(stage: Stage, file: Path) -> None:
    """The first miner's identity under the folder's name that Fabric's samples give it."""
    users = stage.network / "organisations" / "miners1" / "users"
    (users / "miner1").rename(users / FOLDER)
    node = yaml.safe_load(file.read_text())
    node["identities"][0]["user"] = FOLDER
    file.write_text(yaml.safe_dump(node, sort_keys=False))


def test_odd_folders_old_journals_and_a_dying_device(stage: Stage) -> None:
    state = stage.folder / "state" / "miners1"
    Journal(state).below(FOLDER).below(TASK).put("joined", b"1")
    (state / ".ledger").write_text(EARLIER)
    files = stage.node_files(TASK, MINERS)
    renamed(stage, files["miners1"])
    rough = NodeThread(files.pop("miners1"), DyingDevice)
    with running(rough, *(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(TASK, miners={"minimum": 2, "maximum": 3, "byzantine": 0}, timeouts={"commit": 15})
        stage.wait(TASK, lambda view: len(view.miners) == len(MINERS), nodes)
        rough.organisation.begun = True  # type: ignore[attr-defined]
        stage.wait(TASK, at(1, b.BEACON), nodes)
        rough.organisation.mended = True  # type: ignore[attr-defined]
        view = stage.played(TASK, nodes)
    assert view.state.status == t.COMPLETED
    market = stage.market()
    assert [one.outcome for one in market.rounds(TASK)] == [b.ACCEPTED] * 2
    lost, next_one = (
        {one.miner: one.reason for one in each.selection.verdicts} for each in market.rounds(TASK)
    )
    dying = stage.name(f"miners1/{DYING}")
    assert lost == {stage.name(who): b.CONTRIBUTES for who in MINERS} | {dying: b.ABSENT}
    assert set(next_one.values()) == {b.CONTRIBUTES}
    assert_settled(stage, TASK, [*MINERS, *(f"{seat}/verifier" for seat in SEATS)])
    genesis = read_block(stage.gateway().network(stage.spec.channel).block(0))
    assert (state / ".ledger").read_text().strip() == genesis.hash.hex()
    assert (state / f"@ledger-{EARLIER[:12]}" / FOLDER / TASK / "joined").exists()
