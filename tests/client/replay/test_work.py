"""The update is what training changed, on the task's grid, and the same for the miner that encrypts it and the seat that sketches it."""

from __future__ import annotations

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.learning import ModelError, Samples
from quorumlearn.learning.exact import exact_training
from quorumlearn.replay import (
    Outcome,
    TraceError,
    Work,
    check,
    chunks_of,
    steps_of,
    train,
    update_of,
    work_of,
)
from quorumlearn.replay.tensors import Arrays
from quorumlearn_proto.block_pb2 import Manifest, Round, Submission, Team
from quorumlearn_proto.common_pb2 import Head
from quorumlearn_proto.recompute import rounding_key, training_seed
from quorumlearn_proto.task_pb2 import Recompute, TaskSpec

from benchmarks.useful_work.linear import LinearTraining
from tests.client.replay.parties import BEACON, MINER, SALT, Folder, Party, parameters, work


def test_an_update_has_the_order_and_the_values_of_a_difference() -> None:
    before, after = LinearTraining().base(1), LinearTraining().base(2)
    update = update_of(before, {name: after[name].astype(np.float64) for name in reversed(after)})
    np.testing.assert_array_equal(update, learning.difference(after, before))


def test_what_float32_cannot_hold_is_in_the_update() -> None:
    base = LinearTraining().base(1)
    last = {name: one.astype(np.float64) + 2.0**-40 for name, one in base.items()}
    np.testing.assert_array_equal(update_of(base, last), np.full(15, 2.0**-40))


def test_an_update_between_different_tensors_is_refused() -> None:
    base = LinearTraining().base(1)
    wrong: list[Arrays] = [{}, {"top.bias": base["top.bias"]}, {**base, "top.bias": np.zeros(4)}]
    for last in wrong:
        with pytest.raises(ModelError, match="different tensors"):
            update_of(base, last)


def test_an_update_comes_onto_the_grid_by_the_seed() -> None:
    party, p = Party(), parameters()
    values = steps_of(party.work.base, party.trace.last.weights, p, party.work.seed)
    update = update_of(party.work.base, party.trace.last.weights)
    np.testing.assert_array_equal(values, ckks.quantise(update, p, rounding_key(party.work.seed)))
    assert (values != steps_of(party.work.base, party.trace.last.weights, p, bytes(32))).any()
    far = {name: np.full_like(one, 1e308) for name, one in party.trace.last.weights.items()}
    assert (steps_of(party.work.base, far, p, party.work.seed) == p.bound_steps).all()


SPEC = TaskSpec(
    task_id="t",
    recompute=Recompute(chunks=4, chunk_samples=20, chunks_per_miner=2, chunk_steps=6, segment_steps=4),
)
NOW = Round(
    task_id="t",
    number=2,
    start_beacon="11" * 32,
    base=Head(digest="22" * 32),
    teams=[Team(miners=["a/a"], chunks=[3, 0]), Team(miners=[MINER], chunks=[1, 2])],
)


def test_a_miner_trains_on_the_first_of_its_chunks_from_its_teams_seed() -> None:
    training = LinearTraining()
    chunks = list(chunks_of(training.samples(40, 3), 20))
    for steps, samples in ((6, 20), (12, 40)):
        found = work_of(SPEC, NOW, MINER, steps, training=training, base=training.base(1), chunks=chunks)
        assert (found.steps, found.segment_steps, found.seed) == (steps, 4, training_seed(NOW, 2))
        assert found.data.digest() == training.samples(40, 3).take(np.arange(samples)).digest()
    for steps in (0, 5, 18):
        with pytest.raises(TraceError, match=f"{steps} steps"):
            work_of(SPEC, NOW, MINER, steps, training=training, base=training.base(1), chunks=chunks)
    with pytest.raises(KeyError):
        work_of(SPEC, NOW, "b/b", 6, training=training, base=training.base(1), chunks=chunks)


def test_a_training_without_steps_or_with_another_seed_is_none() -> None:
    for wrong in ({"steps": 0}, {"segment_steps": 0}, {"seed": b"short"}):
        with pytest.raises(TraceError):
            work(**wrong)


@pytest.mark.parametrize("portable", [True, False])
def test_a_network_in_torch_is_trained_opened_and_replayed(portable: bool) -> None:
    workload = learning.get_workload("mnist-mlp", {"epochs": "1", "batch_size": "8"})
    drawn = np.random.default_rng(1)
    data = Samples(drawn.random((48, 1, 28, 28), dtype=np.float32), drawn.integers(0, 10, 48))
    base = workload.initial_model(1)

    def one() -> Work:
        training = exact_training(workload, portable=portable, grid_bits=20)
        return Work(training, base, data, bytes(32), 6, 2)

    trace = train(one(), Folder())
    p = ckks.Parameters.choose(
        learning.size_of(workload.shapes), seats=3, threshold=2, minimum_security_bits=0, sketch_size=64
    )
    values = steps_of(base, trace.last.weights, p, bytes(32))
    claim = ckks.claim(p, ckks.round_plan(p, BEACON), values, MINER, SALT).hex()
    manifest = Manifest(trace_root=trace.root, steps=6, profile=one().training.profile)
    submission = Submission(task_id="t", round=1, miner=MINER, manifest=manifest, claim=claim)
    opening = trace.open([2, 4], task_id="t", number=1, miner=MINER, salt=SALT).SerializeToString()
    found = check(opening, submission, one(), p, BEACON, drawn=[2, 4], items=[2, 4])
    assert [finding.outcome for finding in found] == [Outcome.RIGHT] * 2
