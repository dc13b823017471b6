"""Errors that cost an identity a step or a round, and nothing else: what is said of one, and where it is counted."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb

from quorumlearn.nodes import metrics


def counted(task: str, error: BaseException) -> dict[str, str]:
    """Count it, and give what the log says: its type, its message, and the files and lines that it came through."""
    kind = type(error).__name__
    metrics.FAILURES.labels(task, kind).inc()
    places = (f"{Path(one.filename).name}:{one.lineno}" for one in extract_tb(error.__traceback__))
    return {"kind": kind, "error": str(error), "at": " > ".join(places)}
