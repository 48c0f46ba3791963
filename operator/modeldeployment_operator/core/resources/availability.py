"""The PodDisruptionBudget: how far a node's maintenance may go."""

from __future__ import annotations

from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import POD_DISRUPTION_BUDGET
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object


def build_disruption_budget(observation: Observation, revision: str) -> Manifest:
    """Return a budget that lets one pod of the revision that serves go at a time.

    It never keeps a node from being drained: the last pod may go, too, and one that is broken at any time.
    """
    budget = build_object(observation, POD_DISRUPTION_BUDGET, observation.key.name)
    selector = {"matchLabels": names.pod_selector(observation.key.name, revision)}
    return budget | {"spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector}}
