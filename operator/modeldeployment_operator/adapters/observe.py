"""Gathers what one reconcile looks at, from the cache and from wherever labels are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.discovery import Discovery
from modeldeployment_operator.adapters.labels import Labels
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import ModelDeploymentStatus
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.children import Child
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.observation import Autoscaler, Key, Observation, Pod, StoredRevision, Workload
from modeldeployment_operator.core.rejection import recall
from modeldeployment_operator.core.resource import Resource
from modeldeployment_operator.core.revisions import Snapshot, snapshot_of
from modeldeployment_operator.core.route import Route
from modeldeployment_operator.core.status import recover

T = TypeVar("T")


@dataclass
class Memory:
    """What is known of a ModelDeployment beyond what its status says; losing it costs one larger step, no more."""

    persisted: ModelDeploymentStatus
    """The status that `working` goes on from: if the object has another, somebody else wrote it, and it counts."""
    working: ModelDeploymentStatus
    written: float
    """Seconds of a clock that only goes on."""
    sampled: float | None = None

    def is_of(self, persisted: ModelDeploymentStatus) -> bool:
        """Return whether this goes on from a status that the object has."""
        if self.persisted is persisted:
            return True
        if self.persisted != persisted:
            return False
        self.persisted = persisted  # One of the two is enough, and the next look is quicker.
        return True


@dataclass(frozen=True)
class _Children:
    """What is seen of the children of a ModelDeployment."""

    stored: dict[str, StoredRevision]
    workloads: dict[str, Workload]
    pods: tuple[Pod, ...]
    selected: str | None
    autoscaler: Autoscaler | None
    route: Route | None


class Observer:
    """Looks at one ModelDeployment at a time."""

    def __init__(
        self,
        cache: Cache,
        labels: Labels,
        discovery: Discovery,
        *,
        default_image: str,
        operator_namespace: str,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._labels = labels
        self._discovery = discovery
        self._default_image = default_image
        self._operator_namespace = operator_namespace
        self._now = now
        self._monotonic = monotonic
        self.memories: dict[Key, Memory] = {}
        self._watched_since: dict[Key, datetime] = {}

    async def gather(self, key: Key) -> Observation | None:
        """Return what is seen of a ModelDeployment; None if it is gone or going.

        Raises InvalidSpecError if it is not sound.
        """
        resource = self._cache.get(key)
        if resource is None or resource.going:
            return None
        seen = self._look(key, resource.uid)
        desired, now = self._desired(key, resource.spec, seen.stored), self._now()
        observation = Observation(
            key=key,
            uid=resource.uid,
            generation=resource.generation,
            version=str(resource.version),
            spec=resource.spec,
            desired=desired,
            status=recover(self.status(key), seen.stored),
            asked=resource.asked,
            stored=seen.stored,
            workloads=seen.workloads,
            pods=seen.pods,
            selected=seen.selected,
            autoscaler=seen.autoscaler,
            route=seen.route,
            knows=self._discovery.known,
            operator_namespace=self._operator_namespace,
            watched_since=self._watched_since.setdefault(key, now),
            now=now,
        )
        status = recall(observation, self._cache.verdicts(key.namespace))
        return await self._labels.read(replace(observation, status=status), self._sampled(key))

    def look_again(self, observation: Observation) -> Observation:
        """Return the observation with the children as they are by now: what was applied is seen at once."""
        seen = self._look(observation.key, observation.uid)
        return replace(
            observation,
            stored=seen.stored,
            workloads=seen.workloads,
            pods=seen.pods,
            selected=seen.selected,
            autoscaler=seen.autoscaler,
            route=seen.route,
        )

    def resource(self, key: Key) -> Resource | None:
        """Return the object as it is known."""
        return self._cache.get(key)

    def status(self, key: Key) -> ModelDeploymentStatus:
        """Return the status to go on from: the one in memory, unless somebody else has written another."""
        return current_status(self._cache.get(key), self.memories.get(key))

    def persisted(self, key: Key) -> ModelDeploymentStatus:
        """Return the status that the object has."""
        resource = self._cache.get(key)
        return resource.status if resource else ModelDeploymentStatus()

    def remember(self, observation: Observation, memory: Memory) -> None:
        """Go on from here; the samples of the observation are used."""
        before = self.memories.get(observation.key)
        sampled = before.sampled if before else None
        memory.sampled = self._monotonic() if observation.samples is not None else sampled
        self.memories[observation.key] = memory

    def next_look(self, observation: Observation) -> timedelta | None:
        """Return in what time the pods or Prometheus are to be asked; None if there is nothing to learn from them."""
        return self._labels.next_look(observation, self._sampled(observation.key))

    def forget(self, key: Key) -> None:
        """Forget a ModelDeployment that is gone."""
        self.memories.pop(key, None)
        self._watched_since.pop(key, None)
        self._labels.forget(key)

    def _look(self, key: Key, uid: str) -> _Children:
        children = self._cache.children(key, uid)
        workloads = _details(children, kinds.DEPLOYMENT, Workload)
        copies = {name: workload.record for name, workload in workloads.items() if workload.record}
        stored = copies | _details(children, kinds.CONTROLLER_REVISION, StoredRevision)
        pods = tuple(
            child.detail
            for child in self._cache.children(key)
            if isinstance(child.detail, Pod) and child.detail.revision in stored
        )
        selected = next(iter(_details(children, kinds.SERVICE, str).values()), None)
        autoscaler = next(iter(_details(children, kinds.AUTOSCALER, Autoscaler).values()), None)
        route = next(iter(_details(children, kinds.HTTP_ROUTE, Route).values()), None)
        return _Children(stored, workloads, pods, selected, autoscaler, route)

    def _desired(self, key: Key, spec: ModelDeploymentSpec, stored: dict[str, StoredRevision]) -> Snapshot:
        snapshot = snapshot_of(key.name, spec, self._default_image)
        known = stored.get(snapshot.name)
        return Snapshot(snapshot.name, known.template) if known else snapshot

    def _sampled(self, key: Key) -> float | None:
        memory = self.memories.get(key)
        return memory.sampled if memory else None


def current_status(resource: Resource | None, memory: Memory | None) -> ModelDeploymentStatus:
    """Return the latest that is known of a ModelDeployment: what is in memory, unless it was overwritten since."""
    persisted = resource.status if resource else ModelDeploymentStatus()
    return memory.working if memory and memory.is_of(persisted) else persisted


def _details(children: list[Child], kind: Kind, wanted: type[T]) -> dict[str, T]:
    return {child.name: child.detail for child in children if child.kind is kind and isinstance(child.detail, wanted)}
