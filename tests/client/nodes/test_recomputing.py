"""A task's file asks for replay in few words, the ledger takes what it gives, and what cannot work is said before anything is published."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from quorumlearn.learning import WorkloadError
from quorumlearn.learning.exact import LEAST_GRID_BITS, MOST_GRID_BITS
from quorumlearn.nodes import taskfile
from quorumlearn.nodes.config import ConfigError
from quorumlearn.nodes.recomputing import SEGMENTS
from quorumlearn.nodes.replaycosts import replay_costs
from quorumlearn_chaincode.contracts.recompute_settings import GRID_BITS
from quorumlearn_chaincode.contracts.specification import check_bounds
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.recompute import most_steps, segments_of

DATA = {"workload": "mnist-cnn", "digest": "ab" * 32, "size": 5000, "chunks": 60, "chunk_samples": 1000}
INITIAL = ArtifactRef(digest="00" * 32, size=1)


def spec(tmp_path: Path, *, data: dict[str, object] | None = None, **changes: object) -> t.TaskSpec:
    """The task of a file with few words, as the ledger would take it; the description of its data is a file beside it."""
    described = tmp_path / "data.yaml"
    described.write_text(yaml.safe_dump({**DATA, **(data or {})}))
    recompute = changes.pop("recompute", {})
    assert isinstance(recompute, dict)
    fields: dict[str, object] = {
        "id": "useful-1",
        "mode": "recompute",
        "workload": {"name": "mnist-cnn"},
        "rounds": 2,
        "miners": {"minimum": 4, "maximum": 10},
        "recompute": {"data": "data.yaml", **recompute},
        "committee": {"organisations": ["AlphaMSP", "BetaMSP", "GammaMSP"], "threshold": 2},
        "reward": {"per_round": 1000},
    }
    path = tmp_path / "task.yaml"
    path.write_text(
        yaml.safe_dump({name: value for name, value in (fields | changes).items() if value is not None})
    )
    made = taskfile.spec_of(taskfile.load(path), INITIAL)
    check_bounds(made)
    return made


def test_few_words_make_a_task_with_all_it_needs(tmp_path: Path) -> None:
    made = spec(tmp_path)
    asked = made.recompute
    assert (made.mode, made.rule.name, made.timeouts.trace, made.timeouts.replay) == (
        t.RECOMPUTE,
        "mean",
        120,
        300,
    )
    assert (asked.data.digest, asked.chunks, asked.chunk_samples) == ("ab" * 32, 60, 1000)
    assert (asked.chunks_per_miner, asked.chunk_steps) == (6, 32)  # ceil(1000 / 32)
    assert (asked.exactness, asked.grid_bits, asked.replicas, asked.segments) == (t.PORTABLE, 20, 1, 5)
    assert segments_of(made, most_steps(made)) == 96
    assert asked.segment_steps == 2


def test_steps_follow_from_the_workloads_settings(tmp_path: Path) -> None:
    made = spec(
        tmp_path,
        workload={"name": "mnist-cnn", "config": {"epochs": 3, "batch_size": 30}},
        recompute={"chunks_per_miner": 2, "drawn": 7, "pay_by_steps": True},
    )
    assert (made.recompute.chunk_steps, made.recompute.segments, made.recompute.pay_by_steps) == (
        3 * 34,
        7,
        True,
    )


@pytest.mark.parametrize("samples", range(33, 2000, 61))
def test_no_training_ends_in_a_segment_of_one_step(tmp_path: Path, samples: int) -> None:
    made = spec(tmp_path, data={"chunk_samples": samples}, recompute={"chunks_per_miner": 7})
    steps = made.recompute.chunk_steps
    assert all(chunks * steps % made.recompute.segment_steps != 1 for chunks in range(1, 8))
    assert segments_of(made, most_steps(made)) <= SEGMENTS


def test_the_ledger_takes_the_grids_that_nodes_can_train_on() -> None:
    """Otherwise a task would be joined that honest miners cannot train, and no seat replay."""
    assert (LEAST_GRID_BITS, MOST_GRID_BITS) == GRID_BITS


def test_a_profile_has_no_grid(tmp_path: Path) -> None:
    made = spec(tmp_path, recompute={"exactness": "profile"})
    assert (made.recompute.exactness, made.recompute.grid_bits) == (t.PROFILE, 0)


def test_sealed_data_are_confirmed_by_replicas_or_read_by_seats(tmp_path: Path) -> None:
    alone = spec(tmp_path, data={"sealed": True})
    assert (alone.recompute.replicas, alone.recompute.chunks_per_miner) == (2, 12)
    assert (alone.timeouts.trace, alone.timeouts.replay) == (0, 0)
    assert replay_costs(alone) is None
    read = spec(tmp_path, data={"sealed": True}, recompute={"seats_read": True})
    assert (read.recompute.replicas, read.recompute.seats_read, read.timeouts.trace) == (1, True, 120)


def test_both_modes_together_take_a_robust_rule(tmp_path: Path) -> None:
    made = spec(tmp_path, mode="robust-and-recompute")
    assert (made.mode, made.rule.name) == (t.ROBUST_AND_RECOMPUTE, "multi-krum")


def test_a_robust_task_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    spec(tmp_path)
    fields = yaml.safe_load(path.read_text())
    del fields["mode"], fields["recompute"]
    path.write_text(yaml.safe_dump(fields))
    made = taskfile.spec_of(taskfile.load(path), INITIAL)
    check_bounds(made)
    assert (made.mode, made.rule.name, made.HasField("recompute")) == (t.ROBUST, "multi-krum", False)
    assert (made.timeouts.trace, made.timeouts.replay) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "robust"}, "recompute is given and mode is robust"),
        ({"recompute": {"data": None}}, "recompute.data is missing"),
        ({"recompute": {"data": "nowhere.yaml"}}, "cannot read .*nowhere.yaml"),
        ({"rule": {"name": "multi-krum"}}, "rule.name is multi-krum and mode is recompute"),
        ({"weighting": {"samples": [100]}}, "weighting.samples is given"),
        ({"workload": {"name": "mnist-mlp"}}, "data are of the workload mnist-cnn"),
        ({"public_blocks": ["top"]}, "are private: nobody could replay them"),
        (
            {"workload": {"name": "mnist-cnn", "config": {"dp_clip": 1.0, "dp_noise": 1.0}}},
            "noise that everybody can draw again hides nothing",
        ),
        ({"workload": {"name": "mnist-cnn", "config": {"late_rounds": 1}}}, "late_rounds"),
        ({"recompute": {"chunks_per_miner": 61}}, "chunks_per_miner is 61, and there are 60 chunks"),
        ({"recompute": {"seats_read": True}}, "seats_read is of sealed data"),
        ({"data": {"sealed": True}, "recompute": {"replicas": 1}}, "nobody could confirm any work"),
        ({"data": {"digest": "short"}}, "digest"),
        ({"recompute": {"exactness": "roughly"}}, "recompute.exactness"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        spec(tmp_path, **changes)  # type: ignore[arg-type]


def test_times_of_replay_in_a_robust_task_are_a_mistake(tmp_path: Path) -> None:
    spec(tmp_path)
    path = tmp_path / "task.yaml"
    fields = yaml.safe_load(path.read_text())
    del fields["mode"], fields["recompute"]
    path.write_text(yaml.safe_dump({**fields, "timeouts": {"trace": 60}}))
    with pytest.raises(ConfigError, match=r"timeouts\.trace is given and mode is robust"):
        taskfile.spec_of(taskfile.load(path), INITIAL)


def test_a_workload_that_cannot_train_exactly_is_refused_before_anything_is_published(tmp_path: Path) -> None:
    (tmp_path / "guessing_workload.py").write_text(
        "from quorumlearn.learning import SklearnLinear\nLINEAR = SklearnLinear('guessing', features=4)\n"
    )
    with pytest.raises(WorkloadError, match="guessing"):
        spec(
            tmp_path,
            data={"workload": "guessing"},
            workload={"name": "guessing", "module": "guessing_workload:LINEAR"},
        )


def test_what_replays_cost_a_seat_is_computed_from_the_task(tmp_path: Path) -> None:
    made = spec(tmp_path, recompute={"segment_steps": 2, "drawn": 5})
    costs = replay_costs(made, miners=6)
    assert costs is not None
    assert costs.each == pytest.approx(5 * 2 / 96)
    assert costs.seat == pytest.approx(6 * 5 * 2 / 96 / 3)
    assert costs.sentence == (
        "each training is replayed to 10.4% of its steps, over all seats; a seat replays 0.21 trainings a round"
    )
