"""The manifests and the operator's image as files: what needs no cluster to be seen."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from modeldeployment_operator.api import group
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.settings import Settings

REPOSITORY = Path(__file__).parents[2]
BASE = REPOSITORY / "manifests/base"
SAMPLES = sorted((REPOSITORY / "manifests/samples").glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def pod() -> Any:
    (deployment,) = documents(BASE / "deployment.yaml")
    return deployment["spec"]["template"]["spec"]


def container() -> Any:
    (only,) = pod()["containers"]
    return only


# --- Rights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["clusterrole.yaml", "role.yaml", "user-roles.yaml"])
def test_no_right_is_a_wildcard(file: str) -> None:
    for role in documents(BASE / file):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]


def test_operator_writes_nothing_of_a_model_deployment_but_its_status() -> None:
    (role,) = documents(BASE / "clusterrole.yaml")

    written = {
        resource
        for rule in role["rules"]
        if group.GROUP in rule["apiGroups"] and not set(rule["verbs"]) <= {"get", "list", "watch"}
        for resource in rule["resources"]
    }
    assert written == {"modeldeployments/status", "modeldeployments/finalizers", "modelverdicts"}


# --- The operator's pod ------------------------------------------------------------------------------------


def test_every_file_of_the_base_is_in_its_kustomization() -> None:
    (kustomization,) = documents(BASE / "kustomization.yaml")

    there = {path.name for path in BASE.iterdir()} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == there


def test_one_replica_stays_whatever_is_replaced_or_drained() -> None:
    (deployment,) = documents(BASE / "deployment.yaml")
    (budget,) = documents(BASE / "poddisruptionbudget.yaml")
    selector = deployment["spec"]["selector"]

    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == selector
    for constraint in pod()["topologySpreadConstraints"]:
        assert constraint["labelSelector"] == selector
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"  # A cluster of one node runs it as well.


def test_pod_has_no_rights_on_its_node() -> None:
    assert pod()["securityContext"]["runAsNonRoot"]
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_operator_reads_the_settings_that_the_manifests_give() -> None:
    (kustomization,) = documents(BASE / "kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    environment = dict(literal.split("=", 1) for literal in generator["literals"])
    environment |= {variable["name"]: "given" for variable in container()["env"]}

    settings = Settings.of(environment)

    assert settings.serving_image == environment["SERVING_IMAGE"]
    assert settings.operator_namespace == settings.instance == "given"
    assert settings.watch_namespaces == ()


def test_ports_and_probes_are_where_the_operator_listens() -> None:
    (port,) = container()["ports"]
    (service,) = documents(BASE / "service.yaml")

    assert port == {"name": "http-metrics", "containerPort": Settings.port}
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert container()["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert container()["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}


# --- Samples -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: str(path.stem))
def test_samples_are_sound(path: Path) -> None:
    (document,) = documents(path)

    assert (document["apiVersion"], document["kind"]) == (group.API_VERSION, group.KIND)
    assert group.NAME_RULE.holds(document["metadata"]["name"])
    ModelDeploymentSpec.parse(document["spec"])


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 3


# --- The image ---------------------------------------------------------------------------------------------


def dockerfile(component: str) -> str:
    return (REPOSITORY / component / "Dockerfile").read_text(encoding="utf-8")


def stages(component: str) -> list[str]:
    """The stages of a Dockerfile, without comments."""
    lines = [line for line in dockerfile(component).splitlines() if line and not line.startswith("#")]
    return re.split(r"^FROM ", "\n".join(lines), flags=re.MULTILINE)


def test_both_images_begin_with_the_same_layer() -> None:
    for_operator, for_server = stages("operator"), stages("serving_image")

    assert for_operator[:2] == for_server[:2]
    assert for_operator[1].startswith("--platform=$BUILDPLATFORM ${BASE} AS system")
    for last in (for_operator[-1], for_server[-1]):
        assert last.splitlines()[:2] == ["scratch", "COPY --from=system /root-fs /"]


def test_user_of_the_image_is_the_user_of_the_pod() -> None:
    context = pod()["securityContext"]

    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile("operator")


def test_everything_copied_into_the_image_reaches_the_builder() -> None:
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile("operator"), re.MULTILINE)
        for source in line.split()[:-1]
    }
    ignored = (REPOSITORY / "operator/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()

    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert all((REPOSITORY / source).exists() for source in copied)


def imported(path: Path) -> set[str]:
    """What a module imports, by full names: `from a import b` is `a.b`."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return plain | parts


@pytest.mark.parametrize("name", ["__init__.py", "contract.py"])
def test_what_the_image_has_of_the_model_server_needs_the_standard_library_alone(name: str) -> None:
    modules = imported(REPOSITORY / "serving_image/model_server" / name)

    assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names


def test_operator_imports_nothing_of_the_model_server_but_the_contract() -> None:
    for path in (REPOSITORY / "operator/modeldeployment_operator").rglob("*.py"):
        of_the_server = {module for module in imported(path) if module.startswith("model_server")}
        assert all(module.startswith("model_server.contract") for module in of_the_server), path
