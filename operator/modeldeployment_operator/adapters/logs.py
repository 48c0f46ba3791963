"""The operator's log: each line about a ModelDeployment says which, and in which reconcile it was written."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.settings import LogFormat

_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s %(message)s"
_numbers: Final = itertools.count(1)
_current: Final[ContextVar[tuple[Key, str] | None]] = ContextVar("reconcile", default=None)
"""What is reconciled, and the id of that; tasks that are begun meanwhile keep it."""


@contextmanager
def reconciling(key: Key) -> Iterator[None]:
    """Mark what is logged in here, and in tasks that begin in here, as of one reconcile."""
    token = _current.set((key, f"{next(_numbers):x}"))
    try:
        yield
    finally:
        _current.reset(token)


def configure(log_format: LogFormat) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """For people: `TIME LEVEL LOGGER [RECONCILE] NAMESPACE/NAME: MESSAGE`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class has named it.
        """Return a line without what follows of an exception."""
        key, reconcile = _subject(record)
        mark = f"[{reconcile}] " if reconcile else ""
        record.message = mark + (f"{key}: {_words(record, key)}" if key else record.message)
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """For programs: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line."""
        key, reconcile = _subject(record)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _words(record, key),
        }
        if key:
            line |= {"namespace": key.namespace, "name": key.name}
        if reconcile:
            line["reconcile_id"] = reconcile
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, ensure_ascii=False)


def _subject(record: logging.LogRecord) -> tuple[Key | None, str | None]:
    """Return what a line is about, and the reconcile it is of."""
    key, reconcile = _current.get() or (None, None)
    if key is None and isinstance(record.args, tuple):
        key = next((argument for argument in record.args if isinstance(argument, Key)), None)
    return key, reconcile


def _words(record: logging.LogRecord, key: Key | None) -> str:
    """Return the message without the name of its object, which is told by itself."""
    return record.getMessage().removeprefix(f"{key}: ")
