"""Honest work and the first two ways to cheat: noise in place of an update, and a neighbour's update as one's own.

A copier cannot take a neighbour's ciphertext (nothing is visible before the commit phase closes, and an update's
digest is revealed once, ever), so it takes the plain update from a neighbour of its own organisation: collusion
inside one machine, the strongest copying that the protocol leaves possible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BEHAVIOURS = ("honest", "noise", "copy")

NOISE_DEVIATION = 0.5


class BehaviourError(ValueError):
    """A behaviour that does not exist or lacks what it needs."""


@dataclass(frozen=True)
class Behaviour:
    """What a miner does: `name`, and for `copy` the user of its organisation whose work it takes."""

    name: str
    copies: str | None = None

    @property
    def trains(self) -> bool:
        return self.name == "honest"

    def forge(self, size: int, seed: int) -> NDArray[np.float64]:
        """An update of `size` parameters made without training (only for `noise`)."""
        if self.name != "noise":
            raise BehaviourError(f"a miner that behaves as {self.name!r} does not forge its update")
        return np.random.default_rng(seed).normal(0.0, NOISE_DEVIATION, size)


def make_behaviour(text: str) -> Behaviour:
    """Parse `honest`, `noise` or `copy:USER`; BehaviourError names what is allowed."""
    name, _, neighbour = text.partition(":")
    if name not in BEHAVIOURS:
        raise BehaviourError(f"there is no behaviour {name!r}; there are {', '.join(BEHAVIOURS)}")
    if name == "copy" and not neighbour:
        raise BehaviourError("copy needs the neighbour to copy, as in copy:miner1")
    if name != "copy" and neighbour:
        raise BehaviourError(f"{name} takes no argument, got {neighbour!r}")
    return Behaviour(name, neighbour or None)
