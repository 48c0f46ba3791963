"""Keeps looking: a first list of everything, then whatever is noted by the watches, and a new list now and then.

A watch misses what is deleted while it has to begin anew, so a list follows each of these gaps, and the cache is held
against it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Final

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.listing import refresh
from modeldeployment_operator.adapters.logs import reconciling
from modeldeployment_operator.adapters.queue import Queue
from modeldeployment_operator.adapters.reflector import Reflector
from modeldeployment_operator.adapters.telemetry import Result, Telemetry
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.errors import ApiError, ConflictError, NotFoundError, OperatorError, RefusedError
from modeldeployment_operator.core.freshness import TOUCH_INTERVAL
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.sight import Sight
from modeldeployment_operator.reconcile import Reconciler

_log = logging.getLogger(__name__)

RESYNC_SECONDS: Final = 600.0
GAP_SECONDS: Final = 2.0
"""The watches of all kinds break together, mostly, and are looked after together."""
_GAP_PAUSE_SECONDS: Final = 20.0
"""Between two rounds of lists: a watch that breaks all the time must not make a storm of them."""
_START_RETRY_SECONDS: Final = 2.0
_WATCH_RETRY_SECONDS: Final = 5.0
_LISTED: Final = (*kinds.WATCHED, kinds.MODEL_DEPLOYMENT)
"""Children first: a ModelDeployment that is looked at has them all."""
_FRESH_SECONDS: Final = 5.0
"""A replica that begins to lead looks at everything anew, unless it did so just now."""


class Engine:
    """Connects the watches with the reconciler."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        queue: Queue,
        reconciler: Reconciler,
        telemetry: Telemetry,
        namespaces: Iterable[str],
    ) -> None:
        self._api = api
        self._cache = cache
        self._queue = queue
        self._reconciler = reconciler
        self._telemetry = telemetry
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self.synced = False
        self._listed = -_FRESH_SECONDS
        self._leads = asyncio.Event()
        self._reflectors = {
            (kind, namespace): Reflector(api, cache, queue.add, telemetry, kind, namespace)
            for kind in kinds.WATCHED
            for namespace in self._namespaces
        }
        self._gaps: set[Kind] = set()
        self._gap = asyncio.Event()

    def note(self, sight: Sight, *, deleted: bool) -> None:
        """Take note of what a watch saw."""
        key = self._cache.drop(sight) if deleted else self._cache.take(sight)
        if key is not None:
            self._queue.add(key)

    async def watch_children(self) -> None:
        """Keep the cache true for the children's kinds, for ever."""
        await asyncio.gather(*(self._watch(reflector) for reflector in self._reflectors.values()))

    def note_gap(self, kind: Kind) -> None:
        """Take note that a watch may have missed something: its kind is listed anew, soon."""
        self._gaps.add(kind)
        self._gap.set()

    async def fill_gaps(self) -> None:
        """List anew what the watches may have missed, for ever."""
        while True:
            await self._gap.wait()
            await asyncio.sleep(GAP_SECONDS)
            self._gap.clear()
            gaps, self._gaps = self._gaps, set()
            try:
                await self._list(kind for kind in _LISTED if kind in gaps)
            except ApiError as error:
                _log.warning("what the watches may have missed is looked up again later: %s", error)
                self._gaps |= gaps
                self._gap.set()
            await asyncio.sleep(_GAP_PAUSE_SECONDS)

    async def start(self) -> None:
        """List everything once; until that has worked, nothing can be decided."""
        while not self.synced:
            try:
                await self._list_all()
                self.synced = True
            except ApiError as error:
                _log.warning("the first look at the cluster failed, and is tried again: %s", error)
                await asyncio.sleep(_START_RETRY_SECONDS)
        for key in self._cache.known():
            self._queue.add(key)
        _log.info("watching %d ModelDeployments", len(self._cache.known()))

    async def lead(self, gained: asyncio.Event) -> None:
        """Let the workers begin once this replica leads, with what is there by then."""
        await gained.wait()
        if time.monotonic() - self._listed >= _FRESH_SECONDS:  # A watch that hangs tells nothing of what it misses.
            self.synced = False
            await self.start()
        self._leads.set()
        await asyncio.Event().wait()

    async def work(self) -> None:
        """Reconcile what is due, for ever, from when this replica leads: until then what is noted waits."""
        await self._leads.wait()
        while True:
            key = await self._queue.get()
            try:
                with reconciling(key):
                    await self._reconcile(key)
            finally:
                self._queue.done(key)
            # A reconcile that finds nothing to do waits for nothing. A thousand in a row would hold up the Lease.
            await asyncio.sleep(0)

    async def resync(self) -> None:
        """Hold the cache against new lists, and look at everything, for ever."""
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            try:
                await self._list_all()
            except ApiError as error:
                _log.warning("looking at everything failed, and is tried again soon: %s", error)
                for kind in _LISTED:
                    self.note_gap(kind)
                continue
            for key in self._cache.known():
                self._queue.add(key)

    async def keep_in_touch(self) -> None:
        """Ask the API server for a sign of life when nothing else was asked of it, for ever."""
        while True:
            silence = self._api.silence
            if silence is None or silence >= TOUCH_INTERVAL:
                with contextlib.suppress(ApiError):  # Silence is what is told of it.
                    await self._api.touch()
            await asyncio.sleep(TOUCH_INTERVAL.total_seconds())

    async def _reconcile(self, key: Key) -> None:
        try:
            with self._telemetry.reconcile_seconds.time():
                wait = await self._reconciler.reconcile(key)
        except OperatorError as error:
            is_conflict = isinstance(error, ConflictError)
            delay = self._fail(key, Result.CONFLICT if is_conflict else Result.ERROR)
            _log.log(
                logging.DEBUG if is_conflict else logging.WARNING, "%s: %s; tried again in %.1f s", key, error, delay
            )
        except Exception:
            delay = self._fail(key, Result.INTERNAL)
            _log.exception("%s: an error in the operator itself; tried again in %.1f s", key, delay)
        else:
            self._telemetry.reconciles.labels(Result.SUCCESS).inc()
            self._queue.succeeded(key)
            if self._cache.get(key) is None:
                self._queue.forget(key)
            else:
                self._queue.schedule(key, None if wait is None else wait.total_seconds())

    def _fail(self, key: Key, result: Result) -> float:
        self._telemetry.reconciles.labels(result).inc()
        return self._queue.failed(key)

    async def _list_all(self) -> None:
        await self._list(_LISTED)
        self._listed = time.monotonic()

    async def _list(self, wanted: Iterable[Kind]) -> None:
        for kind in wanted:
            for namespace in self._namespaces:
                try:
                    await self._look(kind, namespace)
                except NotFoundError as error:
                    if kind is not kinds.MODEL_VERDICT:
                        raise
                    _log.error("no ModelVerdicts are recorded or remembered: apply crds/ of this version: %s", error)
                except RefusedError as error:
                    if kind is kinds.MODEL_VERDICT:
                        _log.error("no ModelVerdicts are remembered: apply the roles of this version: %s", error)
                        continue
                    if len(self._namespaces) == 1:
                        raise
                    _log.warning("namespace %s is left out: %s", namespace, error)

    async def _look(self, kind: Kind, namespace: str | None) -> None:
        reflector = self._reflectors.get((kind, namespace))
        if reflector is not None:
            await reflector.look()
            return
        touched, _ = await refresh(self._api, self._cache, kind, namespace)
        for key in touched:
            self._queue.add(key)

    @staticmethod
    async def _watch(reflector: Reflector) -> None:
        while True:
            try:
                await reflector.keep()
            except NotFoundError as error:  # Every cluster has these kinds: somebody else has said so.
                _log.warning("a kind that every cluster has is looked for anew: %s", error)
            except Exception:
                _log.exception("an error in the operator itself: a kind is looked at anew")
            await asyncio.sleep(_WATCH_RETRY_SECONDS)
