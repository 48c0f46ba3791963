"""A real Kubernetes for the tests, with real pods: one cluster and one operator for all of them.

The cluster comes up if it is not up, and is left as it was found. It needs root (`python3 -m tests.cluster --help`).
"""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING, TextIO

import pytest

from tests import cluster
from tests.e2e import stage as stages
from tests.e2e.deployments import ModelDeployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stage import Stage

CLUSTER = "e2e"


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return the cluster with the operator at work."""
    before = cluster.status(CLUSTER)
    local = cluster.up(CLUSTER, cluster.Shape.FULL)
    with (local.paths.state / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield stages.prepare(local, tmp_path_factory.mktemp("overlay"))
        if not (before and before.up) and _is_last(users):
            cluster.down(CLUSTER)


def _is_last(users: TextIO) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def model(stage: Stage) -> Iterator[ModelDeployment]:
    """Return a ModelDeployment that is not there yet, in a namespace of its own. It goes with the test."""
    with stage.namespace() as namespace:
        yield ModelDeployment(stage, namespace)
