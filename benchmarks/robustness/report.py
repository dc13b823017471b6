"""What a run found, as tables, as one record, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.robustness.cells import Outcome
from benchmarks.robustness.matrix import Results
from benchmarks.robustness.peers import PEERS

BASE = ("mean", "none")
MOST_SHOWN = 6.0
"""Points behind that have a picture's darkest colour."""


@dataclass(frozen=True)
class Line:
    """One rule under one attack on one division: accuracies over the seeds, and what detection did.

    behind: the median, and most_behind the most, by which it is less accurate than the attack-free mean of the same seed and
    division; None if that was not played. found: attackers caught, of all; out: attackers without weight, of all;
    precision: attackers among the caught, None if nobody was; wrong: honest miners caught, of all. None for a peer,
    which names nobody.
    """

    rule: str
    attack: str
    division: str
    seeds: int
    median: float
    worst: float
    behind: float | None
    most_behind: float | None
    found: float | None
    out: float | None
    precision: float | None
    wrong: float | None
    backdoor: float | None


def lines_of(results: Results) -> list[Line]:
    """One line for each combination, in the order of the results."""
    groups: dict[tuple[str, str, str], dict[int, Outcome]] = {}
    for cell, outcome in results.items():
        groups.setdefault((cell.rule, cell.attack, cell.division), {})[cell.seed] = outcome
    return [
        _line(*key, list(outcomes.values()), _behind(outcomes, groups.get((*BASE, key[2]), {})))
        for key, outcomes in groups.items()
    ]


def _behind(outcomes: Mapping[int, Outcome], base: Mapping[int, Outcome]) -> list[float]:
    return [base[seed].accuracy - one.accuracy for seed, one in outcomes.items() if seed in base]


def _line(
    rule: str, attack: str, division: str, outcomes: Sequence[Outcome], behind: Sequence[float] = ()
) -> Line:
    accuracies = [one.accuracy for one in outcomes]
    attackers, found, out, honest, wrong = (
        sum(getattr(one, name) for one in outcomes)
        for name in ("attackers", "attackers_found", "attackers_out", "honest", "honest_found")
    )
    peer = rule in PEERS
    backdoors = [one.backdoor for one in outcomes if one.backdoor is not None]
    return Line(
        rule,
        attack,
        division,
        len(outcomes),
        median(accuracies),
        min(accuracies),
        median(behind) if behind else None,
        max(behind) if behind else None,
        None if peer or not attackers else found / attackers,
        None if peer or not attackers else out / attackers,
        None if peer or not found + wrong else found / (found + wrong),
        None if peer or not honest else wrong / honest,
        median(backdoors) if backdoors else None,
    )


def detection(results: Results) -> dict[str, dict[str, float | None]]:
    """By attack, over all rules of ours, divisions and seeds: recall and precision of catching, attackers without
    weight, honest miners caught."""
    groups: dict[str, list[Outcome]] = {}
    for cell, outcome in results.items():
        if cell.rule not in PEERS and cell.rule != "mean":
            groups.setdefault(cell.attack, []).append(outcome)
    table: dict[str, dict[str, float | None]] = {}
    for attack, outcomes in groups.items():
        line = _line("", attack, "", outcomes)
        table[attack] = {
            "recall": line.found,
            "precision": line.precision,
            "without_weight": line.out,
            "honest_caught": line.wrong,
        }
    return table


