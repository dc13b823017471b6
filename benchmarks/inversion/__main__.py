"""Images read out of a public step: `python -m benchmarks.inversion`.

python -m benchmarks.inversion --quick --json
python -m benchmarks.inversion --data FOLDER --table FILE --picture FILE
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.inversion.reading import Case, accuracy, play
from benchmarks.inversion.report import draw, tables

ROUNDS = 10
CLIPS = (0.1, 1.0, 10.0)
NOISES = (0.0, 0.001, 0.01, 0.1, 1.0)
"""In parts of the clip."""
LEAST_NOISE = 0.1
"""What a task asks for at least."""


def cases(*, quick: bool) -> list[Case]:
    """The trap where it reads the most, then one thing changed at a time, then all of it from the seed's model; clip and noise by
    each other."""
    trapped = Case(learning_rate=10.0)
    if quick:
        return [replace(trapped, summed=2, samples=20), Case("seed", summed=2, samples=20)]
    changed = [
        trapped,
        *(replace(trapped, steps=steps) for steps in (2, 5, 10)),
        *(replace(trapped, summed=summed) for summed in (2, 20)),
        *(replace(trapped, learning_rate=rate) for rate in (1.0, 0.1)),
        replace(trapped, steps=5, learning_rate=1.0),
    ]
    ordinary = Case("seed", learning_rate=0.1)
    return [
        *changed,
        ordinary,
        replace(ordinary, learning_rate=1.0),
        *(replace(ordinary, steps=steps) for steps in (2, 5, 10)),
        *(replace(ordinary, summed=summed) for summed in (2, 20)),
        *(
            replace(start, private=(clip, noise))
            for start in (trapped, replace(ordinary, learning_rate=1.0))
            for clip in CLIPS
            for noise in NOISES
        ),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Play each case and print a table, or one record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inversion", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="two small cases")
    parser.add_argument("--json", action="store_true", help="one record on standard output")
    parser.add_argument("--data", help="folder with MNIST's four files")
    parser.add_argument("--table", type=Path, help="write the tables to this file (Markdown) as well")
    parser.add_argument("--picture", type=Path, help="draw to this file what was read")
    parser.add_argument(
        "--cost", action="store_true", help="also train from the seed in 1, 2, 5 and 10 local steps"
    )
    chosen = parser.parse_args(arguments)
    found = {case: play(case, chosen.data) for case in cases(quick=chosen.quick)}
    record: dict[str, object] = {
        "cases": [
            {**asdict(case), "images": out.images, "read": out.read, "by_chance": out.by_chance}
            for case, out in found.items()
        ]
    }
    if chosen.cost:
        ordinary = Case("seed", learning_rate=0.1)
        steps = {n: accuracy(replace(ordinary, steps=n), chosen.data, ROUNDS) for n in (1, 2, 5, 10)}
        private = {
            f"{clip:g}, {noise:g}": accuracy(
                replace(ordinary, steps=5, private=(clip, noise)), chosen.data, ROUNDS
            )
            for clip in CLIPS
            for noise in NOISES
            if noise >= LEAST_NOISE
        }
        record["accuracy"] = {"rounds": ROUNDS, "by steps": steps, "5 steps, by clip and noise": private}
    table = tables(found)
    sys.stdout.write(json.dumps(record) + "\n" if chosen.json else f"{table}{record.get('accuracy', '')}\n")
    if chosen.table is not None:
        chosen.table.write_text(table)
    if chosen.picture is not None:
        draw(found, chosen.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
