"""The manifests as users apply them: they build, and overlays change what they are meant to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import REPOSITORY, ControlPlane
from tests.integration.kustomize import MANIFESTS, build, only, overlay

KUSTOMIZATIONS = sorted(
    path.parent
    for path in [REPOSITORY / "crds/kustomization.yaml", *MANIFESTS.rglob("kustomization.yaml")]
    if "kind: Component" not in path.read_text(encoding="utf-8")
)


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
    head = (MANIFESTS / "components/monitoring/kustomization.yaml").read_text(encoding="utf-8")
    told = [line.removeprefix("# ") for line in head.splitlines() if line.startswith(("#   ", "# patches:"))]
    parts = ["resources: ['{manifests}/default']", "components: ['{manifests}/components/monitoring']", *told]
    directory = overlay(tmp_path, "\n".join(parts))

    documents = build(control_plane, directory)

    monitor, service = only(documents, "ServiceMonitor"), only(documents, "Service", "modeldeployment-operator")
    for one in (monitor, only(documents, "PrometheusRule")):
        assert one["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_one_namespace_means_no_rights_in_all(control_plane: ControlPlane) -> None:
    documents = build(control_plane, MANIFESTS / "namespaced")

    assert "ClusterRoleBinding" not in {part["kind"] for part in documents}
    assert only(documents, "Role", "modeldeployment-operator-watched")["metadata"]["namespace"] == "models"
    assert only(documents, "RoleBinding", "modeldeployment-operator-watched")["metadata"]["namespace"] == "models"


@pytest.mark.parametrize("sample", sorted((MANIFESTS / "samples").glob("*.yaml")), ids=lambda path: str(path.stem))
def test_samples_are_accepted(control_plane: ControlPlane, sample: Path) -> None:
    done = control_plane.run("create", "--dry-run=server", "--validate=strict", "-f", str(sample))

    assert done.stderr == ""
