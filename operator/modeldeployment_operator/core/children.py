"""What the operator keeps of the objects that it made: a trimmed view, read from what the API server sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modeldeployment_operator.api.base import read_leniently
from modeldeployment_operator.api.status import Rejection
from modeldeployment_operator.api.verdict import PROVEN_WORSE, ModelVerdictSpec, Outcome
from modeldeployment_operator.core import kinds, names
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.observation import Autoscaler, Key, Pod, StoredRevision, Workload
from modeldeployment_operator.core.ownership import owned
from modeldeployment_operator.core.resources.containers import SERVER_CONTAINER
from modeldeployment_operator.core.revisions import Template
from modeldeployment_operator.core.route import Route, read_route
from modeldeployment_operator.core.startup import pod_problem, workload_problem

Detail = Workload | StoredRevision | Pod | Autoscaler | Route | ModelVerdictSpec | str | None


@dataclass(frozen=True)
class Child:
    """One object that belongs to a ModelDeployment."""

    kind: Kind
    name: str
    uid: str
    key: Key
    """The ModelDeployment that it is labelled with."""
    owner: str | None
    """UID of its controller; a ReplicaSet's for a pod."""
    version: int
    """Its resourceVersion."""
    owned: str | None
    """Hash of what the operator applied and nobody has changed since; None for a pod, which is not applied."""
    revision: str | None
    detail: Detail
    """Of a Deployment, a ControllerRevision, a pod, a route or an autoscaler what its kind says; of the serving Service
    its revision."""


def parse_child(kind: Kind, body: Mapping[str, Any]) -> Child | None:
    """Return the trimmed view of an object, or None if it is not labelled as a child."""
    metadata = body["metadata"]
    labels = metadata.get("labels", {})
    owner_name = labels.get(names.NAME_LABEL)
    if owner_name is None or labels.get(names.MANAGED_BY_LABEL) != names.MANAGER:
        return None
    owners = (owner for owner in metadata.get("ownerReferences", ()) if owner.get("controller"))
    return Child(
        kind=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        key=Key(metadata["namespace"], owner_name),
        owner=next((owner["uid"] for owner in owners), None),
        version=int(metadata["resourceVersion"]),
        owned=None if kind is kinds.POD else owned(body),
        revision=labels.get(names.REVISION_LABEL),
        detail=_detail(kind, body),
    )


def _detail(kind: Kind, body: Mapping[str, Any]) -> Detail:
    if kind is kinds.DEPLOYMENT:
        return _workload(body)
    if kind is kinds.CONTROLLER_REVISION:
        return _stored_revision(body)
    if kind is kinds.POD:
        return _pod(body)
    if kind is kinds.MODEL_VERDICT:
        return _verdict(body)
    if kind is kinds.SERVICE and body["metadata"]["labels"].get(names.ROLE_LABEL) == names.ROLE_SERVING:
        selected: str | None = body["spec"].get("selector", {}).get(names.REVISION_LABEL)
        return selected
    if kind is kinds.HTTP_ROUTE:
        return read_route(body)
    return _autoscaler(body) if kind is kinds.AUTOSCALER else None


def _workload(body: Mapping[str, Any]) -> Workload:
    status, replicas = body.get("status", {}), body["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= body["metadata"].get("generation", 0)
    return Workload(
        uid=body["metadata"]["uid"],
        version=body["metadata"]["resourceVersion"],
        shared_size=bool(_owners_of_size(body) - {names.MANAGER}),
        replicas=replicas,
        ready=status.get("readyReplicas", 0),
        record=_record(body),
        settled=seen and status.get("updatedReplicas", 0) == status.get("replicas", 0) == replicas,
        problem=workload_problem(body),
    )


def _owners_of_size(body: Mapping[str, Any]) -> set[str]:
    """Return the managers of `spec.replicas`."""
    entries = body["metadata"].get("managedFields", ())
    return {entry["manager"] for entry in entries if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})}


def _autoscaler(body: Mapping[str, Any]) -> Autoscaler:
    found = {one["type"]: one for one in body.get("status", {}).get("conditions", ())}
    wrong = [one for one in map(found.get, ("AbleToScale", "ScalingActive")) if one and one["status"] == "False"]
    tried = "ScalingActive" in found
    return Autoscaler(
        revision=body["spec"]["scaleTargetRef"]["name"],
        active=not wrong if wrong or tried else None,
        problem=wrong[0].get("message", "") if wrong else "",
    )


def _record(deployment: Mapping[str, Any]) -> StoredRevision | None:
    text = deployment["metadata"].get("annotations", {}).get(names.RECORD_ANNOTATION)
    try:
        record = json.loads(text) if text else {}
        template, _ = read_leniently(Template, record["template"])
        return StoredRevision(int(record["number"]), template) if template else None
    except (ValueError, KeyError, TypeError):
        return None


def _stored_revision(body: Mapping[str, Any]) -> StoredRevision | None:
    """Return a revision's record, or None if it is not one that this operator can read."""
    template, _ = read_leniently(Template, body.get("data") or {})
    return StoredRevision(body["revision"], template, _rejection(body)) if template else None


def _rejection(body: Mapping[str, Any]) -> Rejection | None:
    text = body["metadata"].get("annotations", {}).get(names.REJECTION_ANNOTATION)
    try:
        rejection, _ = read_leniently(Rejection, json.loads(text)) if text else (None, [])
    except (ValueError, TypeError):
        return None
    return rejection


def _verdict(body: Mapping[str, Any]) -> ModelVerdictSpec | None:
    """Return a verdict that says whether a model may serve, without the state of its test; None of others."""
    verdict, _ = read_leniently(ModelVerdictSpec, body.get("spec") or {})
    if verdict is None or verdict.outcome not in {*PROVEN_WORSE, Outcome.PROMOTED}:
        return None
    evidence = verdict.evidence and verdict.evidence.model_copy(update={"log_bets": [], "pods": []})
    return verdict.model_copy(update={"evidence": evidence})


def _pod(body: Mapping[str, Any]) -> Pod:
    metadata, status = body["metadata"], body.get("status", {})
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    servers = [one for one in status.get("containerStatuses", ()) if one.get("name") == SERVER_CONTAINER]
    running = any("running" in one.get("state", {}) for one in servers)
    leaving = "deletionTimestamp" in metadata or status.get("phase") in {"Failed", "Succeeded"}
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        revision=metadata["labels"].get(names.REVISION_LABEL, ""),
        ip=status.get("podIP"),
        running=running,
        ready=conditions.get("Ready") == "True" and not leaving,
        keys=metadata.get("annotations", {}).get(names.KEYS_ANNOTATION),
        problem=None if leaving else pod_problem(body),
    )
