"""One reconcile, from what is to what should be. Level-triggered: whatever woke it, it looks at everything.

The order of writes makes a kill between any two harmless: the records of a decision and of a revision, then what was
decided (status, if that moves traffic), then the children, then what came of it (status, if that is new).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from modeldeployment_operator.adapters.cluster import Cluster, Failure
from modeldeployment_operator.adapters.keys import KeyRing
from modeldeployment_operator.adapters.observe import Observer
from modeldeployment_operator.adapters.pods import Pods
from modeldeployment_operator.adapters.statuses import Statuses
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.status import ModelDeploymentStatus
from modeldeployment_operator.core import resources
from modeldeployment_operator.core.decision import Decision, decide
from modeldeployment_operator.core.errors import (
    ApiError,
    ConflictError,
    ForeignObjectError,
    InvalidSpecError,
    NamespaceTerminatingError,
    PodUnreachableError,
    RefusedError,
)
from modeldeployment_operator.core.judgement import judge
from modeldeployment_operator.core.kinds import HTTP_ROUTE, OPTIONAL, SERVICE, Kind
from modeldeployment_operator.core.leaving import let_linger
from modeldeployment_operator.core.observation import Key, Observation, Problem
from modeldeployment_operator.core.resources.metadata import Manifest
from modeldeployment_operator.core.schedule import next_deadline
from modeldeployment_operator.core.status import must_precede, summarise
from modeldeployment_operator.core.traffic import may_move, rotation

_log = logging.getLogger(__name__)

UNTOLD_INTERVAL: Final = timedelta(seconds=2)
"""After which a pod that did not take its order is told again."""


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
        observation = replace(observation, told=self.pods.told(key))
        judged = judge(observation)
        decision = let_linger(observation, decide(observation, judged))
        status = summarise(observation, judged, decision)
        if verdict := resources.build_verdict(observation, judged, decision):
            await self.cluster.record(observation, verdict)
        records = resources.records(observation, decision)
        done = await self._record(observation, decision, records)
        if not done.failures:
            if must_precede(observation.status, status):
                observation = await self._save(observation, decision, status)
            done = await self._act(observation, decision, records)
            observation = replace(self.observer.look_again(observation), told=self.pods.told(key))
        if any(isinstance(failure.error, NamespaceTerminatingError) for failure in done.failures):
            return None  # All of it is going.
        status = summarise(observation, judged, decision, _problem(done), done.monitoring)
        await self._save(observation, decision, status)
        _raise_first(done)
        return self._next_look(observation, decision, done)

    async def _save(self, observation: Observation, decision: Decision, status: ModelDeploymentStatus) -> Observation:
        """Save a status; a switch of the traffic, or a candidate that is taken back, counts when it is first said."""
        key = observation.key
        before = self.observer.status(key)
        moved = decision.switched and before.serving_revision != status.serving_revision
        is_news = moved or (decision.rejection is not None and decision.rejection not in before.rejections)
        saved = await self.statuses.save(observation, status)
        if is_news:
            recorded = resources.decided(observation, decision)
            self.telemetry.count(key, decision, recorded[1] if recorded else None)
        return saved

    async def _record(self, observation: Observation, decision: Decision, records: list[Manifest]) -> Done:
        """Write the revisions' records. Only that of one that runs has to be there before anything is done."""
        failures = await self.cluster.apply(observation, records)
        return Done([failure for failure in failures if failure.name in decision.running])

    async def _act(self, observation: Observation, decision: Decision, records: list[Manifest]) -> Done:
        """Make the cluster what was decided; return what went wrong."""
        key = observation.key
        manifests = resources.desired(observation, decision, self.keys.of(observation.uid))
        traffic = [manifest for manifest in manifests if _moves_traffic(observation, manifest)]
        failures = await self.cluster.apply(observation, [one for one in manifests if one not in traffic])
        silent = await self._rotate(observation, decision)
        if not may_move(observation, decision, self.pods.told(key)):
            why = PodUnreachableError(f"the traffic stays where it is: {silent[0] if silent else 'no pod was told'}")
            return Done([*failures, Failure(SERVICE, key.name, why)], acted=True)
        failures += await self.cluster.apply(observation, traffic)
        failures += await self.cluster.prune(observation, [*records, *manifests], decision.running)
        return Done(failures, acted=True, untold=bool(silent))

    async def _rotate(self, observation: Observation, decision: Decision) -> list[PodUnreachableError]:
        """Tell pods whether they answer themselves. Those that take the traffic first: others will rely on them."""
        token = self.keys.of(observation.uid).admin
        orders = rotation(observation, decision, self.pods.told(observation.key))
        silent = await self.pods.tell(observation.key, orders.answer, token)
        if may_move(observation, decision, self.pods.told(observation.key)):
            silent += await self.pods.tell(observation.key, orders.forward, token)
        for error in silent:
            _log.info("%s: %s", observation.key, error)
        return silent

    def _next_look(self, observation: Observation, decision: Decision, done: Done) -> timedelta | None:
        if decision.serving is not None and decision.serving != observation.selected:
            return timedelta(0)  # The traffic has not moved yet.
        looks = [self.observer.next_look(observation), self.statuses.next_write(observation.key)]
        if deadline := next_deadline(observation, decision):
            looks.append(deadline - observation.now)
        if done.untold:
            looks.append(UNTOLD_INTERVAL)
        looks += [timedelta(seconds=failure.retry_seconds) for failure in done.failures if failure.kind in OPTIONAL]
        return min((look for look in looks if look is not None), default=None)

    def _forget(self, key: Key) -> None:
        self.observer.forget(key)
        self.cluster.forget(key)
        self.pods.forget(key)
        self.telemetry.forget(key)


