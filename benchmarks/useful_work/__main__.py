"""Proof of useful work: `python -m benchmarks.useful_work`: what exact training costs, how often its replay finds who did not do it.

    python -m benchmarks.useful_work --only training                portable and profile beside float32: cost, and what is learnt
    python -m benchmarks.useful_work --only noise                   gradients of the same step over three processor paths
    python -m benchmarks.useful_work --only devices                 a GPU beside the processor, wherever there is one
    python -m benchmarks.useful_work --only trials --trials 500     each cheat, caught as often as predicted?
    python -m benchmarks.useful_work --only verdicts                honest work, of miners and seats on three processor paths
    python -m benchmarks.useful_work --only round --data FOLDER     a round's time with and without replays
    python -m benchmarks.useful_work --only riders --data FOLDER    what free riders earn where training is replayed
    python -m benchmarks.useful_work --quick --json                 the short form of each, one record

Each part is a module beside this one, named as `--only` has it, with two functions: `measure(Options)` gives its record, as JSON would have
it, and `tables(record)` that record as Markdown. FOLDER holds the data sets' folders; by default it is what QUORUMLEARN_DATA names.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from benchmarks.encrypted_aggregation.machine import machine
from benchmarks.useful_work.options import Options

HERE = Path(__file__).parent


class Part(Protocol):
    """A module of one measurement. `tables` takes what `measure` gave."""

    measure: Callable[[Options], Any]
    tables: Callable[[Any], str]


def parts() -> list[str]:
    """The measurements there are: the modules beside this one that have a `measure`."""
    found = sorted(path.stem for path in HERE.glob("*.py"))
    return [name for name in found if "\ndef measure(" in (HERE / f"{name}.py").read_text()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for and print the tables, or one record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.useful_work",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=parts(), action="append", help="only this; may be repeated")
    parser.add_argument("--quick", action="store_true", help="the short form")
    parser.add_argument("--data", type=Path, help="folder of the data sets' folders")
    parser.add_argument("--rounds", type=int, help="of a task that is played; each part has its own default")
    parser.add_argument("--trials", type=int, default=500, help="of each cheat (500)")
    parser.add_argument("--verdicts", type=int, default=10_000, help="on honest work (10,000)")
    parser.add_argument("--processes", type=int, default=2, help="that trials are divided among (2)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn (1)")
    parser.add_argument("--json", action="store_true", help="one record on standard output")
    chosen = parser.parse_args(arguments)
    data = chosen.data
    if data is None and "QUORUMLEARN_DATA" in os.environ:
        data = Path(os.environ["QUORUMLEARN_DATA"])
    options = Options(
        quick=chosen.quick,
        data=data,
        rounds=chosen.rounds,
        trials=chosen.trials,
        verdicts=chosen.verdicts,
        processes=chosen.processes,
        seed=chosen.seed,
    )
    record: dict[str, object] = {"taken": machine()}
    for name in chosen.only or parts():
        part = cast("Part", importlib.import_module(f"benchmarks.useful_work.{name}"))
        record[name] = part.measure(options)
        if not chosen.json:
            sys.stdout.write(f"{machine()}\n\n{part.tables(record[name])}\n")
            sys.stdout.flush()
    if chosen.json:
        sys.stdout.write(json.dumps(record) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
