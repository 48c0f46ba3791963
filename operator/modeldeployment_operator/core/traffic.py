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


@dataclass(frozen=True)
class Order:
    """Tells one pod whether it answers itself (None) or passes requests on (HOST:PORT)."""

    pod: Pod
    forward_to: str | None


@dataclass(frozen=True)
class Rotation:
    """All orders, in two steps: first those that serve must answer themselves, then the others may rely on them."""

    answer: tuple[Order, ...]
    forward: tuple[Order, ...]


def rotation(observation: Observation, decision: Decision, told: Mapping[str, str | None]) -> Rotation:
    """Return the orders that pods have yet to be given.

    `told` says by pod's UID what a pod was told last, as far as the operator knows; what a sample shows is truer.
    """
    answer, forward = [], []
    for pod in observation.pods:
        if not pod.running or pod.ip is None or decision.serving is None:
            continue
        known, current = _known(observation, told, pod)
        if pod.revision in {decision.serving, decision.candidate}:
            if current is not None or (not known and decision.switched):
                answer.append(Order(pod, None))
        else:
            target = revision_address(decision.serving, observation.key.namespace, contract.HTTP_PORT)
            if not known or current != target:
                forward.append(Order(pod, target))
    return Rotation(tuple(answer), tuple(forward))


def _known(observation: Observation, told: Mapping[str, str | None], pod: Pod) -> tuple[bool, str | None]:
    """Return whether it is known where a pod sends requests, and where."""
    sample = (observation.samples or {}).get(pod.uid)
    if sample is not None:
        return True, sample.forward_to
    return pod.uid in told, told.get(pod.uid)
