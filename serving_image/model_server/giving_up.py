"""How a container that cannot do its work says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from model_server.logs import logger, warning
from model_server.wording import without_secrets

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.errors import StartError

MAX_MESSAGE_CHARS: Final = 1000
"""Kubernetes keeps 4096 bytes of a termination log; a character may take 4, and quoting a few more."""


def give_up(error: StartError, termination_log: Path) -> int:
    """Leave the reason where Kubernetes picks it up; returns the exit code. URLs lose their secrets."""
    message = without_secrets(error.message)
    logger.error("giving up", extra={"fields": {"reason": error.reason, "error": message}})
    document = {"reason": error.reason, "message": message[:MAX_MESSAGE_CHARS]}
    try:
        # Names of files may be no UTF-8.
        termination_log.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8", errors="replace")
    except OSError as failure:
        warning("the termination log cannot be written", error=str(failure))
    return 1
