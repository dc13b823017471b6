"""What a devnet logs: one line an event on standard error, as text or, with QUORUMLEARN_LOG=json, as one JSON object."""

from __future__ import annotations

import logging
import sys

import structlog

FORM = "QUORUMLEARN_LOG"
_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def log_to_stderr(level: str, form: str) -> None:
    """Have the standard logging write there. `form` json: an object with timestamp, level, logger and event; anything else: text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_as_json() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level, handlers=[handler])


def _as_json() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
