"""A real Kubernetes for the tests, with real pods: one cluster and one operator for all of them.

The cluster comes up if it is not up, and is left as it was found. It needs root (`python3 -m tests.cluster --help`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster import Shape
from tests.e2e import monitored
from tests.e2e import stage as stages
from tests.e2e.deployments import ModelDeployment
from tests.support.clusters import borrowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stage import Stage
    from tests.support.monitoring import Monitoring

CLUSTER = "e2e"


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return the cluster with the operator at work."""
    with borrowed(CLUSTER, Shape.FULL) as local:
        yield stages.prepare(local, tmp_path_factory.mktemp("overlay"))


@pytest.fixture(scope="session")
def monitoring(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Monitoring:
    """Return the monitoring stack of the cluster. It sees the operator, which may ask it."""
    return monitored.install(stage, tmp_path_factory.mktemp("monitored"))


@pytest.fixture
def model(stage: Stage) -> Iterator[ModelDeployment]:
    """Return a ModelDeployment that is not there yet, in a namespace of its own. It goes with the test."""
    with stage.namespace() as namespace:
        yield ModelDeployment(stage, namespace)
