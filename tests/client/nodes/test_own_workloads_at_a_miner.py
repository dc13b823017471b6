"""What a user's workload or data does wrong costs that miner the round, with a sentence in its log, and the next round is tried again.
A miner does not join where its workload is not the task's."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.learning import Part, WorkloadError, register
from quorumlearn.nodes import encryption
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.models import workload_record
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from structlog.testing import capture_logs

from tests.client.nodes.seats import Ledger, miner_in

ME = "M/a"
MODULE = """
import os, sys
import numpy as np
import torch
from torch import nn
from quorumlearn.learning import TorchWorkload, readers

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, WIDTH)
    def forward(self, inputs):
        return self.layer(inputs)

def after(module, settings):
    pass
OWN
TABLE = readers.csv(features=["age", "pulse"], target="ill", test=None)
CLINIC = TorchWorkload("clinic", Net, load=TABLE, version=VERSION, after_round=after)
"""
GOOD = "age,pulse,ill\n" + "".join(f"0.{one},0.{9 - one},{int(one > 4)}\n" for one in range(10))
ONE_CLASS = "age,pulse,ill\n" + "".join(f"0.{one},0.{9 - one},0\n" for one in range(10))
Register = Callable[..., None]


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Registers `clinic` with these lines in its module: another copy each time."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    copies = iter(range(100))

    def registered(own: str = "", *, version: str = "1", width: int = 2) -> None:
        name = f"clinic_{abs(hash(tmp_path))}_{next(copies)}"
        text = MODULE.replace("OWN", own).replace("VERSION", repr(version)).replace("WIDTH", str(width))
        (tmp_path / f"{name}.py").write_text(text)
        register("clinic", f"{name}:CLINIC", tmp_path)

    return registered


def task() -> t.TaskSpec:
    """Of the workload `clinic` as it is registered now."""
    workload = learning.get_workload("clinic", {})
    parameters = ckks.Parameters.choose(learning.size_of(workload.shapes), seats=3, threshold=2)
    spec = t.TaskSpec(
        task_id="clinics",
        ckks=encryption.record_of(parameters),
        workload=workload_record(workload, workload.blocks),
    )
    spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
    return spec


def reading(table: Path) -> Callable[[learning.Workload], learning.Data]:
    return lambda workload: workload.load(str(table), Part("train"))


def played(miner: Miner, spec: t.TaskSpec, number: int) -> list[str]:
    """Let it train for this round: what its log says if it sits the round out."""
    initial = learning.get_workload("clinic", {}).initial_model(spec.seed)
    now = b.Round(task_id=spec.task_id, number=number, phase=b.KEY, miners=[ME])
    now.base.digest = f"{number:02d}" * 32
    now.base.model.CopyFrom(miner.store.put(learning.to_bytes(initial)))
    state = t.TaskState(task_id=spec.task_id, status=t.RUNNING, round=number)
    with capture_logs() as logs:
        miner.act(b.TaskView(task=t.Task(spec=spec), state=state, round=now, miners=[ME]))
    return [one["error"] for one in logs if one["event"] == "sits the round out"]


@pytest.mark.parametrize(
    ("own", "table", "says"),
    [
        ("Net.forward = lambda self, inputs: {}['gone']", GOOD, r"the module raised KeyError: 'gone' \(clinic_\w+.py, line \d+\)"),
        ("Net.forward = lambda self, inputs: sys.exit(1)", GOOD, r"called sys.exit\(1\)"),
        ("Net.forward = lambda self, inputs: self.layer(inputs) * np.nan", GOOD, "the loss is nan"),
        ("def after(module, settings):\n    torch.nn.init.constant_(module.layer.bias, np.nan)", GOOD, "layer.bias holds numbers"),
        ("def after(module, settings): module.layer = nn.Linear(2, 3)", GOOD, "layer.bias is of shape .* a module must keep its tensors"),
        ("", GOOD.replace("pulse", "weight"), "column 'pulse' is lacking; it has age, weight, ill"),
        ("", GOOD.replace("0.3,", ",", 1), "row 4: 'age' is missing; leave the row out"),
        ("", GOOD.replace("0.3,", "nan,", 1), "row 4: 'age' is 'nan', and no number"),
        ("", GOOD.replace(",1\n", ",7\n", 1), "targets from 0 to 7"),
        ("", "age,pulse,ill\n", "clinic.csv has no rows"),
        ("", "", "clinic.csv is no table"),
    ],
)  # fmt: skip
def test_what_is_wrong_costs_the_round_and_says_so_and_the_next_is_tried(
    tmp_path: Path, clinic: Register, own: str, table: str, says: str
) -> None:
    clinic()
    spec, file = task(), tmp_path / "clinic.csv"
    clinic(own)
    file.write_text(table)
    miner = miner_in(tmp_path, Ledger(), reading(file), me=ME)
    (said,) = played(miner, spec, 1)
    assert re.search(says, said), said
    assert "\n" not in said
    assert miner.trainer.workshop.find(spec.task_id, 1, ME) is None
    clinic()
    file.write_text(GOOD)
    assert played(miner, spec, 2) == []
    assert miner.trainer.workshop.find(spec.task_id, 2, ME) is not None


def test_one_class_trains_like_any_other(tmp_path: Path, clinic: Register) -> None:
    clinic()
    (tmp_path / "clinic.csv").write_text(ONE_CLASS)
    miner = miner_in(tmp_path, Ledger(), reading(tmp_path / "clinic.csv"), me=ME)
    assert played(miner, task(), 1) == []
    assert miner.trainer.workshop.find("clinics", 1, ME) is not None


def test_a_training_that_never_repeats_is_done_once_a_round(tmp_path: Path, clinic: Register) -> None:
    """As `workload try` would have said. What it commits to is what it then reveals: neither is trained again."""
    clinic("def after(module, settings):\n    module.layer.bias.data += os.urandom(1)[0] / 1000 + 0.01")
    (tmp_path / "clinic.csv").write_text(GOOD)
    spec, miner = task(), miner_in(tmp_path, Ledger(), reading(tmp_path / "clinic.csv"), me=ME)
    found = []
    for _ in range(2):
        assert played(miner, spec, 1) == []
        found.append(miner.trainer.workshop.find(spec.task_id, 1, ME))
    assert found[0] is not None
    assert np.array_equal(found[0], found[1])  # type: ignore[arg-type]


def leaves(code: int) -> Callable[[learning.Workload], learning.Data]:
    def shard(_: learning.Workload) -> learning.Data:
        raise SystemExit(code)

    return shard


def test_somebody_elses_code_that_ends_the_process_ends_a_round(tmp_path: Path, clinic: Register) -> None:
    """A workload that is no TorchWorkload may call sys.exit in the node's own thread."""
    clinic()
    spec, miner = task(), miner_in(tmp_path, Ledger(), leaves(3), me=ME)
    assert played(miner, spec, 1) == ["3"]


@pytest.mark.parametrize(
    ("installed", "says"),
    [
        ({"version": "2"}, "has version '1', the one installed here '2': install the task's, or leave the task alone"),
        ({"width": 3}, "its tensors, or what it is built on, differ from the owner's; use the same code, base and settings"),
        (None, "workload 'unheard-of' is not installed here; there are .*: install its package"),
    ],
)  # fmt: skip
def test_a_miner_whose_workload_is_not_the_tasks_joins_nothing(
    tmp_path: Path, clinic: Register, installed: dict[str, object] | None, says: str
) -> None:
    clinic()
    (tmp_path / "clinic.csv").write_text(GOOD)
    spec, ledger = task(), Ledger()
    if installed is None:
        spec.workload.name = "unheard-of"
    else:
        clinic(**installed)
    miner = miner_in(tmp_path, ledger, reading(tmp_path / "clinic.csv"), me=ME)
    with pytest.raises(WorkloadError, match=says) as refused:
        miner.act(b.TaskView(task=t.Task(spec=spec), state=t.TaskState(status=t.PUBLISHED)))
    assert "\n" not in str(refused.value)
    assert ledger.taken == []
    assert miner.journal.get("joined") is None
