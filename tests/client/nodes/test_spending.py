"""A data set takes part in so many rounds, whatever tasks they are of; then its miner sits out and says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.learning import Samples, get_workload
from quorumlearn.nodes import miner as joining
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.ledgers import settle
from quorumlearn.nodes.models import workload_record
from quorumlearn.nodes.organisation import BUDGETS
from quorumlearn.nodes.spending import BudgetSpent, DataBudget
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from structlog.testing import capture_logs

from tests.client.nodes.seats import WORKLOAD, Ledger, miner_in

CONFIG = {"batch_size": "32"}


def samples(seed: int = 1) -> Samples:
    random = np.random.default_rng(seed)
    return Samples(random.random((32, 1, 28, 28), dtype=np.float32), random.integers(0, 10, 32))


def view_of(task: str, number: int) -> b.TaskView:
    shapes = get_workload("mnist-cnn", CONFIG).shapes
    parameters = ckks.Parameters.choose(learning.size_of(shapes), seats=3, threshold=2)
    spec = t.TaskSpec(task_id=task, ckks=record_of(parameters))
    spec.workload.CopyFrom(workload_record(get_workload("mnist-cnn", CONFIG), ["bottom", "top"]))
    spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
    now = b.Round(task_id=task, number=number, phase=b.KEY, miners=["M/a"])
    now.base.digest = f"{number:02d}" * 32
    state = t.TaskState(task_id=task, status=t.RUNNING, round=number)
    return b.TaskView(task=t.Task(spec=spec), state=state, round=now, miners=["M/a"])


def test_all_tasks_spend_one_budget_of_the_same_data_and_each_round_once(tmp_path: Path) -> None:
    budget = DataBudget(Journal(tmp_path), 3)
    for key in ("one-1-7", "two-1-7", "two-1-7", "one-2-9"):
        budget.spend(samples(), key)
    assert budget.left(samples()) == 0
    again = DataBudget(Journal(tmp_path), 3)  # after a restart
    again.spend(samples(), "one-2-9")
    with pytest.raises(BudgetSpent, match="3 rounds have used these data"):
        again.spend(samples(), "three-1-7")
    assert again.left(samples(2)) == 3
    assert DataBudget(Journal(tmp_path), 5).left(samples()) == 2


def test_data_are_known_by_what_they_are(tmp_path: Path) -> None:
    one = samples()
    assert one.digest() == samples().digest()
    labels = one.targets.copy()
    labels[0] = 9 - labels[0]
    assert Samples(one.inputs, labels).digest() != one.digest()


def test_data_are_digested_once_and_again_once_they_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digested = []

    real = Samples.digest

    def counted(data: Samples) -> str:
        digested.append(data)
        return real(data)

    monkeypatch.setattr(Samples, "digest", counted)
    budget, loaded = DataBudget(Journal(tmp_path), 3), samples()
    loaded.inputs.setflags(write=False)
    budget.spend(loaded, "one-1-7")
    loaded.targets[0] = 9 - loaded.targets[0]
    assert budget.left(loaded) == 3, "labels that can be written to were changed"
    loaded.targets[0] = 9 - loaded.targets[0]
    loaded.targets.setflags(write=False)
    digested.clear()
    for number in (2, 3):
        budget.spend(loaded, f"one-{number}-7")
    assert (budget.left(loaded), len(digested)) == (0, 1)
    assert budget.left(samples(2)) == 3, "loaded anew from files that have changed"
    assert budget.left(samples()) == 0, "loaded anew from files that have not"


def test_another_ledger_sets_journals_aside_and_the_budget_stays(tmp_path: Path) -> None:
    settle(tmp_path, "a" * 64)
    DataBudget(Journal(tmp_path / BUDGETS), 1).spend(samples(), "one-1-7")
    settle(tmp_path, "b" * 64)
    assert DataBudget(Journal(tmp_path / BUDGETS), 1).left(samples()) == 0


def test_a_miner_whose_budget_is_spent_sits_out_in_every_task_and_says_so(tmp_path: Path) -> None:
    budget = DataBudget(Journal(tmp_path / BUDGETS), 1)
    said = []
    for task in ("first", "second"):
        miner = miner_in(tmp_path / task, Ledger(), lambda _: samples(), me="M/a")
        miner.trainer.budget = budget
        view = view_of(task, 1)
        workload = get_workload("mnist-cnn", CONFIG)
        model = miner.store.put(learning.to_bytes(workload.initial_model(0)))
        view.round.base.model.CopyFrom(model)
        with capture_logs() as logs:
            assert not miner.act(view)
        said.append([one for one in logs if one["event"] == "sits the round out"])
        assert (miner.trainer.workshop.find(task, 1, "M/a") is None) == (task == "second")
    assert said[0] == []
    assert (said[1][0]["kind"], "data_budget" in said[1][0]["error"]) == ("BudgetSpent", True)


def test_a_miner_whose_budget_is_spent_stakes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "check_playable", lambda *_, **__: None)
    ledger = Ledger()
    miner = miner_in(tmp_path, ledger, lambda _: samples())
    miner.trainer.budget = DataBudget(Journal(tmp_path / BUDGETS), 0)
    view = b.TaskView(
        task=t.Task(spec=t.TaskSpec(task_id="task", workload=WORKLOAD)), state=t.TaskState(status=t.PUBLISHED)
    )
    with capture_logs() as logs:
        assert not miner.act(view)
        assert not miner.act(view)
    assert ledger.taken == []
    assert [(one["event"], one["log_level"]) for one in logs] == [("does not join", "warning")]
    assert "data_budget" in logs[0]["why"]


def test_a_miner_says_what_may_be_read_of_it_where_it_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "check_playable", lambda *_, **__: None)
    miner = miner_in(tmp_path, Ledger(), lambda _: samples())
    view = b.TaskView(task=t.Task(spec=t.TaskSpec(task_id="task", byzantine=2, workload=WORKLOAD)))
    view.state.status = t.PUBLISHED
    with capture_logs() as logs:
        assert miner.act(view)
    (joined,) = [one for one in logs if one["event"] == "joined"]
    assert "2 colluders read of an honest value at best the sum of 2 honest ones" in joined["exposed"]
