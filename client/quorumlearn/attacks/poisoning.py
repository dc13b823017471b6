"""Poisoned training data: labels turned round, and a trigger with a label of its own."""

from __future__ import annotations

import numpy as np

from quorumlearn.attacks.sight import Images, Labels

CLASSES = 10
MARK = 4
"""The trigger is a bright square of so many pixels a side in the image's last corner."""
MARKED = 0.5
"""The part of the attacker's images that carries the trigger."""


def flip(labels: Labels) -> Labels:
    """Label l becomes 9 - l."""
    flipped: Labels = CLASSES - 1 - labels
    return flipped


def trigger(images: Images) -> Images:
    """The images, float32 (n, 1, height, width), with the mark; what goes in stays as it is."""
    marked = images.copy()
    if marked.size:
        marked[:, :, -MARK - 1 : -1, -MARK - 1 : -1] = marked.max()
    return marked


def plant(images: Images, labels: Labels, target: int, seed: int) -> tuple[Images, Labels]:
    """MARKED of the samples with the trigger and the label `target`; Gu et al., "BadNets",
    https://arxiv.org/abs/1708.06733."""
    chosen = np.random.default_rng(seed).permutation(len(labels))[: round(MARKED * len(labels))]
    marked, renamed = images.copy(), labels.copy()
    marked[chosen] = trigger(images)[chosen]
    renamed[chosen] = target
    return marked, renamed


def backdoor_test(images: Images, labels: Labels, target: int) -> tuple[Images, Labels]:
    """Test samples on which a model's accuracy is the backdoor's success: those of other classes, marked and called `target`."""
    others = labels != target
    return trigger(images[others]), np.full(int(others.sum()), target, dtype=np.int64)
