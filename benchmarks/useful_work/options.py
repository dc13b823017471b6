"""What whoever runs these measurements may choose, and what each gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Row = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Options:
    """data: the folder of the data sets' folders. workload: of the measurement `training`, the only one. rounds: of a task that is played;
    None: the measurement's own. trials: of each cheat. verdicts: on honest work. processes: among which these are divided. seed: of all
    that they draw."""

    quick: bool = False
    data: Path | None = None
    workload: str | None = None
    rounds: int | None = None
    trials: int = 500
    verdicts: int = 10_000
    processes: int = 2
    seed: int = 1


@dataclass(frozen=True)
class Table:
    """A table for people."""

    said: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    @staticmethod
    def of(said: str, rows: Sequence[Row]) -> Table:
        """One whose rows name their cells."""
        return Table(said, tuple(rows[0]), [[str(cell) for cell in row.values()] for row in rows])


@dataclass(frozen=True)
class Found:
    """What a measurement found: as one record, and as tables."""

    record: object
    tables: Sequence[Table]
