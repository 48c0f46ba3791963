"""What should exist in the cluster: one builder a kind, and the list of all."""

from __future__ import annotations

from modeldeployment_operator.api.status import Rejection
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.history import kept, recorded
from modeldeployment_operator.core.kinds import HTTP_ROUTE
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.rejection import latched_rejection
from modeldeployment_operator.core.resources.autoscaling import build_autoscaler
from modeldeployment_operator.core.resources.availability import build_disruption_budget
from modeldeployment_operator.core.resources.controller_revision import build_controller_revision
from modeldeployment_operator.core.resources.deployment import build_deployment
from modeldeployment_operator.core.resources.metadata import Manifest
from modeldeployment_operator.core.resources.monitoring import BUILDERS
from modeldeployment_operator.core.resources.network import build_network_policy
from modeldeployment_operator.core.resources.route import build_gateway_service, build_http_route
from modeldeployment_operator.core.resources.secret import Keys, build_secret
from modeldeployment_operator.core.resources.services import build_revision_service, build_serving_service
from modeldeployment_operator.core.resources.verdict import build_verdict, decided
from modeldeployment_operator.core.revisions import Snapshot
from modeldeployment_operator.core.scaling import size_of

__all__ = ["build_verdict", "decided", "desired", "records"]


def records(observation: Observation, decision: Decision) -> list[Manifest]:
    """Return the ControllerRevisions, which are written before anything else."""
    known = recorded(observation, decision)
    return [
        build_controller_revision(
            observation,
            Snapshot(name, known[name].template),
            known[name].number,
            _rejection(observation, decision, name),
        )
        for name in sorted(known, key=lambda name: known[name].number)
        if name in kept(observation, decision)
    ]


def desired(observation: Observation, decision: Decision, keys: Keys) -> list[Manifest]:
    """Return everything else, in the order of writing.

    The serving Service comes last: its selector moves when all that it will select is there.
    """
    spec, manifests = observation.spec, [build_secret(observation, keys)]
    if spec.serving.network_policy:
        manifests.append(build_network_policy(observation, spec.serving.network_policy))
    known = recorded(observation, decision)
    for name in sorted(decision.running & known.keys()):
        snapshot = Snapshot(name, known[name].template)
        manifests.append(build_revision_service(observation, name))
        if spec.route:
            manifests.append(build_gateway_service(observation, name))
        size = size_of(observation, decision, name)
        manifests.append(build_deployment(observation, snapshot, known[name].number, keys, size))
    if decision.serving:
        manifests.append(build_serving_service(observation, decision.serving))
        if observation.most_replicas > 1:
            manifests.append(build_disruption_budget(observation, decision.serving))
        if spec.autoscaling:
            manifests.append(build_autoscaler(observation, spec.autoscaling, decision.serving))
    possible = observation.wanted_kinds & observation.knows
    if decision.serving and spec.route and HTTP_ROUTE in possible:
        manifests.append(build_http_route(observation, decision, spec.route))
    return manifests + [build(observation) for kind, build in BUILDERS.items() if kind in possible]


def _rejection(observation: Observation, decision: Decision, name: str) -> Rejection | None:
    if decision.rejection and decision.rejection.revision == name:
        return decision.rejection
    return latched_rejection(observation, name)
