"""Useful work: `python -m benchmarks.useful_work`: what exact training costs, and how often its replay finds who did not do it.

    python -m benchmarks.useful_work --quick --json
    python -m benchmarks.useful_work --only trials --trials 500

Each measurement is a module of this package, with a function `measure(Options)` that gives the rows of a table.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.useful_work.options import Options

MEASUREMENTS = ("trials", "verdicts")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for and print a table of each, or one record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.useful_work", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="few and small runs")
    parser.add_argument("--json", action="store_true", help="one record on standard output")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="only this; may be repeated")
    parser.add_argument("--tables", type=Path, help="write the tables to this file (Markdown) as well")
    parser.add_argument("--trials", type=int, default=500, help="of each cheat (500)")
    parser.add_argument("--verdicts", type=int, default=10_000, help="on honest work (10,000)")
    parser.add_argument("--processes", type=int, default=2, help="that trials are divided among (2)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn (1)")
    chosen = parser.parse_args(arguments)
    options = Options(chosen.quick, chosen.trials, chosen.verdicts, chosen.processes, chosen.seed)
    record: dict[str, object] = {}
    tables = []
    for name in chosen.only or MEASUREMENTS:
        rows = importlib.import_module(f"benchmarks.useful_work.{name}").measure(options)
        record[name] = rows
        tables.append(_table(rows))
    text = "\n".join(tables)
    sys.stdout.write(json.dumps(record) + "\n" if chosen.json else text)
    if chosen.tables is not None:
        chosen.tables.write_text(text)
    return 0


def _table(rows: list[dict[str, object]]) -> str:
    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(map(str, cells)) + " |\n"

    first: Mapping[str, object] = rows[0]
    return line(first) + line("---" for _ in first) + "".join(line(row.values()) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
