"""What a verifier says of a model's score: it fell by more than the task's tolerance and than chance, or it did not."""

from __future__ import annotations

import numpy as np
import pytest
from quorumlearn import learning
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.models import workload_of, workload_record
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.gate import score_fault

WORKLOAD = learning.get_workload("mnist-cnn", {})


def always(digit: int) -> learning.Model:
    """A model that takes every image for this digit."""
    tensors = {name: np.zeros(shape, np.float32) for name, shape in WORKLOAD.shapes.items()}
    tensors["top.dense2.bias"][digit] = 1
    return learning.split(tensors, WORKLOAD.blocks)[0]


def of_digits(**counts: int) -> learning.Samples:
    """So many samples of each digit, named by words."""
    digits = {"zeros": 0, "ones": 1, "twos": 2}
    labels = np.repeat([digits[name] for name in counts], list(counts.values()))
    return learning.Samples(np.zeros((len(labels), 1, 28, 28), np.float32), labels)


def ballot(test_set: learning.Samples, tolerance_bp: int, *, model: int, base: int) -> b.Ballot:
    spec = t.TaskSpec(workload=workload_record(WORKLOAD, WORKLOAD.blocks), tolerance_bp=tolerance_bp)
    return Scorer(lambda _: test_set).fill(b.Ballot(), spec, always(model), always(base))


@pytest.mark.parametrize(
    ("test_set", "tolerance_bp", "reason"),
    [
        (of_digits(zeros=70, ones=30), 3999, b.SCORE_FELL),
        (of_digits(zeros=70, ones=30), 4000, b.GOOD),  # as much as the tolerance is not more
        (of_digits(zeros=70, ones=30), 4001, b.GOOD),
        (of_digits(zeros=13), 9999, b.SCORE_FELL),
        (of_digits(zeros=2, ones=1), 0, b.GOOD),  # one patient is chance
        (of_digits(zeros=501, ones=499), 0, b.GOOD),
        (of_digits(zeros=550, ones=450), 0, b.SCORE_FELL),
        (of_digits(zeros=50, ones=50), 0, b.GOOD),  # nothing is lost
        (of_digits(zeros=40, ones=60), 0, b.GOOD),
    ],
)
def test_a_score_may_fall_by_the_tolerance_or_by_chance_and_by_no_more(
    test_set: learning.Samples, tolerance_bp: int, reason: b.BallotReason
) -> None:
    """Between a base that knows the zeros only, and a model that knows the ones only."""
    said = ballot(test_set, tolerance_bp, model=1, base=0)
    assert said.reason == reason
    correct, base_correct = (int((test_set.targets == digit).sum()) for digit in (1, 0))
    assert said.total == len(test_set)
    assert abs(said.score * said.total / 1e6 - correct) < 0.01
    assert abs(said.base_score * said.total / 1e6 - base_correct) < 0.01
    assert not score_fault(said, t.TaskSpec())


def test_tolerance_is_a_share_of_the_whole_test_set() -> None:
    """Of 200 samples each knows at most 20: a model that loses them has lost a tenth."""
    test_set = of_digits(zeros=20, ones=0, twos=180)
    assert ballot(test_set, 1000, model=1, base=0).reason == b.GOOD
    assert ballot(test_set, 999, model=1, base=0).reason == b.SCORE_FELL


def spec_of(**other: object) -> t.TaskSpec:
    record = workload_record(WORKLOAD, WORKLOAD.blocks)
    for name, value in other.items():
        setattr(record, name, value)
    return t.TaskSpec(task_id="t-1", workload=record)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (
            {"metric": "loss", "lower_is_better": True},
            r"t-1 scores by loss \(less is better\), and .* mnist-cnn by accuracy",
        ),
        ({"version": "0"}, "version '0', the one installed here '1'"),
        ({"digest": "e" * 64}, "has the digest [0-9a-f]{12} here and eeeeeeeeeeee in the task"),
        ({"name": "cifar"}, "'cifar' is not installed here"),
    ],
)
def test_a_workload_that_is_not_the_tasks_is_not_used(other: dict[str, object], says: str) -> None:
    assert workload_of(spec_of()) is learning.get_workload("mnist-cnn", {})
    with pytest.raises(learning.WorkloadError, match=says) as caught:
        Scorer(lambda _: of_digits(zeros=1)).score(spec_of(**other), always(1))
    assert "\n" not in str(caught.value)
