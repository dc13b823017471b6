"""What whoever runs these measurements may choose, and how rows are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Row = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Options:
    """quick: a short form that takes seconds. data: the folder of the data sets' folders; None: what is found without one. rounds: of a
    task that is played; None: the part's own default. trials: of each cheat. verdicts: on honest work. processes: among which these are
    divided. seed: of all that is drawn."""

    quick: bool = False
    data: Path | None = None
    rounds: int | None = None
    trials: int = 500
    verdicts: int = 10_000
    processes: int = 2
    seed: int = 1


def table(rows: Sequence[Row]) -> str:
    """Rows with the same keys as a Markdown table."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(map(str, cells)) + " |\n"

    first = rows[0]
    return line(first) + line("---" for _ in first) + "".join(line(row.values()) for row in rows)
