"""All that the ledger says of one task, read once: what an audit is a function of."""

from __future__ import annotations

from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.task_pb2 import TaskSpec, TaskState

from quorumlearn.nodes.market import Market


@dataclass(frozen=True)
class Record:
    """What the ledger says of a task; the state also by which digest its specification is known. `attempts` are the key
    contributions of a round by attempt and seat."""

    spec: TaskSpec
    state: TaskState
    views: tuple[b.TaskView, ...]
    blocks: tuple[b.Block, ...]
    authorisations: tuple[b.Authorisation, ...]
    misconducts: tuple[b.Misconduct, ...]
    attempts: dict[tuple[int, int], dict[int, b.KeyContribution]]


def read(market: Market, task: str) -> Record:
    """All of a task's records."""
    summary = market.task(task)
    attempts: dict[tuple[int, int], dict[int, b.KeyContribution]] = {}
    for number in range(1, summary.state.round + 1):
        for part in market.key_contributions(task, number):
            attempts.setdefault((number, part.attempt), {})[part.seat] = part
    return Record(
        spec=summary.task.spec,
        state=summary.state,
        views=tuple(market.round_view(task, number) for number in range(1, summary.state.round + 1)),
        blocks=tuple(market.blocks(task)),
        authorisations=tuple(market.authorisations(task)),
        misconducts=tuple(market.misconducts(task)),
        attempts=attempts,
    )
