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

from benchmarks.inversion.reading import Case, Outcome, accuracy, play

ROUNDS = 10


def cases(*, quick: bool) -> list[Case]:
    """The trap where it reads the most, then one thing changed at a time, then all of it from the seed's model."""
    trapped = Case(learning_rate=10.0)
    if quick:
        return [replace(trapped, summed=2, samples=20), Case("seed", summed=2, samples=20)]
    changed = [
        trapped,
        *(replace(trapped, steps=steps) for steps in (2, 5, 10)),
        *(replace(trapped, summed=summed) for summed in (2, 20)),
        *(replace(trapped, learning_rate=rate) for rate in (1.0, 0.1)),
        replace(trapped, steps=5, learning_rate=1.0),
        replace(trapped, private=True),
    ]
    ordinary = Case("seed", learning_rate=0.1)
    return [
        *changed,
        ordinary,
        replace(ordinary, learning_rate=1.0),
        *(replace(ordinary, steps=steps) for steps in (2, 5, 10)),
        *(replace(ordinary, summed=summed) for summed in (2, 20)),
        replace(ordinary, private=True),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Play each case and print a table, or one record."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inversion", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="two small cases")
    parser.add_argument("--json", action="store_true", help="one record on standard output")
    parser.add_argument("--data", help="folder with MNIST's four files")
    parser.add_argument("--table", type=Path, help="write the table to this file (Markdown) as well")
    parser.add_argument("--picture", type=Path, help="draw to this file what the first case reads best")
    parser.add_argument(
        "--cost", action="store_true", help="also train from the seed in 1, 2, 5 and 10 local steps"
    )
    chosen = parser.parse_args(arguments)
    rows, first = [], None
    for case in cases(quick=chosen.quick):
        outcome = play(case, chosen.data)
        first = first or outcome
        rows.append(
            {**asdict(case), "images": outcome.images, "read": outcome.read, "by_chance": outcome.by_chance}
        )
    record: dict[str, object] = {"cases": rows}
    if chosen.cost:
        ordinary = Case("seed", learning_rate=0.1)
        steps = {n: accuracy(replace(ordinary, steps=n), chosen.data, ROUNDS) for n in (1, 2, 5, 10)}
        private = accuracy(replace(ordinary, steps=5, private=True), chosen.data, ROUNDS)
        record["accuracy"] = {"rounds": ROUNDS, "by steps": steps, "private, 5 steps": private}
    table = _table(rows)
    sys.stdout.write(json.dumps(record) + "\n" if chosen.json else f"{table}{record.get('accuracy', '')}\n")
    if chosen.table is not None:
        chosen.table.write_text(table)
    if chosen.picture is not None and first is not None:
        draw(first, chosen.picture)
    return 0


def draw(outcome: Outcome, path: Path) -> None:
    """Above, training images; below, what was read of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(len(outcome.pairs), 2.2), layout="constrained")
    for axes, image in zip(
        figure.subplots(2, len(outcome.pairs)).T.flat, outcome.pairs.reshape(-1, 28, 28), strict=True
    ):
        axes.imshow(image, cmap="gray")
        axes.axis("off")
    figure.suptitle("above: miners' images; below: read from the public step of a crafted model", fontsize=9)
    figure.savefig(path, dpi=80)


def _table(rows: list[dict[str, object]]) -> str:
    heads = [
        "initial model",
        "local steps",
        "in the sum",
        "learning rate",
        "clip and noise",
        "images",
        "read",
        "by chance",
    ]
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    for row in rows:
        private = "1, 1" if row["private"] else "none"
        cells = [row["start"], row["steps"], row["summed"], row["learning_rate"], private]
        cells += [row["images"], row["read"], row["by_chance"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
