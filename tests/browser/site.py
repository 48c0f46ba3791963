"""The operator's page as the operator serves it, over models that a test puts there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from modeldeployment_operator.adapters import page
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.fleet import Fleet
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.freshness import Freshness

from tests.support import fleets
from tests.support.observations import NOW

if TYPE_CHECKING:
    from aiohttp.web import AppRunner
    from modeldeployment_operator.api.status import ModelDeploymentStatus
    from modeldeployment_operator.core.observation import Key

NAME = "models.example.com"
"""What the page may be called by, beside localhost; it is told so in capitals, which names of hosts make nothing of."""


HEARD = timedelta(seconds=3)
"""How long ago the operator has heard of the cluster."""


class Site:
    """A page, and what the operator knows."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.silence: timedelta | None = HEARD
        self.synced = True
        self.host, self.port = "127.0.0.1", 0
        self.stop: Callable[[], None] = lambda: None
        """Ends it before its time."""
        self._version = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/"

    def knows(self, key: Key, status: ModelDeploymentStatus) -> None:
        """Take note of a ModelDeployment, or of a change of it."""
        self._version += 1
        self.cache.put(kinds.MODEL_DEPLOYMENT, fleets.body(key, status, self._version))

    def forgets(self, key: Key) -> None:
        """Take note that one was deleted."""
        self._version += 1
        self.cache.remove(kinds.MODEL_DEPLOYMENT, fleets.body(key, fleets.unjudged(key), self._version))

    async def serve(self) -> AppRunner:
        """Listen, on the same port as before if it did before."""
        runner = await page.serve(Fleet(self.cache, {}), self._freshness, self.host, self.port, [NAME.title()])
        self.port = runner.addresses[0][1]
        return runner

    def _freshness(self) -> Freshness:
        return Freshness(NOW + timedelta(hours=3), self.silence, self.synced)


@contextmanager
def served(site: Site) -> Iterator[Site]:
    """Serve it from a thread, as the test's own waits for the browser."""
    loop = asyncio.new_event_loop()
    runner = loop.run_until_complete(site.serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def stop() -> None:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()

    site.stop = stop
    try:
        yield site
    finally:
        stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
