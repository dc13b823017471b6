"""The measurements by name, each as a record and as tables. A module is imported when its measurement is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from benchmarks.useful_work.options import Found, Options, Table
from benchmarks.useful_work.paths import PATHS

GOAL = 2.0


def training(options: Options) -> Found:
    from benchmarks.useful_work import training as measured
    from benchmarks.useful_work.subjects import subjects

    of = [one for one in subjects(options.data, quick=options.quick) if options.workload in (None, one.name)]
    costs = measured.costs(of, quick=options.quick)
    learnt = measured.learnt(of, quick=options.quick)
    tables = (
        Table(
            f"Milliseconds of processor time a step; goal: portable at most {GOAL} times float32",
            ("workload", "float32", "portable", "profile", "portable / float32"),
            [
                (
                    *(one.workload, f"{one.float32:.2f}", f"{one.portable:.2f}"),
                    *(f"{one.profile:.2f}", f"{one.ratio:.2f}"),
                )
                for one in costs
            ],
        ),
        Table(
            "Score on held-out samples, over seeds",
            ("workload", "metric", *measured.WAYS, "portable less profile", "float32's deviation"),
            [
                (
                    *(one.workload, one.metric),
                    *(_listed(scores) for scores in (one.float32, one.portable, one.profile)),
                    *(f"{one.difference:+.4f}", f"{one.spread:.4f}"),
                )
                for one in learnt
            ],
        ),
    )
    record = {
        "costs": [asdict(one) for one in costs],
        "learnt": [asdict(one) for one in learnt],
        "goal": GOAL,
    }
    return Found(record, tables)


def noise(options: Options) -> Found:
    from quorumlearn.learning.exact.grid import NOISE_BITS

    from benchmarks.useful_work import noise as measured

    found = measured.measured(options.data, quick=options.quick)
    table = Table(
        f"Largest difference between paths of the same step, over the norm; near ties are logged within 2^-{NOISE_BITS}",
        ("workload", "values", "gradients", "buffers", "margin"),
        [
            (
                *(one.workload, f"{one.values:,}", f"{one.gradients:.1e}"),
                *(f"{one.buffers:.1e}", f"{one.margin:,.0f}"),
            )
            for one in found
        ],
    )
    return Found([{**asdict(one), "margin": one.margin} for one in found], (table,))


def devices(options: Options) -> Found:
    from benchmarks.useful_work import devices as measured

    names, said = measured.devices()
    found = measured.compared(options.data, names, quick=options.quick)
    rows = [
        (one.workload, one.device, "yes" if one.equal else "no", f"{one.noise:.1e}", one.said)
        for one in found
    ]
    table = Table(said, ("workload", "device", "same bytes", "noise", "said"), rows)
    return Found({"said": said, "compared": [asdict(one) for one in found]}, (table,))


def trials(options: Options) -> Found:
    from benchmarks.useful_work import trials as measured

    rows = measured.measure(options)
    said = f"How often {measured.DRAWN} drawn segments find each cheat, and how often they should"
    return Found(rows, (Table.of(said, rows),))


def verdicts(options: Options) -> Found:
    from benchmarks.useful_work import verdicts as measured

    rows = measured.measure(options)
    said = f"Verdicts on honest work, of miners and seats on {len(PATHS)} paths of the processor"
    return Found(rows, (Table.of(said, rows),))


def round_(options: Options) -> Found:
    from benchmarks.useful_work import round as measured

    record = measured.measure(options)
    return Found(record, measured.tables(record))


def riders(options: Options) -> Found:
    from benchmarks.useful_work import riders as measured

    rows = measured.measure(options)
    return Found(rows, (Table.of("What riders are paid, in parts of what each other miner is", rows),))


MEASUREMENTS: Mapping[str, Callable[[Options], Found]] = {
    "training": training,
    "noise": noise,
    "devices": devices,
    "trials": trials,
    "verdicts": verdicts,
    "round": round_,
    "riders": riders,
}
USUAL = ("training", "noise", "trials", "verdicts")
"""What is measured where nothing is chosen: devices need some."""


def _listed(scores: Sequence[float]) -> str:
    return " ".join(f"{one:.3f}" for one in scores)
