"""What share of the requests Gateways send to a revision, as far as they say so."""

from __future__ import annotations

from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.route import Acceptance, share


def reached_by_route(observation: Observation, revision: str) -> int | None:
    """Return the percent of the requests that Gateways send to a revision; None while not all have said so."""
    route = observation.route
    if route is None or route.acceptance is not Acceptance.YES:
        return None
    return round(100 * share(route, observation.key.name, revision))
