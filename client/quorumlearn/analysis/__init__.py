"""What a task did, read from the ledger alone: figures, tables and pictures of it. And what cheating in one would gain."""

from quorumlearn.analysis.audit_report import AuditReport, audit_report
from quorumlearn.analysis.collecting import collect
from quorumlearn.analysis.economics import Economics, Gain, economics_of, usual_costs
from quorumlearn.analysis.picture import draw_audit, draw_gains, draw_scores
from quorumlearn.analysis.places import Costs
from quorumlearn.analysis.reasons import OF_WORK, why_round, why_task
from quorumlearn.analysis.report import (
    UNDER_WAY,
    MinerReport,
    PhaseReport,
    TaskReport,
    outcome_of,
    report_of,
)
from quorumlearn.analysis.scores import pooled, shown_score, title_of
from quorumlearn.analysis.segments import Draw, draw_of
from quorumlearn.analysis.work import FalseReplay, WorkReport, WrongWork, false_replays, wrong_work

__all__ = [
    "OF_WORK",
    "UNDER_WAY",
    "AuditReport",
    "Costs",
    "Draw",
    "Economics",
    "FalseReplay",
    "Gain",
    "MinerReport",
    "PhaseReport",
    "TaskReport",
    "WorkReport",
    "WrongWork",
    "audit_report",
    "collect",
    "draw_audit",
    "draw_gains",
    "draw_of",
    "draw_scores",
    "economics_of",
    "false_replays",
    "outcome_of",
    "pooled",
    "report_of",
    "shown_score",
    "title_of",
    "usual_costs",
    "why_round",
    "why_task",
    "wrong_work",
]
