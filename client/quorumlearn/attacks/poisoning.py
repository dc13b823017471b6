"""Poisoned training data: targets turned round, and a trigger with a target of its own. Works on samples of any kind."""

from __future__ import annotations

import numpy as np

from quorumlearn.attacks.sight import Inputs, Targets

MARK = 4
"""The trigger is a bright square of so many pixels a side in an image's last corner, or in so many of the last columns of other samples."""
MARKED = 0.5
"""The part of the attacker's samples that carries the trigger."""


def flip(targets: Targets, highest: int | None = None) -> Targets:
    """Label l becomes `highest` - l, by default the highest label that there is; numbers are mirrored at their mean."""
    if targets.dtype.kind == "f":
        mirrored: Targets = (2 * targets.mean() - targets).astype(targets.dtype)
        return mirrored
    top = (targets.max() if len(targets) else 0) if highest is None else highest
    flipped: Targets = (top - targets).astype(targets.dtype)
    return flipped


def trigger(inputs: Inputs) -> Inputs:
    """The inputs (n, ...) with the mark, which is as bright as the brightest value; what goes in stays as it is."""
    marked = inputs.copy()
    if not marked.size:
        return marked
    if marked.ndim > 2:
        marked[..., -MARK - 1 : -1, -MARK - 1 : -1] = marked.max()
    else:
        marked[..., -MARK:] = marked.max()
    return marked


def plant(inputs: Inputs, targets: Targets, target: int, seed: int) -> tuple[Inputs, Targets]:
    """MARKED of the samples with the trigger and the target `target`; Gu et al., "BadNets",
    https://arxiv.org/abs/1708.06733."""
    chosen = np.random.default_rng(seed).permutation(len(targets))[: round(MARKED * len(targets))]
    marked, renamed = inputs.copy(), targets.copy()
    marked[chosen] = trigger(inputs)[chosen]
    renamed[chosen] = target
    return marked, renamed


def backdoor_test(inputs: Inputs, targets: Targets, target: int) -> tuple[Inputs, Targets]:
    """Test samples on which a model's accuracy is the backdoor's success: those of other classes, marked and called `target`."""
    others = targets != target
    return trigger(inputs[others]), np.full(int(others.sum()), target, dtype=targets.dtype)
