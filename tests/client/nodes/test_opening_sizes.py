"""Whoever only keeps a copy of an opening takes any that an honest miner's can be, whatever its optimiser keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quorumlearn.learning import Samples, TrainingConfig
from quorumlearn.learning.exact import exact_training
from quorumlearn.nodes.work import opening
from quorumlearn.replay import Work
from quorumlearn_proto import task_pb2 as t
from torch import nn

from tests.client.learning.exact.modules import begun, workload

SIZE = 1200


def _with_largest(parameters: object, config: TrainingConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, config.learning_rate, amsgrad=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam, _with_largest])
def test_a_copy_is_kept_of_the_longest_honest_opening(optimiser: object) -> None:
    of = workload(lambda: nn.Linear(SIZE, SIZE), optimiser=optimiser)
    base = begun(of)
    data = Samples(np.zeros((2, SIZE), np.float32), np.zeros(2, np.int64))
    work = Work(exact_training(of, portable=True, grid_bits=20), base, data, bytes(32), 4, 2)
    size = sum(one.size for one in base.values())
    spec = t.TaskSpec(recompute=t.Recompute(segments=256), ckks=t.CkksParameters(update_size=size))
    assert opening.likely_bytes(spec) >= opening.most_bytes(spec, work)
