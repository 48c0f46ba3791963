"""What share of the requests Gateways send to a revision, as far as they say so."""

from __future__ import annotations

from modeldeployment_operator.api.status import RolloutStatus
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.route import Acceptance, shares


def reached_by_route(observation: Observation, rollout: RolloutStatus) -> int | None:
    """Return the percent of the requests that Gateways send to a revision; None while not all have said so.

    It is that of the step only if it is so in each rule: otherwise that of one in which it is not.
    """
    route = observation.route
    if route is None or route.acceptance is not Acceptance.YES:
        return None
    fewest, most = shares(route.rules, observation.key.name, rollout.revision)
    return most if fewest == rollout.weight else fewest
