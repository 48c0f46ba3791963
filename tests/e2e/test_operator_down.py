"""Nothing that serves depends on the operator: it may be down, and its ModelDeployments may be deleted meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import Clients
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.deployments import ModelDeployment

# The first test to run brings the cluster up, which may take minutes.
pytestmark = pytest.mark.timeout(1800)

DELETE_SECONDS = 20.0
REPLICAS = 2
CHILDREN_SECONDS = 120.0
"""The garbage collector learns of new kinds every 30 seconds, and pods leave slowly so that no request fails."""


@pytest.fixture
def without_operator(model: ModelDeployment) -> Iterator[ModelDeployment]:
    """A ModelDeployment that serves, with the operator gone."""
    model.apply(model.document())
    model.wait_ready()
    model.stage.operator.scale(0)
    yield model
    model.stage.operator.scale(REPLICAS)


def test_predictions_go_on_and_deleting_takes_everything_away(without_operator: ModelDeployment) -> None:
    model = without_operator
    assert model.stage.operator.pods() == []
    revision = model.serving()
    with Clients(model.client(), model.stage.models["good"].holdout) as clients:
        wait_until(lambda: clients.labels(revision) >= 40, "40 predictions are made and labelled", seconds=60)
        records = clients.end()
    assert [record for record in records if record.failed] == []
    assert len(model.children()) >= 6  # Deployment, ReplicaSet, pod, two Services, ControllerRevision, Secret

    assert model.delete() < DELETE_SECONDS

    wait_until(lambda: not model.children(), "all children are gone", seconds=CHILDREN_SECONDS, explain=model.explain)
    assert model.stage.operator.pods() == []
