"""What all tests of real pods share: one cluster, the operator in its pod, trained models and a store that has them."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster import api, images
from tests.cluster.paths import REPOSITORY
from tests.cluster.runtime import image_digest
from tests.demo import operator_install, store
from tests.demo.models import SETTINGS, Model, Trainings
from tests.demo.target import Target, existing
from tests.demo.workspace import NAMESPACE as STORE_NAMESPACE
from tests.e2e.operator_pod import OperatorPod
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.cluster.monitoring import Installed
    from tests.demo.kubectl import Kubectl

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Label of the tests' namespaces: whatever the operator makes has to be admitted under the strictest standard."""
START_SECONDS = 240
"""For pods to come up on a machine that has much else to do."""


@dataclass(frozen=True)
class Stage:
    """The cluster and what lies ready in it."""

    cluster: Cluster
    kubectl: Kubectl
    operator: OperatorPod
    models: dict[str, Model]
    uris: dict[str, str]
    """Of the good and of the spoilt model, in the store."""

    def get(self, path: str) -> dict[str, Any] | None:
        """Return the object at a path of the API; None if there is none."""
        return api.get(self.cluster, path)

    def store(self, file: Path, path: str) -> str:
        """Put a file into the store; return its URI."""
        return store.put(self.kubectl, file, path)

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """Make a namespace that is no other test's, and let it go."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        make_namespace(self.kubectl, name)
        try:
            yield name
        finally:
            self.kubectl.run("delete", "namespace", name, "--wait=false")


def make_namespace(kubectl: Kubectl, name: str) -> None:
    """Make a namespace whose pods have to be restricted."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})


def prepare(cluster: Cluster, directory: Path) -> Stage:
    """Install the operator as a user does, and fill a store; `directory` takes the overlay."""
    kubectl = existing(cluster)
    with Trainings() as trainings:
        images.build_all()
        images.give_all(cluster)
        operator = install_operator(cluster, kubectl, directory)
        uris: dict[str, str] = {}
        stage = Stage(cluster, kubectl, operator, {}, uris)
        make_namespace(kubectl, STORE_NAMESPACE)
        kubectl.apply(*store.manifests(images.MODEL_SERVER))
        kubectl.wait("condition=Ready", f"pod/{store.STORE}", STORE_NAMESPACE, seconds=START_SECONDS)
        for name in SETTINGS:
            stage.models[name] = trainings.take(name)
            uris[name] = stage.store(stage.models[name].file, f"news/{name}.keras")
    operator.wait_ready()
    return stage


def install_operator(
    cluster: Cluster, kubectl: Kubectl, directory: Path, monitoring: Installed | None = None
) -> OperatorPod:
    """Install the operator by an overlay in a directory, with a monitoring stack or without one."""
    version = image_digest(cluster, images.OPERATOR)
    target = Target(kubectl, images.OPERATOR, images.MODEL_SERVER, version=version, monitoring=monitoring)
    manifests = os.path.relpath((REPOSITORY / "manifests").resolve(), directory.resolve())
    (directory / "kustomization.yaml").write_text(operator_install.overlay(manifests, target))
    kubectl.run("apply", "-k", str(directory))
    kubectl.wait("condition=Established", operator_install.CRD, seconds=30)
    operator = OperatorPod(cluster, kubectl)
    wait_until(operator.is_rolled_out, "the operator of today's image runs", seconds=START_SECONDS)
    return operator
