"""A ballot's numbers from counts, as a verifier makes them of an accuracy."""

from __future__ import annotations

import numpy as np
from quorumlearn.learning.scores import accuracy, millionths
from quorumlearn_proto.block_pb2 import Ballot


def counted(correct: int, base_correct: int, total: int, lost: int) -> Ballot:
    """Of a test set of `total` samples of which the base labels `base_correct` correctly, the model `correct`, and only the base `lost`."""
    before, now = np.zeros(total, bool), np.zeros(total, bool)
    before[:base_correct] = True
    now[lost : lost + correct] = True
    assert int((before & ~now).sum()) == lost
    assert int(now.sum()) == correct
    fixed = millionths(accuracy(now, 0.0), accuracy(before, 0.0))
    return Ballot(score=fixed.score, base_score=fixed.base_score, chance=fixed.chance, total=total)
