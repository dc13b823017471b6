"""A module of a user's own, that of examples/ten_lines, is trained on tables of its own, encrypted, scored by its own metric and paid.
Where its code fails it costs that miner the round."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import SEATS, NodeThread, Stage, payouts, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK = "clinics"
CLINICS = {
    "miners1/miner1": "north",
    "miners1/miner2": "east",
    "miners2/miner1": "south",
    "miners2/miner2": "strange",
}
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ten_lines"


def tables(folder: Path) -> None:
    folder.mkdir()
    for seed, name in enumerate((*CLINICS.values(), "tests")):
        inputs = np.random.default_rng(seed).normal(size=(150, 3))
        ill = (inputs[:, 0] + inputs[:, 1] > 0).astype(int)
        rows = [f"{x:.4f},{y:.4f},{z:.4f},{one}" for (x, y, z), one in zip(inputs, ill, strict=True)]
        if name == "strange":
            rows[7] = "1,1,1,5"  # a class that the module does not know
        (folder / f"{name}.csv").write_text("age,pulse,pain,ill\n" + "\n".join(rows) + "\n")


def test_a_module_of_ones_own_is_trained_encrypted_scored_and_paid(stage: Stage) -> None:
    data = stage.folder / "clinics"
    tables(data)
    (stage.folder / "nodes" / TASK).mkdir(parents=True)
    for folder in (stage.folder, stage.folder / "nodes" / TASK):
        shutil.copy(EXAMPLE / "clinic.py", folder)
    example = yaml.safe_load((EXAMPLE / "node.yaml").read_text())
    files = stage.node_files(TASK, dict.fromkeys(CLINICS, "honest"), owner=False)
    for file in files.values():
        node = yaml.safe_load(file.read_text())
        organisation = Path(node["organisation"]).name
        node |= {"workloads": example["workloads"], "data": dict.fromkeys(example["data"], str(data))}
        for identity in node["identities"]:
            identity.pop("shard")
            identity["part"] = CLINICS.get(f"{organisation}/{identity['user']}", "tests")
        file.write_text(yaml.safe_dump(node))
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        task = stage.task_file(
            TASK,
            workload={
                "name": "clinic",
                "module": example["workloads"]["clinic"],
                "config": {"epochs": "3", "batch_size": "16"},
            },
            miners={"minimum": 3, "maximum": 4, "byzantine": 0},
            timeouts={"commit": 8},
        )
        told = stage.on_ledger(
            "task", "publish", str(task), "--store", str(stage.store_folder), who="owner/owner"
        )
        assert told.code == 0, told.err
        view = stage.played(TASK, nodes)
    market = stage.market()
    spec = market.task(TASK).task.spec
    assert view.state.status == t.COMPLETED
    assert (spec.workload.metric, len(spec.workload.digest)) == ("auc", 64)
    assert [one.outcome for one in market.rounds(TASK)] == [b.ACCEPTED] * 2
    scores = [[ballot.score for ballot in block.ballots] for block in market.blocks(TASK) if block.ballots]
    assert scores[-1][0] > 800_000
    for who, clinic in CLINICS.items():
        assert bool(payouts(market, stage.name(who), TASK)) == (clinic != "strange"), who
    assert all(payouts(market, stage.name(f"{seat}/verifier"), TASK) for seat in SEATS)
    log = (stage.folder.parent / stage.folder.name / "nodes.log").read_text()
    assert "clinic: targets from 0 to 5, and the module has outputs for classes 0 to 1" in log
