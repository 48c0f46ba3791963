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

from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.status import (
    Rejection,
    RejectionCause,
    Revision,
    RevisionPhase,
    RolloutStatus,
    SituationStatus,
    Verdict,
)
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.rejection import Cause, is_given_up, latched_rejection, reject
from modeldeployment_operator.core.rollout import advance, as_planned, is_promoted, known_rollout, plan
from modeldeployment_operator.core.situations import (
    action_on,
    is_let_go,
    is_unread,
    keeps_standby,
    situations,
    what_holds,
)
from modeldeployment_operator.core.standing import (
    is_degraded,
    on_probation,
    revision_status,
    serving_revision,
    standby_of,
)
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
        situations: what is not as it should be, and what is done about it.
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
    situations: tuple[SituationStatus, ...] = ()
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
    standby, wish = standby_of(observation, judged, serving), observation.desired.name
    noticed = situations(observation, judged, serving)
    withheld = any(one.situation is Situation.DRIFT and one.action is not Action.ALERT for one in noticed)
    drift = withheld or is_let_go(noticed, Situation.DRIFT)
    against = _against(observation, judged, noticed, serving, standby, drift=drift)
    if standby and against and _can_take_back(observation, standby):
        return _roll_back(observation, judged, noticed, serving, standby, against)
    kept = _keep(observation, serving, standby, noticed, returning=standby is not None and against is not None)
    if kept.candidate is None:
        return kept
    # Without pods nothing is tried: a rollout begins anew when there are some.
    rollout = known_rollout(observation, wish) if observation.replicas else None
    if why := _against_candidate(observation, judged, noticed, drift=drift):
        return _give_up(kept, reject(observation, judged.get(wish), wish, serving, why))
    asked = is_promoted(observation, wish)
    if withheld and rollout is not None and not asked:
        return replace(kept, rollout=rollout.model_copy(update={"weight": 0}), drift=True)
    proven = rollout is not None and is_degraded(judged, wish) and not _is_let_through(noticed, wish)
    held = _is_held(observation, judged, noticed, serving)
    if is_ready(observation, wish) and _may_start(observation, wish) and (asked or not (proven or held)):
        waived = action_on(noticed, wish, Action.PROMOTE) is not None
        rollout = advance(observation, judged.get(wish), wish, waived=waived)
        if rollout is None:
            return _promote(observation, judged, serving, wish, standby)
    return replace(kept, rollout=rollout and as_planned(observation, rollout), drift=drift)


def _against(
    observation: Observation,
    judged: Mapping[str, Judged],
    noticed: tuple[SituationStatus, ...],
    serving: str,
    standby: str | None,
    *,
    drift: bool,
) -> Cause | None:
    """Return why the revision that serves should give way to its standby; None if it should not."""
    if is_degraded(judged, serving) and _may_roll_back(observation) and not drift:
        return Cause(RejectionCause.DEGRADED)
    if is_given_up(observation, serving):
        return Cause(RejectionCause.DEGRADED if is_degraded(judged, serving) else RejectionCause.ABORTED)
    pressed = action_on(noticed, serving, Action.ROLL_BACK)
    if standby and pressed and on_probation(observation) and not observation.paused:
        return _pressing(pressed)
    return None


def _against_candidate(
    observation: Observation, judged: Mapping[str, Judged], noticed: tuple[SituationStatus, ...], *, drift: bool
) -> Cause | None:
    """Return why the candidate should be taken back; None if it should not."""
    wish = observation.desired.name
    begun, proven = known_rollout(observation, wish) is not None, is_degraded(judged, wish)
    if is_given_up(observation, wish):
        return Cause(RejectionCause.DEGRADED if proven else RejectionCause.ABORTED)
    if begun and proven and _may_roll_back(observation) and not drift:
        return Cause(RejectionCause.DEGRADED)
    if not begun and is_overdue(observation):
        problem = problem_of(observation, wish)
        why = f": {problem.message}" if problem else ""
        message = f"its pods were not all ready within {observation.spec.rollout.progress_deadline}{why}"
        return Cause(RejectionCause.PROGRESS_DEADLINE_EXCEEDED, message)
    pressed = action_on(noticed, wish, Action.ROLL_BACK)
    if begun and pressed and not observation.paused:
        return _pressing(pressed)
    return None


def _pressing(one: SituationStatus) -> Cause:
    return Cause(RejectionCause(one.situation.value), f"{one.message} (since {one.since})")


