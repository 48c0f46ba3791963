"""A tiny model store inside the cluster: a web server that the model servers fetch their models from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.demo.workspace import NAMESPACE, restricted_pod

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.kubectl import Kubectl

STORE = "model-store"
PORT = 8080
DIRECTORY = "/store"
_LABELS = {"app": STORE}
_RECEIVE = (
    "import pathlib, shutil, sys; path = pathlib.Path(sys.argv[1]); path.parent.mkdir(parents=True, exist_ok=True); "
    "shutil.copyfileobj(sys.stdin.buffer, path.open('wb'))"
)


def manifests(image: str) -> list[dict[str, Any]]:
    """Return the store's pod and Service. Its content lies in an emptyDir: it goes with the pod."""
    spec = restricted_pod(image, ["python3", "-m", "http.server", str(PORT), "--directory", DIRECTORY])
    container = spec["containers"][0]
    container["ports"] = [{"name": "http", "containerPort": PORT}]
    container["readinessProbe"] = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}
    container["volumeMounts"].append({"name": "store", "mountPath": DIRECTORY})
    spec["volumes"].append({"name": "store", "emptyDir": {}})
    spec["restartPolicy"] = "Always"
    spec["terminationGracePeriodSeconds"] = 1  # As a container's first process, Python does not heed SIGTERM.
    metadata = {"name": STORE, "namespace": NAMESPACE}
    service = {"selector": _LABELS, "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "labels": _LABELS}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


def put(kubectl: Kubectl, file: Path, path: str) -> str:
    """Upload a file; return the URI that it is fetched from."""
    words = ("exec", "--stdin", STORE, "--namespace", NAMESPACE, "--", "python3", "-c", _RECEIVE, f"{DIRECTORY}/{path}")
    kubectl.run(*words, stdin=file.read_bytes())
    return f"http://{STORE}.{NAMESPACE}.svc:{PORT}/{path}"
