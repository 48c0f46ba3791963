"""The cluster that the demo runs on: one of its own on this machine, or the user's."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster import ClusterError, Shape, images, monitoring, requirements, up
from tests.cluster.runtime import image_digest
from tests.demo.errors import SetupError
from tests.demo.kubectl import Kubectl, KubectlError
from tests.demo.workspace import CLUSTER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cluster import Cluster
    from tests.cluster.monitoring import Installed
    from tests.demo.console import Console

ENVIRONMENT = f'eval "$(python3 -m tests.cluster env --name {CLUSTER})"'
CONTEXT, OPERATOR_IMAGE, SERVING_IMAGE = "KUBE_CONTEXT", "OPERATOR_IMAGE", "SERVING_IMAGE"


@dataclass(frozen=True)
class Target:
    """A cluster that works, and the images' names in it."""

    kubectl: Kubectl
    operator_image: str
    serving_image: str
    version: str = ""
    """Changes with the operator's image, where the image's name does not."""
    local: bool = True
    monitoring: Installed | None = None
    """The Prometheus of a cluster on this machine."""


def find(environment: Mapping[str, str], console: Console) -> Target:
    """Return the cluster that the environment names; without one, bring up a cluster on this machine."""
    context = environment.get(CONTEXT, "").strip()
    return of_context(context, environment) if context else of_machine(console)


def of_context(context: str, environment: Mapping[str, str]) -> Target:
    """Return the user's own cluster. Nothing is built; SetupError if something is missing."""
    missing = [name for name in (OPERATOR_IMAGE, SERVING_IMAGE) if not environment.get(name, "").strip()]
    if missing:
        raise SetupError(
            f"{CONTEXT} is {context}, so the cluster pulls the images itself: set {' and '.join(missing)} to names "
            "it can pull. Build them at the repository's root, of operator/Dockerfile and serving_image/Dockerfile."
        )
    if not shutil.which("kubectl"):
        raise SetupError("kubectl is not on the PATH: install it to use a cluster of your own.")
    kubectl = Kubectl.of_context(context)
    try:
        kubectl.run("get", "--raw", "/readyz", seconds=30)
    except KubectlError as error:
        raise SetupError(f"The cluster of the context {context} does not answer: {error}") from error
    return Target(kubectl, environment[OPERATOR_IMAGE].strip(), environment[SERVING_IMAGE].strip(), local=False)


def of_machine(console: Console) -> Target:
    """Bring up a cluster on this machine with both images, installing what the machine lacks."""
    require_tools(console)
    console.command("python3", "-m", "tests.cluster", "up", "--shape", "full", "--name", CLUSTER)
    cluster = up(CLUSTER, Shape.FULL)
    console.command("python3", "-m", "tests.cluster", "images", "--name", CLUSTER)
    images.build_all()
    for name in images.NAMES:
        images.give(cluster, name)
    console.command("python3", "-m", "tests.cluster", "monitoring", "--name", CLUSTER)
    version = image_digest(cluster, images.OPERATOR)
    installed = monitoring.install(cluster)
    return Target(existing(cluster), images.OPERATOR, images.MODEL_SERVER, version=version, monitoring=installed)


def existing(cluster: Cluster) -> Kubectl:
    """Return kubectl for a local cluster."""
    return Kubectl.of_kubeconfig(cluster.kubectl, cluster.kubeconfig)


def require_tools(console: Console) -> None:
    """Install what the machine lacks; ClusterError if that takes rights that the caller has not."""
    try:
        requirements.check(Shape.FULL)
        requirements.check_images()
    except ClusterError as error:
        requirements.check_rights("The demo runs a cluster with pods")  # What no package mends is said at once.
        console.say(str(error).partition(". ")[0], "Installing what is missing:")
        console.command("python3", "-m", "tests.cluster", "install-tools")
        requirements.install_tools()
