"""What the ledger says of a task, its rounds and its blocks, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.gate import metric_of
from quorumlearn_proto.page_pb2 import TaskSummary

from quorumlearn.analysis import outcome_of, pooled, why_round, why_task
from quorumlearn.nodes.guarantee import round_lacks


@dataclass(frozen=True)
class TaskStatus:
    """Where a task stands. `status` is one of docs/protocol.md (PUBLISHED, RUNNING, COMPLETED, CANCELLED, EXPIRED); `height` and
    `head` are the number and digest of its last block; `metric` is what scores are; `reason` says why it ended, if not by completing."""

    task: str
    title: str
    owner: str
    workload: str
    metric: str
    lower_is_better: bool
    status: str
    round: int
    rounds: int
    height: int
    head: str
    reason: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen in it."""
        return self.status not in ("PUBLISHED", "RUNNING")


@dataclass(frozen=True)
class Verdict:
    """What the committee said of a miner's update: its weight in the sum, and by the codes of docs/protocol.md why it has none."""

    miner: str
    weight: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Block:
    """An accepted model. `digest` is that of the block, `model` that of the model's bytes in the store; `score` is the model's on the
    verifiers' test sets together, None if none of them scored it."""

    height: int
    digest: str
    round: int
    model: str
    proposer: str
    reverted: bool
    score: float | None


@dataclass(frozen=True)
class Round:
    """A round that has ended: ACCEPTED, REJECTED or ABORTED, and then `reason` says why; `weak` says why the rule's guarantee did not
    hold in it, if so. `score` is that of the model voted on; `seconds` are by phase; `block` is what an accepted round added."""

    number: int
    outcome: str
    reason: str
    weak: str
    score: float | None
    verdicts: tuple[Verdict, ...]
    seconds: Mapping[str, float]
    block: Block | None

    @property
    def contributing(self) -> int:
        """Miners whose updates are in the sum."""
        return sum(one.weight > 0 for one in self.verdicts)


def status_of(summary: TaskSummary) -> TaskStatus:
    spec, state = summary.task.spec, summary.state
    return TaskStatus(
        task=spec.task_id,
        title=spec.title,
        owner=summary.task.owner,
        workload=spec.workload.name,
        metric=metric_of(spec),
        lower_is_better=spec.workload.lower_is_better,
        status=t.TaskStatus.Name(state.status),
        round=state.round,
        rounds=spec.rounds,
        height=state.head.height,
        head=state.head.digest,
        reason=why_task(state.reason),
    )


def block_of(block: b.Block) -> Block:
    return Block(
        height=block.core.height,
        digest=block.digest,
        round=block.core.round,
        model=block.core.model.digest,
        proposer=block.core.proposer,
        reverted=block.status == b.REVERTED,
        score=pooled(block.ballots),
    )


def round_of(view: b.TaskView, block: b.Block | None) -> Round:
    """Of the view of a round that has ended, and of the block that it added."""
    now = view.round
    return Round(
        number=now.number,
        outcome=outcome_of(now),
        reason=why_round(now),
        weak=round_lacks(view.task.spec, now.selection),
        score=pooled(view.ballots),
        verdicts=tuple(
            Verdict(one.miner, one.weight, b.Reason.Name(one.reason), one.detail)
            for one in now.selection.verdicts
        ),
        seconds={
            b.Phase.Name(entered.phase): (left.entered_ms - entered.entered_ms) / 1000
            for entered, left in pairwise(now.times)
        },
        block=None if block is None else block_of(block),
    )
