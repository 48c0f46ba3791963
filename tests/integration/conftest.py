"""A real API server for the tests: etcd, API server, controller manager and scheduler, but no nodes.

Set MODELOPS_TEST_CLUSTER to the kubeconfig of a cluster made for tests, and it is used instead. Whatever a kubeconfig
of your own names is never touched.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config

from tests.cluster import Shape
from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story
from tests.support.clusters import borrowed

REPOSITORY = Path(__file__).parents[2]
CLUSTER = f"integration-{hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:6]}"
"""Of each checkout its own, as CRDs are the cluster's."""


@dataclass(frozen=True)
class ControlPlane:
    """A cluster with the kind ModelDeployment."""

    kubeconfig: Path
    kubectl_path: Path

    def run(self, *args: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the cluster's administrator. With `check`, a failure fails the test and is shown."""
        done = subprocess.run(
            [self.kubectl_path, f"--kubeconfig={self.kubeconfig}", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=REPOSITORY,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"kubectl {' '.join(args)} failed:\n{done.stderr or done.stdout}")
        return done

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """Return what kubectl prints."""
        return self.run(*args, stdin=stdin).stdout

    def in_namespace(self, namespace: str) -> Callable[..., str]:
        """Return `kubectl` for one namespace."""
        return functools.partial(self.kubectl, f"--namespace={namespace}")

    def kubeconfig_of(self, namespace: str, account: str, path: Path) -> Path:
        """Write a kubeconfig with a ServiceAccount's own token."""
        token = self.kubectl("create", "token", account, f"--namespace={namespace}").strip()
        document = yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8"))
        document["users"][0]["user"] = {"token": token}
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path


def fresh_name() -> str:
    """Return a name that no other test and no other run uses."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Bring the cluster up if it is not, and leave it as it was, unless another run of the tests still uses it."""
    if given := os.environ.get("MODELOPS_TEST_CLUSTER"):
        yield _with_kind(ControlPlane(Path(given).resolve(), _kubectl()))
        return
    with borrowed(CLUSTER, Shape.CONTROL_PLANE) as local:
        yield _with_kind(ControlPlane(local.kubeconfig, local.kubectl))


def _with_kind(plane: ControlPlane) -> ControlPlane:
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", "crds")
    plane.kubectl("wait", "--for=condition=Established", "crd/modeldeployments.modelops.dev", "--timeout=30s")
    return plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Make a namespace for one test."""
    name = fresh_name()
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something becomes true, for 20 seconds."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail("it has not become true in 20 seconds")
            time.sleep(0.2)

    return wait


@pytest.fixture
def story(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Story]:
    """Run the operator and pods' stand-ins in a namespace."""
    config.load_kube_config(str(control_plane.kubeconfig))
    with (
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(control_plane.kubeconfig, tmp_path / "operator.log", namespace) as operator,
    ):
        yield Story(control_plane.in_namespace(namespace), namespace, kubelet, operator)


def _kubectl() -> Path:
    found = shutil.which("kubectl")
    if not found:
        pytest.fail("MODELOPS_TEST_CLUSTER is set, so a kubectl is needed in PATH")
    return Path(found)
