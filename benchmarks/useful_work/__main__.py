"""What training costs that can be replayed to the byte, what it learns, and how far processors differ before the grid.

    python -m benchmarks.useful_work --data FOLDER              all but the devices
    python -m benchmarks.useful_work --only training            portable and profile beside float32, in turns; and the accuracy of both
    python -m benchmarks.useful_work --only noise               gradients of the same step over three processor paths
    python -m benchmarks.useful_work --only devices             a GPU beside the processor, wherever there is one
    python -m benchmarks.useful_work --quick                    few turns, one network, digits that are drawn if there are none

FOLDER has the folders mnist and heart; by default it is what QUORUMLEARN_DATA names. Costs are processor time of one thread, so that other
load of the machine shows little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from quorumlearn.cli.terminal import print_table, print_text
from quorumlearn.learning.exact.grid import NOISE_BITS

from benchmarks.encrypted_aggregation.machine import machine
from benchmarks.useful_work import devices, noise, training
from benchmarks.useful_work.subjects import Subject, subjects

GOAL = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.useful_work",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=("training", "noise", "devices"), help="one of the parts")
    parser.add_argument("--data", type=Path, help="the folder of the data sets' folders")
    parser.add_argument("--workload", help="of the training part: one of them, such as mnist-cnn")
    parser.add_argument("--quick", action="store_true", help="a short form")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--gradients", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    data = options.data
    if data is None and "QUORUMLEARN_DATA" in os.environ:
        data = Path(os.environ["QUORUMLEARN_DATA"])
    if options.gradients is not None:
        noise.write_gradients(options.gradients, data, options.quick)
        return 0
    record: dict[str, object] = {"taken": machine(), "torch": torch.__version__}
    show = not options.json
    if options.only in (None, "training"):
        chosen = [one for one in subjects(data, quick=options.quick) if options.workload in (None, one.name)]
        record["training"] = _training(chosen, options.quick, show)
    if options.only in (None, "noise"):
        record["noise"] = _noise(data, options.quick, show)
    if options.only == "devices":
        record["devices"] = _devices(data, options.quick, show)
    if options.json:
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        print_text(f"{record['taken']}, torch {torch.__version__}")
    return 0


def _training(of: Sequence[Subject], quick: bool, show: bool) -> dict[str, object]:
    costs = training.costs(of, quick=quick)
    learnt = training.learnt(of, quick=quick)
    if show:
        print_text(f"Milliseconds of processor time a step; goal: portable at most {GOAL} times float32")
        rows = [
            (
                *(one.workload, f"{one.float32:.2f}", f"{one.portable:.2f}"),
                *(f"{one.profile:.2f}", f"{one.ratio:.2f}"),
            )
            for one in costs
        ]
        print_table(("workload", "float32", "portable", "profile", "portable / float32"), rows)
        print_text("Score on held-out samples, over seeds")
        print_table(
            ("workload", "metric", *training.WAYS, "portable less profile", "float32's deviation"),
            [
                (
                    *(one.workload, one.metric),
                    *(_listed(scores) for scores in (one.float32, one.portable, one.profile)),
                    *(f"{one.difference:+.4f}", f"{one.spread:.4f}"),
                )
                for one in learnt
            ],
        )
    return {"costs": [asdict(one) for one in costs], "learnt": [asdict(one) for one in learnt], "goal": GOAL}


def _noise(data: Path | None, quick: bool, show: bool) -> list[dict[str, object]]:
    found = noise.measured(data, quick=quick)
    if show:
        print_text(
            f"Largest difference between paths of the same step, over the norm; near ties are logged within 2^-{NOISE_BITS}"
        )
        rows = [
            (
                *(one.workload, f"{one.values:,}", f"{one.gradients:.1e}"),
                *(f"{one.buffers:.1e}", f"{one.margin:,.0f}"),
            )
            for one in found
        ]
        print_table(("workload", "values", "gradients", "buffers", "margin"), rows)
    return [{**asdict(one), "margin": one.margin} for one in found]


def _devices(data: Path | None, quick: bool, show: bool) -> dict[str, object]:
    names, said = devices.devices()
    found = devices.compared(data, names, quick=quick)
    if show:
        print_text(said)
        rows = [
            (one.workload, one.device, "yes" if one.equal else "no", f"{one.noise:.1e}", one.said)
            for one in found
        ]
        if rows:
            print_table(("workload", "device", "same bytes", "noise", "said"), rows)
    return {"said": said, "compared": [asdict(one) for one in found]}


def _listed(scores: Sequence[float]) -> str:
    return " ".join(f"{one:.3f}" for one in scores)


if __name__ == "__main__":
    sys.exit(main())
