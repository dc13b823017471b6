"""What became of trainings that are replayed, as JSON fields and as text."""

from __future__ import annotations

from dataclasses import asdict

from quorumlearn.analysis import OF_WORK, TaskReport, WorkReport
from quorumlearn.cli.terminal import print_text

BEYOND_MINERS = ("FALSE_REPLAY",)
"""Codes of OF_WORK that no verdict on a miner has."""


def work_fields(work: WorkReport) -> dict[str, object]:
    """The report's part on work; steps stand with each miner."""
    return {
        "mode": work.mode,
        "wrong": [{**asdict(one), "verifiers": list(one.verifiers)} for one in work.wrong],
        "false_replays": [asdict(one) for one in work.false_replays],
        "trained_steps": list(work.trained),
        "replayed_steps": list(work.replayed),
        "replayed_segments": work.segments,
        "replayed_share": round(work.share, 4),
        "assigned_chunks": work.assigned,
        "kept_chunks": work.kept,
    }


def print_work(report: TaskReport, work: WorkReport) -> None:
    """What was wrong and who replayed it, what the codes mean that occur, and how much was replayed."""
    print_text("Work", style="bold")
    for one in work.wrong:
        print_text(f"  round {one.round}, {one.miner}: {one.sentence}")
    for fault in work.false_replays:
        print_text(
            f"  round {fault.round}, {fault.verifier}: FALSE_REPLAY, slashed {fault.slashed}: {fault.detail}"
        )
    occur = {verdict for miner in report.miners for verdict in miner.verdicts}
    occur |= set(BEYOND_MINERS) if work.false_replays else set()
    for code, words in OF_WORK.items():
        if code in occur:
            print_text(f"  {code}: {words}")
    print_text(f"  {replayed_sentence(work)}")
    if work.kept:
        print_text(
            f"  {work.kept} of {work.assigned} assigned chunks were with their miners from the round before"
        )


def replayed_sentence(work: WorkReport) -> str:
    """How much of the training was replayed, over all seats."""
    trained = sum(work.trained)
    if not trained:
        return "no training was opened"
    if not work.segments:
        return f"{trained} steps were trained, and confirmed by replicas: no verifier replays"
    return (
        f"{trained} steps were trained and {sum(work.replayed)} replayed, over all verifiers: {100 * work.share:.1f} % "
        f"({work.segments} replays of a segment)"
    )
