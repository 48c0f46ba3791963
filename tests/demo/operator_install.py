"""Installs the operator as the README tells users to: an overlay that names the images, and `kubectl apply -k`."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.cluster.monitoring import SELECTED
from tests.cluster.paths import REPOSITORY
from tests.demo.errors import DemoError
from tests.demo.kubectl import RESOURCE
from tests.demo.workspace import (
    MARK,
    MARK_SELECTOR,
    NAMESPACE,
    OPERATOR,
    OPERATOR_NAMESPACE,
    PAGE_PORT,
    SCRAPE_INTERVAL,
    folder,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.console import Console
    from tests.demo.kubectl import Kubectl
    from tests.demo.target import Target

IMAGE = "localhost/modeldeployment-operator"
"""As manifests/ names it."""
CRD = f"crd/{RESOURCE}"
ROLLOUT_SECONDS = 180
_SELECTED_BY_PROMETHEUS = "".join(
    f"""\
  - target: {{kind: ServiceMonitor|PrometheusRule}}
    patch: '- {{op: add, path: /metadata/labels/{label}, value: {value}}}'
"""
    for label, value in SELECTED.items()
)
_SCRAPED_OFTEN = f"""\
  - target: {{kind: ServiceMonitor}}
    patch: '- {{op: replace, path: /spec/endpoints/0/interval, value: {SCRAPE_INTERVAL}}}'
"""


def install(target: Target, console: Console) -> None:
    """Install CRD and operator, and wait until the operator works."""
    kubectl = target.kubectl
    if not target.local and not _may_install(kubectl):
        console.say(f"The operator is installed in {OPERATOR_NAMESPACE} already, and is used as it is.")
        return
    overlay = write_overlay(target)
    console.say("An overlay names the images; everything else is manifests/default:")
    console.show((overlay / "kustomization.yaml").read_text())
    console.command(*kubectl.shown, "apply", "-k", str(overlay))
    console.show(_summary(kubectl.run("apply", "-k", str(overlay))))
    kubectl.wait("condition=Established", CRD, seconds=30)
    rollout = ("--namespace", OPERATOR_NAMESPACE, "rollout", "status", f"deployment/{OPERATOR}")
    console.command(*kubectl.shown, *rollout)
    seconds = ROLLOUT_SECONDS
    kubectl.run(*rollout, f"--timeout={seconds}s", seconds=seconds + 10)


def uninstall(target: Target, console: Console) -> None:
    """Remove what `install` and the story made in a user's cluster, and nothing else."""
    kubectl = target.kubectl
    remove_namespace(kubectl, console)
    namespace = kubectl.get("namespace", OPERATOR_NAMESPACE)
    if not namespace:
        return
    if not _is_marked(namespace):
        console.say(f"The operator in {OPERATOR_NAMESPACE} was not installed by the demo, and stays.")
        return
    others = kubectl.run("get", "modeldeployments", "--all-namespaces", "--no-headers", "--ignore-not-found").strip()
    if others:
        raise DemoError(
            "There are ModelDeployments of yours, which would go with their kind; so the operator stays. Delete them "
            f"first, and repeat:\n{others}"
        )
    overlay = write_overlay(target)
    console.command(*kubectl.shown, "delete", "-k", str(overlay))
    kubectl.delete("-k", str(overlay))


def remove_namespace(kubectl: Kubectl, console: Console) -> None:
    """Remove the namespace of an earlier demo; DemoError if it is somebody else's."""
    namespace = kubectl.get("namespace", NAMESPACE)
    if not namespace:
        return
    if not _is_marked(namespace):
        raise DemoError(
            f"There is a namespace {NAMESPACE} that the demo did not make (it lacks the label {MARK_SELECTOR}), and "
            "the demo needs the name. Rename or remove yours, or use another cluster."
        )
    console.command(*kubectl.shown, "delete", "namespace", NAMESPACE)
    # What runs goes first: Kubernetes looks again at a namespace only after half of its pods' longest grace period.
    if kubectl.get("crd", RESOURCE):
        kubectl.delete("modeldeployments", "--all", "--namespace", NAMESPACE, "--cascade=foreground")
    kubectl.delete("pods", "--all", "--namespace", NAMESPACE)
    kubectl.delete("namespace", NAMESPACE)


def write_overlay(target: Target) -> Path:
    """Write the overlay; return its directory."""
    directory = folder() / "overlay"
    directory.mkdir(parents=True, exist_ok=True)
    manifests = os.path.relpath((REPOSITORY / "manifests").resolve(), directory.resolve())
    (directory / "kustomization.yaml").write_text(overlay(manifests, target))
    return directory


def overlay(manifests: str, target: Target) -> str:
    """Return the text of the overlay; `manifests` is the path of that directory.

    A local image keeps its name when it changes, so its digest is noted.
    """
    version = json.dumps({"modelops.dev/demo-image": target.version or target.operator_image})
    settings = [f"SERVING_IMAGE={target.serving_image}"]
    components, patches = "", ""
    if target.monitoring:
        settings += [f"PROMETHEUS_URL={target.monitoring.prometheus_by_name}", f"FLEET_PAGE_PORT={PAGE_PORT}"]
        components = f"components: [{manifests}/components/monitoring, {manifests}/components/dashboards]\n"
        patches = _SELECTED_BY_PROMETHEUS + _SCRAPED_OFTEN
    return f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{manifests}/default]
{components}images:
  - {json.dumps({"name": IMAGE, **image_fields(target.operator_image)})}
configMapGenerator:
  - name: {OPERATOR}
    namespace: {OPERATOR_NAMESPACE}
    behavior: merge
    literals: {json.dumps(settings)}
patches:
  - target: {{kind: Namespace, name: {OPERATOR_NAMESPACE}}}
    patch: '{{apiVersion: v1, kind: Namespace, metadata: {{name: any, labels: {json.dumps(MARK)}}}}}'
  - target: {{kind: Deployment, name: {OPERATOR}}}
    patch: '{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: any}},
      spec: {{template: {{metadata: {{annotations: {version}}}}}}}}}'
{patches}"""


def image_fields(image: str) -> dict[str, str]:
    """Return an image's name as kustomize's `images:` has it."""
    name, at, digest = image.partition("@")
    if at:
        return {"newName": name, "digest": digest}
    repository, colon, tag = image.rpartition(":")
    if colon and "/" not in tag:
        return {"newName": repository, "newTag": tag}
    return {"newName": image, "newTag": "latest"}


def _may_install(kubectl: Kubectl) -> bool:
    """Whether there is no operator yet, or one of the demo's own."""
    namespace = kubectl.get("namespace", OPERATOR_NAMESPACE)
    return namespace is None or _is_marked(namespace)


def _is_marked(namespace: dict[str, Any]) -> bool:
    return bool(MARK.items() <= namespace["metadata"].get("labels", {}).items())


def _summary(output: str) -> str:
    """Return kubectl's lines in a form that can be taken in at a glance: how many objects, and what became of them."""
    outcomes = Counter(line.rpartition(" ")[2] for line in output.splitlines())
    return ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
