"""What a task did, read from the ledger alone: figures, tables and pictures of it."""

from quorumlearn.analysis.picture import draw_accuracy
from quorumlearn.analysis.reasons import why_round, why_task
from quorumlearn.analysis.report import (
    UNDER_WAY,
    MinerReport,
    PhaseReport,
    TaskReport,
    outcome_of,
    report_of,
)

__all__ = [
    "UNDER_WAY",
    "MinerReport",
    "PhaseReport",
    "TaskReport",
    "draw_accuracy",
    "outcome_of",
    "report_of",
    "why_round",
    "why_task",
]
