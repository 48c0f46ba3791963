"""The container that fetches the model, and where it finds it.

It alone has the credentials of the model's store; and it is gone before a request is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from model_server import contract
from model_server.contract import Env

from modeldeployment_operator.api.kubernetes import EnvVar
from modeldeployment_operator.api.serving import FetchCache
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.containers import COMMON, FETCH_CONTAINER, environment, mount, requirements
from modeldeployment_operator.core.revisions import Snapshot

_SOURCE: Final = "source"
_REGISTRY: Final = "registry"
_CACHE: Final = "cache"
_BOTH_CONTAINERS: Final = {name.value for name in Env}
"""Settings of the model server that users may give: what is said of them in `serving.env` holds here, too."""


def build_fetch_container(observation: Observation, snapshot: Snapshot) -> dict[str, Any]:
    """Return the init container that leaves the model where the server looks for it."""
    resources = observation.spec.serving.fetch_resources or observation.spec.serving.resources
    return {
        "name": FETCH_CONTAINER,
        "image": snapshot.template.image,
        "command": list(contract.FETCH_COMMAND),
        "env": environment(
            observation,
            snapshot,
            _users_variables(snapshot),
            {Env.CACHE_DIR: contract.CACHE_DIR if _cache(observation) else None},
        ),
        "volumeMounts": [
            mount("model", contract.MODEL_DIR),
            mount("tmp", "/tmp"),  # noqa: S108 - a path in the container.
            *_mounts(observation, snapshot),
        ],
        **COMMON,
        **requirements(resources),
    }


def fetch_volumes(observation: Observation, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the volumes that only the container that fetches sees."""
    model, cache = snapshot.template.model, _cache(observation)
    volumes: list[dict[str, Any]] = []
    scheme, _, rest = model.uri.partition("://")
    name = rest.partition("/")[0]
    if scheme == "pvc":
        volumes.append({"name": _SOURCE, "persistentVolumeClaim": {"claimName": name, "readOnly": True}})
    elif scheme == "configmap":
        volumes.append({"name": _SOURCE, "configMap": {"name": name}})
    if model.registry_secret:
        volumes.append({"name": _REGISTRY, "secret": {"secretName": model.registry_secret.name}})
    if cache:
        volumes.append({"name": _CACHE, "persistentVolumeClaim": {"claimName": cache.claim_name}})
    return volumes


def _mounts(observation: Observation, snapshot: Snapshot) -> list[dict[str, Any]]:
    places = {
        _SOURCE: mount(_SOURCE, contract.PVC_DIR, read_only=True),
        _REGISTRY: mount(_REGISTRY, contract.REGISTRY_AUTH_DIR, read_only=True),
        _CACHE: mount(_CACHE, contract.CACHE_DIR),
    }
    return [places[volume["name"]] for volume in fetch_volumes(observation, snapshot)]


def _cache(observation: Observation) -> FetchCache | None:
    return observation.spec.serving.fetch_cache


def _users_variables(snapshot: Snapshot) -> Iterator[EnvVar]:
    """Yield what users have given. Before there was `model.env`, credentials of the store stood in `serving.env`."""
    given = snapshot.template.model.env
    yield from (
        variable for variable in snapshot.template.env or () if given is None or variable.name in _BOTH_CONTAINERS
    )
    yield from given or ()
