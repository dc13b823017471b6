"""Proof of useful work: `python -m benchmarks.useful_work`.

    python -m benchmarks.useful_work --only round --data FOLDER     a round's time with and without replays
    python -m benchmarks.useful_work --only riders --data FOLDER    what free riders earn where training is replayed
    python -m benchmarks.useful_work --quick --json                 the short form of each, one record

Each part is a module beside this one, named as `--only` has it, with two functions: `measure(Asked)` gives its record, `tables(record)` the
record as Markdown.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

from benchmarks.encrypted_aggregation.machine import machine
from benchmarks.useful_work.asked import Asked

HERE = Path(__file__).parent


class Part(Protocol):
    """A module of one measurement. `tables` takes what `measure` gave."""

    measure: Callable[[Asked], Mapping[str, object]]
    tables: Callable[[Mapping[str, object]], str]


def parts() -> list[str]:
    """The measurements there are: the modules beside this one that have a `measure`."""
    found = sorted(path.stem for path in HERE.glob("*.py"))
    return [name for name in found if "\ndef measure(" in (HERE / f"{name}.py").read_text()]


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for and print the tables, or one record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.useful_work",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=parts(), help="only this part")
    parser.add_argument("--quick", action="store_true", help="the short form")
    parser.add_argument("--rounds", type=int, help="of a task that is played; each part has its own default")
    parser.add_argument("--data", type=Path, help="folder with MNIST's four IDX files")
    parser.add_argument("--json", action="store_true", help="one record on standard output")
    chosen = parser.parse_args(arguments)
    data = chosen.data
    if data is None and "QUORUMLEARN_DATA" in os.environ:
        data = Path(os.environ["QUORUMLEARN_DATA"])
    asked = Asked(quick=chosen.quick, data=data, rounds=chosen.rounds)
    record: dict[str, object] = {"taken": machine()}
    for name in [chosen.only] if chosen.only else parts():
        part = cast("Part", importlib.import_module(f"benchmarks.useful_work.{name}"))
        found = part.measure(asked)
        record[name] = found
        if not chosen.json:
            sys.stdout.write(f"{machine()}\n\n{part.tables(found)}\n")
            sys.stdout.flush()
    if chosen.json:
        sys.stdout.write(json.dumps(record) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
