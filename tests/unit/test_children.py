"""The trimmed views of children, read from objects as the API server sends them."""

from __future__ import annotations

from typing import Any

import pytest
from modeldeployment_operator.core import kinds, names
from modeldeployment_operator.core.children import Child, parse_child
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.observation import Autoscaler, Key, Pod, StoredRevision, Workload
from modeldeployment_operator.core.resources.controller_revision import build_controller_revision
from modeldeployment_operator.core.revisions import Snapshot

from tests.support.observations import a_rejection, a_template, an_observation


def body(kind: Kind, **parts: Any) -> dict[str, Any]:
    labels = names.common_labels("m") | {names.REVISION_LABEL: "m-1"} | parts.pop("labels", {})
    metadata = {
        "name": "m-1",
        "namespace": "team",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 2,
        "labels": labels,
    }
    metadata |= parts.pop("metadata", {})
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **parts}


def child(kind: Kind, **parts: Any) -> Child:
    result = parse_child(kind, body(kind, **parts))
    assert result is not None
    return result


def test_whose_child_it_is() -> None:
    owners = [{"uid": "other"}, {"uid": "mine", "controller": True}]
    result = child(kinds.SERVICE, metadata={"ownerReferences": owners}, spec={})

    assert (result.key, result.owner, result.version) == (Key("team", "m"), "mine", 7)
    assert result.revision == "m-1"
    assert result.detail is None


@pytest.mark.parametrize("labels", [{names.MANAGED_BY_LABEL: "helm"}, {names.MANAGED_BY_LABEL: None}])
def test_objects_of_others_are_no_children(labels: dict[str, Any]) -> None:
    assert parse_child(kinds.SERVICE, body(kinds.SERVICE, labels=labels, spec={})) is None


def test_an_object_without_labels_is_no_child() -> None:
    bare = body(kinds.SERVICE, spec={})
    del bare["metadata"]["labels"]

    assert parse_child(kinds.SERVICE, bare) is None


ROLLED_OUT = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, Workload(2, 0, settled=False, uid="u"), id="just made"),
        pytest.param(ROLLED_OUT, Workload(2, 2, settled=True, uid="u"), id="rolled out"),
        pytest.param(
            ROLLED_OUT | {"observedGeneration": 1}, Workload(2, 2, settled=False, uid="u"), id="change not seen yet"
        ),
        pytest.param(
            ROLLED_OUT | {"replicas": 3}, Workload(2, 2, settled=False, uid="u"), id="an old pod is still there"
        ),
        pytest.param(
            ROLLED_OUT | {"updatedReplicas": 1}, Workload(2, 2, settled=False, uid="u"), id="an old pod still counts"
        ),
        pytest.param(ROLLED_OUT | {"readyReplicas": 1}, Workload(2, 1, settled=True, uid="u"), id="a pod is down"),
    ],
)
def test_a_deployment(status: dict[str, Any], expected: Workload) -> None:
    assert child(kinds.DEPLOYMENT, spec={"replicas": 2}, status=status).detail == expected


def test_a_deployment_scaled_to_zero_is_settled() -> None:
    detail = child(kinds.DEPLOYMENT, spec={"replicas": 0}, status={"observedGeneration": 2}).detail

    assert detail == Workload(0, 0, settled=True, uid="u")


def sized(*owners: str, replicas: int = 2) -> Child:
    """A Deployment whose number of pods has these managers, and another one beside of something else."""
    fields = {owner: {"f:spec": {"f:replicas": {}}} for owner in owners} | {"other": {"f:status": {}}}
    managed = [{"manager": owner, "operation": "Update", "fieldsV1": owned} for owner, owned in fields.items()]
    return child(kinds.DEPLOYMENT, spec={"replicas": replicas}, metadata={"managedFields": managed})


AUTOSCALER = "kube-controller-manager"


@pytest.mark.parametrize(
    ("owners", "shared"),
    [((), False), ((names.MANAGER,), False), ((names.MANAGER, AUTOSCALER), True), ((AUTOSCALER,), True)],
)
def test_who_owns_the_number_of_pods(owners: tuple[str, ...], shared: bool) -> None:
    assert sized(*owners).detail == Workload(2, 0, settled=False, uid="u", shared_size=shared)


