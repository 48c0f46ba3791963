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
from modeldeployment_operator.core.children import Child
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
from modeldeployment_operator.core.ownership import wish
from modeldeployment_operator.core.resources.metadata import Manifest

_log = logging.getLogger(__name__)

_DOUBTED_SECONDS: Final = 30.0
"""After which a Secret, which may not be read, is applied anew while pods do not come up."""
_REFUSED_SECONDS: Final = 60.0
"""After which an object of an optional kind that was refused is tried again."""
_FAILED_SECONDS: Final = 5.0
"""After which it is if something else went wrong."""
_TRIES: Final = 2
"""Of a record: the first may have met a connection that was closed in that moment."""
_MERGED: Final = frozenset({kinds.SERVICE, kinds.PROMETHEUS_RULE})
"""Kinds of which an object of somebody else's may have room for all that is applied, beside what it has."""
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
        self._rewritten: dict[Key, dict[tuple[Kind, str], tuple[str, str | None]]] = defaultdict(dict)
        """Of children in which the API server wrote a value otherwise than it was given: what was wished, and what
        came of it."""
        self._deleted: dict[Key, set[str]] = defaultdict(set)
        """UIDs of children whose deletion was asked for. They may be there for a while."""
        self._attempts: dict[Key, dict[Kind, Attempt]] = defaultdict(dict)
        """Of the Secret, and of optional kinds if the last one failed; there is one object of each."""

    async def apply(self, observation: Observation, manifests: Iterable[Manifest]) -> list[Failure]:
        """Apply what is not yet so, in order. What fails does not keep the others from being applied."""
        failures = []
        for manifest in manifests:
            kind, name, wished = kind_of(manifest), manifest["metadata"]["name"], wish(manifest)
            if standing := self._standing(observation, kind, wished):
                failures.append(standing)
            elif not self._is_so(observation, manifest, wished):
                try:
                    await self._apply(observation, manifest, wished)
                except (ApiError, ForeignObjectError) as error:
                    failures.append(self._failed(observation, Failure(kind, name, error), wished))
        return failures

    async def prune(
        self, observation: Observation, manifests: Iterable[Manifest], running: Container[str]
    ) -> list[Failure]:
        """Remove children that should not be; `manifests` is everything that should.

        What belongs to a running revision stays in any case: it may be one whose record cannot be read. Only its
        Service for Gateways goes when none is named any more.
        """
        wanted = {(kind_of(manifest), manifest["metadata"]["name"]) for manifest in manifests}
        failures = []
        for child in self._cache.children(observation.key, observation.uid):
            if child.kind not in _PRUNED or (child.kind, child.name) in wanted:
                continue
            if child.revision in running and not _is_left_of_a_route(observation, child):
                continue
            if child.uid in self._deleted[observation.key]:
                continue
            if standing := self._standing(observation, child.kind, None):
                failures.append(standing)
                continue
            _log.info("%s: removing %s %s", observation.key, child.kind.kind, child.name)
            try:
                await self._api.delete(child.kind, child.key.namespace, child.name, child.uid)
                self._deleted[observation.key].add(child.uid)
            except ApiError as error:
                failures.append(self._failed(observation, Failure(child.kind, child.name, error), None))
        for kind in set(kinds.OPTIONAL) - observation.knows:  # Should it come back, nothing of before holds.
            self._attempts[observation.key].pop(kind, None)
        return failures

    async def record(self, observation: Observation, verdict: Manifest) -> None:
        """Record what is decided, before it is done. If that fails, it must not hold up a rollback."""
        for _ in range(_TRIES):
            try:
                await self._api.record(verdict)
            except (RefusedError, NotFoundError) as error:
                problem: ApiError = error
                break
            except ApiError as error:
                problem = error
            else:
                return
        _log.error("%s: the ModelVerdict is not recorded: %s", observation.key, problem)

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
        self._rewritten.pop(key, None)
        self._deleted.pop(key, None)

    async def _apply(self, observation: Observation, manifest: Manifest, wished: str) -> None:
        key, kind, name = observation.key, kind_of(manifest), manifest["metadata"]["name"]
        if kind is kinds.SECRET:
            await self._api.apply(kind, manifest)
            self._attempts[key][kind] = Attempt(wished, self._monotonic())
            return
        body = await self._apply_own(observation, manifest)
        self._attempts[key].pop(kind, None)
        self._cache.put(kind, body)
        child = self._cache.child(key, kind, name)
        if child is not None and child.owned != wished:
            self._rewritten[key][kind, name] = (wished, child.owned)

    async def _apply_own(self, observation: Observation, manifest: Manifest) -> dict[str, Any]:
        """Apply an object that is the ModelDeployment's own or not there; raise ForeignObjectError if it is another's.

        What is not known to be its own is applied without force: the API server refuses that if somebody else has given
        a field another value, so that nobody has to ask before whether the object is there.
        """
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        child = self._cache.child(observation.key, kind, name)
        if child is not None and child.owner == observation.uid:
            return await self._api.apply(kind, manifest)
        if kind in _MERGED:
            await self._is_own(observation, kind, name)
        try:
            return await self._api.apply(kind, manifest, force=False)
        except (ConflictError, RefusedError):
            if not await self._is_own(observation, kind, name):
                raise
        return await self._api.apply(kind, manifest)

    def _is_so(self, observation: Observation, manifest: Manifest, wished: str) -> bool:
        key, kind, name = observation.key, kind_of(manifest), manifest["metadata"]["name"]
        if kind is kinds.SECRET:
            return self._is_believed(observation, manifest, wished)
        child = self._cache.child(key, kind, name)
        if child is None or child.owner != observation.uid:
            return False
        return child.owned == wished or self._rewritten[key].get((kind, name)) == (wished, child.owned)

    def _is_believed(self, observation: Observation, manifest: Manifest, wished: str) -> bool:
        """Return whether the Secret, which may not be read, is as it should be for all that is known."""
        last, well = self._attempts[observation.key].get(kinds.SECRET), all(pod.ready for pod in observation.pods)
        if last is not None:
            # Pods that do not come up may be missing just this.
            return last.wish == wished and (well or self._monotonic() - last.time < _DOUBTED_SECONDS)
        keys = manifest["metadata"]["annotations"][names.KEYS_ANNOTATION]
        # They could not have started without it.
        return well and {pod.keys for pod in observation.pods} == {keys}

    async def _is_own(self, observation: Observation, kind: Kind, name: str) -> bool:
        """Return whether an object of this name is the ModelDeployment's own; False if there is none.

        Raises ForeignObjectError if it is somebody else's: a forced apply would make it the operator's, and deleting
        the ModelDeployment would delete it.
        """
        try:
            metadata = (await self._api.get(kind, observation.key.namespace, name))["metadata"]
        except NotFoundError:
            return False
        owners = [owner for owner in metadata.get("ownerReferences", ()) if owner.get("controller")]
        if any(owner["uid"] == observation.uid for owner in owners):
            return True
        former = any((owner["kind"], owner["name"]) == (group.KIND, observation.key.name) for owner in owners)
        if former or "deletionTimestamp" in metadata:
            what = f"{kind.kind} {observation.key.namespace}/{name}"
            raise ConflictError(409, "it belongs to a ModelDeployment that was deleted, and is not gone yet", what)
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
        # After a conflict it is looked at anew: a Gateway's word on its route is one, and nothing was refused.
        if failure.kind in kinds.OPTIONAL and not isinstance(failure.error, ConflictError):
            self._attempts[observation.key][failure.kind] = Attempt(wish, self._monotonic(), failure)
            _log.warning("%s: %s is not as it should be: %s", observation.key, failure.kind.kind, failure.error)
        return failure


def _is_left_of_a_route(observation: Observation, child: Child) -> bool:
    """Return whether no Gateway needs it any more: the route that led to it has gone before."""
    routed = observation.spec.route is not None or observation.route is not None
    return not routed and child.revision is not None and child.name == names.gateway_service(child.revision)


def _typed(kind: Kind) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind}
