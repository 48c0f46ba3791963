"""What to do: which revision serves, which one starts, which one stands by, and what is taken back.

    candidate --ready, and through its rollout--> serving --successor promoted--> standby (or retired)
        |                                            |
        +--Degraded--> rejected                      +--Degraded, and there is a last good revision--> rejected

Only a verdict of Degraded takes traffic back, or the user's word. Nothing here knows how the traffic is moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.status import Rejection, RejectionCause, Revision, RolloutStatus, Verdict
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.rejection import is_given_up, latched_rejection, reject
from modeldeployment_operator.core.rollout import advance, as_planned, is_promoted, known_rollout
from modeldeployment_operator.core.starting import is_overdue, is_ready, problem_of

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
        rejection: a revision is taken back now, the one that serves or the candidate, and why.
        switched: the traffic goes to another revision than before.
        rollout: how far the candidate has come on its way to the traffic; None if it only starts.
        drift: the candidate falls together with the revision that serves: the world has changed, not the model.

    """

    serving: str | None
    candidate: str | None = None
    standby: str | None = None
    standby_runs: bool = False
    returning: bool = False
    lingering: frozenset[str] = frozenset()
    rejection: Rejection | None = None
    switched: bool = False
    rollout: RolloutStatus | None = None
    drift: bool = False

    @property
    def weight(self) -> int:
        """Percent of the requests that the candidate answers."""
        return self.rollout.weight if self.rollout else 0

    @property
    def copies(self) -> bool:
        """Whether the candidate is sent copies of the requests."""
        return self.rollout is not None and self.rollout.copies

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
    standby, wish = _standby(observation, judged, serving), observation.desired.name
    drift = _both_fall(observation, judged, serving)
    worse = _is_degraded(judged, serving) and _may_roll_back(observation) and not drift
    gives_way = standby is not None and (worse or is_given_up(observation, serving))
    if gives_way and standby and _can_take_back(observation, standby):
        return _roll_back(observation, judged, serving, standby)
    kept = _keep(observation, serving, standby, returning=gives_way)
    if kept.candidate is None:
        return kept
    rollout = known_rollout(observation, wish)
    proven = rollout is not None and _is_degraded(judged, wish)
    if is_given_up(observation, wish) or (proven and _may_roll_back(observation) and not drift):
        return _give_up(kept, reject(observation, judged.get(wish), wish, serving))
    if rollout is None and is_overdue(observation):
        return _give_up(kept, _too_late(observation, judged.get(wish), serving))
    asked = is_promoted(observation, wish)
    if drift and rollout is not None and not asked:
        return replace(kept, rollout=rollout.model_copy(update={"weight": 0}), drift=True)
    if is_ready(observation, wish) and _may_start(observation, wish) and (asked or not proven):
        rollout = advance(observation, judged.get(wish), wish)
        if rollout is None:
            return _promote(observation, judged, serving, wish, standby)
    return replace(kept, rollout=rollout and as_planned(observation, rollout))


def serving_revision(observation: Observation) -> str | None:
    """Return the revision that has the traffic; what the Service selects, should the status have been lost.

    One without a record that can be read goes on serving, as long as it has pods.
    """
    for name in (observation.status.serving_revision, observation.selected):
        if name in observation.stored or name in observation.workloads:
            return name
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
    if name is None or name == serving or name not in observation.stored:
        return None
    is_good = not _is_degraded(judged, name) and not is_given_up(observation, name)
    return name if is_good and latched_rejection(observation, name) is None else None


def _both_fall(observation: Observation, judged: Mapping[str, Judged], serving: str) -> bool:
    """Return whether the candidate and the revision that serves are worse than demanded, both of them.

    It says something of the world only if the one that serves has been good: one that is on probation may share its
    fault with its successor, and there is another to go back to.
    """
    ends = probation_ends(observation)
    on_probation = ends is None or observation.now < ends
    if known_rollout(observation, observation.desired.name) is None or (
        on_probation and _standby(observation, judged, serving) is not None
    ):
        return False
    both = [judged.get(serving), judged.get(observation.desired.name)]
    falling = [one for one in both if one is not None and one.is_falling]
    return len(falling) == len(both) and any(one.verdict is Verdict.DEGRADED for one in falling)


def _may_roll_back(observation: Observation) -> bool:
    return observation.spec.rollback.enabled and not observation.paused


def _may_start(observation: Observation, wish: str) -> bool:
    return not observation.paused and latched_rejection(observation, wish) is None


def _candidate(observation: Observation) -> str | None:
    """Return what the spec asks for, if it may start or had been started before a pause."""
    wish = observation.desired.name
    held = observation.paused and wish != observation.status.candidate_revision
    return None if held or latched_rejection(observation, wish) else wish


def _is_degraded(judged: Mapping[str, Judged], name: str | None) -> bool:
    return name is not None and name in judged and judged[name].verdict is Verdict.DEGRADED


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
    if _may_start(observation, wish) and is_ready(observation, wish):
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
    if _is_degraded(judged, serving) or is_given_up(observation, serving):
        return standby if standby != wish else None
    ends = probation_ends(observation)
    outlasted = ends is not None and observation.now >= ends
    proven = outlasted or (serving in judged and judged[serving].known is Verdict.HEALTHY)
    if proven or standby is None:
        return serving
    return standby if standby != wish else None


def _give_up(kept: Decision, rejection: Rejection) -> Decision:
    """Take the candidate back on its way to the traffic; it may be the last good revision that was asked for again."""
    if kept.standby == rejection.revision:
        kept = replace(kept, standby=None, standby_runs=False)
    return replace(kept, candidate=None, rejection=rejection)


def _too_late(observation: Observation, judged: Judged | None, serving: str) -> Rejection:
    """Return why a candidate is tried no longer whose pods do not get ready."""
    wish = observation.desired.name
    problem = problem_of(observation, wish)
    why = f": {problem.message}" if problem else ""
    message = f"its pods were not all ready within {observation.spec.rollout.progress_deadline}{why}"
    return reject(observation, judged, wish, serving, RejectionCause.PROGRESS_DEADLINE_EXCEEDED, message)


def _roll_back(observation: Observation, judged: Mapping[str, Judged], serving: str, standby: str) -> Decision:
    wish = observation.desired.name
    other = wish not in {serving, standby} and _candidate(observation) == wish
    return Decision(
        standby,
        candidate=wish if other else None,
        lingering=_lingering(observation, standby) | {serving},
        rejection=reject(observation, judged.get(serving), serving, standby),
        switched=True,
        rollout=known_rollout(observation, wish) if other else None,
    )


def _lingering(observation: Observation, serving: str) -> frozenset[str]:
    names = set()
    for revision in observation.status.revisions:
        until = lingers_until(revision)
        if revision.name != serving and until is not None and observation.now < until:
            names.add(revision.name)
    return frozenset(names & observation.stored.keys())
