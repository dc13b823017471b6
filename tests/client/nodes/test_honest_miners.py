"""Honest miners, really trained, lose no stake: not where they hold one class, nor where large batches make them nearly alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.nodes import screening
from quorumlearn.nodes.encryption import record_of
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef

FREE = {b.CONTRIBUTES, b.NOT_SELECTED, b.ABSENT}
MINERS = 8


@pytest.fixture(scope="module")
def pixels(mnist_folder: Path) -> learning.Samples:
    return learning.load_digits(learning.DigitsSource(mnist_folder)).train


def trained(data: list[learning.Samples], batch_size: int, rounds: int) -> list[dict[str, np.ndarray]]:
    """The updates, in grid steps, that miners of this data submit, round by round; each builds on the mean of the last."""
    workload = learning.get_workload("mnist-cnn", {"batch_size": str(batch_size)})
    model, p = workload.initial_model(0), parameters()
    said = []
    for number in range(rounds):
        values = [
            ckks.quantise(
                learning.difference(workload.train(model, own, seed=100 * number + at).model, model), p
            )
            for at, own in enumerate(data)
        ]
        said.append({f"M/{at}": one for at, one in enumerate(values) if one.any()})
        model = learning.apply_update(model, ckks.dequantise(np.sum(values, axis=0), len(values), p))
    return said


def parameters() -> ckks.Parameters:
    size = learning.size_of(learning.get_workload("mnist-cnn", {}).shapes)
    return ckks.Parameters.named("default", size, seats=3, threshold=2, bound=0.5, max_weight_sum=MINERS)


def verdicts(updates: dict[str, np.ndarray], rule: str) -> list[b.Verdict]:
    """What verifiers vote; who submitted nothing is absent."""
    p = parameters()
    plan = ckks.SketchPlan.from_beacon(p, b"beacon")
    return list(
        screening.select(
            t.TaskSpec(rule=t.RobustRule(name=rule), byzantine=2, ckks=record_of(p)),
            b.Round(miners=[f"M/{at}" for at in range(MINERS)]),
            {one: b.Submission(miner=one, manifest=b.Manifest(update=ArtifactRef())) for one in updates},
            {one: ckks.plain_sketch(p, plan, values) for one, values in updates.items()},
            lambda _: (0, 0),
            rounding=ckks.sketch_rounding(p),
        ).verdicts
    )


def test_miners_of_one_class_with_large_batches_lose_no_stake(pixels: learning.Samples) -> None:
    labels = pixels.targets
    held = [
        learning.ShardSpec("one_class", 16, at).indices(labels)[:1024] for at in (0, 1, 2, 3, 10, 11, 12, 13)
    ]
    for updates in trained([pixels.take(own) for own in held], batch_size=256, rounds=2):
        for rule in ("multi-krum", "agreement", "geometric-median", "mean"):
            found = verdicts(updates, rule)
            assert {one.reason for one in found} <= FREE
            assert sum(one.weight > 0 for one in found) >= 4


def test_miners_whose_batch_is_half_of_what_they_hold_lose_no_stake(pixels: learning.Samples) -> None:
    held = [learning.ShardSpec("iid", 8, at).indices(pixels.targets) for at in range(MINERS)]
    (updates,) = trained([pixels.take(own) for own in held], batch_size=4096, rounds=1)
    found = verdicts(updates, "multi-krum")
    assert {one.reason for one in found} <= FREE
    assert sum(one.weight > 0 for one in found) == MINERS - 2
