"""Which optional kinds the cluster knows, and what is there of them: they come and go with what others install.

A kind that is known is watched, so that its objects are in the cache like all others; one that is missing is looked
for. Serving depends on none of them: whatever fails here is logged, and tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.reflector import Reflector
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.errors import ApiError, NotFoundError
from modeldeployment_operator.core.kinds import OPTIONAL, Kind
from modeldeployment_operator.core.observation import Key

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 10.0
"""Between looks for a kind that is missing: one small request for all of a group, and none without ModelDeployments."""
_FIRST_LOOKS: Final = 3
_RETRY_SECONDS: Final = 1.0


class Discovery:
    """One for the process; `start` comes before the first reconcile, `keep` goes on for ever."""

    def __init__(
        self, api: Api, cache: Cache, wake: Callable[[Key], None], telemetry: Telemetry, namespaces: Iterable[str]
    ) -> None:
        self._api = api
        self._cache = cache
        self._wake = wake
        self._telemetry = telemetry
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._reflectors: dict[Kind, list[Reflector]] = {}

    @property
    def known(self) -> frozenset[Kind]:
        """The optional kinds that the cluster knows."""
        return frozenset(self._reflectors)

    async def start(self) -> None:
        """Look for the first time. If that fails, what is there is found later: nothing waits for it."""
        for _ in range(_FIRST_LOOKS):
            if await self._look() is not None:
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def keep(self) -> None:
        """Watch what is known and look for what is missing, for ever."""
        async with asyncio.TaskGroup() as tasks:
            found: Iterable[Kind] | None = self.known
            while True:
                for kind in found or ():
                    tasks.create_task(self._follow(kind))
                await asyncio.sleep(_LOOK_SECONDS)
                found = await self._look() if self._cache.known() else None
                if found:
                    self._wake_all()

    async def _look(self) -> list[Kind] | None:
        """Look for kinds that are missing; return those that have come, or None if that could not be found out."""
        missing = [kind for kind in OPTIONAL if kind not in self._reflectors]
        try:
            served = await self._api.served(missing)
        except ApiError as error:
            _log.warning("which optional kinds the cluster knows could not be found out: %s", error)
            return None
        return [kind for kind in missing if kind in served and await self._admit(kind)]

    async def _admit(self, kind: Kind) -> bool:
        """List a kind for the first time; return whether it is there.

        One that cannot be listed is there all the same: its objects are applied, and what others do with them is seen
        as soon as they can be watched.
        """
        reflectors = [
            Reflector(self._api, self._cache, self._wake, self._telemetry, kind, namespace)
            for namespace in self._namespaces
        ]
        for reflector in reflectors:
            try:
                await reflector.look()
            except NotFoundError:
                return False
            except ApiError as error:
                _log.warning("%s cannot be listed: %s", kind.plural, error)
        self._reflectors[kind] = reflectors
        _log.info("the cluster knows the kind %s", kind.kind)
        return True

    async def _follow(self, kind: Kind) -> None:
        """Keep the cache true for a kind until the cluster knows it no more; then forget its objects."""
        while True:
            try:
                await self._until_missing(self._reflectors[kind])
            except NotFoundError:
                _log.debug("no %s were found", kind.plural)
            except Exception:
                _log.exception("an error in the operator itself: %s are looked at anew", kind.plural)
            if await self._is_gone(kind):
                break
            await asyncio.sleep(_RETRY_SECONDS)
        _log.warning("the cluster knows the kind %s no more", kind.kind)
        del self._reflectors[kind]
        self._cache.keep(kind, None, ())
        self._wake_all()

    async def _until_missing(self, reflectors: Iterable[Reflector]) -> None:
        """Raise NotFoundError when one of them finds no such kind."""
        tasks = [asyncio.create_task(reflector.keep()) for reflector in reflectors]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _is_gone(self, kind: Kind) -> bool:
        """Ask once more: who stands between here and the API server may say 404 as well."""
        try:
            return not await self._api.served([kind])
        except ApiError:
            return False

    def _wake_all(self) -> None:
        for key in self._cache.known():
            self._wake(key)
