"""A task's report from what a peer says."""

from __future__ import annotations

from quorumlearn.analysis.report import TaskReport, report_of
from quorumlearn.nodes.market import Market


def collect(market: Market, task: str) -> TaskReport:
    """The report of a task from everything the ledger holds of it."""
    summary = market.task(task)
    views = [market.round_view(task, number) for number in range(1, summary.state.round + 1)]
    stakes = {stake.account_id: stake for stake in market.stakes(task)}
    return report_of(summary.task.spec, views, market.blocks(task), stakes)
