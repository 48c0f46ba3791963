"""Writes: what should be is applied, what should not be is removed, and what is already so is left alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.core import kinds, names
from modeldeployment_operator.core.errors import ApiError, ForeignObjectError, NotFoundError, OperatorError
from modeldeployment_operator.core.kinds import Kind, kind_of
from modeldeployment_operator.core.observation import Key, Observation
from modeldeployment_operator.core.resources.metadata import Manifest
from modeldeployment_operator.core.revisions import digest_of

_log = logging.getLogger(__name__)

_PRUNED: Final = (
    kinds.DEPLOYMENT,
    kinds.SERVICE,
    kinds.POD_DISRUPTION_BUDGET,
    kinds.CONTROLLER_REVISION,
)


class Cluster:
    """Applies manifests through the API, and reads its own writes back into the cache."""

    def __init__(self, api: Api, cache: Cache) -> None:
        self._api = api
        self._cache = cache
        self._live: dict[str, str] = {}
        """By child's UID: what it was right after it was applied."""
        self._unwatched: dict[tuple[Key, Kind], str | None] = {}
        """Hash of what was last applied of a kind that is not watched; None if it is known not to be there."""

    async def apply(self, observation: Observation, manifests: Iterable[Manifest]) -> list[OperatorError]:
        """Apply what is not yet so, in order. What fails does not keep the others from being applied."""
        errors: list[OperatorError] = []
        for manifest in manifests:
            try:
                await self._apply(observation, manifest)
            except (ApiError, ForeignObjectError) as error:
                errors.append(error)
        return errors

    async def prune(self, observation: Observation, manifests: Iterable[Manifest]) -> None:
        """Remove children that should not be; `manifests` is everything that should."""
        wanted = {(kind_of(manifest), manifest["metadata"]["name"]) for manifest in manifests}
        for child in self._cache.children(observation.key, observation.uid):
            if child.kind in _PRUNED and (child.kind, child.name) not in wanted:
                _log.info("%s: removing %s %s", observation.key, child.kind.kind, child.name)
                await self._api.delete(child.kind, child.key.namespace, child.name, child.uid)
                self._live.pop(child.uid, None)
        monitor = kinds.SERVICE_MONITOR
        if observation.knows_service_monitors and (monitor, observation.key.name) not in wanted:
            await self._remove_unwatched(observation, monitor, observation.key.name)

    async def apply_status(self, key: Key, uid: str, version: str, status: dict[str, Any]) -> None:
        """Write the status; ConflictError if the object is not the one that was observed."""
        metadata = {"name": key.name, "namespace": key.namespace, "uid": uid, "resourceVersion": version}
        manifest = _typed(kinds.MODEL_DEPLOYMENT) | {"metadata": metadata, "status": status}
        self._cache.put(kinds.MODEL_DEPLOYMENT, await self._api.apply(kinds.MODEL_DEPLOYMENT, manifest, "status"))

    def forget_unwatched(self) -> None:
        """Apply kinds that are not watched anew at the next look, in case somebody changed them."""
        self._unwatched.clear()

    def forget(self, key: Key) -> None:
        """Forget a ModelDeployment that is gone."""
        for entry in [entry for entry in self._unwatched if entry[0] == key]:
            del self._unwatched[entry]

    async def _apply(self, observation: Observation, manifest: Manifest) -> None:
        kind, metadata = kind_of(manifest), manifest["metadata"]
        applied = digest_of(manifest)
        if self._is_so(observation.key, kind, metadata["name"], applied):
            return
        if kind is not kinds.SECRET:
            await self._refuse_foreign(observation, kind, metadata["name"])
        annotations = metadata.get("annotations", {}) | {names.HASH_ANNOTATION: applied}
        body = await self._api.apply(kind, manifest | {"metadata": metadata | {"annotations": annotations}})
        if kind not in kinds.WATCHED:
            self._unwatched[observation.key, kind] = applied
            return
        self._cache.put(kind, body)
        child = self._cache.child(observation.key, kind, metadata["name"])
        if child is not None and child.applied == applied:
            self._live[child.uid] = child.live

    def _is_so(self, key: Key, kind: Kind, name: str, applied: str) -> bool:
        if kind not in kinds.WATCHED:
            return self._unwatched.get((key, kind)) == applied
        child = self._cache.child(key, kind, name)
        return child is not None and child.applied == applied and self._live.get(child.uid) == child.live

    async def _refuse_foreign(self, observation: Observation, kind: Kind, name: str) -> None:
        """Raise ForeignObjectError if an object of this name is there and not the ModelDeployment's own.

        A forced apply would make it the operator's, and deleting the ModelDeployment would delete it.
        """
        child = self._cache.child(observation.key, kind, name)
        if child is not None and child.owner == observation.uid:
            return
        try:
            body = await self._api.get(kind.path(observation.key.namespace, name))
        except NotFoundError:
            return
        owners = body["metadata"].get("ownerReferences", ())
        if not any(owner["uid"] == observation.uid and owner.get("controller") for owner in owners):
            raise ForeignObjectError(
                f"{kind.kind} {observation.key.namespace}/{name} exists and does not belong to this ModelDeployment: "
                "delete it, or choose another name for the ModelDeployment"
            )

    async def _remove_unwatched(self, observation: Observation, kind: Kind, name: str) -> None:
        entry = (observation.key, kind)
        if entry in self._unwatched and self._unwatched[entry] is None:
            return
        try:
            await self._refuse_foreign(observation, kind, name)
            body = await self._api.get(kind.path(observation.key.namespace, name))
            await self._api.delete(kind, observation.key.namespace, name, body["metadata"]["uid"])
        except (ForeignObjectError, NotFoundError):
            _log.debug("%s: no %s of its own to remove", observation.key, kind.kind)
        self._unwatched[entry] = None


def _typed(kind: Kind) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind}