@pytest.mark.parametrize("rejected", [False, True])
def test_a_record_reads_back_as_it_was_built(rejected: bool) -> None:
    rejection = a_rejection("m-1", retry="1") if rejected else None
    snapshot = Snapshot("m-1", a_template("m-1", labels=["a", "b"]))
    manifest = build_controller_revision(an_observation().obj(), snapshot, 4, rejection)
    metadata = manifest["metadata"] | {"uid": "u", "resourceVersion": "1"}
    result = parse_child(kinds.CONTROLLER_REVISION, manifest | {"metadata": metadata})

    assert result is not None
    assert result.detail == StoredRevision(4, snapshot.template, rejection)


@pytest.mark.parametrize("data", [None, {}, {"model": 3}, {"spec": {"replicas": 3}}])
def test_a_record_of_another_form_is_none(data: Any) -> None:
    assert child(kinds.CONTROLLER_REVISION, data=data, revision=1).detail is None


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_rejection_that_cannot_be_read_is_none(text: str) -> None:
    manifest = build_controller_revision(an_observation().obj(), Snapshot("m-1", a_template("m-1")), 1, None)
    metadata = manifest["metadata"] | {
        "uid": "u",
        "resourceVersion": "1",
        "annotations": {names.REJECTION_ANNOTATION: text},
    }
    result = parse_child(kinds.CONTROLLER_REVISION, manifest | {"metadata": metadata})

    assert result is not None
    assert result.detail == StoredRevision(1, a_template("m-1"))


def test_the_serving_service_says_who_has_the_traffic() -> None:
    spec = {"selector": names.pod_selector("m", "m-2")}

    assert child(kinds.SERVICE, spec=spec, labels={names.ROLE_LABEL: names.ROLE_SERVING}).detail == "m-2"
    assert child(kinds.SERVICE, spec=spec, labels={names.ROLE_LABEL: names.ROLE_REVISION}).detail is None
    assert child(kinds.SERVICE, spec={}, labels={names.ROLE_LABEL: names.ROLE_SERVING}).detail is None


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param({}, Autoscaler("m-2", None), id="it has not looked yet"),
        pytest.param({"AbleToScale": "True"}, Autoscaler("m-2", None), id="it has found what to scale"),
        pytest.param({"AbleToScale": "True", "ScalingActive": "True"}, Autoscaler("m-2", active=True), id="at work"),
        pytest.param(
            {"AbleToScale": "True", "ScalingActive": "False"},
            Autoscaler("m-2", active=False, problem="ScalingActive is False"),
            id="it finds no metrics",
        ),
        pytest.param(
            {"AbleToScale": "False"},
            Autoscaler("m-2", active=False, problem="AbleToScale is False"),
            id="it finds nothing to scale",
        ),
    ],
)
def test_an_autoscaler(conditions: dict[str, str], expected: Autoscaler) -> None:
    told = [{"type": kind, "status": status, "message": f"{kind} is {status}"} for kind, status in conditions.items()]

    assert (
        child(kinds.AUTOSCALER, spec={"scaleTargetRef": {"name": "m-2"}}, status={"conditions": told}).detail
        == expected
    )


def test_a_pod() -> None:
    status = {
        "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "server", "ready": True, "state": {"running": {}}}],
    }
    ready = Pod("m-1", "u", "m-1", "10.0.0.1", running=True, ready=True)

    assert child(kinds.POD, status=status).detail == ready
    leaving = child(kinds.POD, status=status, metadata={"deletionTimestamp": "x"}).detail
    assert leaving == Pod("m-1", "u", "m-1", "10.0.0.1", running=True, ready=False)
    assert child(kinds.POD).detail == Pod("m-1", "u", "m-1", None, running=False, ready=False)
    sidecar = status | {"containerStatuses": [{"name": "proxy", "state": {"running": {}}}]}
    assert child(kinds.POD, status=sidecar).detail == Pod("m-1", "u", "m-1", "10.0.0.1", running=False, ready=True)


def test_the_kinds_are_found_again_by_what_the_operator_makes() -> None:
    for kind in (*kinds.WATCHED, *kinds.OPTIONAL, kinds.SECRET):
        assert kinds.kind_of({"kind": kind.kind}) is kind


def test_paths() -> None:
    assert kinds.SERVICE.path("team", "m") == "/api/v1/namespaces/team/services/m"
    assert kinds.DEPLOYMENT.path() == "/apis/apps/v1/deployments"
    status = kinds.MODEL_DEPLOYMENT.path("team", "m", "status")
    assert status == "/apis/modelops.dev/v1alpha1/namespaces/team/modeldeployments/m/status"
