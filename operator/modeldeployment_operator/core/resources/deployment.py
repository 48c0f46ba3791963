"""The Deployment of one revision."""

from __future__ import annotations

import json
from typing import Any, Final

from model_server import contract
from model_server.contract import Env

from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import DEPLOYMENT
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object
from modeldeployment_operator.core.resources.secret import Keys
from modeldeployment_operator.core.revisions import Snapshot, digest_of, document_of

FETCH_CONTAINER: Final = "fetch"
SERVER_CONTAINER: Final = "server"
GRACE_SECONDS: Final = 45
"""From SIGTERM to SIGKILL: the server drains for a few seconds, then waits for what is under way."""
START_SECONDS: Final = 600
"""How long a model may take to load."""

_CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_POD_SECURITY: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def build_deployment(observation: Observation, snapshot: Snapshot, number: int, keys: Keys) -> Manifest:
    """Return the Deployment of a revision.

    What makes the revision comes from the snapshot; how many pods there are and where they run from the spec of today,
    so that an old revision that takes the traffic back is as large as the one it replaces.
    """
    selector = names.pod_selector(observation.key.name, snapshot.name)
    record = json.dumps({"number": number, "template": document_of(snapshot.template)}, ensure_ascii=False)
    deployment = build_object(
        observation,
        DEPLOYMENT,
        snapshot.name,
        revision=snapshot.name,
        annotations={names.RECORD_ANNOTATION: record},
    )
    return deployment | {
        "spec": {
            "replicas": observation.replicas,
            "selector": {"matchLabels": selector},
            # A pod is taken away only when its successor answers.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": names.common_labels(observation.key.name) | selector,
                    # Pods read their keys once: with others, they are to be started again.
                    "annotations": {names.KEYS_ANNOTATION: digest_of({"feedback": keys.feedback, "admin": keys.admin})},
                },
                "spec": _pod(observation, snapshot),
            },
        }
    }


def _pod(observation: Observation, snapshot: Snapshot) -> dict[str, Any]:
    env = _environment(observation, snapshot)
    fetch = {
        "name": FETCH_CONTAINER,
        "image": snapshot.template.image,
        "command": list(contract.FETCH_COMMAND),
        "env": env,
        "volumeMounts": [_mount("model", contract.MODEL_DIR), _mount("tmp", "/tmp"), *_source_mounts(snapshot)],  # noqa: S108 - a path in the container.
        **_common(observation.spec),
    }
    server = {
        "name": SERVER_CONTAINER,
        "image": snapshot.template.image,
        "command": list(contract.SERVE_COMMAND),
        "env": env,
        "ports": [
            {"name": contract.HTTP_PORT_NAME, "containerPort": contract.HTTP_PORT, "protocol": "TCP"},
            {"name": contract.GRPC_PORT_NAME, "containerPort": contract.GRPC_PORT, "protocol": "TCP"},
            {"name": contract.ADMIN_PORT_NAME, "containerPort": contract.ADMIN_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe(contract.LIVE_PATH, periodSeconds=2, failureThreshold=START_SECONDS // 2),
        "livenessProbe": _probe(contract.LIVE_PATH, periodSeconds=10, failureThreshold=6),
        "readinessProbe": _probe(contract.READY_PATH, periodSeconds=2, failureThreshold=3),
        "volumeMounts": [
            _mount("model", contract.MODEL_DIR, read_only=True),
            _mount("keys", contract.KEYS_DIR, read_only=True),
            _mount("state", contract.STATE_DIR),
            _mount("tmp", "/tmp"),  # noqa: S108 - a path in the container.
        ],
        **_common(observation.spec),
    }
    return {
        "initContainers": [fetch],
        "containers": [server],
        "volumes": [
            {"name": "model", "emptyDir": {}},
            {"name": "state", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "keys", "secret": {"secretName": names.keys_secret(observation.key.name)}},
            *_source_volumes(snapshot),
        ],
        # A model is somebody's program: it gets no identity in the cluster.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _POD_SECURITY,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        **_scheduling(observation.spec),
    }


def _common(spec: ModelDeploymentSpec) -> dict[str, Any]:
    resources = {"resources": document_of(spec.serving.resources)} if spec.serving.resources else {}
    return {
        "securityContext": _CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **resources,
    }


def _environment(observation: Observation, snapshot: Snapshot) -> list[dict[str, Any]]:
    model = snapshot.template.model
    values = {
        Env.MODEL_NAME: model.name,
        Env.MODEL_URI: model.uri,
        Env.MODEL_DIGEST: model.digest,
        Env.MODEL_FORMAT: model.format,
        Env.MODEL_LABELS: json.dumps(model.labels, ensure_ascii=False) if model.labels else None,
        Env.REVISION: snapshot.name,
        Env.PEERS_HOST: f"{snapshot.name}.{observation.key.namespace}.svc",
    }
    fields = {Env.POD_NAME: "metadata.name", Env.POD_UID: "metadata.uid", Env.POD_IP: "status.podIP"}
    return [
        *(document_of(variable) for variable in snapshot.template.env or ()),
        *({"name": name.value, "value": _literal(value)} for name, value in values.items() if value is not None),
        *({"name": name.value, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
    ]


def _literal(value: str) -> str:
    """Return a value as it is: Kubernetes would put a variable's value for $(NAME)."""
    return str(value).replace("$", "$$")


def _source_mounts(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [_mount("source", contract.PVC_DIR, read_only=True)] if _claim(snapshot) else []


def _source_volumes(snapshot: Snapshot) -> list[dict[str, Any]]:
    claim = _claim(snapshot)
    return [{"name": "source", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}] if claim else []


def _claim(snapshot: Snapshot) -> str | None:
    """Return the PersistentVolumeClaim that the model lies on."""
    scheme, _, rest = snapshot.template.model.uri.partition("://")
    return rest.partition("/")[0] if scheme == "pvc" else None


def _scheduling(spec: ModelDeploymentSpec) -> dict[str, Any]:
    serving = document_of(spec.serving)
    same = ("nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets", "serviceAccountName")
    return {name: serving[name] for name in same if name in serving}


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": contract.ADMIN_PORT_NAME}, "timeoutSeconds": 5, **timing}


def _mount(name: str, path: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {})
