"""What a miner draws is its own secret, the same after a restart; a run repeats only if the task and the node both say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.learning import Samples, get_workload
from quorumlearn.nodes.committee.keyholder import ceremony_part
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.models import workload_of, workload_record
from quorumlearn.nodes.randomness import Training, public_beacon, training, warning
from quorumlearn.nodes.training import Told
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import Head
from structlog.testing import capture_logs

from tests.client.nodes.seats import Ledger, miner_in, view_of_seats

WORDS = [(False, False), (True, False), (False, True)]
"""What a task and a node say of which a run is not repeated."""
CONFIG = {"batch_size": "16"}
ME = "M/a"


def spec_of(repeatable: bool, seed: int = 7) -> t.TaskSpec:
    return t.TaskSpec(task_id="task", seed=seed, repeatable=repeatable)


def now(number: int = 1, base: str = "aa") -> b.Round:
    return b.Round(task_id="task", number=number, base=Head(digest=base * 32))


def drawn(
    folder: Path, task: bool, node: bool, place: b.Round | None = None, me: str = ME, seed: int = 7
) -> Training:
    return training(spec_of(task, seed), place or now(), me, Journal(folder), repeatable=node)


@pytest.mark.parametrize(("task", "node"), WORDS)
def test_without_both_words_nobody_else_draws_the_same_and_a_restarted_miner_does(
    tmp_path: Path, task: bool, node: bool
) -> None:
    mine = drawn(tmp_path / "mine", task, node)
    assert drawn(tmp_path / "mine", task, node) == mine
    other = drawn(tmp_path / "other", task, node)
    assert other.seed != mine.seed
    assert other.rounding != mine.rounding
    assert mine.seed.bit_length() > 128
    later = [drawn(tmp_path / "mine", task, node, one) for one in (now(2), now(base="bb"))]
    assert len({mine.seed, *(one.seed for one in later)}) == 3
    assert len({mine.rounding, *(one.rounding for one in later)}) == 3


def test_with_both_words_everybody_draws_the_same_of_the_seed_and_nothing_is_kept(tmp_path: Path) -> None:
    mine = drawn(tmp_path / "mine", True, True)
    assert drawn(tmp_path / "other", True, True) == mine
    assert drawn(tmp_path / "other", True, True, me="M/b") != mine
    assert drawn(tmp_path / "other", True, True, seed=8) != mine
    assert Journal(tmp_path / "mine").names() == []


def test_the_secret_goes_with_the_rounds_other_entries(tmp_path: Path) -> None:
    drawn(tmp_path, False, False)
    journal = Journal(tmp_path)
    journal.forget_rounds(2)
    assert journal.names() == []


@pytest.mark.parametrize(("task", "node"), WORDS)
def test_a_seats_part_of_the_beacon_is_the_systems_without_both_words(
    tmp_path: Path, task: bool, node: bool
) -> None:
    assert public_beacon(spec_of(task), 1, "V1/v", repeatable=node) is None
    view = view_of_seats(b.BEACON)
    beacons = []
    for folder in ("one", "other"):
        part = ceremony_part(view, view.ceremonies[0], 1, None, Journal(tmp_path / folder), {})  # type: ignore[arg-type]
        part.commit()
        beacons.append(part.beacon())
        part.commit()
        assert part.beacon() == beacons[-1]
    assert beacons[0] != beacons[1]


def test_with_both_words_a_beacon_follows_from_the_seed_and_the_keys_do_not(tmp_path: Path) -> None:
    public = public_beacon(spec_of(True), 1, "V1/v", repeatable=True)
    assert public is not None
    assert public == public_beacon(spec_of(True), 1, "V1/v", repeatable=True)
    others = [
        public_beacon(spec_of(True, 8), 1, "V1/v", repeatable=True),
        public_beacon(spec_of(True), 2, "V1/v", repeatable=True),
        public_beacon(spec_of(True), 1, "V2/v", repeatable=True),
    ]
    assert public not in others
    view = view_of_seats(b.BEACON)
    said = []
    for folder in ("one", "other"):
        part = ceremony_part(view, view.ceremonies[0], 1, None, Journal(tmp_path / folder), {})  # type: ignore[arg-type]
        part = replace(part, public_beacon=public)
        said.append(part.commit())
        assert part.beacon() == public
    assert said[0].public_share.digest != said[1].public_share.digest
    assert said[0].sealing_key != said[1].sealing_key


def test_an_owner_is_warned_of_a_task_that_asks_for_repeatable_runs() -> None:
    assert "repeat" in warning(spec_of(True))
    assert warning(spec_of(False)) == ""


@pytest.fixture(scope="module")
def samples() -> Samples:
    random = np.random.default_rng(1)
    return Samples(random.random((48, 1, 28, 28), dtype=np.float32), random.integers(0, 10, 48))


def learned(folder: Path, samples: Samples, task: bool, node: bool) -> bytes:
    """The update that a node as it comes up in this folder learns in round 1."""
    size = learning.size_of(get_workload("mnist-cnn", CONFIG).shapes)
    spec = t.TaskSpec(
        task_id="task",
        seed=7,
        repeatable=task,
        ckks=record_of(ckks.Parameters.choose(size, seats=3, threshold=2)),
        workload=workload_record(get_workload("mnist-cnn", CONFIG), ["bottom", "top"]),
    )
    spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
    miner = miner_in(folder, Ledger(), lambda _: samples, me=ME, repeatable=node)
    view = b.TaskView(task=t.Task(spec=spec), round=now())
    model = workload_of(spec).initial_model(spec.seed)
    view.round.base.model.CopyFrom(miner.store.put(learning.to_bytes(model)))
    found = miner.trainer.learn(view)
    assert found is not None
    values, told = found
    assert told == Told(0, 0), "how many samples there are is told only where training is private"
    return values.tobytes()


def test_a_killed_miner_learns_the_same_update_and_nobody_else_with_its_data_does(
    tmp_path: Path, samples: Samples
) -> None:
    mine = learned(tmp_path / "mine", samples, False, False)
    assert learned(tmp_path / "mine", samples, False, False) == mine
    assert learned(tmp_path / "attacker", samples, False, False) != mine


def test_a_node_that_did_not_say_so_is_not_repeatable_for_the_tasks_word_and_logs_it(
    tmp_path: Path, samples: Samples
) -> None:
    repeated = [learned(tmp_path / folder, samples, True, True) for folder in ("a", "b")]
    assert repeated[0] == repeated[1]
    with capture_logs() as logs:
        assert learned(tmp_path / "c", samples, True, False) != repeated[0]
    warned = [one["event"] for one in logs if one["log_level"] == "warning"]  # other tests' threads log, too
    assert sum("--repeatable" in event for event in warned) == 1
    secret = Journal(tmp_path / "c" / "journal").get("round-1/randomness")
    assert secret is not None
    assert secret.hex() not in str(logs)
