"""How a Gateway finds the model: an HTTPRoute, and a Service for each revision that runs."""

from __future__ import annotations

from typing import Any, Final

from model_server import contract

from modeldeployment_operator.api.route import Route
from modeldeployment_operator.core import names
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.kinds import HTTP_ROUTE, SERVICE
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object
from modeldeployment_operator.core.resources.ports import clients_ports
from modeldeployment_operator.core.route import (
    GRPC,
    GRPC_LABELS,
    LABELS,
    PREDICTIONS,
    backends,
    divided,
    is_divided,
    is_models,
)
from modeldeployment_operator.core.traffic import weight_of_route

_GATEWAY: Final = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
_FEEDBACK_SERVICE: Final = "/modelops.v1.FeedbackService"

Rule = dict[str, Any]


def build_gateway_service(observation: Observation, revision: str) -> Manifest:
    """Return the Service by which a Gateway finds a revision: with an address, as not all take a headless one."""
    labels = {names.ROLE_LABEL: names.ROLE_GATEWAY}
    service = build_object(observation, SERVICE, names.gateway_service(revision), revision=revision, labels=labels)
    ports = [port.of_service for port in clients_ports(observation.spec)]
    selector = names.pod_selector(observation.key.name, revision)
    return service | {"spec": {"type": "ClusterIP", "selector": selector, "ports": ports}}


def build_http_route(observation: Observation, decision: Decision, route: Route) -> Manifest:
    """Return the HTTPRoute: the operator's rules, and all that others have added to it as it is now.

    It is written for the version that was seen, or not at all, so that nothing gets lost that others write meanwhile.
    """
    key, seen = observation.key, observation.route
    wanted = {rule["name"]: rule for rule in _rules(observation, decision, route)}
    known = [dict(rule) for rule in seen.rules] if seen else []
    rules = [_own(rule, wanted.pop(rule["name"])) if rule.get("name") in wanted else rule for rule in known]
    rules += wanted.values()
    percent = weight_of_route(observation, decision)
    for rule in rules:
        if is_divided(rule, key.name):
            rule["backendRefs"] = divided(rule, key.name, decision.candidate, percent)
    manifest = build_object(observation, HTTP_ROUTE, key.name)
    if seen:
        manifest["metadata"]["resourceVersion"] = seen.version
    hosts = {"hostnames": route.hostnames} if route.hostnames else {}
    parents = [_GATEWAY | one.model_dump(by_alias=True, exclude_none=True) for one in route.parent_refs]
    return manifest | {"spec": {"parentRefs": parents, **hosts, "rules": rules}}


def _own(seen: Rule, wanted: Rule) -> Rule:
    """Return a rule of the operator's with what others have added: filters and timeouts, of backends as well."""
    (ours,) = wanted["backendRefs"]
    model, port = ours["name"], ours["port"]
    kept = [one for one in backends(seen) if not is_models(one, model) or one.get("port") == port]
    if not any(one["name"] == model for one in kept if is_models(one, model)):
        kept.append(ours)
    return {**seen, "matches": wanted["matches"], "backendRefs": kept}


def _rules(observation: Observation, decision: Decision, route: Route) -> list[Rule]:
    """Return the rules of the operator's. Labels go to the revision that serves, whose pods pass on what is others'.

    A label of a pod that is gone is counted by a pod of its revision, which only a pod of that revision finds.
    """
    model, feedback = observation.key.name, observation.spec.serving.feedback_port
    known = {
        name: observation.stored[name].template.model.name for name in decision.running & observation.stored.keys()
    }
    called = sorted({str(name) for name in known.values()} or {model})
    labels = [
        {"path": _exact(template.format(model=name) + contract.FEEDBACK_SUFFIX), "method": "POST"}
        for name in called
        for template in (contract.MODEL_PATH_TEMPLATE, contract.V2_MODEL_PATH_TEMPLATE)
    ]
    rules = [
        _rule(LABELS, labels, model, feedback or contract.HTTP_PORT),
        _rule(PREDICTIONS, _predictions(called, route), model, contract.HTTP_PORT),
    ]
    if route.hostnames:
        rules.append(_rule(GRPC, [{"path": _prefix(f"/{one}")} for one in _GRPC_SERVICES], model, contract.GRPC_PORT))
        if not feedback:
            rules.append(_rule(GRPC_LABELS, [{"path": _prefix(_FEEDBACK_SERVICE)}], model, contract.GRPC_PORT))
    return rules


_GRPC_SERVICES: Final = (
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "inference.GRPCInferenceService",
    "grpc.health.v1.Health",
)


def _predictions(called: list[str], route: Route) -> list[Rule]:
    """Return what is the model's of all that comes: everything on a host of its own, otherwise what names it.

    A prefix ends at a slash, so that what stands behind a colon is named as a whole.
    """
    if route.hostnames:
        return [{"path": _prefix("/")}]
    matches = []
    for name in called:
        path = contract.MODEL_PATH_TEMPLATE.format(model=name)
        matches += [_exact(path + suffix) for suffix in (contract.PREDICT_SUFFIX, ":classify", ":regress")]
        matches += [_prefix(path), _prefix(contract.V2_MODEL_PATH_TEMPLATE.format(model=name))]
    return [{"path": path} for path in matches]


def _rule(name: str, matches: list[Rule], model: str, port: int) -> Rule:
    backend = {"group": "", "kind": "Service", "name": model, "port": port, "weight": 1}
    return {"name": name, "matches": matches, "backendRefs": [backend]}


def _exact(path: str) -> Rule:
    return {"type": "Exact", "value": path}


def _prefix(path: str) -> Rule:
    return {"type": "PathPrefix", "value": path}