def _is_let_through(noticed: tuple[SituationStatus, ...], wish: str) -> bool:
    """Return whether a candidate goes on although it is proven worse, because its user wants that."""
    told = [one for one in noticed if one.revision == wish and one.situation is Situation.DEGRADED]
    return any(one.action is Action.ALERT for one in told) or (not told and is_let_go(noticed, Situation.DRIFT))


def _is_held(
    observation: Observation, judged: Mapping[str, Judged], noticed: tuple[SituationStatus, ...], serving: str
) -> bool:
    """Return whether the candidate goes no further just now. One that waits for ready pods alone is never held."""
    wish = observation.desired.name
    begun = known_rollout(observation, wish) is not None
    if not plan(observation.spec):
        return False
    if not observation.replicas:
        return True
    return what_holds(noticed, wish) is not None or (begun and is_unread(observation, judged, noticed, serving, wish))


def lingers_until(revision: Revision) -> datetime | None:
    """Return when a revision that gave its traffic away may stop."""
    return datetime.fromisoformat(revision.serving_until) + LINGER if revision.serving_until else None


def _may_roll_back(observation: Observation) -> bool:
    return observation.spec.policies.degraded.action is Action.ROLL_BACK and not observation.paused


def _may_start(observation: Observation, wish: str) -> bool:
    return not observation.paused and latched_rejection(observation, wish) is None


def _candidate(observation: Observation) -> str | None:
    """Return what the spec asks for, if it may start or had been started before a pause."""
    wish = observation.desired.name
    held = observation.paused and wish != observation.status.candidate_revision
    return None if held or latched_rejection(observation, wish) else wish


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


def _keep(
    observation: Observation,
    serving: str,
    standby: str | None,
    noticed: tuple[SituationStatus, ...],
    *,
    returning: bool = False,
) -> Decision:
    """Leave the traffic where it is, and start what the spec asks for."""
    is_needed = on_probation(observation) or (_is_standing_by(observation, standby) and keeps_standby(noticed))
    return Decision(
        serving,
        candidate=None if observation.desired.name == serving else _candidate(observation),
        standby=standby,
        standby_runs=standby is not None and (returning or (is_needed and _wants_standby(observation))),
        returning=returning,
        lingering=_lingering(observation, serving),
        situations=noticed,
    )


def _is_standing_by(observation: Observation, name: str | None) -> bool:
    known = revision_status(observation, name)
    return known is not None and known.phase is RevisionPhase.STANDBY


def _wants_standby(observation: Observation) -> bool:
    """Only a judged revision can be proven worse; where nothing would follow, the spare pods would be a waste."""
    return observation.spec.accuracy is not None and observation.spec.policies.want_standby


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
    if is_degraded(judged, serving) or is_given_up(observation, serving):
        return standby if standby != wish else None
    proven = not on_probation(observation) or (serving in judged and judged[serving].known is Verdict.HEALTHY)
    if proven or standby is None:
        return serving
    return standby if standby != wish else None


def _give_up(kept: Decision, rejection: Rejection) -> Decision:
    """Take the candidate back on its way to the traffic; it may be the last good revision that was asked for again."""
    if kept.standby == rejection.revision:
        kept = replace(kept, standby=None, standby_runs=False)
    others = tuple(one for one in kept.situations if one.revision != rejection.revision)
    return replace(kept, candidate=None, rejection=rejection, situations=others)


def _roll_back(
    observation: Observation,
    judged: Mapping[str, Judged],
    noticed: tuple[SituationStatus, ...],
    serving: str,
    standby: str,
    why: Cause,
) -> Decision:
    wish = observation.desired.name
    other = wish not in {serving, standby} and _candidate(observation) == wish
    kept = tuple(one for one in noticed if other and one.revision == wish)
    return Decision(
        standby,
        candidate=wish if other else None,
        lingering=_lingering(observation, standby) | {serving},
        rejection=reject(observation, judged.get(serving), serving, standby, why),
        switched=True,
        rollout=known_rollout(observation, wish) if other else None,
        situations=kept,
    )


def _lingering(observation: Observation, serving: str) -> frozenset[str]:
    names = set()
    for revision in observation.status.revisions:
        until = lingers_until(revision)
        if revision.name != serving and until is not None and observation.now < until:
            names.add(revision.name)
    return frozenset(names & observation.stored.keys())
