"""One reconcile, from what is to what should be. Level-triggered: whatever woke it, it looks at everything.

The order of writes makes a kill between any two harmless: the record of a revision, then what was decided (status, if
that is new), then the children, then what came of it (status, if that is new).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from modeldeployment_operator.adapters.cluster import Cluster
from modeldeployment_operator.adapters.keys import KeyRing
from modeldeployment_operator.adapters.observe import Observer
from modeldeployment_operator.adapters.pods import Pods
from modeldeployment_operator.adapters.statuses import Statuses
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.core import resources
from modeldeployment_operator.core.decision import Decision, decide
from modeldeployment_operator.core.errors import (
    ForeignObjectError,
    InvalidSpecError,
    OperatorError,
    PodUnreachableError,
    RefusedError,
)
from modeldeployment_operator.core.judgement import judge
from modeldeployment_operator.core.kinds import SERVICE
from modeldeployment_operator.core.observation import Key, Observation, Problem
from modeldeployment_operator.core.resources.metadata import Manifest
from modeldeployment_operator.core.schedule import next_deadline, sampling_interval
from modeldeployment_operator.core.status import intent, summarise
from modeldeployment_operator.core.traffic import rotation

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconciler:
    """The seven steps, and what they need."""

    observer: Observer
    cluster: Cluster
    statuses: Statuses
    pods: Pods
    keys: KeyRing
    telemetry: Telemetry

    async def reconcile(self, key: Key) -> timedelta | None:
        """Bring one ModelDeployment closer to what it should be; return when to look again at the latest.

        Raises OperatorError if it should be tried again sooner.
        """
        try:
            observation = await self.observer.gather(key)
        except InvalidSpecError as error:
            await self.statuses.refuse(key, error.message)
            return None
        if observation is None:
            self._forget(key)
            return None
        judged = judge(observation)
        decision = decide(observation, judged)
        status = summarise(observation, judged, decision)
        errors = await self.cluster.apply(observation, resources.records(observation, decision))
        if not errors:
            if intent(status) != intent(observation.status):
                await self.statuses.save(observation, status)
            errors = await self._act(observation, decision)
        if problem := _problem(errors):
            status = summarise(observation, judged, decision, problem)
        await self.statuses.save(observation, status)
        self.telemetry.observe(observation, judged, decision)
        _raise_transient(errors)
        return self._next_look(observation, decision)

    async def _act(self, observation: Observation, decision: Decision) -> list[OperatorError]:
        """Make the cluster what was decided; return what went wrong."""
        manifests = resources.desired(observation, decision, self.keys.of(observation.uid))
        traffic = [manifest for manifest in manifests if _moves_traffic(observation, manifest)]
        errors = await self.cluster.apply(observation, [one for one in manifests if one not in traffic])
        unreached = await self._rotate(observation, decision)
        errors += unreached.errors
        if not unreached.blocks_traffic:
            errors += await self.cluster.apply(observation, traffic)
            kept = [*resources.records(observation, decision), *manifests]
            await self.cluster.prune(observation, kept)
        return errors

    async def _rotate(self, observation: Observation, decision: Decision) -> Unreached:
        """Tell pods whether they answer themselves. Those that take the traffic first: others will rely on them."""
        token = self.keys.of(observation.uid).admin
        orders = rotation(observation, decision, self.pods.told)
        failed = await self.pods.tell(orders.answer, token)
        if orders.answer and len(failed) == len(orders.answer):
            return Unreached(list(failed), blocks_traffic=True)
        return Unreached([*failed, *await self.pods.tell(orders.forward, token)], blocks_traffic=False)

    def _next_look(self, observation: Observation, decision: Decision) -> timedelta | None:
        if decision.serving != observation.selected:
            return timedelta(0)  # The traffic moved just now: that is to be seen, and told.
        looks = [sampling_interval(observation)]
        if deadline := next_deadline(observation, decision):
            looks.append(deadline - observation.now)
        looks.append(self.statuses.next_write(observation.key))
        return min((look for look in looks if look is not None), default=None)

    def _forget(self, key: Key) -> None:
        self.observer.memories.pop(key, None)
        self.cluster.forget(key)
        self.telemetry.forget(key)


@dataclass(frozen=True)
class Unreached:
    """Pods that did not take their orders."""

    errors: list[OperatorError]
    blocks_traffic: bool
    """None of those that are to take the traffic is known to answer itself: it must stay where it is."""


def _moves_traffic(observation: Observation, manifest: Manifest) -> bool:
    return (manifest["kind"], manifest["metadata"]["name"]) == (SERVICE.kind, observation.key.name)


def _problem(errors: list[OperatorError]) -> Problem | None:
    """Return what only the user can mend."""
    for error in errors:
        if isinstance(error, RefusedError):
            return Problem(Reason.APPLY_REFUSED, f"the cluster refuses what the spec asks for: {error.message}")
        if isinstance(error, ForeignObjectError):
            return Problem(Reason.APPLY_REFUSED, str(error))
    return None


def _raise_transient(errors: list[OperatorError]) -> None:
    """Raise the first error, so that it is tried again; a pod that cannot be reached may be on its way out."""
    for error in errors:
        if isinstance(error, PodUnreachableError):
            _log.info("%s", error)
    if errors:
        raise errors[0]
