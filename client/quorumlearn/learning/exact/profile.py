"""The numeric profile of this process: a digest of what a small training in float32 comes to.

Two processes with the same profile add their sums in the same order, as far as the probe shows it: the same vector instructions, build of
torch, and threads (one). The probe has the layers that most networks have, in sizes at which libraries cut their work into blocks.
A profile is what its owner says it is: a false one only has work replayed by seats that come to other bytes.
"""

from __future__ import annotations

import hashlib
import math
import threading

import numpy as np
import torch
from torch import nn

from quorumlearn.learning.data import Samples
from quorumlearn.learning.exact.stretch import State, Stretch
from quorumlearn.learning.exact.torch_plan import TorchPlan
from quorumlearn.learning.exact.training import SteppedTraining
from quorumlearn.learning.initial import uniform
from quorumlearn.learning.torch_workload import TorchWorkload
from quorumlearn.learning.workload import TrainingConfig
from quorumlearn.seeds import public, stream

_PURPOSE = "numeric profile"
_SAMPLES, _SIDE, _CLASSES, _STEPS = 64, 16, 10, 2
_lock = threading.Lock()
_found: list[str] = []


def numeric_profile() -> str:
    """SHA-256 in hexadecimal of the probe's end and torch's version; computed once a process, in a fraction of a second."""
    with _lock:
        if not _found:
            state = hashlib.sha256(f"quorumlearn/profile/1 {torch.__version__}".encode())
            for optimiser in (torch.optim.SGD, torch.optim.Adam):
                probe = _probe(optimiser)
                state.update(probe.receipt)
                for name, values in probe.end.weights.items():
                    state.update(name.encode() + np.ascontiguousarray(values).tobytes())
            _found.append(state.hexdigest())
        return _found[0]


def _probe(optimiser: type[torch.optim.Optimizer]) -> Stretch:
    definition = TorchWorkload("probe", _net, optimiser=optimiser)
    workload = definition.build(TrainingConfig(learning_rate=0.01, batch_size=_SAMPLES // _STEPS))
    weights = {
        name: (
            uniform(0, f"{_PURPOSE} {name}", shape, 1 / math.sqrt(math.prod(shape[1:])))
            if len(shape) > 1
            else np.full(shape, 0.5, np.float32)
        )
        for name, shape in workload.shapes.items()
    }
    training = SteppedTraining(TorchPlan(workload, portable=False), None, "")
    drawn = np.frombuffer(stream(_SAMPLES * 3 * _SIDE * _SIDE, _PURPOSE, "inputs"), dtype=np.uint8)
    inputs = drawn.reshape(_SAMPLES, 3, _SIDE, _SIDE).copy()
    data = Samples(inputs, np.arange(_SAMPLES, dtype=np.int64) % _CLASSES)
    begun = State(0, weights, {})
    return training.run(begun, data, seed=public(_PURPOSE), total=_STEPS, until=_STEPS)


def _net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.LayerNorm(32 * 4 * 4),
        nn.Linear(32 * 4 * 4, 384),
        nn.Dropout(0.25),
        nn.Tanh(),
        nn.Linear(384, 256),
        nn.Sigmoid(),
        nn.Linear(256, _CLASSES),
    )
