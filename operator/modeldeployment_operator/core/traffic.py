"""Where requests go. The serving Service moves new connections; this moves those that clients keep open.

The pods that serve pass a candidate's share of the requests on to it, and answer themselves what they cannot pass on.
A pod that is out of the rotation passes what it still gets to the revision that serves, and marks its answers
`Connection: close`. So no request fails, and no answer comes from a revision that was taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model_server import contract

from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.names import revision_address
from modeldeployment_operator.core.observation import Observation, Pod
from modeldeployment_operator.core.passing import ANSWERS_ITSELF, Passing
from modeldeployment_operator.core.reached import reached_by_route


@dataclass(frozen=True)
class Order:
    """Tells one pod what of its requests it answers itself."""

    pod: Pod
    passing: Passing


@dataclass(frozen=True)
class Rotation:
    """All orders, in two steps: first those that serve must answer themselves, then the others may rely on them."""

    answer: tuple[Order, ...]
    forward: tuple[Order, ...]


def rotation(observation: Observation, decision: Decision, told: Mapping[str, Passing]) -> Rotation:
    """Return the orders that pods have yet to be given.

    `told` says by pod's UID what a pod answers itself, as far as the operator knows.
    """
    answer: list[Order] = []
    forward: list[Order] = []
    for pod in observation.pods:
        if not pod.running or pod.ip is None or decision.serving is None:
            continue
        passing = _passing(observation, decision, pod.revision)
        if told.get(pod.uid) == passing or (pod.revision in {decision.serving, decision.candidate} and not pod.ready):
            continue
        (answer if passing == ANSWERS_ITSELF else forward).append(Order(pod, passing))
    return Rotation(tuple(answer), tuple(forward))


def reached(observation: Observation, decision: Decision) -> int | None:
    """Return the percent of the requests that the candidate answers by what is known of it; None if nothing is."""
    if decision.rollout is None or decision.serving is None:
        return None
    if observation.spec.route is not None:
        return reached_by_route(observation, decision.rollout)
    told = [observation.told.get(pod.uid) for pod in observation.pods_of(decision.serving) if pod.ready]
    if not told or None in told:
        return None
    to = _address(observation, decision.rollout.revision)
    shares = [one.share if one is not None and one.to == to and not one.copy else 0.0 for one in told]
    return round(100 * sum(shares) / len(shares))


def _passing(observation: Observation, decision: Decision, revision: str) -> Passing:
    """Return what pods of a revision are to answer themselves."""
    if revision == decision.serving:
        return _share(observation, decision)
    if revision == decision.candidate or decision.serving is None:
        return ANSWERS_ITSELF
    return Passing(_address(observation, decision.serving))


def _share(observation: Observation, decision: Decision) -> Passing:
    """Return what the pods that serve leave to the candidate: nothing while the traffic moves, or it is not ready."""
    candidate = decision.candidate
    weighs = decision.weight and observation.spec.route is None  # A route has the weights, or they would count twice.
    if candidate is None or not _may_share(observation, decision) or not (weighs or decision.copies):
        return ANSWERS_ITSELF
    share = 1.0 if decision.copies else decision.weight / 100
    return Passing(_address(observation, candidate), share, decision.copies)


def weight_of_route(observation: Observation, decision: Decision) -> int:
    """Return the percent of the requests that Gateways are to send to the candidate."""
    return decision.weight if _may_share(observation, decision) else 0


def _may_share(observation: Observation, decision: Decision) -> bool:
    """Return whether a candidate can be sent requests: not while the traffic moves, or it is not ready."""
    if decision.candidate is None or decision.serving != observation.selected:
        return False
    return any(pod.ready for pod in observation.pods_of(decision.candidate))


def _address(observation: Observation, revision: str) -> str:
    return revision_address(revision, observation.key.namespace, contract.HTTP_PORT)


def may_move(observation: Observation, decision: Decision, told: Mapping[str, Passing]) -> bool:
    """Return whether the Service may select the revision that is to serve.

    A ready pod of it must be known to answer by itself. One that still passes requests on would send them back to the
    revision that is taken back, which would answer them.
    """
    if decision.serving is None or decision.serving == observation.selected:
        return True
    ready = [pod for pod in observation.pods_of(decision.serving) if pod.ready]
    return not ready or any(told.get(pod.uid) == ANSWERS_ITSELF for pod in ready)
