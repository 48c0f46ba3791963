"""An installed operator has the rights it needs, and no others: asked of the API server, and tried."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes.client import (
    ApiClient,
    AuthorizationV1Api,
    CoreV1Api,
    V1ResourceAttributes,
    V1SubjectAccessReview,
    V1SubjectAccessReviewSpec,
)
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config

from tests.integration.conftest import REPOSITORY, ControlPlane, fresh_name
from tests.integration.kustomize import Document, for_all_namespaces, for_one_namespace


@dataclass(frozen=True)
class Installed:
    """The operator's ServiceAccount, as it stands in the cluster."""

    namespace: str
    account: str
    client: ApiClient

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    def may(self, verb: str, resource: str, *, namespace: str = "", name: str = "") -> bool:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"]
        return may(self.client, self.user, verb, resource, groups=groups, namespace=namespace, name=name)


def may(
    client: ApiClient,
    user: str,
    verb: str,
    resource: str,
    *,
    groups: list[str],
    namespace: str = "",
    name: str = "",
) -> bool:
    """Ask the API server, as `kubectl auth can-i` does; `resource` is `PLURAL[/SUBRESOURCE][.GROUP]`."""
    kind, _, group = resource.partition(".")
    plural, _, subresource = kind.partition("/")
    asked = V1ResourceAttributes(
        group=group, resource=plural, subresource=subresource, verb=verb, namespace=namespace, name=name
    )
    review = V1SubjectAccessReview(
        spec=V1SubjectAccessReviewSpec(user=user, groups=groups, resource_attributes=asked),
    )
    answer = AuthorizationV1Api(client).create_subject_access_review(review)
    return answer.status is not None and answer.status.allowed


def apply(control_plane: ControlPlane, documents: list[Document]) -> Iterator[None]:
    text = yaml.safe_dump_all(documents)
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    yield
    control_plane.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=text)


@pytest.fixture(scope="module")
def client(control_plane: ControlPlane) -> ApiClient:
    made: ApiClient = new_client_from_config(str(control_plane.kubeconfig))
    return made


@pytest.fixture(scope="module")
def installed(
    control_plane: ControlPlane, client: ApiClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """Install manifests/default under names of this run, beside whatever is installed already."""
    name = fresh_name()
    built = for_all_namespaces(control_plane, tmp_path_factory.mktemp("overlay"), name)
    documents = [part for part in built if part["kind"] != "CustomResourceDefinition"]
    (account,) = [part["metadata"]["name"] for part in documents if part["kind"] == "ServiceAccount"]
    for _ in apply(control_plane, documents):
        yield Installed(name, account, client)


@pytest.fixture(scope="module")
def watched(control_plane: ControlPlane) -> Iterator[str]:
    """Make a namespace for the whole module."""
    name = fresh_name()
    for _ in apply(control_plane, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]):
        yield name


