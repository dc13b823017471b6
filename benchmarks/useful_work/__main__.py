"""Useful work: what training costs that can be replayed to the byte, what it learns, and how often a replay finds who did not do it.

    python -m benchmarks.useful_work --data FOLDER              all but the devices
    python -m benchmarks.useful_work --only training            portable and profile beside float32, in turns; and the accuracy of both
    python -m benchmarks.useful_work --only noise               gradients of the same step over three processor paths
    python -m benchmarks.useful_work --only devices             a GPU beside the processor, wherever there is one
    python -m benchmarks.useful_work --only trials              cheats and published spoofs: how often each is found
    python -m benchmarks.useful_work --only verdicts            honest work, of miners and seats on three processor paths
    python -m benchmarks.useful_work --only round               a round's time with and without replays, and what these take of training
    python -m benchmarks.useful_work --only riders              what free riders earn where training is replayed, and where it is not
    python -m benchmarks.useful_work --quick                    few turns and trials, one network, made-up digits where MNIST is missing

FOLDER has the folders mnist and heart; by default it is what QUORUMLEARN_DATA names. Costs are processor time of one thread, so that other
load of the machine shows little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import torch
from quorumlearn.cli.terminal import print_table, print_text

from benchmarks.encrypted_aggregation.machine import machine
from benchmarks.useful_work import noise
from benchmarks.useful_work.options import Options
from benchmarks.useful_work.report import MEASUREMENTS, USUAL


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.useful_work",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=MEASUREMENTS, help="one of the parts")
    parser.add_argument("--data", type=Path, help="the folder of the data sets' folders")
    parser.add_argument("--workload", help="of the part `training`: one of them, such as mnist-cnn")
    parser.add_argument("--rounds", type=int, help="of a task that is played; each part has its own default")
    parser.add_argument("--trials", type=int, default=500, help="of each cheat (500)")
    parser.add_argument("--verdicts", type=int, default=10_000, help="on honest work (10,000)")
    parser.add_argument(
        "--processes", type=int, default=2, help="that trials and verdicts are divided among (2)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what trials and verdicts draw (1)")
    parser.add_argument("--quick", action="store_true", help="a short form")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--gradients", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if min(asked.trials, asked.verdicts, asked.processes) < 1:
        parser.error("trials, verdicts and processes are 1 or more")
    data = asked.data
    if data is None and "QUORUMLEARN_DATA" in os.environ:
        data = Path(os.environ["QUORUMLEARN_DATA"])
    if asked.gradients is not None:
        noise.write_gradients(asked.gradients, data, asked.quick)
        return 0
    options = Options(
        quick=asked.quick,
        data=data,
        workload=asked.workload,
        rounds=asked.rounds,
        trials=asked.trials,
        verdicts=asked.verdicts,
        processes=asked.processes,
        seed=asked.seed,
    )
    record: dict[str, object] = {"taken": machine(), "torch": torch.__version__}
    for name in [asked.only] if asked.only else USUAL:
        found = MEASUREMENTS[name](options)
        record[name] = found.record
        for table in () if asked.json else found.tables:
            print_text(table.said)
            if table.rows:
                print_table(table.heads, table.rows)
    if asked.json:
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        print_text(f"{record['taken']}, torch {torch.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
