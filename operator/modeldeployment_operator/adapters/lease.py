"""Takes and keeps the Lease by which one of several replicas acts, and the others watch.

Not `kubernetes.aio.leaderelection`: in 37.0.2 it cannot create a Lease, and ends without a word to the leader when the
API server does not answer (DESIGN.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from modeldeployment_operator.adapters.api import Api, Body
from modeldeployment_operator.core.errors import ApiError, ConflictError, LeaseLostError, NotFoundError
from modeldeployment_operator.core.kinds import LEASE
from modeldeployment_operator.core.leadership import Sighting, Timing, is_held, may_take, released, taken

_log = logging.getLogger(__name__)

NAME: Final = "modeldeployment-operator-leader"
_REQUEST_SECONDS: Final = 5.0
"""Reading and writing that take longer are given up: the next try may go to another API server."""


class Lease:
    """One replica's part in it."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        identity: str,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._identity = identity
        self._now = now
        self._monotonic = monotonic
        self._timing = Timing()
        self._sighting = Sighting("", monotonic())
        self._until: float | None = None
        """When this replica stops acting, unless it renews the Lease before."""
        self.gained = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether this replica may act. A process that was stopped for a while knows by its clock that it may not."""
        return self._until is not None and self._monotonic() < self._until

    async def keep(self) -> None:
        """Take the Lease as soon as that is possible, and keep it. Raises LeaseLostError if it is lost."""
        while True:
            started = self._monotonic()
            try:
                async with asyncio.timeout(self._patience(started)):
                    held = await self._try()
            except (ApiError, TimeoutError) as error:
                _log.info("the Lease could not be read or written: %s", error or "no answer in time")
                held = None
            if held:
                self._gain(started)
            elif self._until is not None and (held is False or not self.is_held):
                self._until = None
                raise LeaseLostError(
                    f"the Lease {self._namespace}/{NAME} could not be renewed for {self._timing.renewal:g} s"
                    if held is None
                    else f"another replica has taken the Lease {self._namespace}/{NAME}"
                )
            await asyncio.sleep(self._pause())

    async def release(self) -> None:
        """Let another replica take the Lease at once. Nothing of this one acts any more."""
        if not self.is_held:
            return
        self._until = None
        with contextlib.suppress(ApiError, TimeoutError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                body = await self._api.get(LEASE, self._namespace, NAME)
                if is_held(body["spec"], self._identity):
                    await self._api.replace(LEASE, {**body, "spec": released(body["spec"], self._now())})

    def _patience(self, started: float) -> float:
        left = _REQUEST_SECONDS if self._until is None else self._until - started
        return max(0.0, min(_REQUEST_SECONDS, left))

    def _pause(self) -> float:
        left = self._timing.retry if self._until is None else self._until - self._monotonic()
        return max(0.0, min(self._timing.retry, left))

    def _gain(self, started: float) -> None:
        self._until = started + self._timing.renewal
        if not self.gained.is_set():
            _log.info("%s leads", self._identity)
            self.gained.set()

    async def _try(self) -> bool | None:
        """Take or renew it; returns whether this replica has it, or None if that is unknown."""
        try:
            body = await self._api.get(LEASE, self._namespace, NAME)
        except NotFoundError:
            return await self._create()
        spec: dict[str, Any] = body.get("spec") or {}
        now = self._monotonic()
        self._sighting = self._sighting.again(str(body["metadata"]["resourceVersion"]), now)
        if not may_take(spec, self._identity, self._sighting, now):
            return False
        try:
            # With the resourceVersion that was read: of two that try, one has a conflict.
            await self._api.replace(LEASE, {**body, "spec": taken(spec, self._identity, self._timing, self._now())})
        except ConflictError:
            return None  # Somebody has written meanwhile; the next look tells who.
        return True

    async def _create(self) -> bool | None:
        manifest: Body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": NAME, "namespace": self._namespace},
            "spec": taken({}, self._identity, self._timing, self._now()),
        }
        try:
            await self._api.create(LEASE, self._namespace, manifest)
        except ConflictError:
            return None
        return True