@pytest.fixture(scope="module")
def namespaced(
    control_plane: ControlPlane, client: ApiClient, watched: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """Install manifests/namespaced for the namespace `watched`, edited as its head says."""
    name = fresh_name()
    documents = for_one_namespace(control_plane, tmp_path_factory.mktemp("copy"), name, watched)
    of_all = {"CustomResourceDefinition", "ClusterRole"}
    for _ in apply(control_plane, [part for part in documents if part["kind"] not in of_all]):
        yield Installed(name, "modeldeployment-operator", client)


# --- The operator's pod -------------------------------------------------------------------------------------


def pod_of(control_plane: ControlPlane, installed: Installed) -> Document:
    """The operator's pod, as its Deployment would make it."""
    text = control_plane.kubectl("get", "deployment", "-n", installed.namespace, "-o", "yaml")
    (deployment,) = yaml.safe_load(text)["items"]
    template = deployment["spec"]["template"]
    metadata = {"name": "operator", "namespace": installed.namespace, "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_operators_pod_is_admitted_where_pods_are_restricted(control_plane: ControlPlane, installed: Installed) -> None:
    pod = yaml.safe_dump(pod_of(control_plane, installed))

    done = control_plane.run("create", "--dry-run=server", "-f", "-", stdin=pod)

    assert done.stderr == ""


def test_pod_with_more_rights_is_not_admitted(control_plane: ControlPlane, installed: Installed) -> None:
    pod = pod_of(control_plane, installed)
    del pod["spec"]["securityContext"]["runAsNonRoot"]

    done = control_plane.run("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod), check=False)

    assert 'violates PodSecurity "restricted' in done.stderr


# --- Rights ------------------------------------------------------------------------------------------------

CHILDREN = (
    "deployments.apps",
    "controllerrevisions.apps",
    "services",
    "poddisruptionbudgets.policy",
    "horizontalpodautoscalers.autoscaling",
    "networkpolicies.networking.k8s.io",
    "servicemonitors.monitoring.coreos.com",
    "prometheusrules.monitoring.coreos.com",
    "httproutes.gateway.networking.k8s.io",
)
READ = ("get", "list", "watch")
NEEDED = [
    *((verb, "modeldeployments.modelops.dev") for verb in ("list", "watch")),
    ("patch", "modeldeployments/status.modelops.dev"),
    ("update", "modeldeployments/finalizers.modelops.dev"),
    *((verb, child) for child in CHILDREN for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *((verb, "pods") for verb in ("list", "watch")),
    *((verb, "secrets") for verb in ("create", "patch")),
    ("create", "events"),
]
FORBIDDEN = [
    *((verb, "modeldeployments.modelops.dev") for verb in ("create", "update", "patch", "delete", "deletecollection")),
    *((verb, "secrets") for verb in (*READ, "update", "delete", "deletecollection")),
    *((verb, "pods") for verb in ("get", "create", "patch", "delete")),
    ("patch", "events"),
    ("create", "pods/exec"),
    ("get", "pods/log"),
    ("create", "serviceaccounts/token"),
    *((verb, "configmaps") for verb in READ),
    *((verb, "rolebindings.rbac.authorization.k8s.io") for verb in ("get", "create", "patch")),
    *((verb, child) for child in CHILDREN for verb in ("update", "deletecollection")),
]
OF_ALL_NAMESPACES = [
    ("list", "namespaces"),
    ("list", "customresourcedefinitions.apiextensions.k8s.io"),
    ("get", "nodes"),
    ("create", "clusterroles.rbac.authorization.k8s.io"),
    ("escalate", "clusterroles.rbac.authorization.k8s.io"),
    ("impersonate", "users"),
]
KEYS = "modeldeployment-operator-keys"
LEASE = "modeldeployment-operator-leader"


def test_operator_may_do_its_work_everywhere(installed: Installed, watched: str) -> None:
    assert [f"{verb} {what}" for verb, what in NEEDED if not installed.may(verb, what, namespace=watched)] == []
    assert installed.may("list", "modeldeployments.modelops.dev")


def test_operator_may_do_nothing_else(installed: Installed, watched: str) -> None:
    assert [f"{verb} {what}" for verb, what in FORBIDDEN if installed.may(verb, what, namespace=watched)] == []
    assert [f"{verb} {what}" for verb, what in OF_ALL_NAMESPACES if installed.may(verb, what)] == []


def test_operator_of_one_namespace_may_do_its_work_there(namespaced: Installed, watched: str) -> None:
    assert [f"{verb} {what}" for verb, what in NEEDED if not namespaced.may(verb, what, namespace=watched)] == []
    assert [f"{verb} {what}" for verb, what in FORBIDDEN if namespaced.may(verb, what, namespace=watched)] == []


def test_operator_of_one_namespace_may_do_nothing_elsewhere(namespaced: Installed) -> None:
    tried = NEEDED + FORBIDDEN + OF_ALL_NAMESPACES

    assert [f"{verb} {what}" for verb, what in tried if namespaced.may(verb, what, namespace="default")] == []
    assert [f"{verb} {what}" for verb, what in tried if namespaced.may(verb, what)] == []


@pytest.fixture(params=["installed", "namespaced"])
def either(request: pytest.FixtureRequest) -> Installed:
    installed: Installed = request.getfixturevalue(request.param)
    return installed


def test_operator_may_read_its_own_keys_and_no_other_secret(either: Installed) -> None:
    home = either.namespace

    assert either.may("get", "secrets", namespace=home, name=KEYS)
    assert either.may("create", "secrets", namespace=home)
    assert not either.may("get", "secrets", namespace=home, name="another")
    assert not either.may("list", "secrets", namespace=home)
    assert not either.may("get", "secrets", namespace="default", name=KEYS)


def test_operator_may_keep_its_own_lease_and_no_other(either: Installed) -> None:
    leases, home = "leases.coordination.k8s.io", either.namespace

    assert all(either.may(verb, leases, namespace=home, name=LEASE) for verb in ("get", "update"))
    assert either.may("create", leases, namespace=home)
    assert not any(either.may(verb, leases, namespace=home, name="another") for verb in ("get", "update", "delete"))
    assert not either.may("get", leases, namespace="default", name=LEASE)


def test_operator_can_apply_a_secret_it_may_not_read(
    control_plane: ControlPlane, installed: Installed, watched: str
) -> None:
    impersonating = new_client_from_config(str(control_plane.kubeconfig))
    impersonating.set_default_header("Impersonate-User", installed.user)
    api = CoreV1Api(impersonating)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "applied"}, "stringData": {"key": "value"}}

    for _ in ("created", "there already"):
        api.patch_namespaced_secret(
            "applied",
            watched,
            secret,
            field_manager="modeldeployment-operator",
            force=True,
            _content_type="application/apply-patch+yaml",
        )

    with pytest.raises(ApiException) as refusal:
        api.read_namespaced_secret("applied", watched)
    assert refusal.value.status == 403


USERS = {
    "view": ({"get", "list", "watch"}, set()),
    "edit": ({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}, {"update", "patch"}),
    "admin": ({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}, {"update", "patch"}),
}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("role", USERS)
def test_roles_of_kubernetes_hold_for_model_deployments(
    control_plane: ControlPlane, client: ApiClient, watched: str, role: str, eventually: Callable[..., None]
) -> None:
    user = f"{role}er"
    control_plane.kubectl("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}", "-n", watched)
    may_do, may_scale = USERS[role]

    def allowed(resource: str) -> set[str]:
        verbs = USERS["admin"][0]
        return {verb for verb in verbs if may(client, user, verb, resource, groups=[], namespace=watched)}

    # The controller manager adds the rules up in its own time.
    eventually(lambda: allowed("modeldeployments.modelops.dev") == may_do)
    assert allowed("modeldeployments/scale.modelops.dev") == may_scale | {"get", "list", "watch"}
    assert allowed("modeldeployments/status.modelops.dev") == {"get", "list", "watch"}


# --- The operator at work ----------------------------------------------------------------------------------


def model_deployment(name: str, version: int) -> str:
    spec = {"model": {"uri": f"http://models/{version}.keras"}, "replicas": 2}
    return yaml.safe_dump(
        {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name}, "spec": spec}
    )


def test_operator_gets_along_with_its_rights(
    control_plane: ControlPlane, either: Installed, watched: str, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    environment = os.environ | {
        "KUBECONFIG": str(control_plane.kubeconfig_of(either.namespace, either.account, tmp_path / "kubeconfig")),
        "OPERATOR_NAMESPACE": either.namespace,
        "WATCH_NAMESPACES": watched,
        "SERVING_IMAGE": "localhost/model-server:test",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
        "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'serving_image'}",
    }
    name, log = fresh_name(), tmp_path / "log"

    def deployments() -> set[str]:
        listed = control_plane.kubectl("get", "deployments", "-n", watched, "-o", "name").split()
        return {one for one in listed if name in one}

    with log.open("wb") as file:
        command = [sys.executable, "-m", "modeldeployment_operator"]
        operator = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        control_plane.kubectl("apply", "-n", watched, "-f", "-", stdin=model_deployment(name, 1))
        eventually(lambda: len(deployments()) == 1)
        first = deployments()
        # A candidate that was never ready gives way to the next: children are removed too.
        control_plane.kubectl("apply", "-n", watched, "-f", "-", stdin=model_deployment(name, 2))
        eventually(lambda: len(deployments()) == 1 and not deployments() & first)
        control_plane.kubectl("wait", "--for=condition=Reconciling", f"mdep/{name}", "-n", watched, "--timeout=20s")
        events = control_plane.kubectl("events", "-n", watched, "--for", f"modeldeployment/{name}")
    finally:
        operator.terminate()
        operator.wait(timeout=20)

    assert "CandidateStarted" in events
    assert "forbidden" not in log.read_text(encoding="utf-8")
