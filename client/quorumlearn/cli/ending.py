"""What the demo says at its end: what was found, what it cost, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from quorumlearn.analysis import MinerReport, TaskReport
from quorumlearn.cli.scene import Scene
from quorumlearn.cli.spent import Spent

HONEST = "honest"
_CAUGHT = ("WRONG_WORK", "NO_TRACE", "MISSING_ARTIFACT", "FALSE_CLAIM", "DUPLICATE", "MALFORMED")
"""Reasons of a verdict on a cheat where training is replayed."""


def found(report: TaskReport, behaviours: Mapping[str, str]) -> str:
    """Of a task whose trainings are replayed: who was caught how often, and what it earned."""
    cheats = [one for one in report.miners if behaviours[one.miner] != HONEST]
    others = [one for one in report.miners if one not in cheats]
    trainings = sum(_caught(one) + _counted(one) for one in cheats)
    caught = sum(map(_caught, cheats))
    wrongly = sum(map(_caught, others))
    earned, lost = sum(one.paid for one in cheats), sum(one.slashed for one in cheats)
    honest = f"each of the {len(others)} honest ones {_between([one.paid for one in others])}"
    return (
        f"Found: the {len(cheats)} that cheat were caught in {caught} of their {trainings} trainings; they earned {earned} tokens "
        f"together and lost {lost} of their stakes, {honest}. Honest trainings that were rejected: {wrongly}."
    )


def cost(report: TaskReport, spent: Spent) -> str:
    """What verification took, beside training."""
    work = report.work
    assert work is not None
    steps = (
        f"{100 * work.share:.1f} % of {sum(work.trained)} steps of training were replayed, over all verifiers"
    )
    if not spent.training:
        return f"Cost: {steps}."
    again = (
        f", and {spent.settling:.1f} s more what their reports left open, which every verifier replays"
        if spent.settling
        else ""
    )
    return (
        f"Cost: {steps}. In processor time the trainings that were done took {spent.training:.0f} s and these replays "
        f"{spent.replaying:.1f} s{again}."
    )


def next_lines(scene: Scene) -> Iterator[str]:
    """Commands to go on with."""
    network = f"--folder {scene.network}"
    yield f"quorumlearn network up {network}"
    yield f"quorumlearn task {'report' if scene.replays else 'show'} {scene.task} {network}"
    if scene.replays:
        yield f"quorumlearn task audit {scene.task} --store {scene.folder / 'artifacts'} {network}"
        yield f"quorumlearn analyse economics {scene.task} --audit {network}"
    else:
        yield f"quorumlearn ledger account Miners1MSP/miner1 {network}"
    yield f"quorumlearn ledger blocks --last 5 {network}"
    yield f"quorumlearn network down --wipe {network}"


def _caught(miner: MinerReport) -> int:
    return sum(verdict in _CAUGHT for verdict in miner.verdicts)


def _counted(miner: MinerReport) -> int:
    return sum(weight > 0 for weight in miner.weights)


def _between(amounts: list[int]) -> str:
    low, high = min(amounts, default=0), max(amounts, default=0)
    return f"{low}" if low == high else f"{low} to {high}"
