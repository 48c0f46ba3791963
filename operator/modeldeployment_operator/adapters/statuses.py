"""Writes the status when it is worth it, and remembers the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from modeldeployment_operator.adapters.cluster import Cluster
from modeldeployment_operator.adapters.observe import Memory, Observer
from modeldeployment_operator.adapters.recorder import Recorder
from modeldeployment_operator.api.status import ModelDeploymentStatus
from modeldeployment_operator.core.errors import ConflictError
from modeldeployment_operator.core.events import events_between
from modeldeployment_operator.core.observation import Key, Observation
from modeldeployment_operator.core.status import document, has_grown, refused, without_counts

FLUSH_INTERVAL: Final = timedelta(seconds=60)
"""How long counts that nothing follows from may stay unwritten. Written at every sample, they would wake every
dashboard and GitOps tool that watches the object."""
GROWTH_INTERVAL: Final = timedelta(seconds=5)
"""The same for counts that have grown by a good part: few writes, and whoever watches sees the evidence grow."""


class Statuses:
    """Saves statuses, and tells of their changes."""

    def __init__(self, cluster: Cluster, observer: Observer, recorder: Recorder, now: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._observer = observer
        self._recorder = recorder
        self._now = now

    async def save(self, observation: Observation, status: ModelDeploymentStatus) -> None:
        """Write a status if it says something new, or if counts have waited long enough; else keep it in memory.

        Raises ConflictError if the object has changed since it was observed: then nothing is remembered either.
        """
        memory = self._observer.memories.get(observation.key)
        before = memory.persisted if memory else observation.status
        news = without_counts(status) != without_counts(before)
        interval = GROWTH_INTERVAL if has_grown(before, status) else FLUSH_INTERVAL
        waited = memory is None or self._now() - memory.written >= interval
        if news or (waited and status != before):
            await self._write(observation, status, before)
        elif memory is not None:
            memory.working = status
        else:
            self._remember(observation, status, persisted=before)

    async def refuse(self, key: Key, message: str) -> None:
        """Say that the object is not a sound ModelDeployment. What serves goes on serving."""
        uid, generation = self._observer.identity(key)
        before = self._observer.status(key)
        now = self._now()
        after = refused(before, generation, message, now)
        if after != before:
            await self._cluster.apply_status(key, uid, self._observer.version(key), document(after))
            await self._recorder.record(key, uid, events_between(before, after), now)

    def next_write(self, key: Key) -> timedelta | None:
        """Return in what time counts that wait are to be written; None if none do."""
        memory = self._observer.memories.get(key)
        if memory is None or memory.working == memory.persisted:
            return None
        interval = GROWTH_INTERVAL if has_grown(memory.persisted, memory.working) else FLUSH_INTERVAL
        return memory.written + interval - self._now()

    async def _write(
        self, observation: Observation, status: ModelDeploymentStatus, before: ModelDeploymentStatus
    ) -> None:
        try:
            await self._cluster.apply_status(
                observation.key, observation.uid, self._observer.version(observation.key), document(status)
            )
        except ConflictError:
            self._observer.memories.pop(observation.key, None)
            raise
        self._remember(observation, status, persisted=status)
        await self._recorder.record(observation.key, observation.uid, events_between(before, status), observation.now)

    def _remember(
        self, observation: Observation, status: ModelDeploymentStatus, *, persisted: ModelDeploymentStatus
    ) -> None:
        memory = self._observer.memories.get(observation.key)
        sampled = memory.sampled if memory else None
        if sampled is None and observation.samples is not None:
            sampled = observation.now
        self._observer.memories[observation.key] = Memory(persisted, status, self._now(), sampled)
