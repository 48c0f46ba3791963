"""What clients are told of an error that was not meant for them: nothing but that the log has it."""

from __future__ import annotations

from typing import Final

from model_server.errors import RequestError
from model_server.logs import logger

INTERNAL: Final = "internal error; the log of the pod has the details"


def told(error: BaseException | None) -> RequestError:
    """Return what a client may be told of an error; what was not meant for clients is logged."""
    if isinstance(error, RequestError):
        return error
    logger.error("a request failed", exc_info=error)
    return RequestError(INTERNAL)
