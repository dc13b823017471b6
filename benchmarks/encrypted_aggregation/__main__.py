"""What an encrypted round costs, beside its peers: `python -m benchmarks.encrypted_aggregation`.

    python -m benchmarks.encrypted_aggregation --quick --json      n = 10, d = 10^5, within 20 s
    python -m benchmarks.encrypted_aggregation                     every cell; table and docs/encrypted_aggregation.png
    python -m benchmarks.encrypted_aggregation --miners 50 --parameters 100000 --preset paranoid
    python -m benchmarks.encrypted_aggregation --results cells.jsonl   stopped, and started again, it goes on

Each cell runs in a process of its own, one core, medians of several repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.encrypted_aggregation.cells import Cell, measure
from benchmarks.encrypted_aggregation.machine import machine
from benchmarks.encrypted_aggregation.report import as_json, draw, print_tables

MINERS = (10, 20, 50, 100)
PARAMETERS = (10_000, 100_000, 1_000_000)
LARGE = (10, 10_000_000)
QUICK: tuple[tuple[int, int], ...] = ((10, 100_000),)
PICTURE = Path("docs/encrypted_aggregation.png")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.encrypted_aggregation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="n = 10, d = 10^5 only")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--miners", help="comma-separated, in place of all")
    parser.add_argument("--parameters", help="comma-separated, in place of all")
    parser.add_argument("--preset", default="default", help="fast, default or paranoid")
    parser.add_argument("--repeats", type=int, default=5, help="at most so many repeats of a phase")
    parser.add_argument("--results", type=Path, help="a file of finished cells: kept, and not measured again")
    parser.add_argument("--picture", type=Path, help=f"where the plot goes; {PICTURE} when every cell is run")
    options = parser.parse_args()
    if options.quick:
        wanted = QUICK
    elif options.miners or options.parameters:
        wanted = tuple(
            (n, d) for d in _numbers(options.parameters, PARAMETERS) for n in _numbers(options.miners, MINERS)
        )
    else:
        wanted = (*((n, d) for d in PARAMETERS for n in MINERS), LARGE)
        options.picture = options.picture or PICTURE
    cells = _run(wanted, options.preset, options.repeats, options.results)
    if options.json:
        sys.stdout.write(json.dumps(as_json(cells)) + "\n")
    else:
        print_tables(cells)
    if options.picture is not None:
        draw(cells, options.picture)
        Console(stderr=True, highlight=False).print(f"wrote {options.picture}")
    return 0


def _numbers(text: str | None, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",")) if text else otherwise


def _run(wanted: tuple[tuple[int, int], ...], preset: str, repeats: int, results: Path | None) -> list[Cell]:
    console = Console(stderr=True, highlight=False)
    console.print(machine())
    done: dict[tuple[int, int, str], Cell] = {}
    if results is not None and results.exists():
        for line in results.read_text().splitlines():
            cell = Cell.from_fields(json.loads(line))
            done[cell.key] = cell
    for n, d in wanted:
        if (n, d, preset) in done:
            continue
        console.print(f"n = {n}, d = {d} ...")
        cell = measure(n, d, preset, repeats)
        done[cell.key] = cell
        if results is not None:
            with results.open("a") as file:
                file.write(json.dumps(asdict(cell)) + "\n")
    return [done[(n, d, preset)] for n, d in wanted]


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    sys.exit(main())
