"""What the API server says of the fields that the operator applied is what the operator applied, kind by kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from modeldeployment_operator.api import group
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.names import MANAGER
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.ownership import owned, owned_part, wish, wished_part
from modeldeployment_operator.core.resources import desired, records
from modeldeployment_operator.core.resources.secret import Keys
from modeldeployment_operator.core.revisions import snapshot_of

from tests.integration.conftest import REPOSITORY, ControlPlane
from tests.support import gateway, monitoring_crds
from tests.support.observations import an_observation

SPECS: list[dict[str, Any]] = [
    one["spec"]
    for file in sorted((REPOSITORY / "manifests/samples").glob("*.yaml"))
    for one in yaml.safe_load_all(file.read_text())
    if one["kind"] == "ModelDeployment"
]
GATEWAY = {"name": "public", "namespace": "infra", "sectionName": "https", "port": 443}
SPECS.append({"model": {"uri": "http://h/routed"}, "route": {"parentRefs": [GATEWAY], "hostnames": ["a.example"]}})


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    definitions = [*monitoring_crds.manifests("servicemonitors", "prometheusrules"), *gateway.manifests()]
    text = yaml.safe_dump_all(definitions)
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return control_plane


def children(plane: ControlPlane, spec: dict[str, Any], namespace: str) -> list[dict[str, Any]]:
    """All that is made of a ModelDeployment, which is there, but the Secret, which cannot be seen."""
    owner = {"apiVersion": group.API_VERSION, "kind": group.KIND, "metadata": {"name": "m"}, "spec": spec}
    shown = plane.in_namespace(namespace)("apply", "--server-side", "-o=json", "-f", "-", stdin=json.dumps(owner))
    uid = json.loads(shown)["metadata"]["uid"]
    parsed = ModelDeploymentSpec.parse(spec)
    wanted = snapshot_of("m", parsed, "server:1")
    builder = an_observation().having(key=Key(namespace, "m"), uid=uid, spec=parsed, desired=wanted)
    observation = builder.having(knows=frozenset(kinds.OPTIONAL)).obj()
    decision = Decision(wanted.name)
    made = [*records(observation, decision), *desired(observation, decision, Keys("f" * 64, "a" * 64))]
    return [one for one in made if one["kind"] != "Secret"]


def apply(plane: ControlPlane, manifest: dict[str, Any]) -> dict[str, Any]:
    options = ["--server-side", f"--field-manager={MANAGER}", "--force-conflicts", "--show-managed-fields", "-o=json"]
    return json.loads(plane.kubectl("apply", *options, "-f", "-", stdin=json.dumps(manifest)))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec["model"]["uri"].rpartition("/")[2])
def test_an_object_that_was_applied_is_seen_to_be_so(plane: ControlPlane, namespace: str, spec: dict[str, Any]) -> None:
    for manifest in children(plane, spec, namespace):
        body = apply(plane, manifest)
        assert owned_part(body) == wished_part(manifest)
        assert owned(body) == wish(manifest)


def test_what_others_change_is_seen(plane: ControlPlane, namespace: str) -> None:
    kubectl = plane.in_namespace(namespace)
    (deployment,) = (one for one in children(plane, SPECS[0], namespace) if one["kind"] == "Deployment")
    name = deployment["metadata"]["name"]
    changes = [
        '{"spec": {"replicas": 7}}',
        '{"spec": {"template": {"spec": {"containers": [{"name": "server", "image": "other:1"}]}}}}',
        '{"spec": {"template": {"spec": {"containers": [{"name": "server", "livenessProbe": null}]}}}}',
        '{"metadata": {"labels": {"modelops.dev/revision": null}}}',
    ]
    for change in changes:
        assert owned(apply(plane, deployment)) == wish(deployment)
        kubectl("patch", "deployment", name, "--type=strategic", "-p", change)
        body = json.loads(kubectl("get", "deployment", name, "-o=json", "--show-managed-fields"))
        assert owned(body) != wish(deployment), change


def test_what_others_add_is_theirs(plane: ControlPlane, namespace: str) -> None:
    kubectl = plane.in_namespace(namespace)
    (deployment,) = (one for one in children(plane, SPECS[0], namespace) if one["kind"] == "Deployment")
    apply(plane, deployment)
    kubectl("annotate", "deployment", deployment["metadata"]["name"], "team=search")
    kubectl("set", "env", f"deployment/{deployment['metadata']['name']}", "MORE=1")
    shown = kubectl("get", "deployment", deployment["metadata"]["name"], "-o=json", "--show-managed-fields")
    assert owned(json.loads(shown)) == wish(deployment)
