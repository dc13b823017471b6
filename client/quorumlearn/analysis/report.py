"""The account of one task: who contributed what and was paid, how good the model became, where time and bytes went.

Everything comes from the ledger's records, so anybody who reads the channel gets the same report. Scores are those of the verifiers'
ballots by the task's metric: the mean over all of their test sets, by samples. Bytes of a phase are those of the artifacts that its
records name; seconds are between the ledger's times at which phases were entered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.gate import metric_of
from quorumlearn_proto.reward_pb2 import Stake
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import learning
from quorumlearn.analysis.reasons import why_round
from quorumlearn.analysis.scores import pooled
from quorumlearn.analysis.work import WorkReport, work_of
from quorumlearn.nodes.guarantee import round_lacks

UNDER_WAY = "UNDER_WAY"
"""The outcome of a round that has not ended."""


@dataclass(frozen=True)
class MinerReport:
    """One miner over all rounds; `weights` and `verdicts` by round, `stake` what the task holds of it now: nothing once it has ended.

    `epsilon` is what the updates that it revealed cost the owner of one of its samples together, at the task's dp_delta, for the
    number of samples that it gave and if it trained as the task says; None if the task's training is not private.
    """

    miner: str
    weights: tuple[int, ...]
    verdicts: tuple[str, ...]
    details: tuple[str, ...]
    stake: int
    paid: int
    slashed: int
    epsilon: float | None = None


@dataclass(frozen=True)
class PhaseReport:
    """Seconds and bytes of one phase over all rounds."""

    phase: str
    seconds: float
    bytes: int


@dataclass(frozen=True)
class TaskReport:
    """`scores[h]` is that of block h, by `metric`, on the verifiers' test sets (None if none of them voted on it); `outcomes` and
    `reasons` are by round, a reason empty where the round was accepted; `paid` says of which rounds weights were paid; `weak` says, by
    round, why the rule's guarantee did not hold, and is empty where it did. `delta` is the task's dp_delta if its training is
    differentially private; `work` what became of trainings, where they are replayed."""

    task: str
    outcomes: tuple[str, ...]
    reasons: tuple[str, ...]
    paid: tuple[bool, ...]
    weak: tuple[str, ...]
    heads: tuple[str, ...]
    metric: str
    lower_is_better: bool
    scores: tuple[float | None, ...]
    miners: tuple[MinerReport, ...]
    phases: tuple[PhaseReport, ...]
    update_bytes: int
    parameters: int
    delta: float | None = None
    work: WorkReport | None = None

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
    workload = _private_workload(spec)
    return TaskReport(
        task=spec.task_id,
        outcomes=tuple(outcome_of(view.round) for view in views),
        reasons=tuple(why_round(view.round) for view in views),
        paid=tuple(_pays(view) for view in views),
        weak=tuple(round_lacks(spec, view.round.selection) for view in views),
        heads=tuple(block.digest for block in chain),
        metric=metric_of(spec),
        lower_is_better=spec.workload.lower_is_better,
        scores=_scores(chain),
        miners=tuple(_miner(name, views, stakes.get(name, Stake()), workload) for name in names),
        phases=_phases(views),
        update_bytes=max((sub.manifest.update.size for view in views for sub in view.submissions), default=0),
        parameters=spec.ckks.update_size,
        delta=None if workload is None else workload.config.dp_delta,
        work=work_of(spec, views, names),
    )


def _private_workload(spec: TaskSpec) -> learning.Workload | None:
    """The task's workload if it trains privately; others are not looked at, for that takes seconds to import."""
    if "dp_clip" not in spec.workload.config:
        return None
    try:
        workload = learning.get_workload(spec.workload.name, dict(spec.workload.config))
    except learning.LibraryMissing:
        raise  # what the updates cost is part of the report, and cannot be told
    except learning.WorkloadError:
        return None  # a task that nobody can train spends no privacy
    return workload if workload.config.private else None


def _miner(
    name: str, views: list[b.TaskView], stake: Stake, workload: learning.Workload | None
) -> MinerReport:
    counts = [
        sub.manifest.sample_count
        for view in views
        for sub in view.submissions
        if sub.miner == name and sub.manifest.sample_count > 0
    ]
    verdicts = [
        next((one for one in view.round.selection.verdicts if one.miner == name), b.Verdict(miner=name))
        for view in views
    ]
    return MinerReport(
        miner=name,
        weights=tuple(one.weight for one in verdicts),
        verdicts=tuple(_named(one.reason) for one in verdicts),
        details=tuple(one.detail for one in verdicts),
        stake=stake.amount,
        paid=stake.paid,
        slashed=stake.slashed,
        epsilon=None if workload is None else workload.epsilon(counts),
    )


def outcome_of(round_: b.Round) -> str:
    """ACCEPTED, REJECTED, ABORTED or, of a round that has not ended, UNDER_WAY."""
    return b.Outcome.Name(round_.outcome) if round_.outcome else UNDER_WAY


def _pays(view: b.TaskView) -> bool:
    """Whether an ended round's weights are paid: it was accepted, or aborted once its aggregate may have been opened."""
    opened = any(one.HasField("partial") for one in view.screenings)
    return view.round.outcome == b.ACCEPTED or (view.round.outcome == b.ABORTED and opened)


def _named(reason: b.Reason) -> str:
    return "NOT_IN_ROUND" if reason == b.REASON_UNSPECIFIED else b.Reason.Name(reason)


def _scores(chain: list[b.Block]) -> tuple[float | None, ...]:
    """Of block 0 the score that the first block's ballots give its base."""
    first = pooled(chain[1].ballots, base=True) if len(chain) > 1 else None
    return tuple(pooled(block.ballots) if height else first for height, block in enumerate(chain))


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
        if submission.HasField("opening"):
            yield b.TRACE, submission.opening
    for one in view.screenings:
        if one.HasField("replays"):
            yield b.REPLAY, one.replays
        yield b.SCREEN, one.sketch_shares
        yield b.OPEN, one.partial
    yield b.PROPOSE, view.round.candidate.model
    yield b.PROPOSE, view.round.candidate.aggregate