def print_tables(results: Results, console: Console) -> None:
    """Accuracy, median / worst over the seeds, a table for each division; then detection by attack."""
    lines = {(line.division, line.rule, line.attack): line for line in lines_of(results)}
    attacks = list(dict.fromkeys(attack for _, _, attack in lines))
    for division in dict.fromkeys(division for division, _, _ in lines):
        table = Table("rule", *attacks, title=f"{division}: accuracy in %, median / worst of the seeds")
        for rule in dict.fromkeys(rule for place, rule, _ in lines if place == division):
            cells = [lines.get((division, rule, attack)) for attack in attacks]
            table.add_row(
                rule,
                *(
                    "" if line is None else f"{100 * line.median:.1f} / {100 * line.worst:.1f}"
                    for line in cells
                ),
            )
        console.print(table)
    table = Table(
        "attack",
        "caught",
        "precision",
        "without weight",
        "honest caught",
        title="detection in %, all our rules but mean",
    )
    for attack, rates in detection(results).items():
        table.add_row(attack, *("" if rate is None else f"{100 * rate:.1f}" for rate in rates.values()))
    console.print(table)


def markdown(results: Results) -> str:
    """The tables of docs/robustness.md: points behind the attack-free mean of the same seed, median / worst, a table for each
    division; then what the backdoor reached, and detection by attack, in %."""
    found = lines_of(results)
    lines = {(line.division, line.rule, line.attack): line for line in found}
    attacks = list(dict.fromkeys(line.attack for line in found))
    parts = []
    for division in dict.fromkeys(line.division for line in found):
        base = lines.get((division, *BASE))
        told = f"; that mean reaches {100 * base.median:.1f} % (median)" if base else ""
        rows = [
            [rule, *(_points(lines.get((division, rule, attack))) for attack in attacks)]
            for rule in dict.fromkeys(line.rule for line in found if line.division == division)
        ]
        parts.append(f"{division}{told}\n\n{_grid(['rule', *attacks], rows)}")
    backdoors = [
        [line.rule, line.division, f"{100 * line.backdoor:.1f}"]
        for line in found
        if line.backdoor is not None
    ]
    if backdoors:
        parts.append("backdoor success, %\n\n" + _grid(["rule", "division", "marked images"], backdoors))
    rates = [
        [attack, *("" if rate is None else f"{100 * rate:.1f}" for rate in row.values())]
        for attack, row in detection(results).items()
    ]
    if rates:
        heads = ["attack", "caught", "precision", "without weight", "honest caught"]
        parts.append("detection, %\n\n" + _grid(heads, rates))
    return "\n\n".join(parts) + "\n"


def _points(line: Line | None) -> str:
    if line is None or line.behind is None or line.most_behind is None:
        return ""
    return f"{100 * line.behind:.1f} / {100 * line.most_behind:.1f} ({line.seeds})"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw(results: Results, path: Path) -> None:
    """A heat map for each division, one below the other, rules down and attacks across: points behind the attack-free mean of the
    same seed, median of the seeds; what was not played is blank."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    lines = {(line.division, line.rule, line.attack): line for line in lines_of(results)}
    divisions, rules, attacks = (list(dict.fromkeys(key[part] for key in lines)) for part in range(3))
    figure, axes = pyplot.subplots(
        len(divisions),
        1,
        figsize=(2.8 + 0.62 * len(attacks), 1.2 + len(divisions) * (0.5 + 0.3 * len(rules))),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for axis, division in zip(axes[:, 0], divisions, strict=True):
        found = [[lines.get((division, rule, attack)) for attack in attacks] for rule in rules]
        values = [
            [math.nan if line is None or line.behind is None else 100 * line.behind for line in row]
            for row in found
        ]
        image = axis.imshow(values, vmin=0, vmax=MOST_SHOWN, cmap="viridis_r", aspect="auto")
        axis.set_title(division)
        axis.set_xticks(range(len(attacks)), attacks, rotation=45, ha="right")
        axis.set_yticks(range(len(rules)), rules)
        for row, numbers in enumerate(values):
            for column, number in enumerate(numbers):
                if not math.isnan(number):
                    colour = "white" if number > MOST_SHOWN / 2 else "black"
                    axis.text(
                        column, row, f"{number:.1f}", ha="center", va="center", fontsize=8, color=colour
                    )
    figure.colorbar(image, ax=axes, label="points behind the attack-free mean", extend="both")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
