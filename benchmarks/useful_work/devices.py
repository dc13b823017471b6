"""Portable training on a GPU beside the processor: whether the replay of a log comes to the same bytes, and how far gradients differ.

Gradients are computed on the device, in float64; the grid and the optimiser's step are the processor's. It has been written without a GPU
at hand and never ran on one: tasks train on processors until it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from quorumlearn.learning import LearningError
from quorumlearn.learning.exact import State
from quorumlearn.learning.exact.grid import Grid
from quorumlearn.learning.exact.torch_plan import TorchPlan
from quorumlearn.learning.exact.training import SteppedTraining
from quorumlearn.learning.torch_workload import ConfiguredTorch

from benchmarks.useful_work.noise import BATCH, GRID_BITS, SEED
from benchmarks.useful_work.subjects import Subject, first_model, subjects

STEPS, QUICK_STEPS = 50, 3


@dataclass(frozen=True)
class Compared:
    """One workload on a device: `equal` says whether end and receipt are the processor's; `noise` as `noise.Noise.gradients`."""

    workload: str
    device: str
    equal: bool
    noise: float
    said: str = ""


def devices() -> tuple[list[str], str]:
    """Which there are that compute in float64, and a sentence on what there is."""
    found = [f"cuda ({torch.cuda.get_device_name()})"] if torch.cuda.is_available() else []
    if found:
        return ["cuda"], f"compared: {found[0]}"
    if torch.backends.mps.is_available():
        return [], "there is a GPU of the kind mps, which has no float64: portable training cannot run on it"
    return [], "there is no GPU here that torch finds: nothing was compared"


def compared(data: Path | None, names: Sequence[str], *, quick: bool = False) -> list[Compared]:
    """Each workload that is a user's module, on each of these devices."""
    found = []
    for one in subjects(data):
        if isinstance(one.workload, ConfiguredTorch):
            found += [_compared(one, one.workload, name, QUICK_STEPS if quick else STEPS) for name in names]
    return found


def _compared(one: Subject, workload: ConfiguredTorch, device: str, steps: int) -> Compared:
    here, there = (
        SteppedTraining(TorchPlan(workload, portable=True, device=name), Grid(GRID_BITS), "")
        for name in ("cpu", device)
    )
    begun = here.begin(first_model(workload))
    total = len(one.train) // BATCH
    until = min(steps, total)
    honest = here.run(begun, one.train, seed=SEED, total=total, until=until)
    noise = max(_apart(here, there, state, one, total) for state in (begun, honest.end) if state.step < total)
    try:
        replayed = there.run(begun, one.train, seed=SEED, total=total, until=until, ties=honest.ties)
    except LearningError as error:
        return Compared(one.name, device, False, noise, str(error))
    equal = replayed.end == honest.end and replayed.receipt == honest.receipt
    return Compared(one.name, device, equal, noise)


def _apart(here: SteppedTraining, there: SteppedTraining, state: State, one: Subject, total: int) -> float:
    ours, theirs = (
        training.gradients(state, one.train, seed=SEED, total=total)[0] for training in (here, there)
    )
    return max(_distance(ours, theirs, name) for name in ours)


def _distance(
    ours: Mapping[str, NDArray[np.float64]], theirs: Mapping[str, NDArray[np.float64]], name: str
) -> float:
    size = max(1.0, float(np.linalg.norm(ours[name])))
    return float(np.abs(ours[name] - theirs[name]).max(initial=0.0)) / size
