"""The parts of a picture that are of work: what became of each training by round, and how much of all training was replayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from quorumlearn.analysis.report import MinerReport, TaskReport
from quorumlearn.analysis.work import WorkReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAID, UNPAID, CAUGHT, ABSENT = "#2a9d6f", "#9a9a9a", "#c0392b", "#e8e8e8"
GOAL = 0.1
"""So much of training is to be replayed at most, over all seats."""
_AWAY = ("NOT_IN_ROUND", "ABSENT")
_NARROW = 7
"""With more rounds than this a cell has room for a short word only."""
_CROWDED = 16
"""With more rounds than this a bar has no number."""


def draw_rounds(axes: Axes, report: TaskReport, work: WorkReport, behaviours: Mapping[str, str]) -> None:
    """A row for each miner, a cell for each round: paid, or caught, why and at which segment; its verified steps at the end."""
    rounds = len(report.outcomes)
    for row, miner in enumerate(report.miners):
        for number in range(1, rounds + 1):
            colour, said = _cell(report, work, miner, number)
            axes.barh(row, 0.96, left=number - 0.48, height=0.86, color=colour)
            dark = colour in (PAID, CAUGHT)
            axes.text(
                number, row, said, ha="center", va="center", fontsize=7, color="white" if dark else "black"
            )
        steps = sum(work.steps.get(miner.miner, ()))
        axes.text(rounds + 0.6, row, f"{steps}", va="center", fontsize=8)
    names = [_name(miner.miner, behaviours.get(miner.miner, "")) for miner in report.miners]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xticks(range(1, rounds + 1))
    axes.set_xlim(0.45, rounds + 0.55 + 0.12 * rounds)
    axes.set_ylim(len(names) - 0.4, -1.0)
    axes.text(rounds + 0.6, -0.75, "verified steps", fontsize=8)
    axes.set_xlabel("round")
    axes.set_title("each miner's training: verified and paid, or caught", fontsize=10)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)


def draw_share(axes: Axes, work: WorkReport) -> None:
    """Of the steps trained in each round, how many seats replayed, all seats together."""
    shares = [
        100 * replayed / trained if trained else 0.0
        for trained, replayed in zip(work.trained, work.replayed, strict=True)
    ]
    numbers = range(1, len(shares) + 1)
    axes.bar(numbers, shares, width=0.5, color="#1b6ca8")
    for number, share in zip(numbers, shares, strict=True) if len(shares) <= _CROWDED else ():
        axes.text(number, share / 2, f"{share:.1f} %", ha="center", va="center", fontsize=8, color="white")
    axes.axhline(100 * GOAL, color="black", linestyle=":", linewidth=0.8)
    axes.set_xticks(list(numbers))
    axes.set_xlim(0.45, len(shares) + 0.55 + 0.12 * len(shares))
    axes.set_ylim(0, 1.2 * max([100 * GOAL, *shares]))
    axes.set_xlabel("round")
    axes.set_ylabel("% of steps")
    axes.set_title(f"replayed of {sum(work.trained)} steps of training, over all verifiers", fontsize=10)
    axes.grid(axis="y", alpha=0.3)


def _cell(report: TaskReport, work: WorkReport, miner: MinerReport, number: int) -> tuple[str, str]:
    """A colour, and what is said of a miner's training in a round."""
    verdict, weight = miner.verdicts[number - 1], miner.weights[number - 1]
    if weight or verdict == "REPLICA":
        word = "replica, " if verdict == "REPLICA" else ""
        return (PAID, f"{word}paid") if report.paid[number - 1] else (UNPAID, f"{word}unpaid")
    if verdict in _AWAY:
        return ABSENT, "absent" if verdict == "ABSENT" else "no place"
    wrong = work.wrong_of(miner.miner, number)
    said = verdict.lower().replace("_", " ")
    if wrong is not None:
        last = wrong.item > wrong.segments
        said += "\nlast checkpoint" if last else f"\nsegment {wrong.item}"
        if len(report.outcomes) > _NARROW:
            said = "last" if last else str(wrong.item)
    return CAUGHT, said


def _name(miner: str, behaviour: str) -> str:
    return f"{miner}\n{behaviour}" if behaviour else miner
