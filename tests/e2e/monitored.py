"""Adds the monitoring stack to the tests' cluster, and the operator to what it sees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster import monitoring
from tests.cluster.monitoring import SELECTED
from tests.demo.workspace import OPERATOR, OPERATOR_NAMESPACE
from tests.e2e import stage as stages
from tests.support.monitoring import Monitoring

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.stage import Stage

INTERVAL = "1s"
"""Of scrapes: the tests wait for what they bring."""


def install(stage: Stage, directory: Path) -> Monitoring:
    """Install the stack, and the operator anew as a user does who has one; `directory` takes the overlay."""
    installed = monitoring.install(stage.cluster)
    stages.install_operator(stage.cluster, stage.kubectl, directory, installed)
    faster = json.dumps([{"op": "replace", "path": "/spec/endpoints/0/interval", "value": INTERVAL}])
    monitor = ("servicemonitor", OPERATOR, "--namespace", OPERATOR_NAMESPACE)
    stage.kubectl.run("patch", *monitor, "--type=json", "--patch", faster)
    return Monitoring.of(installed, stage.kubectl)


def scraped(**rule: Any) -> dict[str, Any]:
    """Return the field `monitoring` of a ModelDeployment that the stack sees at once; `rule` sets limits of alerts."""
    return {
        "serviceMonitor": {"labels": SELECTED, "interval": INTERVAL},
        "prometheusRule": {"labels": SELECTED, "window": "10s", "for": "1s", **rule},
    }
