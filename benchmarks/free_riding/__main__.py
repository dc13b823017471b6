"""Free riders: `python -m benchmarks.free_riding`.

    python -m benchmarks.free_riding --quick --json
    python -m benchmarks.free_riding --data FOLDER --tables FILE

First, in settings of many kinds, the part of honest updates that lies outside the last public steps, and the least of them beside what
is usual: `least_new` must be below that. Then two riders among eight miners, by the noise that they put on the step they send again: how
much of it is new, what they are paid with and without the rule, in parts of an honest miner's pay, and the accuracy that comes of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from quorumlearn import robust

from benchmarks.free_riding.play import Setting, Size, play

SETTINGS = (
    Setting("the defaults"),
    Setting("the defaults, 20 rounds", rounds=20),
    Setting("learning rate 0.3", {"learning_rate": "0.3"}),
    Setting("learning rate 0.01", {"learning_rate": "0.01"}),
    Setting("learning rate 0.001, no momentum", {"learning_rate": "0.001", "momentum": "0.0"}),
    Setting("whole batches", {"batch_size": "4096", "learning_rate": "0.1", "momentum": "0.0"}),
    Setting("five epochs", {"epochs": "5"}),
    Setting("Dirichlet 0.3", division="dirichlet"),
    Setting("one class a miner", division="one-class"),
    Setting("mnist-mlp, its top shared", workload="mnist-mlp", blocks=("top",)),
    Setting(
        "differentially private",
        {
            "batch_size": "64",
            "learning_rate": "0.3",
            "momentum": "0.0",
            "dp_clip": "1.0",
            "dp_noise": "1.0",
        },
    ),
)
NOISES = ("0.1", "0.2", "0.5", "1", "1.5", "2.3", "4")
QUICK = Size(miners=5, byzantine=1, rounds=3, samples=64)


def main(arguments: list[str] | None = None) -> int:
    """Play what was asked for and print the tables, or one record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.free_riding", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="few and small plays")
    parser.add_argument("--json", action="store_true", help="one record on standard output")
    parser.add_argument("--data", help="folder with MNIST's four files")
    parser.add_argument("--tables", type=Path, help="write the tables to this file (Markdown) as well")
    parser.add_argument("--only", choices=("honest", "riders"), help="only this part")
    chosen = parser.parse_args(arguments)
    size = replace(QUICK if chosen.quick else Size(), data=chosen.data)
    settings, noises = (SETTINGS[:1], ("0.2", "4")) if chosen.quick else (SETTINGS, NOISES)
    record: dict[str, object] = {"size": asdict(size), "least_new": robust.LEAST_NEW}
    tables = []
    if chosen.only != "riders":
        honest = [_honest(size, one) for one in settings]
        record["honest"] = honest
        tables.append(_table(honest))
    if chosen.only != "honest":
        riders = list(_riders(size, noises))
        record["riders"] = riders
        tables.append(_table(riders))
    text = "\n".join(tables)
    sys.stdout.write(json.dumps(record) + "\n" if chosen.json else text)
    if chosen.tables is not None:
        chosen.tables.write_text(text)
    return 0


def _honest(size: Size, setting: Setting) -> dict[str, object]:
    played = play(size, setting, {}, None)
    return {
        "setting": setting.name,
        "least new part": round(float(played.parts.min()), 2),
        "median": round(float(np.median(played.parts)), 2),
        "least beside the usual": round(played.lowest, 2),
        "accuracy": round(played.accuracy[-1], 3),
    }


def _riders(size: Size, noises: Iterable[str]) -> Iterable[dict[str, object]]:
    last = range(size.miners - size.byzantine, size.miners)
    for does in ("honest", *(f"free-rider:{noise}" for noise in noises), "one-batch"):
        played = {
            asked: play(size, Setting("riders"), dict.fromkeys(last, does), asked)
            for asked in (None, robust.LEAST_NEW)
        }
        before, after = played[None], played[robust.LEAST_NEW]
        yield {
            "the last miners": does,
            "new part": round(float(np.median(after.parts[:, last.start :])), 2),
            "pay before": _pay(before.shares, last.start),
            "pay now": _pay(after.shares, last.start),
            "accuracy before": round(before.accuracy[-1], 3),
            "accuracy now": round(after.accuracy[-1], 3),
        }


def _pay(shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]], first: int) -> float:
    """The mean of those from `first` on, in parts of the others' mean."""
    return round(float(shares[first:].mean() / shares[:first].mean()), 2)


def _table(rows: list[dict[str, object]]) -> str:
    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(map(str, cells)) + " |\n"

    first: Mapping[str, object] = rows[0]
    return line(first) + line("---" for _ in first) + "".join(line(row.values()) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
