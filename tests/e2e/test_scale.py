"""`kubectl scale` on a ModelDeployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.deployments import assert_answers

if TYPE_CHECKING:
    from tests.e2e.deployments import ModelDeployment

# The first test to run brings the cluster up, which may take minutes.
pytestmark = pytest.mark.timeout(1800)


def test_up_down_to_nothing_and_back(model: ModelDeployment) -> None:
    model.apply(model.document())
    revision = model.wait_ready()

    _scale(model, 3)
    assert_answers(model, revision)
    assert "poddisruptionbudget.policy/news" in model.children()

    _scale(model, 0)
    assert model.condition("Available")["reason"] == "ScaledToZero"
    assert "poddisruptionbudget.policy/news" not in model.children()

    _scale(model, 2)
    model.wait_reachable()
    assert_answers(model, revision)
    assert model.serving() == revision


def _scale(model: ModelDeployment, replicas: int) -> None:
    model.kubectl("scale", "mdep", model.name, f"--replicas={replicas}")
    model.wait_for_condition("Ready", "True", "Serving" if replicas else "ScaledToZero")
    scale = model.stage.get(f"{model.path}/scale")
    assert scale is not None
    model.wait(lambda status: status["readyReplicas"] == replicas, f"{replicas} pods answer")
    assert (scale["spec"].get("replicas", 0), scale["status"].get("replicas", 0)) == (replicas, replicas)
