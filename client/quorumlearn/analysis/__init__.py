"""What a task did, read from the ledger alone: figures, tables and pictures of it."""

from quorumlearn.analysis.picture import draw_accuracy
from quorumlearn.analysis.report import MinerReport, PhaseReport, TaskReport, report_of

__all__ = ["MinerReport", "PhaseReport", "TaskReport", "draw_accuracy", "report_of"]
