"""Pictures of a report, of what cheats gain, and of what an audit of work finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from quorumlearn import extras
from quorumlearn.analysis import audits, segments, work_picture
from quorumlearn.analysis.audit_report import AuditReport
from quorumlearn.analysis.economics import Economics
from quorumlearn.analysis.report import TaskReport
from quorumlearn.analysis.scores import scale_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"paid": "#2a9d6f", "unpaid": "#9a9a9a", "none": "#c0392b"}

_POINTS = 100
"""Of a curve, at most."""


def draw_scores(report: TaskReport, path: Path, behaviours: Mapping[str, str] | None = None) -> None:
    """The score by block and each miner's weight by round, as a PNG. OSError if it cannot be written.

    Where training is replayed: in place of weights what became of each training, and how much was replayed. `behaviours` says by miner what
    it does, where that is known. The PNG's comment holds the scores, by the metric's name, and the digest of each block as JSON, so that it
    can be told what it is of.
    """
    if report.work is None:
        figure = _figure(6.5)
        top, bottom = figure.subplots(2, 1, height_ratios=(3, 2))
        _draw_weights(bottom, report)
    else:
        figure = _figure(10)
        top, middle, bottom = figure.subplots(3, 1, height_ratios=(3, 5, 2))
        work_picture.draw_rounds(middle, report, report.work, behaviours or {})
        work_picture.draw_share(bottom, report.work)
    _draw_score(top, report)
    said = {report.metric: list(report.scores), "heads": list(report.heads)}
    figure.savefig(path, dpi=110, format="png", metadata={"Title": report.task, "Comment": json.dumps(said)})


def _draw_score(axes: Axes, report: TaskReport) -> None:
    factor, unit = scale_of(report.metric)
    heights = [height for height, score in enumerate(report.scores) if score is not None]
    scores = [factor * score for score in report.scores if score is not None]
    axes.plot(heights, scores, marker="o", color="#1b6ca8")
    for height, score in zip(heights, scores, strict=True):
        axes.annotate(
            f"{score:.1f}" if unit else f"{score:.3g}",
            (height, score),
            textcoords="offset points",
            xytext=(0, 8),
            ha="center",
        )
    axes.set_title(f"{report.task}: {report.metric} of the public model on the verifiers' test sets")
    axes.set_xlabel("block")
    axes.set_ylabel(f"{report.metric}, {unit}" if unit else report.metric)
    if unit:
        axes.set_ylim(0, 114)
    axes.set_xticks(heights)
    axes.grid(alpha=0.3)


def _draw_weights(axes: Axes, report: TaskReport) -> None:
    rounds = max((len(miner.weights) for miner in report.miners), default=0)
    for row, miner in enumerate(report.miners):
        for number, (weight, verdict) in enumerate(zip(miner.weights, miner.verdicts, strict=True), start=1):
            paid = report.paid[number - 1]
            kind = ("paid" if paid else "unpaid") if weight else "none"
            axes.scatter(number, row, s=170, marker="s" if weight else "X", color=COLOURS[kind])
            label = str(weight) if weight else verdict.lower().replace("_", " ")
            if kind == "unpaid":
                label += " unpaid"
            axes.annotate(
                label, (number, row), textcoords="offset points", xytext=(11, 0), va="center", fontsize=8
            )
    axes.set_yticks(range(len(report.miners)), [miner.miner for miner in report.miners], fontsize=8)
    axes.set_xticks(range(1, rounds + 1))
    axes.set_xlim(0.6, rounds + 0.9)
    axes.set_ylim(len(report.miners) - 0.4, -0.6)
    axes.set_xlabel("round")
    axes.set_title("weight of each miner's update, or why it has none", fontsize=10)


def draw_gains(found: Economics, path: Path) -> None:
    """What each cheat gains at the costs given, and at all others, as a PNG. OSError if it cannot be written."""
    figure = _figure(8)
    top, bottom = figure.subplots(2, 1, height_ratios=(3, 2))
    names = [f"{one.name} ({one.place})" for one in found.gains]
    colours = [COLOURS["none" if one.gains else "paid"] for one in found.gains]
    top.barh(names, [one.a_round for one in found.gains], color=colours)
    top.invert_yaxis()
    top.axvline(0, color="black", linewidth=0.8)
    top.tick_params(axis="y", labelsize=8)
    top.set_xlabel("tokens a round")
    top.set_title(f"{found.task}: what a cheat gains beside honest work; red: it gains")
    top.grid(axis="x", alpha=0.3)

    for one in found.gains:
        if one.pays_from is not None:
            line = "--" if one.place == "seat" else "-"
            bottom.plot((0, 100), [gain / found.rounds for gain in one.at], line, label=one.name)
    shares = {found.costs.training / found.miner_pay if found.miner_pay else 0.0}
    shares.add(found.costs.verification / found.seat_pay if found.seat_pay else 0.0)
    for share in shares:
        bottom.axvline(100 * share, color="black", linestyle=":")
    bottom.axhline(0, color="black", linewidth=0.8)
    bottom.set_xlim(0, 100)
    bottom.set_xlabel("what honest work costs, % of what it is paid; dotted: at the costs given")
    bottom.set_ylabel("tokens a round")
    bottom.set_title("cheats that gain at some costs", fontsize=10)
    bottom.grid(alpha=0.3)
    if any(one.pays_from is not None for one in found.gains):
        bottom.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=110, format="png", metadata={"Title": found.task})


def draw_audit(of: AuditReport, path: Path) -> None:
    """Who is found, by what it skips and how much is drawn, and what that gains it, as a PNG. OSError if it cannot be written."""
    figure = _figure(8)
    top, bottom = figure.subplots(2, 1, sharex=True)
    draw, usual = of.draw, of.draw.drawn
    counts = sorted({1, max(1, usual // 2), usual, min(draw.segments, 2 * usual)})
    wrong = sorted({max(1, round(draw.segments ** (step / _POINTS))) for step in range(_POINTS + 1)})
    shares = [100 * one / draw.segments for one in wrong]
    for count in counts:
        one, width = replace(draw, drawn=count), 2.2 if count == usual else 1.2
        found = [100 * segments.within(segments.found(one, many), of.rounds) for many in wrong]
        repeats = [100 * segments.within(segments.found_with_repeats(one, many), of.rounds) for many in wrong]
        (line,) = top.plot(shares, found, linewidth=width, label=f"{count} of {draw.segments} drawn")
        top.plot(shares, repeats, ":", color=line.get_color(), linewidth=width)
        gains = [audits.in_a_round(one, many, of.costs.training, of.miners.pay) for many in wrong]
        bottom.plot(shares, gains, color=line.get_color(), linewidth=width)
    _audit_labels(of, top, bottom)
    figure.savefig(path, dpi=110, format="png", metadata={"Title": of.task})


def _audit_labels(of: AuditReport, top: Axes, bottom: Axes) -> None:
    goal = f"{segments.GOAL_CHANCE:.0%} of those who skip {segments.GOAL_SHARE:.0%}".replace("%", " %")
    top.plot(100 * segments.GOAL_SHARE, 100 * segments.GOAL_CHANCE, "k*", markersize=11, label=goal)
    top.set_title(f"{of.task}: who skips work and is found within {of.rounds} rounds; dotted: 1-(1-p)^q")
    top.set_ylabel("found, %")
    top.set_ylim(0, 103)
    top.grid(alpha=0.3)
    top.legend(fontsize=8, loc="lower right")
    bottom.set_title("what it gains beside honest work, tokens in a round", fontsize=10)
    bottom.axhline(0, color="black", linewidth=0.8)
    bottom.set_xscale("log")
    bottom.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    bottom.set_xlabel("work that is skipped, %")
    bottom.set_ylabel("tokens a round")
    bottom.grid(alpha=0.3)


def _figure(height: float) -> Figure:
    """Inches; it is drawn without a screen. ExtraMissing without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # takes a second to import
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise extras.missing("a picture", error) from error

    figure = Figure(figsize=(9, height), layout=ConstrainedLayoutEngine(h_pad=0.1))
    FigureCanvasAgg(figure)
    return figure
