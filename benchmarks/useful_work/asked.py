"""What a caller asks of a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """quick: a short form that takes seconds. data: a folder with MNIST; None: what is found without one. rounds: of a task that is played;
    None: the part's own default."""

    quick: bool = False
    data: Path | None = None
    rounds: int | None = None
