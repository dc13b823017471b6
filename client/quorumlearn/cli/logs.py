"""What a node logs: one line an event on standard error, the time first, as text or as JSON."""

from __future__ import annotations

import logging
import os
import sys

import structlog

from quorumlearn.cli.terminal import Exit, Failure

FORM = "QUORUMLEARN_LOG"
"""The variable that says in which form every program of ours logs: text (as without it) or json."""


def log_to_stderr(as_json: bool) -> None:
    """Have structlog's events, and those of libraries that use the standard logging, written there in one form."""
    as_json = as_json or asked_for_json()
    form: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, form],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                form,
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def asked_for_json() -> bool:
    """Whether the environment asks for JSON; Failure if it asks for something else than there is."""
    form = os.environ.get(FORM, "") or "text"
    if form not in {"text", "json"}:
        raise Failure(f"{FORM}={form!r}: there is text, and json", Exit.USAGE)
    return form == "json"
