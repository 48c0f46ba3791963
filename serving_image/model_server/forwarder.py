"""Passes requests to the revision that serves, once this pod has left the rotation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from model_server import contract
from model_server.errors import DeadlineExceeded
from model_server.logs import warning
from model_server.passing import Passed
from model_server.pods import Lost, TimedOut, Unreachable, end_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.passing import Seal
    from model_server.pods import Answer, PodClient
    from model_server.traces import Headers

FORWARD_SECONDS: Final = 60.0
REST_SECONDS: Final = 1.0
"""After the target could not be reached, this pod answers at once for so long before it tries again."""
_FORWARDED: Final = contract.FORWARDED_HEADER.lower()
_ATTEMPTS: Final = 2
"""A kept connection may be closed by the other side in the moment of its use; a second one is not."""


class Forwarder:
    """Passes on whole requests. Predictions change nothing, so asking twice does no harm."""

    def __init__(self, client: PodClient, seal: Seal, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._seal = seal
        self._clock = clock
        self._rests_until: dict[str, float] = {}

    async def forward(self, target: str, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:
        """Return the answer of HOST:PORT, or None if it cannot be reached, so that this pod has to answer.

        Raises `DeadlineExceeded` if it takes too long: it is there, and this pod's answer would be the rejected one.
        """
        if self._clock() < self._rests_until.get(target, 0.0):
            return None
        passed = [(name, value) for name, value in end_to_end(headers) if name.lower() != _FORWARDED]
        passed.append((contract.FORWARDED_HEADER, self._seal.mark(Passed.REQUEST, body)))
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                return await self._client.send(method, target, path, headers=passed, body=body, seconds=FORWARD_SECONDS)
            except Unreachable as error:
                self._rests_until = {target: self._clock() + REST_SECONDS}
                reason = str(error)
                break
            except TimedOut as error:
                raise DeadlineExceeded(f"the serving revision did not answer within {FORWARD_SECONDS:g} s") from error
            except Lost as error:
                reason = str(error)
        warning("the serving revision cannot be reached; answering instead of it", target=target, reason=reason)
        return None
