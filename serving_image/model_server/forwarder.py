"""Passes requests to the revision that serves, once this pod has left the rotation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from model_server import contract
from model_server.logs import warning
from model_server.pods import Lost, Unreachable, end_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.pods import Answer, Headers, PodClient

FORWARD_SECONDS: Final = 60.0
REST_SECONDS: Final = 1.0
"""After the target could not be reached, this pod answers at once for so long before it tries again."""
_ATTEMPTS: Final = 2
"""A kept connection may be closed by the other side in the moment of its use; a second one is not."""


class Forwarder:
    """Passes on whole requests. Predictions change nothing, so asking twice does no harm."""

    def __init__(self, client: PodClient, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._name = name
        self._clock = clock
        self._rests_until: dict[str, float] = {}

    async def forward(self, target: str, method: str, path: str, headers: Headers, body: bytes) -> Answer | None:
        """Return the answer of HOST:PORT, or None if there is none, so that this pod has to answer."""
        if self._clock() < self._rests_until.get(target, 0.0):
            return None
        passed = [*end_to_end(headers), (contract.FORWARDED_HEADER, self._name)]
        for _ in range(_ATTEMPTS):
            try:
                return await self._client.send(method, target, path, headers=passed, body=body, seconds=FORWARD_SECONDS)
            except Unreachable as error:
                reason = str(error)
                break
            except Lost as error:
                reason = str(error)
        self._rests_until = {target: self._clock() + REST_SECONDS}
        warning("the serving revision cannot be reached; answering instead of it", target=target, reason=reason)
        return None
