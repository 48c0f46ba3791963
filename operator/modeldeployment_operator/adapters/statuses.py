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
from modeldeployment_operator.core.status import document, has_grown, refused, without_activity, without_counts

FLUSH_SECONDS: Final = 60.0
"""How long counts that nothing follows from may stay unwritten. Written at every sample, they would wake every
dashboard and GitOps tool that watches the object."""
GROWTH_SECONDS: Final = 5.0
"""The same for counts that have grown by a good part: few writes, and whoever watches sees the evidence grow."""


ACTIVITY_SECONDS: Final = 600.0
"""The same where nothing but predictions came. What is lost makes a silence of predictions look shorter than it is."""


class Statuses:
    """Saves statuses, and tells of their changes."""

    def __init__(
        self,
        cluster: Cluster,
        observer: Observer,
        recorder: Recorder,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._observer = observer
        self._recorder = recorder
        self._now = now
        self._monotonic = monotonic

    async def save(self, observation: Observation, status: ModelDeploymentStatus) -> Observation:
        """Write a status if it says something new, or if counts have waited long enough; else keep it in memory.

        Returns the observation as it is after the write. Raises ConflictError if the object has changed since it was
        observed: then nothing is remembered either.
        """
        key = observation.key
        before, memory = self._observer.persisted(key), self._observer.memories.get(key)
        news = without_counts(status) != without_counts(before)
        waited = memory is None or self._monotonic() - memory.written >= _interval(before, status)
        if news or (waited and status != before):
            return await self._write(observation, status, before)
        written = memory.written if memory else self._monotonic()
        self._observer.remember(observation, Memory(before, status, written))
        return observation

    async def refuse(self, key: Key, message: str) -> None:
        """Say that the object is not a sound ModelDeployment. What serves goes on serving."""
        resource, now = self._observer.resource(key), self._now()
        if resource is None:
            return
        after = refused(resource.status, resource.generation, message, now)
        if after != resource.status:
            await self._cluster.apply_status(key, resource.uid, str(resource.version), document(after))
            self._recorder.record(key, resource.uid, events_between(resource.status, after), now)

    def next_write(self, key: Key) -> timedelta | None:
        """Return in what time counts that wait are to be written; None if none do."""
        memory = self._observer.memories.get(key)
        if memory is None or memory.working == memory.persisted:
            return None
        due = memory.written + _interval(memory.persisted, memory.working)
        return timedelta(seconds=due - self._monotonic())

    async def _write(
        self, observation: Observation, status: ModelDeploymentStatus, before: ModelDeploymentStatus
    ) -> Observation:
        key, uid = observation.key, observation.uid
        try:
            version = await self._cluster.apply_status(key, uid, observation.version, document(status))
        except ConflictError:
            self._observer.memories.pop(key, None)
            raise
        self._observer.remember(observation, Memory(status, status, self._monotonic()))
        self._recorder.record(key, uid, events_between(before, status), observation.now)
        return observation.at(version)


def _interval(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> float:
    """Return how many seconds counts may wait."""
    if without_activity(before) == without_activity(after):
        return ACTIVITY_SECONDS
    return GROWTH_SECONDS if has_grown(before, after) else FLUSH_SECONDS
