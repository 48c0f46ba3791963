"""The manifests as users apply them: they build, the API server takes them, and the rights are no wider than told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

MANIFESTS = REPOSITORY / "manifests"
KUSTOMIZATIONS = sorted(
    path.parent
    for path in [REPOSITORY / "crds/kustomization.yaml", *MANIFESTS.rglob("kustomization.yaml")]
    if "kind: Component" not in path.read_text(encoding="utf-8")
)

Document = dict[str, Any]


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


def build(control_plane: ControlPlane, directory: Path) -> list[Document]:
    return [part for part in yaml.safe_load_all(control_plane.kubectl("kustomize", str(directory))) if part]


def only(documents: list[Document], kind: str, name: str = "") -> Document:
    (found,) = [part for part in documents if part["kind"] == kind and part["metadata"]["name"].startswith(name)]
    return found


def overlay(directory: Path, text: str) -> Path:
    """Write a kustomization as a user would, in which `{manifests}` leads to ours."""
    directory.mkdir(parents=True, exist_ok=True)
    there = os.path.relpath(MANIFESTS, directory.resolve())
    (directory / "kustomization.yaml").write_text(text.replace("{manifests}", there), encoding="utf-8")
    return directory


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
    directory = overlay(
        tmp_path_factory.mktemp("overlay"),
        f"resources: ['{{manifests}}/default']\nnamespace: {name}\nnameSuffix: -{name}\n",
    )
    documents = [part for part in build(control_plane, directory) if part["kind"] != "CustomResourceDefinition"]
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
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(REPOSITORY / "crds", copy / "crds")
    shutil.copytree(MANIFESTS, copy / "manifests")
    for path in copy.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        edited = text.replace("WATCH_NAMESPACES=models", f"WATCH_NAMESPACES={watched}").replace("modelops-system", name)
        path.write_text(edited, encoding="utf-8")
    documents = build(control_plane, copy / "manifests/namespaced")
    of_all = {"CustomResourceDefinition", "ClusterRole"}
    for _ in apply(control_plane, [part for part in documents if part["kind"] not in of_all]):
        yield Installed(name, "modeldeployment-operator", client)


# --- What is built -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("directory", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_kustomization_builds(control_plane: ControlPlane, directory: Path) -> None:
    done = control_plane.run("kustomize", str(directory))

    assert done.stdout
    assert done.stderr == ""  # Where kustomize warns of what it will no longer know.


def test_one_place_sets_each_image(control_plane: ControlPlane, tmp_path: Path) -> None:
    head = (MANIFESTS / "default/kustomization.yaml").read_text(encoding="utf-8")
    told = [line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   ")]
    directory = overlay(tmp_path, "\n".join(told).replace("<where this lies>/manifests", "{manifests}"))

    documents = build(control_plane, directory)

    (container,) = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"]
    settings = only(documents, "ConfigMap")
    assert container["image"] == "registry.example.com/modeldeployment-operator:v0.1.0"
    assert settings["data"]["SERVING_IMAGE"] == "registry.example.com/model-server:v0.1.0"
    assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]


def test_changed_setting_starts_the_operator_anew(control_plane: ControlPlane) -> None:
    default = only(build(control_plane, MANIFESTS / "default"), "ConfigMap")["metadata"]["name"]
    namespaced = only(build(control_plane, MANIFESTS / "namespaced"), "ConfigMap")["metadata"]["name"]

    assert default != namespaced


def test_service_monitor_finds_the_service(control_plane: ControlPlane, tmp_path: Path) -> None:
    directory = overlay(
        tmp_path, "resources: ['{manifests}/default']\ncomponents: ['{manifests}/components/service-monitor']\n"
    )

    documents = build(control_plane, directory)

    monitor, service = only(documents, "ServiceMonitor"), only(documents, "Service", "modeldeployment-operator")
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_one_namespace_means_no_rights_in_all(control_plane: ControlPlane) -> None:
    documents = build(control_plane, MANIFESTS / "namespaced")

    assert "ClusterRoleBinding" not in {part["kind"] for part in documents}
    assert only(documents, "Role", "modeldeployment-operator-watched")["metadata"]["namespace"] == "models"
    assert only(documents, "RoleBinding", "modeldeployment-operator-watched")["metadata"]["namespace"] == "models"


# --- What the API server says ------------------------------------------------------------------------------


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


@pytest.mark.parametrize("sample", sorted((MANIFESTS / "samples").glob("*.yaml")), ids=lambda path: str(path.stem))
def test_samples_are_accepted(control_plane: ControlPlane, sample: Path) -> None:
    done = control_plane.run("create", "--dry-run=server", "--validate=strict", "-f", str(sample))

    assert done.stderr == ""


# --- Rights ------------------------------------------------------------------------------------------------

CHILDREN = (
    "deployments.apps",
    "controllerrevisions.apps",
    "services",
    "poddisruptionbudgets.policy",
    "servicemonitors.monitoring.coreos.com",
)
READ = ("get", "list", "watch")
NEEDED = [
    *((verb, "modeldeployments.modelops.dev") for verb in READ),
    *((verb, "modeldeployments/status.modelops.dev") for verb in ("get", "patch", "update")),
    ("update", "modeldeployments/finalizers.modelops.dev"),
    *((verb, child) for child in CHILDREN for verb in (*READ, "create", "patch", "delete")),
    *((verb, "pods") for verb in READ),
    *((verb, resource) for resource in ("secrets", "events") for verb in ("create", "patch")),
]
FORBIDDEN = [
    *((verb, "modeldeployments.modelops.dev") for verb in ("create", "update", "patch", "delete", "deletecollection")),
    *((verb, "secrets") for verb in (*READ, "update", "delete", "deletecollection")),
    *((verb, "pods") for verb in ("create", "patch", "delete")),
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
