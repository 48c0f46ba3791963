"""Keeps the cache true for one kind of children: a list, and a watch from there on.

Kopf does this for ModelDeployments. Of children there are ten times as many events, each of which costs five times as
much through it; and a kind that goes would end it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Final

from modeldeployment_operator.adapters.api import Api, Change
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.listing import refresh
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.errors import ApiError, NotFoundError, RefusedError
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.names import SELECTOR
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.pace import backoff

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 15.0
_REFUSED_SECONDS: Final = 60.0
"""A right that is missing is not given soon."""
_STEADY_SECONDS: Final = 10.0
"""A watch that lasted for so long was a good one. Others count as failures, so that none is begun again and again."""
_LIST_ANEW: Final = frozenset({400, 403, 404, 410})
"""Answers to a watch that asking once more would not change; 410 if what happened since then is not known any more."""


class Reflector:
    """Of one kind, in one namespace or everywhere."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        wake: Callable[[Key], None],
        telemetry: Telemetry,
        kind: Kind,
        namespace: str | None,
    ) -> None:
        self._api = api
        self._cache = cache
        self._wake = wake
        self._restarts = telemetry.watch_restarts.labels(kind.plural)
        self._kind = kind
        self._namespace = namespace
        self._version: int | None = None
        """Up to where everything is known; None if a list has to tell."""
        self._failures = 0

    async def look(self) -> None:
        """List everything."""
        touched, self._version = await refresh(self._api, self._cache, self._kind, self._namespace)
        self._wake_all(touched)

    async def keep(self) -> None:
        """Keep the cache true until a list finds no such kind: NotFoundError. Whatever else fails is tried again."""
        while True:
            if self._version is None:
                await self._list()
            else:
                await self._watch(self._version)

    async def _list(self) -> None:
        try:
            await self.look()
        except NotFoundError:
            raise
        except ApiError as error:
            await self._pause(error)

    async def _watch(self, version: int) -> None:
        began, problem = asyncio.get_running_loop().time(), None
        try:
            async with aclosing(self._api.watch(self._kind, self._namespace, SELECTOR, version)) as changes:
                async for change in changes:
                    self._note(change)
        except ApiError as error:
            problem = error
            if error.status in _LIST_ANEW:
                self._version = None
        is_steady = asyncio.get_running_loop().time() - began >= _STEADY_SECONDS
        if is_steady:
            self._failures = 0
        if problem is not None or not is_steady:
            self._restarts.inc()
            await self._pause(problem)

    def _note(self, change: Change) -> None:
        if not change.is_bookmark:
            key = (self._cache.remove if change.deleted else self._cache.put)(self._kind, change.body)
            self._wake_all([key] if key else [])
        self._version = change.version

    async def _pause(self, error: ApiError | None) -> None:
        """Wait before the next try, longer each time, and a little at random so as not to come all at once."""
        self._failures += 1
        first, longest = _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS
        if isinstance(error, RefusedError):
            first = longest = _REFUSED_SECONDS
        chance = random.random()  # noqa: S311 - spreads load.
        seconds = backoff(self._failures, first=first, longest=longest, chance=chance)
        _log.log(
            logging.INFO if self._failures == 1 else logging.WARNING,
            "%s are not seen%s, which is tried again in %.1f s: %s",
            self._kind.plural,
            f" in namespace {self._namespace}" if self._namespace else "",
            seconds,
            error or "the API server ended the watch at once",
        )
        await asyncio.sleep(seconds)

    def _wake_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._wake(key)
