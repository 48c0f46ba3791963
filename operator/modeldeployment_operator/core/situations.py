"""What is not as it should be, and what is done about it: `spec.policies`, applied.

A situation is about one revision: the candidate on its way to the traffic, or the one that serves. It is remembered in
the status from when it was noticed until it is over; one in which a rollout was paused, until its user says go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.feedback import MATURE_AT_ONCE
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.status import MESSAGE_KEPT, RevisionPhase, RolloutStatus, SituationStatus, Verdict
from modeldeployment_operator.core.activity import activity_of, quiet_since, samples_of
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.rollout import known_rollout, lacks_labels, plan
from modeldeployment_operator.core.standing import is_degraded, on_probation, revision_status, standby_of
from modeldeployment_operator.core.text import precise, shortened

_STRONGEST = (Action.ROLL_BACK, Action.PAUSE, Action.HOLD, Action.PROMOTE, Action.ALERT)
_SOURCES = frozenset({Situation.SOURCE_DOWN, Situation.INVALID_DATA})
"""Without what these tell of, nothing can be known of any revision: they hold whatever they are about."""
_SILENCES = frozenset({Situation.NO_TRAFFIC, Situation.NO_LABELS})
"""They are seen in the counts of a look, and stand until the next."""


@dataclass(frozen=True)
class _Found:
    """Something that is so now."""

    situation: Situation
    revision: str
    message: str
    since: datetime | None = None
    """None: since now, if it was not noticed before."""


def situations(observation: Observation, judged: Mapping[str, Judged], serving: str) -> tuple[SituationStatus, ...]:
    """Return what is not as it should be while a revision serves, what needs most to be done first."""
    before = {(one.situation, one.revision): one for one in observation.status.situations}
    found = {(one.situation, one.revision): one for one in _found(observation, judged, serving)}
    is_tried = on_probation(observation) and standby_of(observation, judged, serving) is not None
    now = [
        _noticed(observation, judged.get(one.revision), serving, one, before.get(key), is_tried=is_tried)
        for key, one in found.items()
    ]
    now = [_after_the_candidate(one, now) if one.revision == serving else one for one in now]
    over = [one for key, one in before.items() if key not in found and _stays_paused(observation, one)]
    return tuple(sorted([*now, *over], key=lambda one: _STRONGEST.index(one.action)))


def action_on(noticed: Iterable[SituationStatus], revision: str, *actions: Action) -> SituationStatus | None:
    """Return the first situation of a revision in which one of these is done."""
    return next((one for one in noticed if one.revision == revision and one.action in actions), None)


def is_let_go(noticed: Iterable[SituationStatus], situation: Situation) -> bool:
    """Return whether all goes on in a situation because its user said so after a pause."""
    return any(one.situation is situation and one.resumed and one.action is Action.ALERT for one in noticed)


def what_holds(noticed: Iterable[SituationStatus], candidate: str) -> SituationStatus | None:
    """Return why a candidate goes no further, if a situation says so."""
    return next((one for one in noticed if _holds_all(one) or _holds(one, candidate)), None)


def keeps_standby(noticed: Iterable[SituationStatus]) -> bool:
    """Return whether probation does not end because nothing can be known of who serves."""
    return any(_holds_all(one) for one in noticed)


def is_unread(
    observation: Observation,
    judged: Mapping[str, Judged],
    noticed: Iterable[SituationStatus],
    serving: str,
    candidate: str,
) -> bool:
    """Return whether the last look at the counts was in vain: a step does not end before there was another.

    That is not told yet, since a look may fail now and then. One of which it was told, and that goes on all the same,
    is waited for no more.
    """
    if observation.spec.accuracy is None or observation.spec.policies.source_down.action is Action.ALERT:
        return False
    goes_on = {one.revision for one in noticed if one.situation in _SOURCES and one.action is Action.ALERT}
    looked_at = {candidate} if is_degraded(judged, serving) else {candidate, serving}
    return observation.silence is not None and bool(
        (looked_at - goes_on) & (observation.unread - observation.uncounted)
    )


def _holds_all(one: SituationStatus) -> bool:
    """Return whether nothing goes on because too little can be known, whichever revision it is about."""
    return one.situation in _SOURCES and one.action is not Action.ALERT


def _holds(one: SituationStatus, candidate: str) -> bool:
    return one.revision == candidate and one.action in {Action.HOLD, Action.PAUSE}


def _found(observation: Observation, judged: Mapping[str, Judged], serving: str) -> Iterator[_Found]:
    candidate = observation.desired.name
    begun = candidate != serving and known_rollout(observation, candidate) is not None
    if begun and both_fall(observation, judged, serving):
        yield _Found(Situation.DRIFT, candidate, f"{candidate} and {serving}, which serves, both fall")
    for name in (candidate, serving) if begun else (serving,):
        if is_degraded(judged, name) and observation.spec.policies.degraded.action is not Action.ROLL_BACK:
            yield _Found(Situation.DEGRADED, name, f"{name} is proven worse than demanded")
    for name in (candidate, serving) if begun else (serving,):
        yield from _unknown(observation, judged.get(name), name)
        yield from _quiet(observation, judged.get(name), name, serving)


def _unknown(observation: Observation, judged: Judged | None, name: str) -> Iterator[_Found]:
    """Yield why nothing can be known of a revision."""
    if name in observation.invalid:
        if observation.spec.accuracy is not None:
            message = f"counts were read that cannot be: {observation.invalid[name]}"
            yield _Found(Situation.INVALID_DATA, name, message)
    # A source that answers, and counts nothing yet of a revision, is not down.
    elif name in observation.uncounted:
        return
    elif judged is not None and judged.verdict is Verdict.UNAVAILABLE and observation.silence is not None:
        yield _Found(Situation.SOURCE_DOWN, name, f"the labels of {name} cannot be read: {observation.silence}")


def _quiet(observation: Observation, judged: Judged | None, name: str, serving: str) -> Iterator[_Found]:
    """Yield what does not come. Of a revision that was not read at this look, only what was so before."""
    is_uncounted = name in observation.uncounted
    if not is_uncounted and not samples_of(observation, name):
        told = [one for one in observation.status.situations if one.revision == name]
        yield from (_Found(one.situation, name, one.message) for one in told if one.situation in _SILENCES)
        return
    policies, activity = observation.spec.policies, activity_of(observation, name)
    begun = _has_traffic_since(observation, name, serving)
    quiet = quiet_since(activity, begun) if begun else None
    if quiet and observation.now - observation.seen_since(quiet) >= _span(policies.no_traffic.after):
        yield _Found(Situation.NO_TRAFFIC, name, f"no predictions come to {name}", quiet)
        return
    rollout, since = known_rollout(observation, name), activity.unlabelled if activity else None
    shared = _has_share_since(observation, rollout) if rollout and name != serving else None
    since = shared if is_uncounted else since
    if rollout is None or shared is None or since is None or not lacks_labels(observation, rollout, judged):
        return
    if observation.spec.accuracy is not None and observation.spec.accuracy.is_gauged:
        return  # Nobody knows of labels.
    unlabelled = observation.seen_since(max(datetime.fromisoformat(since), datetime.fromisoformat(shared)))
    feedback = observation.spec.feedback
    patience = _span(policies.no_labels.after) + _span(feedback.maturity if feedback else MATURE_AT_ONCE)
    if observation.now - unlabelled >= patience:
        words = f"predictions come to {name}, and no labels of them"
        words = f"no labels of {name} are counted yet: {observation.silence}" if is_uncounted else words
        yield _Found(Situation.NO_LABELS, name, words, unlabelled)


def _has_traffic_since(observation: Observation, name: str, serving: str) -> str | None:
    """Return since when requests should come to a revision; None if none need to, or nothing would follow."""
    if name == serving:
        known = revision_status(observation, name)
        standby = revision_status(observation, observation.status.standby_revision)
        is_tried = standby is not None and standby.phase is RevisionPhase.STANDBY and on_probation(observation)
        return known.serving_since if known and is_tried else None
    rollout = known_rollout(observation, name)
    return _has_share_since(observation, rollout) if rollout and (rollout.weight or rollout.copies) else None


def _has_share_since(observation: Observation, rollout: RolloutStatus) -> str | None:
    """Return since when a candidate has what its step gives it; None while Gateways do not have the weight yet."""
    by_route = observation.spec.route is not None and rollout.weight
    return rollout.reached_since if by_route else rollout.since


def _span(text: str) -> timedelta:
    return timedelta(seconds=seconds(text))


def both_fall(observation: Observation, judged: Mapping[str, Judged], serving: str) -> bool:
    """Return whether the candidate and the revision that serves are worse than demanded, both of them.

    It says something of the world only if the one that serves has been good: one that is on probation may share its
    fault with its successor, and there is another to go back to.
    """
    if on_probation(observation) and standby_of(observation, judged, serving) is not None:
        return False
    both = [judged.get(serving), judged.get(observation.desired.name)]
    falling = [one for one in both if one is not None and one.is_falling]
    return len(falling) == len(both) and any(one.verdict is Verdict.DEGRADED for one in falling)


def _after_the_candidate(one: SituationStatus, now: Iterable[SituationStatus]) -> SituationStatus:
    """Return a situation of who serves: what both have is acted on at the candidate, for a revision less is lost."""
    shared = any(other.situation is one.situation and other.revision != one.revision for other in now)
    if shared and one.situation in _SOURCES and one.action is Action.ROLL_BACK:
        return one.model_copy(update={"action": Action.HOLD})
    return one


def _noticed(
    observation: Observation,
    judged: Judged | None,
    serving: str,
    found: _Found,
    before: SituationStatus | None,
    *,
    is_tried: bool,
) -> SituationStatus:
    """Return what is remembered of a situation, and what is done about it now."""
    since = before.since if before else precise(found.since or observation.now)
    action = _action(observation, serving, found, since)
    in_vain = (found.revision == serving and not is_tried) or has_cost_a_revision(observation, since)
    if found.situation in _SOURCES and action is Action.ROLL_BACK and in_vain:
        action = Action.HOLD
    if action is Action.PROMOTE and judged is not None and judged.is_falling:
        action = Action.HOLD  # The labels that came speak against it.
    was_paused = before is not None and before.action is Action.PAUSE
    resume = before.resume if before is not None and was_paused else observation.asked.resume
    resumed = found.situation in _let_go(observation) or (before is not None and before.resumed)
    if resumed and observation.spec.policies.action(found.situation) is Action.PAUSE:
        action = Action.ALERT
    return SituationStatus(
        situation=found.situation,
        revision=found.revision,
        since=since,
        action=action,
        message=before.message if before else shortened(found.message, MESSAGE_KEPT),
        resume=resume if action is Action.PAUSE else None,
        resumed=resumed,
    )


def _let_go(observation: Observation) -> set[Situation]:
    """Return in what its user says go on just now, of whichever revision it was told."""
    paused = [one for one in observation.status.situations if one.action is Action.PAUSE]
    return {one.situation for one in paused if observation.asked.resume not in {None, one.resume}}


def has_cost_a_revision(observation: Observation, since: str) -> bool:
    """Return whether a revision was taken back for want of counts since then: another would be no better off."""
    causes = {one.value for one in _SOURCES}
    times = [one.time for one in observation.status.rejections if one.reason.value in causes]
    return any(datetime.fromisoformat(time) >= datetime.fromisoformat(since) for time in times)


def _action(observation: Observation, serving: str, found: _Found, since: str) -> Action:
    """Return what the spec has done about it."""
    policies = observation.spec.policies
    action = policies.action(found.situation)
    if found.situation is Situation.SOURCE_DOWN and action in {Action.PAUSE, Action.ROLL_BACK}:
        after = timedelta(seconds=seconds(policies.source_down.after))
        action = action if observation.now - observation.seen_since(since) >= after else Action.HOLD
    if found.revision != serving or action is Action.ROLL_BACK:
        return action
    # What serves can be held nowhere: it goes on serving.
    return action if found.situation in _SOURCES and action is not Action.PROMOTE else Action.ALERT


def _stays_paused(observation: Observation, before: SituationStatus) -> bool:
    """Return whether a situation that is over still holds what was paused in it."""
    if before.action is not Action.PAUSE or observation.asked.resume not in {None, before.resume}:
        return False
    if observation.spec.policies.action(before.situation) is not Action.PAUSE:
        return False
    is_here = before.revision in {observation.desired.name, observation.status.serving_revision}
    return is_here and bool(plan(observation.spec))
