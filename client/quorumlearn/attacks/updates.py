"""Updates made from what an attacker knows.

Colluders that submit one and the same vector would be found as copies of each other, so each adds a little noise of its own
(`apart`), far more than rounding.

Sources: Baruch et al., "A Little Is Enough", https://arxiv.org/abs/1902.06156; Xie et al., "Fall of Empires"
(inner product), https://arxiv.org/abs/1903.03936; Karimireddy et al. (mimic), https://arxiv.org/abs/2006.09365.
"""

from __future__ import annotations

import numpy as np

from quorumlearn.attacks.sight import Floats, Sight

APART = 0.01
"""The squared norm of a colluder's own noise, in parts of its update's; two of them are twice that apart."""

LITTLE = 0.005
"""The deviation of noise that is as short as an honest update."""


def apart(update: Floats, seed: int, parts: float = APART) -> Floats:
    """`update` plus noise of `parts` times its squared norm."""
    deviation = np.sqrt(parts * float(update @ update) / max(1, len(update)))
    moved: Floats = update + np.random.default_rng(seed).normal(0.0, 1.0, len(update)) * deviation
    return moved


def noise(sight: Sight, deviation: float) -> Floats:
    """Gaussian noise."""
    return np.random.default_rng(sight.seed).normal(0.0, deviation, sight.size)


def free_ride(sight: Sight, factor: float) -> Floats:
    """The last public step, and noise of `factor` times its norm to hide that; while there is no step, a little noise."""
    if sight.moved is None:
        return noise(sight, LITTLE)
    return apart(sight.moved, sight.seed, factor**2)


def mimic(sight: Sight) -> Floats:
    """The first miner it watches, once more, and apart: an honest update that counts twice. What it copies has no noise
    of its own, so it needs that of two."""
    return apart(sight.seen[0], sight.seed, 2 * APART)


def a_little_is_enough(sight: Sight, z: float) -> Floats:
    """mean - z * deviation, coordinate by coordinate: inside the spread of the honest, and biased."""
    known = sight.known
    deviation = known.std(axis=0, ddof=1) if len(known) > 1 else np.zeros(sight.size)
    return apart(known.mean(axis=0) - z * deviation, sight.seed)


def inner_product(sight: Sight, factor: float) -> Floats:
    """-factor * mean: an aggregate with enough of it points backwards."""
    return apart(-factor * sight.known.mean(axis=0), sight.seed)
