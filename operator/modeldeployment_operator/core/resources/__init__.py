"""What should exist in the cluster: one builder a kind, and the list of all."""

from __future__ import annotations

from modeldeployment_operator.api.status import Rejection
from modeldeployment_operator.core.decision import Decision, latched_rejection
from modeldeployment_operator.core.history import kept, recorded
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.availability import build_disruption_budget
from modeldeployment_operator.core.resources.controller_revision import build_controller_revision
from modeldeployment_operator.core.resources.deployment import build_deployment
from modeldeployment_operator.core.resources.metadata import Manifest
from modeldeployment_operator.core.resources.monitoring import BUILDERS
from modeldeployment_operator.core.resources.secret import Keys, build_secret
from modeldeployment_operator.core.resources.services import build_revision_service, build_serving_service
from modeldeployment_operator.core.revisions import Snapshot


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
    manifests = [build_secret(observation, keys)]
    known = recorded(observation, decision)
    for name in sorted(decision.running & known.keys()):
        snapshot = Snapshot(name, known[name].template)
        manifests.append(build_revision_service(observation, name))
        manifests.append(build_deployment(observation, snapshot, known[name].number, keys))
    if decision.serving:
        manifests.append(build_serving_service(observation, decision.serving))
        if observation.replicas > 1:
            manifests.append(build_disruption_budget(observation, decision.serving))
    possible = observation.wanted_kinds & observation.knows
    return manifests + [build(observation) for kind, build in BUILDERS.items() if kind in possible]


def _rejection(observation: Observation, decision: Decision, name: str) -> Rejection | None:
    if decision.rejection and decision.rejection.revision == name:
        return decision.rejection
    return latched_rejection(observation, name)
