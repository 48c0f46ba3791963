"""Clients that never hang up by themselves, as those with connection pools do."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from model_server import contract

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = contract.MODEL_PATH_TEMPLATE.format(model="m") + contract.PREDICT_SUFFIX


@dataclass
class Report:
    """What clients saw."""

    revisions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    last_seen: dict[str, float] = field(default_factory=dict)
    """By revision, the time of the last answer."""
    tokens: list[str] = field(default_factory=list)


class Clients:
    """Predicts over kept connections; a connection that has to be made goes where `endpoint` says then."""

    def __init__(self, endpoint: Callable[[], str], count: int = 8) -> None:
        self._endpoint = endpoint
        self._count = count
        self._going = True
        self.report = Report()

    async def __aenter__(self) -> Report:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self._count)]
        return self.report

    async def __aexit__(self, *_: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _client(self) -> None:
        while self._going:
            # One session stays with one endpoint until the server asks it to leave.
            endpoint = self._endpoint()
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=600)) as session:
                while self._going and await self._predict(session, endpoint):
                    pass

    async def _predict(self, session: aiohttp.ClientSession, endpoint: str) -> bool:
        """Send one request; False when the connection is over."""
        try:
            async with session.post(f"http://{endpoint}{PATH}", json={"instances": ["好"]}) as response:
                await response.read()
                if response.status != 200:
                    self.report.failures.append(str(response.status))
                revision = response.headers[contract.REVISION_HEADER]
                self.report.revisions[revision] += 1
                self.report.last_seen[revision] = time.monotonic()
                self.report.tokens.append(response.headers[contract.PREDICTION_ID_HEADER])
                return response.headers.get("Connection", "").lower() != "close"
        except aiohttp.ClientError as error:
            self.report.failures.append(repr(error))
            return False
