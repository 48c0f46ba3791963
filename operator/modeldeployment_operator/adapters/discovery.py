"""Which optional kinds the cluster knows. They come and go with other people's installations."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.core.errors import ApiError
from modeldeployment_operator.core.kinds import Kind

_log = logging.getLogger(__name__)

_TTL_SECONDS: Final = 60.0


class Discovery:
    """Asks the API server at most once a minute for each kind."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[Kind, tuple[float, bool]] = {}
        self._lock = asyncio.Lock()

    async def serves(self, kind: Kind) -> bool:
        """Return whether the cluster knows a kind."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            asked, answer = self._known.get(kind, (-_TTL_SECONDS, False))
            if now - asked >= _TTL_SECONDS:
                try:
                    answer = await self._api.serves(kind)
                except ApiError as error:  # It is optional: what is known of it stands for another minute.
                    _log.warning("whether the cluster knows %s could not be found out: %s", kind.kind, error)
                self._known[kind] = (now, answer)
            return answer
