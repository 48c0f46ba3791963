"""What is told of the route from Gateways to the model."""

from __future__ import annotations

from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import RolloutStatus
from modeldeployment_operator.core.claims import Claim, View
from modeldeployment_operator.core.kinds import HTTP_ROUTE
from modeldeployment_operator.core.observation import Observation, Problem
from modeldeployment_operator.core.route import Acceptance
from modeldeployment_operator.core.traffic import reached

_Told = tuple[ConditionStatus, Reason, str]
_WAITING = frozenset({Reason.ROUTE_ACCEPTED, Reason.ROUTE_NOT_SEEN, Reason.APPLY_FAILED})


def routed(view: View) -> list[Claim]:
    """Return whether Gateways send requests as they are told."""
    return [Claim(ConditionType.ROUTED, *_told(view))] if view.observation.spec.route else []


def what_a_route_lacks(view: View) -> tuple[Reason, str]:
    """Return what a rollout waits for whose share Gateways do not have yet."""
    _, reason, message = _told(view)
    return (Reason.ROLLING_OUT if reason in _WAITING else reason), message


def _told(view: View) -> _Told:
    rollout = view.decision.rollout
    known = rollout and rollout.model_copy(update={"reached": reached(view.observation, view.decision)})
    return _of_route(view.observation, (view.monitoring or {}).get(HTTP_ROUTE), known)


def _of_route(observation: Observation, problem: Problem | None, rollout: RolloutStatus | None) -> _Told:
    no, name = ConditionStatus.FALSE, observation.key.name
    if HTTP_ROUTE not in observation.knows:
        return (
            no,
            Reason.NO_HTTP_ROUTE_KIND,
            "the cluster has no kind HTTPRoute, so no Gateway leads to the model, and a Canary gets no share of the "
            "requests: install the Gateway API (1.4 or later) and a controller of it, or remove spec.route to have the "
            "pods divide the requests",
        )
    if problem:
        return no, problem.reason, problem.message
    route = observation.route
    if route is None:
        message = f"HTTPRoute {name} is made when the first revision serves"
        return ConditionStatus.UNKNOWN, Reason.ROUTE_NOT_SEEN, message
    if route.acceptance is Acceptance.UNKNOWN:
        return ConditionStatus.UNKNOWN, Reason.ROUTE_NOT_SEEN, f"HTTPRoute {name}: {route.words}"
    if route.acceptance is Acceptance.NO:
        message = f"HTTPRoute {name} is not accepted, and its requests may not come: {route.words}"
        return no, Reason.ROUTE_NOT_ACCEPTED, message
    if rollout and rollout.weight and rollout.reached not in {None, 0, rollout.weight}:
        message = (
            f"{rollout.revision} gets {rollout.reached}% in place of {rollout.weight}%: in a rule of HTTPRoute {name} "
            f"Service {name} stands beside others with a weight that cannot be divided so: give all of that rule a "
            "hundred times the weight"
        )
        return no, Reason.WEIGHT_NOT_EXACT, message
    message = f"HTTPRoute {name} is accepted, and has its requests come to Service {name}"
    if rollout and rollout.weight and rollout.reached:
        message += f", {rollout.reached}% of them to {rollout.revision}"
    return ConditionStatus.TRUE, Reason.ROUTE_ACCEPTED, message
