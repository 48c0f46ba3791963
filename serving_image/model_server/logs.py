"""Log lines: one JSON object each, with no payloads."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from model_server import traces

logger = logging.getLogger("model_server")


def set_up() -> None:
    """Send the log lines of this process to stderr, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def event(message: str, **fields: object) -> None:
    """Log what happened, with facts about it."""
    logger.info(message, extra={"fields": fields})


def warning(message: str, **fields: object) -> None:
    """Log what somebody should look at."""
    logger.warning(message, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """The time, the level, the message and its facts, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if (trace := traces.current.get()).id is not None:
            line["trace_id"] = trace.id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
