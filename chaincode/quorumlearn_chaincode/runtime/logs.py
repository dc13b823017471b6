"""What a chaincode service logs: one line an event on standard error, as text or, with QUORUMLEARN_LOG=json, as one JSON object."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

FORM = "QUORUMLEARN_LOG"
_TEXT = "%(asctime)s %(levelname)s %(message)s"


def log_to_stderr(level: str, form: str) -> None:
    """Have the standard logging write there. `form` json: an object with timestamp, level, logger and event; anything else: text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level, handlers=[handler])


class JsonLines(logging.Formatter):
    """One JSON object a record; what was raised is in `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without a line break in it."""
        when = datetime.fromtimestamp(record.created, UTC)
        fields = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": when.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
