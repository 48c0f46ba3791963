"""Where requests go. The serving Service moves new connections; this moves those that clients keep open.

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
        known = told.get(pod.uid)
        if pod.revision in {decision.serving, decision.candidate}:
            if known != ANSWERS_ITSELF and pod.ready:
                answer.append(Order(pod, ANSWERS_ITSELF))
        else:
            target = Passing(revision_address(decision.serving, observation.key.namespace, contract.HTTP_PORT))
            if known != target:
                forward.append(Order(pod, target))
    return Rotation(tuple(answer), tuple(forward))


def may_move(observation: Observation, decision: Decision, told: Mapping[str, Passing]) -> bool:
    """Return whether the Service may select the revision that is to serve.

    A ready pod of it must be known to answer by itself. One that still passes requests on would send them back to the
    revision that is taken back, which would answer them.
    """
    if decision.serving is None or decision.serving == observation.selected:
        return True
    ready = [pod for pod in observation.pods_of(decision.serving) if pod.ready]
    return not ready or any(told.get(pod.uid) == ANSWERS_ITSELF for pod in ready)
