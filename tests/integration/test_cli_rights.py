"""What viewers and releasers may do, asked of the API server and tried, with the policy and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from modeldeployment_operator.api import group
from modeldeployment_operator.cli.errors import Exit

from tests.integration.command_line import CommandLine, install
from tests.integration.conftest import ControlPlane, fresh_name
from tests.integration.kustomize import Document, build, overlay

ROLES = ("viewer", "releaser", "editor")
POLICY = "ValidatingAdmissionPolicy"
MODEL = {
    "apiVersion": group.API_VERSION,
    "kind": group.KIND,
    "metadata": {"name": "news", "annotations": {"team": "a"}},
    "spec": {"model": {"uri": "http://store/news.keras"}},
}


@pytest.fixture(scope="module")
def documents(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Document]]:
    """The roles, under names of this run, and the policy, which is for the tests to apply."""
    text = "resources: ['{manifests}/default']\ncomponents: ['{manifests}/components/releasers']\n"
    built = build(control_plane, overlay(tmp_path_factory.mktemp("overlay"), text))
    suffix = fresh_name()
    roles = [part for part in built if part["metadata"]["name"].startswith("modeldeployment-") and is_role(part)]
    for role in roles:
        role["metadata"]["name"] += f"-{suffix}"
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(roles))
    yield [*roles, *(part for part in built if part["kind"].startswith(POLICY))]
    control_plane.kubectl("delete", "--wait=false", "-f", "-", stdin=yaml.safe_dump_all(roles))


def is_role(document: Document) -> bool:
    return document["kind"] == "ClusterRole" and document["metadata"]["name"].rpartition("-")[2] in ROLES


@pytest.fixture
def model(control_plane: ControlPlane, documents: list[Document], namespace: str, tmp_path: Path) -> CommandLine:
    """A ModelDeployment, and a user for each role."""
    (tmp_path / "bin").mkdir()
    kubectl = control_plane.in_namespace(namespace)
    kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(MODEL))
    for document in documents:
        if document["kind"] == "ClusterRole":
            name = document["metadata"]["name"]
            role = name.split("-")[1]
            kubectl("create", "rolebinding", role, f"--clusterrole={name}", f"--user={role}")
    return CommandLine(control_plane, install(tmp_path / "bin"), namespace)


@pytest.fixture
def held(control_plane: ControlPlane, documents: list[Document], namespace: str, eventually: Any) -> Iterator[None]:
    """The policy, in force in this namespace alone."""
    parts: list[Document] = json.loads(json.dumps([part for part in documents if part["kind"].startswith(POLICY)]))
    name = fresh_name()
    for part in parts:
        part["metadata"]["name"] = name
        if part["kind"] == f"{POLICY}Binding":
            selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            part["spec"] |= {"policyName": name, "matchResources": {"namespaceSelector": selector}}
    text = yaml.safe_dump_all(parts)
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    # The API server takes notice of a policy in its own time.
    eventually(
        lambda: patched(control_plane, namespace, "releaser", {"spec": {"replicas": 5}}, "--dry-run=server") != ""
    )
    yield
    control_plane.kubectl("delete", "--wait=false", "-f", "-", stdin=text)


def patched(plane: ControlPlane, namespace: str, user: str, patch: Document, *flags: str) -> str:
    """Patch the model as a user; return why that was refused, or nothing."""
    words = ("patch", "mdep", "news", f"-n={namespace}", "--type=merge", f"--patch={json.dumps(patch)}", f"--as={user}")
    return plane.run(*words, *flags, check=False).stderr


def can(model: CommandLine, user: str, verb: str) -> bool:
    words = ("auth", "can-i", verb, "modeldeployments.modelops.dev", f"-n={model.namespace}", f"--as={user}")
    return model.plane.run(*words, check=False).stdout.strip() == "yes"


def test_rights_of_each_role(model: CommandLine) -> None:
    verbs = ("get", "list", "watch", "patch", "update", "create", "delete")

    assert [verb for verb in verbs if can(model, "viewer", verb)] == ["get", "list", "watch"]
    assert [verb for verb in verbs if can(model, "releaser", verb)] == ["get", "list", "watch", "patch"]


def test_a_viewer_looks_and_asks_for_nothing(model: CommandLine) -> None:
    viewer = model.acting_as("viewer")

    assert "news in " in viewer.says("status", "news")
    assert "news" in viewer.says("status")
    refusal = viewer.fails(Exit.NO_RIGHTS, "pause", "news")
    assert 'User "viewer" cannot patch resource "modeldeployments"' in refusal
    assert "modeldeployment-releaser" in refusal


@pytest.mark.usefixtures("held")
def test_a_releaser_asks_and_changes_nothing_else(model: CommandLine, control_plane: ControlPlane) -> None:
    releaser = model.acting_as("releaser")
    assert "the traffic stays where it is" in releaser.says("pause", "news")
    assert "counts again" in releaser.says("resume", "news")
    for name in (group.RETRY_ANNOTATION, group.PROMOTE_ANNOTATION, group.ABORT_ANNOTATION):
        for value in ("1", "2", None):
            change = {"metadata": {"annotations": {name: value}}}
            assert patched(control_plane, model.namespace, "releaser", change) == ""

    for change, reason in (
        ({"spec": {"replicas": 5}}, "not change the spec"),
        ({"spec": {"model": {"uri": "http://store/other.keras"}}}, "not change the spec"),
        ({"metadata": {"annotations": {"team": "b"}}}, "others take the right to update"),
        ({"metadata": {"annotations": {"team": None}}}, "others take the right to update"),
        ({"metadata": {"annotations": {"new": "1"}}}, "others take the right to update"),
        ({"metadata": {"labels": {"app": "x"}}}, "annotations alone"),
        ({"metadata": {"finalizers": ["x.io/y"]}}, "annotations alone"),
    ):
        assert reason in patched(control_plane, model.namespace, "releaser", change), change


@pytest.mark.usefixtures("held")
def test_who_may_update_is_not_held_to_it(model: CommandLine, control_plane: ControlPlane) -> None:
    kubectl = control_plane.in_namespace(model.namespace)
    kubectl("create", "role", "both", "--verb=get,patch,update", "--resource=modeldeployments.modelops.dev")
    kubectl("create", "rolebinding", "both", "--role=both", "--user=both")

    change = {"spec": {"replicas": 5}, "metadata": {"labels": {"a": "b"}}}
    assert patched(control_plane, model.namespace, "both", change) == ""


def test_without_the_policy_a_patch_reaches_the_spec(model: CommandLine, control_plane: ControlPlane) -> None:
    assert patched(control_plane, model.namespace, "releaser", {"spec": {"replicas": 5}}) == ""


def test_the_policy_knows_each_annotation_that_asks(documents: list[Document]) -> None:
    (policy,) = [part for part in documents if part["kind"] == POLICY]
    (asking,) = [one["expression"] for one in policy["spec"]["variables"] if one["name"] == "asking"]

    known = {value for name, value in vars(group).items() if name.endswith("_ANNOTATION")}
    assert set(yaml.safe_load(asking)) == known
