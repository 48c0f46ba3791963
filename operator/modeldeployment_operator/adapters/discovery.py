"""Which optional kinds the cluster knows. They come and go with other people's installations."""

from __future__ import annotations

import asyncio
from typing import Final

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.core.kinds import Kind

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
                answer = await self._api.serves(kind)
                self._known[kind] = (now, answer)
            return answer
