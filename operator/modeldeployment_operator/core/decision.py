"""What to do: which revision serves, which one starts, which one stands by, and what is taken back.

    candidate --all pods ready--> serving --successor promoted--> standby (or retired)
                                     |
                                     +--Degraded, and there is a last good revision--> rejected

Only a verdict of Degraded takes traffic back. Nothing here knows how the traffic is moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.status import Rejection, Revision, Verdict
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.text import precise, ratio

LINGER: Final = timedelta(seconds=90)
"""How long a revision that gave its traffic away goes on running. Clients that keep their connections are passed on
meanwhile; the server closes one that was idle for 75 s."""


@dataclass(frozen=True)
class Decision:
    """What should be.

    Attributes:
        serving: revision that has the traffic; None before the first one is ready.
        candidate: revision that the spec asks for, while it starts.
        standby: last good revision, to go back to.
        standby_runs: whether its pods are kept, ready to take the traffic back at once.
        returning: the standby revision has been released and is started again, to take the traffic back.
        lingering: revisions that gave their traffic away a moment ago.
        rejection: the revision that serves is taken back now, and why.
        switched: the traffic goes to another revision than before.

    """

    serving: str | None
    candidate: str | None = None
    standby: str | None = None
    standby_runs: bool = False
    returning: bool = False
    lingering: frozenset[str] = frozenset()
    rejection: Rejection | None = None
    switched: bool = False

    @property
    def running(self) -> frozenset[str]:
        """Revisions that have pods."""
        named = {self.serving, self.candidate, self.standby if self.standby_runs else None}
        return frozenset(name for name in named if name is not None) | self.lingering


def decide(observation: Observation, judged: Mapping[str, Judged]) -> Decision:
    """Return what should be, given what is and what is known."""
    serving = serving_revision(observation)
    if serving is None:
        return _first(observation)
    standby = _standby(observation, judged, serving)
    gives_way = _is_degraded(judged, serving) and standby is not None and _may_roll_back(observation)
    if gives_way and standby and _can_take_back(observation, standby):
        return _roll_back(observation, judged[serving], serving, standby)
    wish = observation.desired.name
    if wish != serving and _may_start(observation, wish) and _is_ready(observation, wish):
        return _promote(observation, judged, serving, wish, standby)
    return _keep(observation, serving, standby, returning=gives_way)


def serving_revision(observation: Observation) -> str | None:
    """Return the revision that has the traffic; what the Service selects, should the status have been lost.

    One without a record that can be read goes on serving, as long as it has pods.
    """
    for name in (observation.status.serving_revision, observation.selected):
        if name in observation.stored or name in observation.workloads:
            return name
    return None


def latched_rejection(observation: Observation, revision: str) -> Rejection | None:
    """Return why a revision may not serve, unless its user has asked for another try since.

    A retry is of what the spec asks for; it does not let others in.
    """
    for rejection in observation.status.rejections:
        if rejection.revision == revision:
            asked = observation.retry is not None and observation.retry != rejection.retry
            return None if asked and revision == observation.desired.name else rejection
    return None


def probation_ends(observation: Observation) -> datetime | None:
    """Return when the revision that serves need no longer be able to give way at once."""
    serving = revision_status(observation, observation.status.serving_revision)
    if serving is None or serving.serving_since is None:
        return None
    probation = timedelta(seconds=seconds(observation.spec.rollback.probation))
    return datetime.fromisoformat(serving.serving_since) + probation


def lingers_until(revision: Revision) -> datetime | None:
    """Return when a revision that gave its traffic away may stop."""
    return datetime.fromisoformat(revision.serving_until) + LINGER if revision.serving_until else None


def revision_status(observation: Observation, name: str | None) -> Revision | None:
    """Return what is remembered of a revision."""
    return next((revision for revision in observation.status.revisions if revision.name == name), None)


def _standby(observation: Observation, judged: Mapping[str, Judged], serving: str) -> str | None:
    """Return the last good revision, as long as it is one."""
    name = observation.status.standby_revision
    usable = name in observation.stored and name != serving and not _is_degraded(judged, name)
    return name if usable and latched_rejection(observation, str(name)) is None else None


def _may_roll_back(observation: Observation) -> bool:
    return observation.spec.rollback.enabled and not observation.spec.paused


def _may_start(observation: Observation, wish: str) -> bool:
    return not observation.spec.paused and latched_rejection(observation, wish) is None


def _candidate(observation: Observation) -> str | None:
    """Return what the spec asks for, if it may start or had been started before a pause."""
    wish = observation.desired.name
    held = observation.spec.paused and wish != observation.status.candidate_revision
    return None if held or latched_rejection(observation, wish) else wish


def _is_degraded(judged: Mapping[str, Judged], name: str | None) -> bool:
    return name is not None and name in judged and judged[name].verdict is Verdict.DEGRADED


def _is_ready(observation: Observation, name: str) -> bool:
    """Return whether all pods of a revision answer."""
    workload = observation.workloads.get(name)
    return workload is not None and workload.settled and workload.ready >= max(observation.replicas, workload.replicas)


def _can_take_back(observation: Observation, name: str) -> bool:
    """Return whether enough pods answer to carry the traffic: a quarter may be missing, as in a Deployment's update."""
    workload, needed = observation.workloads.get(name), observation.replicas
    if observation.spec.autoscaling:
        # A model may be so bad that it makes the autoscaler fill the cluster, and leave no room for who should follow.
        problems = [pod.problem.reason for pod in observation.pods_of(name) if pod.problem]
        needed = observation.spec.autoscaling.clamp(needed - problems.count(Reason.UNSCHEDULABLE))
    return workload is not None and workload.ready >= max(1, needed - needed // 4)


def _first(observation: Observation) -> Decision:
    """Nothing has ever served."""
    wish = observation.desired.name
    if _may_start(observation, wish) and _is_ready(observation, wish):
        # The same as before if only its record was lost.
        return Decision(wish, switched=wish != observation.status.serving_revision)
    return Decision(None, candidate=_candidate(observation))


def _keep(observation: Observation, serving: str, standby: str | None, *, returning: bool = False) -> Decision:
    """Leave the traffic where it is, and start what the spec asks for."""
    ends = probation_ends(observation)
    on_probation = ends is None or observation.now < ends
    return Decision(
        serving,
        candidate=None if observation.desired.name == serving else _candidate(observation),
        standby=standby,
        standby_runs=standby is not None and (returning or (on_probation and _wants_standby(observation))),
        returning=returning,
        lingering=_lingering(observation, serving),
    )


def _wants_standby(observation: Observation) -> bool:
    """Only a judged revision can be proven worse; without a judgement the spare pods would be a waste."""
    return observation.spec.accuracy is not None and observation.spec.rollback.enabled


def _promote(
    observation: Observation, judged: Mapping[str, Judged], serving: str, wish: str, standby: str | None
) -> Decision:
    last_good = _last_good(observation, judged, serving, wish, standby)
    return Decision(
        wish,
        standby=last_good,
        standby_runs=last_good is not None and _wants_standby(observation),
        lingering=_lingering(observation, wish) | {serving},
        switched=True,
    )


def _last_good(
    observation: Observation, judged: Mapping[str, Judged], serving: str, wish: str, standby: str | None
) -> str | None:
    """Return what to go back to once `wish` has taken over from `serving`.

    That is `serving`, if it has proven itself: by its labels, or by outlasting its probation. Otherwise what was there
    before stays; only if there was nothing before has an unproven revision to do.
    """
    if _is_degraded(judged, serving):
        return standby if standby != wish else None
    ends = probation_ends(observation)
    outlasted = ends is not None and observation.now >= ends
    proven = outlasted or (serving in judged and judged[serving].known is Verdict.HEALTHY)
    if proven or standby is None:
        return serving
    return standby if standby != wish else None


def _roll_back(observation: Observation, judged: Judged, serving: str, standby: str) -> Decision:
    wish = observation.desired.name
    other = wish not in {serving, standby} and _may_start(observation, wish)
    return Decision(
        standby,
        candidate=wish if other else None,
        lingering=_lingering(observation, standby) | {serving},
        rejection=_rejection(observation, judged, serving, standby),
        switched=True,
    )


def _lingering(observation: Observation, serving: str) -> frozenset[str]:
    names = set()
    for revision in observation.status.revisions:
        until = lingers_until(revision)
        if revision.name != serving and until is not None and observation.now < until:
            names.add(revision.name)
    return frozenset(names & observation.stored.keys())


def _rejection(observation: Observation, judged: Judged, serving: str, standby: str) -> Rejection:
    assert judged.level is not None  # noqa: S101 - a verdict of Degraded has a level,
    assert judged.state is not None  # noqa: S101 - and the labels that it rests on.
    low, high = judged.interval
    status = revision_status(observation, serving)
    return Rejection(
        revision=serving,
        model_uri=observation.stored[serving].template.model.uri if serving in observation.stored else "",
        time=precise(observation.now),
        metric=judged.level.metric.value,
        level=ratio(judged.level.value),
        estimate=ratio(judged.estimate or 0.0),
        lower=ratio(low),
        upper=ratio(high),
        labels=judged.labels,
        wrong=judged.state.wrong,
        log_e=f"{judged.log_e:.3f}",
        alpha=f"{judged.level.alpha:g}",
        serving_since=status.serving_since if status else None,
        rolled_back_to=standby,
        retry=observation.retry,
    )
