"""What an attacker knows when it forms its update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Inputs = NDArray[Any]
Targets = NDArray[Any]
"""Samples, (n, ...) each, of any type."""


class BehaviourError(ValueError):
    """A behaviour that does not exist or lacks what it needs."""


@dataclass(frozen=True, eq=False)
class Sight:
    """size: d. seed: of this attacker, in this round. own: the update that it trained, (d,). others: those that it
    watches, (m, d). moved: how the public model moved last, (d,), if it has. byzantine: how many attackers it acts with, itself
    included. sketch_size: k. weigh: what the task's selection would give each of n sketches, (n, k) to (n,); the attacker knows the
    rule but not the beacon.
    """

    size: int
    seed: int
    own: Floats | None = field(default=None, repr=False)
    others: Floats | None = field(default=None, repr=False)
    moved: Floats | None = field(default=None, repr=False)
    byzantine: int = 1
    sketch_size: int = 256
    weigh: Callable[[Floats], Floats] | None = field(default=None, repr=False)

    @property
    def trained(self) -> Floats:
        """Its own update; BehaviourError without one."""
        if self.own is None:
            raise BehaviourError("this behaviour works on its own update, and nothing was trained")
        return self.own

    @property
    def seen(self) -> Floats:
        """The updates of those it watches, (m, d), m >= 1; BehaviourError without any."""
        if self.others is None or len(self.others) == 0:
            raise BehaviourError("this behaviour works on others' updates, and it sees none")
        return self.others

    @property
    def known(self) -> Floats:
        """All honest updates that it knows, (m, d): its own and those it watches."""
        return self.seen if self.own is None else np.vstack([self.own, self.seen])
