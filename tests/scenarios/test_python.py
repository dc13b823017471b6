"""The market from Python: docs/python.md as it stands, the same model by the command line, rounds in MLflow and TensorBoard, and what
needs no training without torch."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quorumlearn
from quorumlearn.api import ModelRefused, WouldBeRefused
from quorumlearn.api.connection import Connection, NoStore
from quorumlearn.extras import EXTRAS
from quorumlearn.nodes.market import Refused
from safetensors import safe_open

from tests.client.test_light_install import WITHOUT
from tests.scenarios.stage import SEATS, NodeThread, Stage, running

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "python.md"
TASK = "digits-1"


@pytest.fixture(scope="module")
def miners_each() -> int:
    return 2


@pytest.fixture(scope="module")
def printed(stage: Stage) -> Iterator[str]:
    """What the page's code printed, run in the stage's folder while its nodes run."""
    miners = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
    nodes = [NodeThread(file) for file in stage.node_files(TASK, miners, SEATS, owner=False).values()]
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    out = io.StringIO()
    with running(*nodes), contextlib.chdir(stage.folder), contextlib.redirect_stdout(out):
        exec(compile(code, str(PAGE), "exec"), {})
    yield out.getvalue()


@pytest.fixture
def market(stage: Stage, printed: str) -> Iterator[Connection]:
    with quorumlearn.connect(stage.network, "owner/owner", store=stage.store_folder) as opened:
        yield opened


def test_the_pages_examples_run_and_say_what_happened(printed: str) -> None:
    assert re.findall(r"round (\d) ACCEPTED: 3 updates", printed) == ["1", "2"]
    assert "bottom.conv1.weight (16, 1, 5, 5) float32" in printed
    assert printed.count("MSP/miner") == 3


def test_what_is_watched_is_what_the_ledger_says(stage: Stage, market: Connection) -> None:
    task = market.task(TASK)
    rounds = task.rounds()
    assert tuple(task.watch(timeout=60)) == rounds
    assert tuple(task.watch(after=1)) == rounds[1:]
    assert [one.block for one in rounds] == list(task.blocks()[1:])
    assert [one.block.score for one in rounds if one.block] == [one.score for one in rounds]
    assert all(sum(one.seconds.values()) > 0 for one in rounds)
    assert [one.id for one in market.tasks()] == [TASK]
    assert market.account == stage.name("owner/owner")
    assert task.status().ended
    with pytest.raises(Refused, match="digits-2"):
        market.task("digits-2")


def test_a_connection_by_profile_is_the_same_ledger(stage: Stage, market: Connection) -> None:
    folder = stage.network / "organisations" / "miners1"
    profile = next(folder.glob("connection.*"))
    with quorumlearn.connect(profile, folder / "users" / "miner1" / "msp") as other:
        assert other.account == stage.name("miners1/miner1")
        assert other.genesis == market.genesis
        assert other.task(TASK).rounds() == market.task(TASK).rounds()
        with pytest.raises(NoStore):
            other.task(TASK).model()


def test_the_model_by_command_is_the_model_from_python(
    stage: Stage, market: Connection, tmp_path: Path
) -> None:
    file = tmp_path / "home.safetensors"
    store = ("--store", str(stage.store_folder))
    told = stage.on_ledger("task", "model", TASK, *store, "-o", str(file), "--json")
    assert told.code == 0, told.err
    found = market.task(TASK).model()
    with safe_open(file, framework="numpy") as opened:
        assert opened.metadata() == found.provenance.as_text()
        for name, tensor in found.tensors.items():
            np.testing.assert_array_equal(opened.get_tensor(name), tensor)
    assert told.fields["block"] == found.provenance.block == market.task(TASK).blocks()[-1].digest
    before = file.read_bytes()
    again = stage.on_ledger("task", "model", TASK, *store, "-o", str(file), "--block", "1")
    assert again.code == 2
    assert "is there already" in again.err
    assert file.read_bytes() == before
    first = stage.on_ledger("task", "model", TASK, *store, "-o", str(file), "--block", "1", "--force")
    assert first.code == 0, first.err
    with safe_open(file, framework="numpy") as opened:
        assert opened.metadata()["quorumlearn.height"] == "1"
    assert market.task(TASK).model(0).provenance.block == market.task(TASK).blocks()[0].digest
    with pytest.raises(ModelRefused, match="has no block 3"):
        market.task(TASK).model(3)


def test_a_model_that_the_store_has_changed_does_not_come_home(
    stage: Stage, market: Connection, tmp_path: Path
) -> None:
    """The store's keeper gains by handing out a model of its own."""
    digest = market.task(TASK).model(1).provenance.model
    copies = [path for path in stage.store_folder.rglob(f"*{digest[-40:]}*") if path.is_file()]
    assert copies
    right = copies[0].read_bytes()
    for copy in copies:
        copy.chmod(0o600)
        copy.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    try:
        told = stage.on_ledger(
            *("task", "model", TASK, "--block", "1", "--store", str(stage.store_folder)),
            *("-o", str(tmp_path / "other.safetensors")),
        )
        assert told.code == 1
        assert not list(tmp_path.iterdir())
    finally:
        for copy in copies:
            copy.write_bytes(right)


def test_nothing_is_published_that_the_ledger_would_refuse(stage: Stage, market: Connection) -> None:
    file = stage.task_file("digits-3", reward={"per_round": 1}, stakes={"miner": 10_000, "verifier": 10_000})
    before = sorted(stage.store_folder.rglob("*"))
    with pytest.raises(WouldBeRefused, match="the ledger would refuse this task"):
        market.publish(file)
    assert sorted(stage.store_folder.rglob("*")) == before


def test_rounds_go_to_mlflow_and_tensorboard(stage: Stage, market: Connection, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    told = stage.on_ledger(
        "task", "watch", TASK, "--track", f"mlflow:{uri}", "--track", f"tensorboard:{tmp_path}", "--json"
    )
    assert told.code == 0, told.err
    rounds = market.task(TASK).rounds()
    client: Any = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("quorumlearn")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", TASK)
    scores = client.get_metric_history(run.info.run_id, "score")
    assert [(one.step, one.value) for one in scores] == [(one.number, one.score) for one in rounds]
    events = EventAccumulator(str(tmp_path / TASK)).Reload()
    tags = events.Tags()["tensors"]
    assert {"score", "accepted", "contributing", "seconds/commit"} <= set(tags)
    assert [event.step for event in events.Tensors("score")] == [1, 2]


def test_a_place_for_metrics_that_is_none_is_named(stage: Stage, market: Connection) -> None:
    for place, says in (
        ("wandb", "is no place"),
        ("tensorboard", "is no place"),
        ("mlflow:nowhere://x", "takes no metrics"),
    ):
        told = stage.on_ledger("task", "watch", TASK, "--track", place)
        assert told.code == 1
        assert says in told.err.splitlines()[-1]
        assert "Traceback" not in told.err


def test_what_needs_no_training_needs_no_torch(stage: Stage, market: Connection, tmp_path: Path) -> None:
    """Audit, report and the model, in a process that finds no module of an extra."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(extras=sorted(EXTRAS)))
    paths = [str(tmp_path), *(str(ROOT / room) for room in ("proto", "chaincode", "client", "network"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    store = ("--store", str(stage.store_folder))
    for command in (
        ("audit", *store),
        ("report",),
        ("model", *store, "-o", str(tmp_path / "light.safetensors")),
        ("watch",),
    ):
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "quorumlearn.cli", "task", command[0], TASK, *command[1:]),
                *("--json", "--folder", str(stage.network)),
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["task"] == TASK
