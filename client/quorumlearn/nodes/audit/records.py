"""All that the ledger says of one task, read once: what an audit is a function of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import reward_pb2 as r
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.recompute import recomputes
from quorumlearn_proto.task_pb2 import TaskSpec, TaskState

from quorumlearn.nodes.market import Market

MAX_STATEMENT = 1000
"""An account of so many entries may have had more."""


@dataclass(frozen=True)
class Money:
    """Where a task's tokens are, and by account how they moved there in this task. `settled`: the ledger did not move on while it was
    read; `incomplete` are the accounts of whose movements the ledger no longer tells all."""

    stakes: tuple[r.Stake, ...] = ()
    escrow: r.Escrow = field(default_factory=r.Escrow)
    challenges: tuple[b.Challenge, ...] = ()
    movements: Mapping[str, tuple[r.Movement, ...]] = field(default_factory=dict)
    incomplete: tuple[str, ...] = ()
    settled: bool = True


@dataclass(frozen=True)
class Record:
    """What the ledger says of a task; the state also by which digest its specification is known. `attempts` are the key
    contributions of a round, also of the next, by attempt and seat, `ballots` those of a round by the proposer's turn."""

    spec: TaskSpec
    state: TaskState
    views: tuple[b.TaskView, ...]
    blocks: tuple[b.Block, ...]
    authorisations: tuple[b.Authorisation, ...]
    misconducts: tuple[b.Misconduct, ...]
    attempts: dict[tuple[int, int], dict[int, b.KeyContribution]]
    ballots: dict[tuple[int, int], tuple[b.Ballot, ...]]
    money: Money
    work: Mapping[str, int] | None = None
    """By miner, where training is replayed: what counts in the proposers' lottery, in steps."""


def read(market: Market, task: str) -> Record:
    """All of a task's records."""
    summary, before = market.task(task), _moving(market, task)
    numbers = range(1, summary.state.round + 1)
    attempts: dict[tuple[int, int], dict[int, b.KeyContribution]] = {}
    for number in range(1, min(summary.state.round + 1, summary.task.spec.rounds) + 1):
        for part in market.key_contributions(task, number):
            attempts.setdefault((number, part.attempt), {})[part.seat] = part
    views = tuple(market.round_view(task, number) for number in numbers)
    return Record(
        spec=summary.task.spec,
        state=summary.state,
        views=views,
        blocks=tuple(market.blocks(task)),
        authorisations=tuple(market.authorisations(task)),
        misconducts=tuple(market.misconducts(task)),
        attempts=attempts,
        ballots={
            (view.round.number, turn): tuple(market.ballots(task, view.round.number, turn))
            for view in views
            for turn in range(len(view.round.proposers))
        },
        money=_money(market, task, summary.task.owner, before),
        work={one.miner: one.work for one in market.participations(task)}
        if recomputes(summary.task.spec)
        else None,
    )


def shown_by(ballots: Iterable[b.Ballot]) -> set[int]:
    """The seats that have voted on a candidate: their ballots were shown, and not only fixed."""
    return {one.seat for one in ballots if ROUND[b.VALIDATE].done(one)}


def turn_at(round_: b.Round, at_ms: int) -> int:
    """The proposer's turn, from 0, that was over at this time or under way."""
    turns = [one for one in round_.times if one.phase == b.PROPOSE and one.entered_ms < at_ms]
    return max(0, len(turns) - 1)


def _money(market: Market, task: str, owner: str, before: b.TaskView) -> Money:
    stakes, challenges = tuple(market.stakes(task)), tuple(market.challenges(task))
    accounts = {owner, *(one.account_id for one in stakes), *(one.challenger for one in challenges)}
    movements: dict[str, tuple[r.Movement, ...]] = {}
    incomplete = []
    for account in sorted(accounts):
        entries = market.statement(account).entries
        moves = [move for one in entries for move in (one.account.last, *one.account.earlier)]
        movements[account] = tuple(move for move in moves if move.task_id == task)
        if len(entries) >= MAX_STATEMENT:
            incomplete.append(account)
    escrow = market.escrow(task)
    settled = (_moving(market, task), tuple(market.stakes(task))) == (before, stakes)
    return Money(stakes, escrow, challenges, movements, tuple(incomplete), settled)


def _moving(market: Market, task: str) -> b.TaskView:
    """The task's view, but for the time."""
    view = market.view(task)
    view.now_ms = 0
    view.can_advance = False
    return view