@dataclass(frozen=True)
class Done:
    """What came of a reconcile.

    Attributes:
        failures: objects that could not be made what they should be.
        acted: not only the records were tried.
        untold: a pod did not take its order. It may be on its way out, so it holds nothing up, but is told again.

    """

    failures: list[Failure]
    acted: bool = False
    untold: bool = False

    @property
    def needed(self) -> list[Failure]:
        """What failed of all that serving needs."""
        return [failure for failure in self.failures if failure.kind not in OPTIONAL]

    @property
    def monitoring(self) -> Mapping[Kind, Problem] | None:
        """Why Prometheus or Gateways could not be told, by kind; None if that was not tried."""
        told = [one for one in self.failures if one.kind in OPTIONAL and not _is_outdated(one)]
        return {one.kind: _why(one) for one in told} if self.acted else None


def _moves_traffic(observation: Observation, manifest: Manifest) -> bool:
    """Return whether it is the Service that clients call, or the route that leads to it."""
    named = (manifest["kind"], manifest["metadata"]["name"])
    return named in {(SERVICE.kind, observation.key.name), (HTTP_ROUTE.kind, observation.key.name)}


def _is_outdated(failure: Failure) -> bool:
    """Return whether others have written a route since it was read: it is read again at once, and nothing is wrong."""
    return failure.kind is HTTP_ROUTE and isinstance(failure.error, ConflictError)


def _problem(done: Done) -> Problem | None:
    """Return what only the user can mend, of what serving needs."""
    return next((_why(failure) for failure in done.needed if failure.refused), None)


def _why(failure: Failure) -> Problem:
    """Return a failure in words for the user."""
    error, what = failure.error, f"{failure.kind.kind} {failure.name}"
    if isinstance(error, RefusedError):
        return Problem(Reason.APPLY_REFUSED, f"the cluster refuses {what}: {error.message}")
    if isinstance(error, ForeignObjectError):
        return Problem(Reason.APPLY_REFUSED, str(error))
    message = error.message if isinstance(error, ApiError) else str(error)
    return Problem(Reason.APPLY_FAILED, f"{what} could not be written yet, and is tried again: {message}")


def _raise_first(done: Done) -> None:
    """Raise the first error of what serving needs, so that it is tried again after a while."""
    if done.needed:
        raise done.needed[0].error
