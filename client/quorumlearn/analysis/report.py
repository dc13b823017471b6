"""The account of one task: who contributed what and was paid, how good the model became, where time and bytes went.

Everything comes from the ledger's records, so anybody who reads the channel gets the same report. Accuracy is that of the verifiers'
ballots: correct answers over all of their test sets together. Bytes of a phase are those of the artifacts that its records name;
seconds are between the ledger's times at which phases were entered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.reward_pb2 import Stake
from quorumlearn_proto.task_pb2 import TaskSpec


@dataclass(frozen=True)
class MinerReport:
    """One miner over all rounds; `weights` and `verdicts` by round, `stake` what is left of it or was given back."""

    miner: str
    weights: tuple[int, ...]
    verdicts: tuple[str, ...]
    details: tuple[str, ...]
    stake: int
    paid: int
    slashed: int


@dataclass(frozen=True)
class PhaseReport:
    """Seconds and bytes of one phase over all rounds."""

    phase: str
    seconds: float
    bytes: int


@dataclass(frozen=True)
class TaskReport:
    """`accuracy[h]` is that of block h on the verifiers' test sets (None if none of them voted on it)."""

    task: str
    outcomes: tuple[str, ...]
    heads: tuple[str, ...]
    accuracy: tuple[float | None, ...]
    miners: tuple[MinerReport, ...]
    phases: tuple[PhaseReport, ...]
    update_bytes: int
    parameters: int

    @property
    def bytes_per_parameter(self) -> float:
        return self.update_bytes / self.parameters


def report_of(
    spec: TaskSpec, rounds: Iterable[b.TaskView], blocks: Iterable[b.Block], stakes: Mapping[str, Stake]
) -> TaskReport:
    """The report from the views of the rounds (in their order), the chain of blocks and the task's stakes by account."""
    views = list(rounds)
    chain = [block for block in blocks if block.status != b.REVERTED]
    names = sorted({miner for view in views for miner in view.round.miners})
    return TaskReport(
        task=spec.task_id,
        outcomes=tuple(b.Outcome.Name(view.round.outcome) for view in views),
        heads=tuple(block.digest for block in chain),
        accuracy=_accuracy(chain),
        miners=tuple(_miner(name, views, stakes.get(name, Stake()), spec.stakes.miner) for name in names),
        phases=_phases(views),
        update_bytes=max((sub.manifest.update.size for view in views for sub in view.submissions), default=0),
        parameters=spec.ckks.update_size,
    )


def _miner(name: str, views: list[b.TaskView], stake: Stake, locked: int) -> MinerReport:
    verdicts = [
        next((one for one in view.round.selection.verdicts if one.miner == name), b.Verdict(miner=name))
        for view in views
    ]
    return MinerReport(
        miner=name,
        weights=tuple(one.weight for one in verdicts),
        verdicts=tuple(_named(one.reason) for one in verdicts),
        details=tuple(one.detail for one in verdicts),
        stake=locked - stake.slashed,
        paid=stake.paid,
        slashed=stake.slashed,
    )


def _named(reason: b.Reason) -> str:
    return "NOT_IN_ROUND" if reason == b.REASON_UNSPECIFIED else b.Reason.Name(reason)


def _accuracy(chain: list[b.Block]) -> tuple[float | None, ...]:
    """Of block 0 the score that the first block's ballots give its base."""
    scores: list[float | None] = []
    for height, block in enumerate(chain):
        ballots = block.ballots if height else (chain[1].ballots if len(chain) > 1 else ())
        total = sum(ballot.total for ballot in ballots)
        correct = sum(ballot.correct if height else ballot.base_correct for ballot in ballots)
        scores.append(correct / total if total else None)
    return tuple(scores)


def _phases(views: list[b.TaskView]) -> tuple[PhaseReport, ...]:
    seconds: dict[int, float] = defaultdict(float)
    sizes: dict[int, int] = defaultdict(int)
    for view in views:
        times = list(view.round.times)
        for entered, left in pairwise(times):
            seconds[entered.phase] += (left.entered_ms - entered.entered_ms) / 1000
        for phase, ref in _artifacts(view):
            sizes[phase] += ref.size
    order = [phase for phase in b.Phase.values() if phase in seconds or phase in sizes]
    return tuple(PhaseReport(b.Phase.Name(phase), seconds[phase], sizes[phase]) for phase in order)


def _artifacts(view: b.TaskView) -> Iterable[tuple[int, ArtifactRef]]:
    """Each artifact of a round with the phase that it belongs to."""
    for part in view.contributions:
        if part.round == view.round.number:
            yield b.KEY, part.public_share
            yield b.KEY, part.sealed_shares
            yield b.KEY, part.test_partial
    yield b.KEY, view.round.collective_key
    for submission in view.submissions:
        yield b.REVEAL, submission.manifest.update
    for one in view.screenings:
        yield b.SCREEN, one.sketch_shares
        yield b.OPEN, one.partial
    yield b.PROPOSE, view.round.candidate.model
    yield b.PROPOSE, view.round.candidate.aggregate
