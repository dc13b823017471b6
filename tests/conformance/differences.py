"""Where the devnet differs from Fabric on purpose: why, and what it answers instead."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.observing import Observation


@dataclass(frozen=True)
class Difference:
    """A case that the devnet answers in its own way."""

    reason: str
    devnet: Observation


DIFFERENCES: dict[str, Difference] = {}
