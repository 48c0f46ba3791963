"""What is told of the route from Gateways to the model."""

from __future__ import annotations

from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import RolloutStatus
from modeldeployment_operator.core.claims import Claim, View
from modeldeployment_operator.core.kinds import HTTP_ROUTE
from modeldeployment_operator.core.observation import Observation, Problem
from modeldeployment_operator.core.route import Acceptance, divided, shares
from modeldeployment_operator.core.traffic import reached, weight_of_route

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
    problem = (view.monitoring or {}).get(HTTP_ROUTE)
    told = _of_route(view.observation, problem, known)
    return _not_exact(view, known) or told if told[0] is ConditionStatus.TRUE and known else told


def _not_exact(view: View, rollout: RolloutStatus) -> _Told | None:
    """Say which weight cannot be had, however the route is written."""
    observation, decision = view.observation, view.decision
    wanted, name = weight_of_route(observation, decision), observation.key.name
    rules = observation.route.rules if observation.route else ()
    best = [{**rule, "backendRefs": divided(rule, name, decision.candidate, wanted)} for rule in rules]
    fewest, most = shares(best, name, rollout.revision)
    if not wanted or fewest == most == wanted:
        return None
    got = most if fewest == wanted else fewest
    message = (
        f"{rollout.revision} gets {got}% in place of {wanted}%: in a rule of HTTPRoute {name} Service {name} stands "
        "beside others with a weight that cannot be divided so: give all of that rule a hundred times the weight"
    )
    return ConditionStatus.FALSE, Reason.WEIGHT_NOT_EXACT, message


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
    message = f"HTTPRoute {name} is accepted, and has its requests come to Service {name}"
    if rollout and rollout.weight and rollout.reached:
        message += f", {rollout.reached}% of them to {rollout.revision}"
    return ConditionStatus.TRUE, Reason.ROUTE_ACCEPTED, message
