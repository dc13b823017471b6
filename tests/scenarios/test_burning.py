"""An owner alone, whose tasks match the pattern by which honest nodes join, tries to burn what they have. The nodes have default terms."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import learning
from quorumlearn.nodes import taskfile
from quorumlearn.nodes.market import Refused
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t

from benchmarks.inversion.reading import trap
from tests.scenarios.stage import FUNDS, SEATS, NodeThread, Stage, running

MINERS = {f"miners{org}/miner{number}": "honest" for org in (1, 2) for number in (1, 2)}
VICTIMS = (*MINERS, *(f"{seat}/verifier" for seat in SEATS))
PATIENCE_S = 60.0
REWARD = 30_000  # a round; for it the ledger takes stakes of all that these miners have


def stakes(miner: int, verifier: int) -> dict[str, int]:
    """All of a stake goes by one fault."""
    return {
        "miner": miner,
        "miner_slash": miner,
        "verifier": verifier,
        "verifier_slash": verifier,
        "challenge": 0,
    }


@pytest.fixture(scope="module")
def harmless(stage: Stage) -> t.TaskSpec:
    """A specification that the ledger took, for others to be made of; nobody runs yet."""
    spec = stage.publish("harmless", timeouts={"join": 3600})
    stage.market().cancel("harmless")
    return spec


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda spec: spec.stakes.MergeFrom(t.Stakes(miner=FUNDS, miner_slash=FUNDS)),
            r"stakes\.miner is 100000: at most",
        ),
        (
            lambda spec: spec.stakes.MergeFrom(t.Stakes(verifier=FUNDS)),
            r"stakes\.verifier is 100000: at most",
        ),
        (lambda spec: setattr(spec.timeouts, "screen", 1), r"timeouts\.screen is 1: at least 4 seconds"),
        (lambda spec: setattr(spec.timeouts, "reveal", 3), r"timeouts\.reveal is 3: at least 4 seconds"),
        (lambda spec: setattr(spec.reward, "per_round", 1), r"stakes\.miner is 100: at most 4"),
    ],
)
def test_the_ledger_takes_no_task_that_is_made_to_burn(
    stage: Stage, harmless: t.TaskSpec, change: Callable[[t.TaskSpec], None], words: str
) -> None:
    spec = t.TaskSpec()
    spec.CopyFrom(harmless)
    spec.task_id = "mnist-burnt"
    change(spec)
    with pytest.raises(Refused, match=words):
        stage.market().publish(spec)


def test_nodes_leave_alone_what_the_ledger_lets_pass(stage: Stage) -> None:
    before = {who: stage.market().account(stage.name(who)).balance for who in VICTIMS}
    assert set(before.values()) == {FUNDS}
    files = stage.node_files("mnist-*", MINERS, owner=False, accept={})
    common = {"rounds": 1, "miners": {"minimum": 4, "maximum": 4, "byzantine": 0}}
    with running(*(NodeThread(file) for file in files.values())):
        stage.publish(
            "mnist-dear",
            **common,
            reward={"per_round": REWARD},
            stakes=stakes(miner=FUNDS, verifier=FUNDS // 2),
            timeouts={"join": 3600},
        )
        stage.publish("mnist-hasty", **common, timeouts={"join": 3600, "screen": 4, "reveal": 4})
        lines = said(stage.folder / "nodes.log", 2 * len(VICTIMS))
    assert {(task, stage.name(who)) for task in ("mnist-dear", "mnist-hasty") for who in VICTIMS} == {
        (task, who) for line in lines for task, who in [words_of(line)]
    }
    for line in lines:
        task, who = words_of(line)
        stake = f"stakes.{'miner' if 'miner' in who else 'verifier'} is "
        assert (stake in line) == (task == "mnist-dear")
        assert ("accept.shortest_timeouts.screen is 30: the task's timeouts.screen is 4" in line) == (
            task == "mnist-hasty"
        )
    for task in ("mnist-dear", "mnist-hasty"):
        view = stage.market().view(task)
        assert (list(view.miners), list(view.seats)) == ([], [])
    assert {who: stage.market().account(stage.name(who)).balance for who in VICTIMS} == before


def test_no_miner_joins_a_task_whose_initial_model_is_a_trap(stage: Stage) -> None:
    """Its owner alone publishes it, with training that has one step on all data; and again with training that breaks no term."""
    config = {"batch_size": "4096", "learning_rate": "10", "momentum": "0"}
    files = stage.node_files("trap-*", MINERS, verifiers=(), owner=False, accept={})
    with running(*(NodeThread(file) for file in files.values())):
        for task, training in (("trap-read", config), ("trap-hidden", {})):
            file = taskfile.load(
                stage.task_file(
                    task,
                    workload={"name": "mnist-mlp", "config": training},
                    miners={"minimum": 4, "maximum": 4, "byzantine": 0},
                    timeouts={"join": 3600},
                )
            )
            workload = learning.get_workload("mnist-mlp", training)
            images = np.random.default_rng(7).random((100, 784))
            model = learning.to_bytes(trap(workload.initial_model(file.seed), images))
            spec = taskfile.spec_of(file, stage.store.put(model))
            stage.market().publish(spec)
        lines = said(stage.folder / "nodes.log", 2 * len(MINERS), "task=trap-")
    assert {words_of(line) for line in lines} == {
        (task, stage.name(who)) for task in ("trap-read", "trap-hidden") for who in MINERS
    }
    for line in lines:
        assert "accept.initial_models is []: the task's initial model" in line
        assert ("accept.least_local_steps is 5" in line) == ("trap-read" in line)
        assert list(stage.market().view(words_of(line)[0]).miners) == []


def test_check_says_which_term_fails_for_whom(stage: Stage) -> None:
    files = stage.node_files("mnist-*", MINERS, owner=False, accept={"largest_stake": 99})
    stage.publish("mnist-checked", timeouts={"join": 3600})
    told = stage.cli("node", "check", str(files["miners1"]), "--task", "mnist-checked")
    assert told.code == 1
    for who in ("Miners1MSP/miner1", "Miners1MSP/miner2"):
        assert f"{who} does not join" in told.out
        assert who in told.err
    assert "accept.largest_stake is 99: the task's stakes.miner is 100" in told.out
    lenient = stage.node_files("mnist-*", MINERS, owner=False, accept={"shortest_timeouts": {"key": 20}})
    told = stage.cli("node", "check", str(lenient["miners1"]), "--task", "mnist-checked", "--json")
    assert told.code == 0, told.err
    spec = stage.market().task("mnist-checked").task.spec
    assert told.fields["task"] == {
        "task": "mnist-checked",
        "specification": canonical.digest(spec),
        "workload": "mnist-cnn",
        "version": "1",
        "place": "quorumlearn",
        "digest": spec.workload.digest,
        "takes": [],
        "broken": {"Miners1MSP/miner1": [], "Miners1MSP/miner2": []},
    }


def test_who_joined_leaves_by_command_and_has_its_stake_back(stage: Stage) -> None:
    stage.publish("left-again", timeouts={"join": 3600})
    stage.market("miners1/miner1").join("left-again")
    who = stage.name("miners1/miner1")
    locked = stage.market().account(who).balance
    told = stage.on_ledger("task", "leave", "left-again", who="miners1/miner1")
    assert (told.code, told.out.strip()) == (0, f"{who} has left left-again")
    assert stage.market().account(who).balance == locked + 100


def said(log: Path, count: int, of: str = "task=mnist-") -> list[str]:
    """The lines in which nodes say that they do not join, of such tasks, once there are so many."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        lines = [line for line in log.read_text().splitlines() if "does not join" in line and of in line]
        if len(lines) >= count:
            return lines
        assert time.monotonic() < deadline, f"{len(lines)} of {count} lines: {lines}"
        time.sleep(0.1)


def words_of(line: str) -> tuple[str, str]:
    """The task and the identity that a line is about."""
    fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
    return fields["task"], fields["identity"]
