"""A task's report as JSON fields and as text."""

from __future__ import annotations

from pathlib import Path

from quorumlearn.analysis import UNDER_WAY, TaskReport, shown_score, title_of
from quorumlearn.cli.terminal import Exit, Failure, print_table, print_text, width
from quorumlearn.cli.work import print_work, work_fields
from quorumlearn.extras import require

BAR = 40
GAP = 2  # between a table's columns
SHORT = {"NOT_SELECTED": "passed over", "NOT_IN_ROUND": "-", "REPLICA": "replica"}
PAID_UNWEIGHED = "REPLICA"
"""Who has no weight and is paid all the same."""


def check_place(picture: Path) -> None:
    """Failure if there is no folder for a picture, or nothing to draw it with, before anything is done for it."""
    require("matplotlib", "a picture")
    if not picture.absolute().parent.is_dir():
        raise Failure(f"there is no folder {picture.parent} for the picture; make it first", Exit.USAGE)


def fields_of(report: TaskReport, behaviours: dict[str, str] | None = None) -> dict[str, object]:
    """The report as JSON fields; `score` is that of the last block by the metric."""
    scores = [score for score in report.scores if score is not None]
    return {
        "task": report.task,
        "metric": report.metric,
        "lower_is_better": report.lower_is_better,
        "score": scores[-1] if scores else None,
        "scores": list(report.scores),
        "outcomes": list(report.outcomes),
        "reasons": list(report.reasons),
        "weak": list(report.weak),
        "heads": list(report.heads),
        "miners": [
            {
                "id": miner.miner,
                **({"behaviour": behaviours[miner.miner]} if behaviours else {}),
                "weights": list(miner.weights),
                "verdicts": list(miner.verdicts),
                "details": list(miner.details),
                "stake": miner.stake,
                "paid": miner.paid,
                "slashed": miner.slashed,
                **({} if miner.epsilon is None else {"epsilon": round(miner.epsilon, 4)}),
                **({} if report.work is None else {"verified_steps": list(report.work.steps[miner.miner])}),
            }
            for miner in report.miners
        ],
        "phases": {
            one.phase: {"seconds": round(one.seconds, 3), "bytes": one.bytes} for one in report.phases
        },
        "bytes_per_parameter": round(report.bytes_per_parameter, 3),
        **({} if report.delta is None else {"delta": report.delta}),
        **({} if report.work is None else {"work": work_fields(report.work)}),
    }


def print_report(report: TaskReport, behaviours: dict[str, str] | None = None) -> None:
    """Tables of miners and phases, and the score by block as bars."""
    _print_weights(report)
    print_text("")
    print_text("What each miner has of it", style="bold")
    print_table(
        (
            *("miner", *(("behaves",) if behaviours else ()), "stake", "slashed", "paid"),
            *(() if report.work is None else ("verified steps",)),
            *(() if report.delta is None else ("epsilon",)),
        ),
        [
            (
                miner.miner,
                *((behaviours.get(miner.miner, ""),) if behaviours else ()),
                miner.stake,
                miner.slashed,
                miner.paid,
                *(() if report.work is None else (sum(report.work.steps[miner.miner]),)),
                *(() if miner.epsilon is None else (f"{miner.epsilon:.2f}",)),
            )
            for miner in report.miners
        ],
    )
    if report.delta is not None:
        print_text(
            f"epsilon: what all its updates together cost the owner of one of a miner's samples, at delta {report.delta:g}, "
            "if it trained as the task says"
        )
    if report.work is not None:
        print_text("")
        print_work(report, report.work)
    print_text("")
    _print_scores(report)
    print_text("")
    print_text(f"Where time and bytes went ({len(report.outcomes)} rounds together)", style="bold")
    print_table(
        ("phase", "seconds", "MB"),
        [(one.phase.lower(), f"{one.seconds:.2f}", f"{one.bytes / 1e6:.2f}") for one in report.phases],
    )
    print_text(
        f"encrypted update: {report.update_bytes} bytes for {report.parameters} parameters, "
        f"{report.bytes_per_parameter:.1f} bytes a parameter"
    )


def _print_scores(report: TaskReport) -> None:
    better = ", less is better" if report.lower_is_better else ""
    print_text(
        f"{title_of(report.metric)} of the public model, on the verifiers' test sets{better}", style="bold"
    )
    scores = [score for score in report.scores if score is not None]
    whole = max([1.0, *scores]) if scores else 1.0
    for height, score in enumerate(report.scores):
        if score is not None:
            bar = "#" * round(BAR * max(0.0, score / whole))
            print_text(f"  block {height}  {shown_score(report.metric, score):>8}  {bar}")


def _print_weights(report: TaskReport) -> None:
    """A table of as many rounds as fit beside each other, the next ones below; then why rounds failed."""
    columns = [
        [
            f"round {number}",
            *(
                _cell(miner.weights[number - 1], miner.verdicts[number - 1], earned)
                for miner in report.miners
            ),
        ]
        for number, earned in enumerate(map(_earned, report.outcomes, report.paid), start=1)
    ]
    names = ["miner", *(miner.miner for miner in report.miners)]
    taken, tables = 0, [[names]]
    for column in columns:
        needed = GAP + max(map(len, column))
        if len(tables[-1]) > 1 and taken + needed > width():
            tables.append([names])
        if len(tables[-1]) == 1:
            taken = max(map(len, names))
        tables[-1].append(column)
        taken += needed
    print_text("Weight of each miner's update by round, or why it has none", style="bold")
    for table in tables:
        (*heads,), *rows = zip(*table, strict=True)
        print_table(heads, rows)
    for number, reason in enumerate(report.reasons, start=1):
        if reason:
            paid = "paid its miners all the same" if report.paid[number - 1] else "paid no miner"
            print_text(f"round {number} was {report.outcomes[number - 1].lower()} and {paid}: {reason}")
    for number, weak in enumerate(report.weak, start=1):
        if weak:
            print_text(f"round {number}: {weak}", style="yellow")


def _earned(outcome: str, paid: bool) -> str:
    """What is said of a weight in such a round."""
    if outcome == UNDER_WAY:
        return ""
    return "ok" if paid else "unpaid"


def _cell(weight: int, verdict: str, earned: str) -> str:
    if weight > 0:
        return f"{weight} {earned}".rstrip()
    if verdict == PAID_UNWEIGHED:
        return f"{SHORT[verdict]} {earned}".rstrip()
    return SHORT.get(verdict, verdict)
