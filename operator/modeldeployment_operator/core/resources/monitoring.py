"""The ServiceMonitor: how a Prometheus Operator learns of the pods."""

from __future__ import annotations

from model_server import contract

from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import SERVICE_MONITOR
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object


def build_service_monitor(observation: Observation) -> Manifest:
    """Return a ServiceMonitor of all revisions' pods; their metrics carry the revision as a label."""
    settings = observation.spec.monitoring.service_monitor
    monitor = build_object(observation, SERVICE_MONITOR, observation.key.name, labels=settings.labels)
    selector = {names.NAME_LABEL: observation.key.name, names.ROLE_LABEL: names.ROLE_REVISION}
    endpoint = {
        "port": contract.ADMIN_PORT_NAME,
        "path": contract.METRICS_PATH,
        "interval": settings.interval,
        # The pods say which model and revision they are; Prometheus' own labels are added beside.
        "honorLabels": True,
    }
    return monitor | {"spec": {"selector": {"matchLabels": selector}, "endpoints": [endpoint]}}
