"""Data made for a step: the optimisation of Zhang et al. 2022 (arXiv 2108.09454), for the classifier of one layer.

The paper changes a batch by gradient descent until a training step on it leads to a wanted model, and keeps the change small. For one
layer, the smallest change that gives a wanted gradient is a least-squares problem if what the model says of the batch stays as it is.
Since it does not quite, it is solved a few times over.
"""

from __future__ import annotations

import numpy as np
from quorumlearn.learning import Samples
from quorumlearn.learning.exact import State
from quorumlearn.learning.exact.streams import Batches
from quorumlearn.replay.tensors import Arrays
from quorumlearn.replay.work import Work

from benchmarks.useful_work.linear import LinearTraining

_ROUNDS = 8
_RIDGE = 1e-9
_MOST = 8.0
"""So large a crafted value is at most: twice what the data hold. Where a model is sure of a batch, no input would lead it far."""


def crafted(work: Work, start: State, wanted: Arrays, number: int) -> Samples:
    """The work's data with the batches of segment `number` changed so that training on them from `start` comes near `wanted`. As a
    `spoofs.Craft`, for a LinearTraining: its weights are led where they should be, its bias goes where it goes."""
    training = work.training
    if not isinstance(training, LinearTraining):
        raise TypeError(f"data are crafted for a LinearTraining, not for a {type(training).__name__}")
    inputs = work.data.inputs.astype(np.float64)
    data = Samples(inputs, work.data.targets)
    batches, until = Batches(data, work.seed, work.steps, training.epochs), work.step_of(number)
    state = start
    for step in range(state.step, until):
        batch = batches.of(step)
        target = state.weights["top.weight"] + (wanted["top.weight"] - state.weights["top.weight"]) / (
            until - step
        )
        moved = training.momentum * _velocity(training, state)
        gradient = (state.weights["top.weight"] - target) / training.rate - moved
        inputs[batch] = _fitted(training, state, inputs[batch], data.targets[batch], gradient)
        state = training.run(state, data, seed=work.seed, total=work.steps, until=step + 1).end
    return data


def _velocity(training: LinearTraining, state: State) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if not state.optimiser:
        return np.zeros((training.features, training.classes))
    return state.optimiser["momentum"][training.classes :].reshape(training.features, training.classes)


def _fitted(
    training: LinearTraining,
    state: State,
    batch: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    targets: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    gradient: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """A batch (b, features) near this one whose gradient of the weights is about `gradient` (features, classes)."""
    flat = np.concatenate([state.weights["top.bias"], state.weights["top.weight"].ravel()])
    for _ in range(_ROUNDS):
        wrong = training.residuals(flat, batch, targets)
        missing = gradient * len(batch) - batch.T @ wrong
        gram = wrong.T @ wrong + _RIDGE * np.eye(training.classes)
        batch = np.clip(batch + wrong @ np.linalg.solve(gram, missing.T), -_MOST, _MOST)
    return batch
