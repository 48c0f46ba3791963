"""Kubernetes Events: for `kubectl describe` and `kubectl events`."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from datetime import datetime

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.api import group
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.errors import ApiError, ConflictError
from modeldeployment_operator.core.events import Event
from modeldeployment_operator.core.names import MANAGER
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.text import timestamp

_log = logging.getLogger(__name__)


class Recorder:
    """Writes Events. They are news, not memory: one that cannot be written is logged and let go."""

    def __init__(self, api: Api, instance: str) -> None:
        self._api = api
        self._instance = instance
        self._tasks: set[asyncio.Task[None]] = set()

    def record(self, key: Key, uid: str, events: Iterable[Event], now: datetime) -> None:
        """Write Events about a ModelDeployment, in the background: what is decided does not wait for them."""
        told = list(events)
        for event in told:
            _log.log(logging.WARNING if event.warning else logging.INFO, "%s: %s: %s", key, event.reason, event.message)
        if told:
            task = asyncio.create_task(
                self._write(key, [_manifest(key, uid, one, now, self._instance) for one in told])
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, key: Key, manifests: Iterable[dict[str, object]]) -> None:
        for manifest in manifests:
            try:
                await self._api.create(kinds.EVENT, key.namespace, manifest)
            except ConflictError:
                continue  # The same message at the same second: written before a restart.
            except ApiError as error:
                _log.warning("%s: the Event was not written: %s", key, error)


def _manifest(key: Key, uid: str, event: Event, now: datetime, instance: str) -> dict[str, object]:
    time = timestamp(now)
    return {
        "apiVersion": kinds.EVENT.api_version,
        "kind": kinds.EVENT.kind,
        "metadata": {"name": _name(key, uid, event, time), "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": group.API_VERSION,
            "kind": group.KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": uid,
        },
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason.value,
        "message": event.message[:1024],
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": instance,
    }


def _name(key: Key, uid: str, event: Event, time: str) -> str:
    text = "\0".join((uid, event.reason.value, event.message, time))
    return f"{key.name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
