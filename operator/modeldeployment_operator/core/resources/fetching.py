"""The container that fetches the model, and where it finds it.

It alone has the credentials of the model's store; and it is gone before a request is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from model_server import contract
from model_server.contract import Env

from modeldeployment_operator.api.spec import EnvVar
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.containers import COMMON, FETCH_CONTAINER, environment, mount
from modeldeployment_operator.core.revisions import Snapshot, document_of

_BOTH_CONTAINERS: Final = {name.value for name in Env}
"""Settings of the model server that users may give: what is said of them in `serving.env` holds here, too."""


def build_fetch_container(observation: Observation, snapshot: Snapshot) -> dict[str, Any]:
    """Return the init container that leaves the model where the server looks for it."""
    resources = observation.spec.serving.fetch_resources or observation.spec.serving.resources
    return {
        "name": FETCH_CONTAINER,
        "image": snapshot.template.image,
        "command": list(contract.FETCH_COMMAND),
        "env": environment(observation, snapshot, _users_variables(snapshot), {}),
        "volumeMounts": [mount("model", contract.MODEL_DIR), mount("tmp", "/tmp"), *_source_mounts(snapshot)],  # noqa: S108 - a path in the container.
        **COMMON,
        **({"resources": document_of(resources)} if resources else {}),
    }


def fetch_volumes(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the volumes that only the container that fetches sees."""
    claim = _claim(snapshot)
    return [{"name": "source", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}] if claim else []


def _users_variables(snapshot: Snapshot) -> Iterator[EnvVar]:
    yield from (variable for variable in snapshot.template.env or () if variable.name in _BOTH_CONTAINERS)
    yield from snapshot.template.model.env or ()


def _source_mounts(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [mount("source", contract.PVC_DIR, read_only=True)] if _claim(snapshot) else []


def _claim(snapshot: Snapshot) -> str | None:
    """Return the PersistentVolumeClaim that the model lies on."""
    scheme, _, rest = snapshot.template.model.uri.partition("://")
    return rest.partition("/")[0] if scheme == "pvc" else None
