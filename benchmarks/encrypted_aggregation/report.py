"""The benchmark's figures as tables, as one JSON object, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import linear_regression

from rich.console import Console

from benchmarks.encrypted_aggregation.cells import Cell
from benchmarks.encrypted_aggregation.ours import SEATS, THRESHOLD


def taken(cells: Sequence[Cell]) -> list[str]:
    """Where and when, once for each commit the cells were measured at: the first and the last of its cells."""
    groups: dict[str, list[str]] = {}
    for cell in cells:
        groups.setdefault(cell.taken.split("commit ")[-1].split(",")[0], []).append(cell.taken)
    return [
        first if len(some) == 1 else f"{some[0]} to {some[-1].rsplit(', ', 1)[-1]}"
        for some in groups.values()
        for first in some[:1]
    ]


def as_json(cells: Sequence[Cell]) -> dict[str, object]:
    """Every cell, and the worst over the cells of the figures with a goal."""
    ratios = [cell.ratio_pairwise for cell in cells if cell.ratio_pairwise is not None]
    return {
        "taken": taken(cells),
        "committee": f"{THRESHOLD} of {SEATS}",
        "ratio_pairwise": min(ratios) if ratios else None,
        "bytes_per_parameter": max(cell.ours.bytes_per_parameter for cell in cells),
        "flooding_bits": min(cell.ours.flooding_bits for cell in cells),
        "security_bits": min(cell.ours.security_bits for cell in cells),
        "microseconds_per_parameter": max(cell.ours.microseconds_per_parameter for cell in cells),
        "cells": [
            {
                "miners": cell.ours.miners,
                "parameters": cell.ours.parameters,
                "ratio_pairwise": cell.ratio_pairwise,
                "bytes_per_parameter": cell.ours.bytes_per_parameter,
                "flooding_bits": cell.ours.flooding_bits,
                "security_bits": cell.ours.security_bits,
                "microseconds_per_parameter": cell.ours.microseconds_per_parameter,
                **asdict(cell),
            }
            for cell in cells
        ],
    }


def print_tables(cells: Sequence[Cell]) -> None:
    """Markdown tables, so that docs can hold what the command printed."""
    console = Console(highlight=False, width=400)
    for line in taken(cells):
        console.print(line)
    console.print(f"{THRESHOLD} of {SEATS} seats, preset {cells[0].ours.preset}; one core\n")
    _table(
        console,
        [
            "n",
            "d",
            "encrypt s",
            "us/param",
            "screen s",
            "sum s",
            "decrypt s",
            "B/param",
            "flooding",
            "security",
            "peak MiB",
        ],
        [
            [
                str(one.miners),
                f"{one.parameters:,}",
                _s(one.encryption_seconds),
                f"{one.microseconds_per_parameter:.2f}",
                _s(one.screening_seconds),
                _s(one.aggregation_seconds),
                _s(one.decryption_seconds),
                f"{one.bytes_per_parameter:.2f}",
                f"{one.flooding_bits:.1f}",
                str(one.security_bits),
                f"{one.decryption_memory:.0f}",
            ]
            for one in (cell.ours for cell in cells)
        ],
    )
    console.print()
    _table(
        console,
        [
            "n",
            "d",
            "screen s",
            "with workers s",
            "pairwise s",
            "ratio",
            "FLARE encrypt s",
            "sum s",
            "decrypt s",
            "B/param",
            "one vector",
            "plain multi-Krum s",
        ],
        [
            [
                str(cell.ours.miners),
                f"{cell.ours.parameters:,}",
                _s(cell.ours.screening_seconds),
                _s(cell.workers_seconds),
                _s(_of_pairwise(cell)),
                "-" if cell.ratio_pairwise is None else f"{cell.ratio_pairwise:.1f}",
                _s(_of_flare(cell)),
                _s(None if cell.flare is None else cell.flare.aggregation_seconds),
                _s(None if cell.flare is None else cell.flare.decryption_seconds),
                "-" if cell.flare is None else f"{cell.flare.bytes_per_parameter:.1f}",
                "-" if cell.flare is None else f"{cell.flare.one_vector_bytes_per_parameter:.1f}",
                _s(cell.plain_seconds),
            ]
            for cell in cells
        ],
    )
    for line in _growth(cells):
        console.print(line)


def _table(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in (head, ["---:"] * len(head), *rows):
        console.print("| " + " | ".join(row) + " |", soft_wrap=True)


def _of_pairwise(cell: Cell) -> float | None:
    return None if cell.pairwise is None else cell.pairwise.all_seconds


def _of_flare(cell: Cell) -> float | None:
    return None if cell.flare is None else cell.flare.encryption_seconds


def _miners(cell: Cell) -> int:
    return cell.ours.miners


def _parameters(cell: Cell) -> int:
    return cell.ours.parameters


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3g}"


def _growth(cells: Sequence[Cell]) -> list[str]:
    """Exponents of screening in n and in d: 1 is linear, 2 what pairs would cost."""
    out = []
    for name, x, fixed in (
        ("n", _miners, _parameters),
        ("d", _parameters, _miners),
    ):
        for value in sorted({fixed(cell) for cell in cells}):
            some = [cell for cell in cells if fixed(cell) == value]
            if len({x(cell) for cell in some}) < 3:
                continue
            slope = linear_regression(
                [math.log(x(cell)) for cell in some], [math.log(cell.ours.screening_seconds) for cell in some]
            ).slope
            other = "d" if name == "n" else "n"
            out.append(f"\nscreening grows as {name}^{slope:.2f} at {other} = {value:,}")
    return out


PHASES: tuple[tuple[str, str, Callable[[Cell], float | None], str], ...] = (
    ("a miner encrypts", "C0", lambda c: c.ours.encryption_seconds, "-"),
    ("a verifier screens all n", "C1", lambda c: c.ours.screening_seconds, "-"),
    ("... adds up all n", "C2", lambda c: c.ours.aggregation_seconds, "-"),
    ("... opens the sum", "C3", lambda c: c.ours.decryption_seconds, "-"),
    ("pairwise, encrypted (scaled)", "C5", _of_pairwise, "--"),
    ("FLARE's packing: a miner encrypts", "C0", _of_flare, ":"),
    ("multi-Krum on plain updates", "C7", lambda c: c.plain_seconds, ":"),
)


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Two panels, log-log: seconds against n at the middle d, against d at the n with most cells."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sizes = sorted({cell.ours.parameters for cell in cells})
    counts = sorted({cell.ours.miners for cell in cells})
    d = sizes[len(sizes) // 2] if 100_000 not in sizes else 100_000
    n = 50 if 50 in counts else counts[0]
    figure, panels = plt.subplots(1, 2, figsize=(13, 4.6), sharey=True)
    for panel, label, x, some in (
        (
            panels[0],
            f"miners n, at d = {d:,}",
            _miners,
            [c for c in cells if c.ours.parameters == d],
        ),
        (
            panels[1],
            f"parameters d, at n = {n}",
            _parameters,
            [c for c in cells if c.ours.miners == n],
        ),
    ):
        for name, colour, y, line in PHASES:
            points = sorted((x(cell), value) for cell in some if (value := y(cell)) is not None)
            panel.plot(
                [a for a, _ in points],
                [b for _, b in points],
                line,
                color=colour,
                marker="o",
                ms=3,
                label=name,
            )
        panel.set(xscale="log", yscale="log", xlabel=label)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds on one core")
    panels[1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    figure.suptitle("\n".join(taken(cells)), fontsize=6)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
