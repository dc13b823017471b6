"""Tasks whose trainings are replayed, at and beyond their bounds. Each refusal names the field."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_chaincode.contracts.recompute_settings import MAX_ASSIGNED
from quorumlearn_chaincode.contracts.specification import check_bounds
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.recompute import most_steps, replays, segments_of
from quorumlearn_proto.task_pb2 import Exactness, RobustRule, TaskSpec, VerificationMode

from tests.chaincode.contracts.market_actors import ref, spec
from tests.chaincode.contracts.recompute_actors import recompute, recompute_spec

SEALED: dict[str, object] = {"sealed": True, "replicas": 2}
WITHIN: list[dict[str, object]] = [
    {},
    {"chunks": 1_000_000},
    {"chunks": 2},
    {"chunk_samples": 1},
    {"chunk_samples": 1_000_000_000},
    {"chunks_per_miner": 1},
    {"chunks_per_miner": 20},
    {"chunks": 5000, "chunks_per_miner": MAX_ASSIGNED // 4},
    {"chunk_steps": 50_000_000},
    {"chunk_steps": 2, "segment_steps": 2},
    {"segment_steps": 20},
    {"segment_steps": 3, "chunk_steps": 6},
    {"segments": 1},
    {"segments": 256},
    {"grid_bits": 8},
    {"grid_bits": 26},
    {"exactness": Exactness.PROFILE},
    {"replicas": 2},
    {"pay_by_steps": True},
    {"sealed": True, "seats_read": True},
    SEALED,
    SEALED | {"segments": 0},
]
BEYOND: list[tuple[str, dict[str, object]]] = [
    ("data.digest", {"data": ArtifactRef(digest="x", size=1)}),
    ("data.size", {"data": ref("x", 0)}),
    ("chunks", {"chunks": 0}),
    ("chunks", {"chunks": 1_000_001}),
    ("chunk_samples", {"chunk_samples": 0}),
    ("chunk_samples", {"chunk_samples": 1_000_000_001}),
    ("chunks_per_miner", {"chunks_per_miner": 0}),
    ("chunks_per_miner", {"chunks_per_miner": 21}),
    ("chunks_per_miner", {"chunks": 5000, "chunks_per_miner": MAX_ASSIGNED // 4 + 1}),
    ("chunk_steps", {"chunk_steps": 0}),
    ("chunk_steps", {"chunk_steps": 1}),
    ("chunk_steps", {"chunk_steps": 50_000_001}),
    ("segment_steps", {"segment_steps": 0}),
    ("segment_steps", {"segment_steps": 1}),
    ("segment_steps", {"segment_steps": 21}),
    ("segments", {"segments": 0}),
    ("segments", {"segments": 257}),
    ("segments", SEALED | {"segments": 257}),
    ("exactness", {"exactness": Exactness.EXACTNESS_UNSPECIFIED}),
    ("exactness", {"exactness": 7}),
    ("grid_bits", {"grid_bits": 7}),
    ("grid_bits", {"grid_bits": 27}),
    ("grid_bits", {"exactness": Exactness.PROFILE, "grid_bits": 1}),
    ("replicas", {"replicas": 0}),
    ("replicas", {"replicas": 9}),
    ("replicas", {"sealed": True, "replicas": 1}),
    ("seats_read", {"seats_read": True}),
]


def refused(task: TaskSpec) -> str:
    with pytest.raises(Refusal) as caught:
        check_bounds(task)
    assert caught.value.code == Code.BAD_ARGUMENT
    return caught.value.sentence


def asking(changes: dict[str, object]) -> TaskSpec:
    """Four miners in every round, so that two teams of two are."""
    return recompute_spec(recompute(**changes), min_miners=4)


@pytest.mark.parametrize("changes", WITHIN, ids=str)
def test_the_limit_itself_is_accepted(changes: dict[str, object]) -> None:
    check_bounds(asking(changes))


@pytest.mark.parametrize(("field", "changes"), BEYOND, ids=str)
def test_beyond_the_limit_is_refused_by_name(field: str, changes: dict[str, object]) -> None:
    assert refused(asking(changes)).startswith((f"recompute.{field} ", f"recompute.{field},"))


@pytest.mark.parametrize(("chunk_steps", "segment_steps"), [(7, 2), (3, 5), (13, 4), (11, 10)])
def test_no_training_may_end_in_a_segment_of_one_step(chunk_steps: int, segment_steps: int) -> None:
    changes: dict[str, object] = {"chunk_steps": chunk_steps, "segment_steps": segment_steps}
    assert "a segment of one step, which shows its gradient" in refused(asking(changes))


def test_a_segment_may_be_longer_than_what_the_last_has_left() -> None:
    task = asking({"chunk_steps": 7, "segment_steps": 5})  # 7 and 14 steps: 2 and 4 in the last
    check_bounds(task)
    assert segments_of(task, most_steps(task)) == 3


def test_a_robust_task_has_nothing_to_replay_and_another_has() -> None:
    robust = spec()
    robust.recompute.CopyFrom(recompute())
    assert "recompute is given, and mode is ROBUST" in refused(robust)
    bare = recompute_spec()
    bare.ClearField("recompute")
    bare.timeouts.trace = bare.timeouts.replay = 0
    assert "recompute is missing, and mode is RECOMPUTE" in refused(bare)


def test_all_work_counts_alike_unless_a_robust_rule_says_otherwise() -> None:
    task = recompute_spec(rule=RobustRule(name="multi-krum"))
    assert "rule.name is multi-krum, and mode is RECOMPUTE" in refused(task)
    task.mode = VerificationMode.ROBUST_AND_RECOMPUTE
    check_bounds(task)


def test_nobody_claims_how_much_data_it_has_of_the_tasks_own() -> None:
    assert "sample_classes is given" in refused(recompute_spec(sample_classes=[100]))


@pytest.mark.parametrize("changes", [{}, SEALED, {"sealed": True, "seats_read": True}], ids=str)
@pytest.mark.parametrize("name", ["trace", "replay"])
def test_only_where_seats_replay_there_is_time_for_it(name: str, changes: dict[str, object]) -> None:
    task = asking(changes)
    setattr(task.timeouts, name, 0 if replays(task) else 100)
    assert f"timeouts.{name} is {0 if replays(task) else 100}" in refused(task)


@pytest.mark.parametrize(("f", "rule", "teams"), [(0, "mean", 2), (1, "mean", 4), (1, "multi-krum", 5)])
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_a_sum_has_one_miner_of_a_team_so_teams_are_what_a_round_needs(
    f: int, rule: str, teams: int, replicas: int
) -> None:
    task = recompute_spec(
        recompute(replicas=replicas),
        mode=VerificationMode.ROBUST_AND_RECOMPUTE,
        byzantine=f,
        max_miners=18,
        min_miners=teams * replicas,
        rule=RobustRule(name=rule),
    )
    task.min_aggregate = f + 2
    check_bounds(task)
    task.min_miners -= 1
    sentence = refused(task)
    assert f"set it to {teams * replicas} at least" in sentence
    assert ("teams of" in sentence) == (replicas > 1)
    task.min_miners, task.min_aggregate = teams * replicas, teams + 1
    assert "min_aggregate" in refused(task)
