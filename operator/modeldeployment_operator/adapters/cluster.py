"""Writes: what should be is applied, what should not be is removed, and what is already so is left alone."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any, Final

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.api import group
from modeldeployment_operator.core import kinds, names
from modeldeployment_operator.core.errors import (
    ApiError,
    ConflictError,
    ForeignObjectError,
    NotFoundError,
    OperatorError,
    RefusedError,
)
from modeldeployment_operator.core.kinds import Kind, kind_of
from modeldeployment_operator.core.observation import Key, Observation
from modeldeployment_operator.core.resources.metadata import Manifest
from modeldeployment_operator.core.revisions import digest_of

_log = logging.getLogger(__name__)

_TRUSTED_SECONDS: Final = 600.0
"""How long a Secret, which may not be read, is believed to be as it was applied."""
_DOUBTED_SECONDS: Final = 30.0
_REFUSED_SECONDS: Final = 60.0
"""After which an object of an optional kind that was refused is tried again."""
_FAILED_SECONDS: Final = 5.0
"""After which it is if something else went wrong."""
_PRUNED: Final = (
    kinds.DEPLOYMENT,
    kinds.SERVICE,
    kinds.POD_DISRUPTION_BUDGET,
    kinds.AUTOSCALER,
    kinds.NETWORK_POLICY,
    kinds.CONTROLLER_REVISION,
    *kinds.OPTIONAL,
)


@dataclass(frozen=True)
class Failure:
    """An object that could not be made what it should be."""

    kind: Kind
    name: str
    error: OperatorError

    @property
    def refused(self) -> bool:
        """Whether it needs its user, so that trying again soon is of no use."""
        return isinstance(self.error, RefusedError | ForeignObjectError)

    @property
    def retry_seconds(self) -> float:
        """Seconds until an object of an optional kind is tried again."""
        return _REFUSED_SECONDS if self.refused else _FAILED_SECONDS


@dataclass(frozen=True)
class Attempt:
    """What was last done about an object that cannot be seen, or could not be made what it should be."""

    wish: str | None
    """Hash of what was to be there; None if nothing was."""
    time: float
    failure: Failure | None = None


class Cluster:
    """Applies manifests through the API, and reads its own writes back into the cache."""

    def __init__(self, api: Api, cache: Cache, monotonic: Callable[[], float]) -> None:
        self._api = api
        self._cache = cache
        self._monotonic = monotonic
        self._live: dict[Key, dict[tuple[Kind, str], str]] = defaultdict(dict)
        """What a child was right after it was applied."""
        self._attempts: dict[Key, dict[Kind, Attempt]] = defaultdict(dict)
        """Of the Secret, and of optional kinds if the last one failed; there is one object of each."""

    async def apply(self, observation: Observation, manifests: Iterable[Manifest]) -> list[Failure]:
        """Apply what is not yet so, in order. What fails does not keep the others from being applied."""
        failures = []
        for manifest in manifests:
            kind, name, wish = kind_of(manifest), manifest["metadata"]["name"], digest_of(manifest)
            if standing := self._standing(observation, kind, wish):
                failures.append(standing)
                continue
            try:
                await self._apply(observation, manifest)
            except (ApiError, ForeignObjectError) as error:
                failures.append(self._failed(observation, Failure(kind, name, error), wish))
        return failures

    async def prune(
        self, observation: Observation, manifests: Iterable[Manifest], running: Container[str]
    ) -> list[Failure]:
        """Remove children that should not be; `manifests` is everything that should.

        What belongs to a running revision stays in any case: it may be one whose record cannot be read.
        """
        wanted = {(kind_of(manifest), manifest["metadata"]["name"]) for manifest in manifests}
        failures = []
        for child in self._cache.children(observation.key, observation.uid):
            if child.kind not in _PRUNED or (child.kind, child.name) in wanted or child.revision in running:
                continue
            if standing := self._standing(observation, child.kind, None):
                failures.append(standing)
                continue
            _log.info("%s: removing %s %s", observation.key, child.kind.kind, child.name)
            try:
                await self._api.delete(child.kind, child.key.namespace, child.name, child.uid)
                self._live[observation.key].pop((child.kind, child.name), None)
            except ApiError as error:
                failures.append(self._failed(observation, Failure(child.kind, child.name, error), None))
        for kind in set(kinds.OPTIONAL) - observation.knows:  # Should it come back, nothing of before holds.
            self._attempts[observation.key].pop(kind, None)
        return failures

    async def apply_status(self, key: Key, uid: str, version: str, status: dict[str, Any]) -> str:
        """Write the status and return the object's resourceVersion after that.

        Raises ConflictError if the object is not the one that was observed.
        """
        metadata = {"name": key.name, "namespace": key.namespace, "uid": uid, "resourceVersion": version}
        manifest = _typed(kinds.MODEL_DEPLOYMENT) | {"metadata": metadata, "status": status}
        body = await self._api.apply(kinds.MODEL_DEPLOYMENT, manifest, "status")
        self._cache.put(kinds.MODEL_DEPLOYMENT, body)
        return str(body["metadata"]["resourceVersion"])

    def forget(self, key: Key) -> None:
        """Forget a ModelDeployment that is gone."""
        self._attempts.pop(key, None)
        self._live.pop(key, None)

    async def _apply(self, observation: Observation, manifest: Manifest) -> None:
        kind, metadata = kind_of(manifest), manifest["metadata"]
        key, name, applied = observation.key, metadata["name"], digest_of(manifest)
        if self._is_so(observation, kind, name, applied):
            return
        if kind is not kinds.SECRET:
            await self._refuse_foreign(observation, kind, name)
        annotations = metadata.get("annotations", {}) | {names.HASH_ANNOTATION: applied}
        body = await self._api.apply(kind, manifest | {"metadata": metadata | {"annotations": annotations}})
        if kind is kinds.SECRET:
            self._attempts[key][kind] = Attempt(applied, self._monotonic())
            return
        self._attempts[key].pop(kind, None)
        self._cache.put(kind, body)
        child = self._cache.child(key, kind, name)
        if child is not None and child.applied == applied:
            self._live[key][kind, name] = child.live

    def _is_so(self, observation: Observation, kind: Kind, name: str, applied: str) -> bool:
        key = observation.key
        if kind is kinds.SECRET:
            last = self._attempts[key].get(kind)
            # Pods that do not come up may be missing just this.
            trusted = _TRUSTED_SECONDS if all(pod.ready for pod in observation.pods) else _DOUBTED_SECONDS
            return last is not None and last.wish == applied and self._monotonic() - last.time < trusted
        child = self._cache.child(key, kind, name)
        return child is not None and child.applied == applied and self._live[key].get((kind, name)) == child.live

    async def _refuse_foreign(self, observation: Observation, kind: Kind, name: str) -> None:
        """Raise ForeignObjectError if an object of this name is there and not the ModelDeployment's own.

        A forced apply would make it the operator's, and deleting the ModelDeployment would delete it.
        """
        child = self._cache.child(observation.key, kind, name)
        if child is not None and child.owner == observation.uid:
            return
        path = kind.path(observation.key.namespace, name)
        try:
            metadata = (await self._api.get(path))["metadata"]
        except NotFoundError:
            return
        owners = [owner for owner in metadata.get("ownerReferences", ()) if owner.get("controller")]
        if any(owner["uid"] == observation.uid for owner in owners):
            return
        former = any((owner["kind"], owner["name"]) == (group.KIND, observation.key.name) for owner in owners)
        if former or "deletionTimestamp" in metadata:
            raise ConflictError(409, "it belongs to a ModelDeployment that was deleted, and is not gone yet", path)
        raise ForeignObjectError(
            f"{kind.kind} {observation.key.namespace}/{name} exists and does not belong to this ModelDeployment: "
            "delete it, or choose another name for the ModelDeployment"
        )

    def _standing(self, observation: Observation, kind: Kind, wish: str | None) -> Failure | None:
        """Return why an object of an optional kind just failed: what would fail again must not slow serving down."""
        last = self._attempts[observation.key].get(kind)
        if last is None or last.failure is None or last.wish != wish:
            return None
        return last.failure if self._monotonic() - last.time < last.failure.retry_seconds else None

    def _failed(self, observation: Observation, failure: Failure, wish: str | None) -> Failure:
        if failure.kind in kinds.OPTIONAL:
            self._attempts[observation.key][failure.kind] = Attempt(wish, self._monotonic(), failure)
            _log.warning("%s: %s is not as it should be: %s", observation.key, failure.kind.kind, failure.error)
        return failure


def _typed(kind: Kind) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind}
