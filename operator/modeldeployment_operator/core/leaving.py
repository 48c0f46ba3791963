"""Revisions that Gateways may still send requests to although they are not to get any.

A Gateway takes a moment to do what its route says. Until then a candidate that was taken back, or that another one has
replaced, goes on running as a revision does that gave its traffic away: its pods pass on what still comes to them.
"""

from __future__ import annotations

from dataclasses import replace

from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.status import RolloutStatus
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.route import led_to


def let_linger(observation: Observation, decision: Decision) -> Decision:
    """Return the decision with those that are left by a route now, or not yet: the status remembers the rest."""
    before, route = observation.status.rollout, observation.route
    left = set(led_to(route, observation.key.name)) if route else set()
    if observation.spec.route is not None and before is not None and _had_a_share(before):
        left.add(before.revision)
    left &= observation.stored.keys()
    left -= {decision.serving, decision.candidate}
    return replace(decision, lingering=decision.lingering | left) if left else decision


def left_by_route(observation: Observation, decision: Decision, revision: str) -> bool:
    """Return whether a candidate gives away now what a Gateway has sent it."""
    before = observation.status.rollout
    if observation.spec.route is None or before is None or before.revision != revision or not _had_a_share(before):
        return False
    return revision in decision.lingering


def _had_a_share(rollout: RolloutStatus) -> bool:
    """Return whether a Gateway may have been told of a candidate: its share may have been taken only a moment ago."""
    return rollout.weight > 0 or rollout.strategy is Strategy.CANARY
