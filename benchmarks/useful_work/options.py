"""What whoever runs these measurements may choose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """trials: of each cheat. verdicts: on honest work. processes: among which they are divided. seed: of all that is drawn."""

    quick: bool = False
    trials: int = 500
    verdicts: int = 10_000
    processes: int = 2
    seed: int = 1
