"""What a user asks for: whether it makes sense now, what will happen, and the annotations that say it. Pure.

Who aborts a revision and retries it later wants it tried, so each request takes back what was asked before about the
same revision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from modeldeployment_operator.api import group
from modeldeployment_operator.api.policies import Action
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.status import Revision, Verdict
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.seen import Seen


@dataclass(frozen=True)
class Request:
    """What is to be written.

    Attributes:
        said: what will happen.
        annotations: what to set; None takes one away.
        question: what has to be confirmed first, because it takes traffic away.

    """

    said: str
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    question: str | None = None


def retry(seen: Seen, revision: str | None, now: datetime) -> Request:
    """Have a revision tried once more that was taken back."""
    rejection = seen.refused
    if seen.is_behind:
        raise _no(seen, "the operator has not looked at the latest change of the spec yet: try again in a moment")
    if rejection is None:
        wish = "what the spec asks for was not taken back, so there is nothing to try again"
        raise _no(seen, f"{wish}; see kubectl model history {seen.name}")
    value = _new_value(now, {seen.resource.asked.retry, rejection.retry})
    later = f", once kubectl model resume {seen.name} ends the pause" if seen.paused else ""
    serving = f"; {seen.short(seen.status.serving_revision)} goes on serving" if seen.status.serving_revision else ""
    said = f"{seen.short(rejection.revision)} starts again and is judged from new labels alone{later}{serving}"
    return Request(
        said, {group.RETRY_ANNOTATION: value, **_taken_back(seen, rejection.revision, group.RETRY_ANNOTATION)}
    )


def promote(seen: Seen, revision: str | None, now: datetime) -> Request:
    """Give a candidate the traffic without waiting for what is left of its rollout."""
    candidate = seen.find(seen.status.candidate_revision)
    if seen.is_behind:
        raise _no(seen, "the operator has not looked at the latest change of the spec yet: try again in a moment")
    if candidate is None:
        hint = (
            f"; kubectl model retry {seen.name} tries {seen.short(seen.refused.revision)} again" if seen.refused else ""
        )
        raise _no(seen, f"there is no candidate: nothing is on its way to the traffic{hint}")
    name = seen.short(candidate.name)
    if seen.paused:
        raise _no(seen, f"{name} cannot take the traffic while everything is held: {_end_of_pause(seen)}")
    if candidate.verdict is Verdict.DEGRADED and not _is_left_to_its_user(seen):
        raise _no(seen, f"{name} is proven worse than demanded, and is not promoted: see kubectl model why {seen.name}")
    if seen.resource.asked.promote == candidate.name:
        raise _no(seen, f"that was asked for already: {name} takes the traffic as soon as all its pods are ready")
    if seen.spec is not None and seen.spec.rollout.strategy is Strategy.REPLACE:
        raise _no(
            seen, f"there is nothing to skip: {name} takes the traffic by itself as soon as all its pods are ready"
        )
    when = "now" if seen.status.rollout else "as soon as all its pods are ready"
    left = ""
    if seen.status.rollout and seen.status.rollout.steps > 1:
        left = f", from step {seen.status.rollout.step} of {seen.status.rollout.steps} on"
    said = f"{name} takes all of the traffic {when}{left}; it is judged on"
    annotations = {group.PROMOTE_ANNOTATION: candidate.name}
    return Request(said, {**annotations, **_taken_back(seen, candidate.name, group.PROMOTE_ANNOTATION)})


def abort(seen: Seen, revision: str | None, now: datetime) -> Request:
    """Give a revision up: as a candidate, or if it serves, in favour of the last good one."""
    target = seen.revision(revision) if revision else _in_question(seen)
    name = seen.short(target.name)
    if seen.rejection(target.name) is not None and target.name != seen.status.serving_revision:
        raise _no(seen, f"{name} was taken back already: see kubectl model why {seen.name} {name}")
    if seen.resource.asked.abort == target.name:
        raise _no(seen, f"that was asked for already: the operator is about to take {name} back")
    annotations = {group.ABORT_ANNOTATION: target.name, **_taken_back(seen, target.name, group.ABORT_ANNOTATION)}
    retried = f"until another model is applied, or kubectl model retry {seen.name}"
    if target.name == seen.status.candidate_revision:
        weight = seen.shares().get(target.name, 0)
        back = f"; its {weight}% of the requests go back" if weight else ""
        serving = seen.status.serving_revision
        stays = f"; {seen.short(serving)} goes on serving" if serving else ""
        return Request(f"{name} ends as a candidate and stays away {retried}{back}{stays}", annotations)
    if target.name != seen.status.serving_revision:
        raise _no(seen, f"{name} is {target.phase.value}: only a candidate or the revision that serves can be given up")
    standby = seen.find(seen.status.standby_revision)
    if standby is None:
        raise _no(
            seen,
            f"{name} serves, and there is no good revision to go back to: apply another model, or spec.replicas: 0",
        )
    other = seen.short(standby.name)
    warm = (
        f"at once to {other}, whose pods are ready"
        if standby.ready_replicas
        else f"to {other}, once it has started again"
    )
    said = f"all of the traffic goes {warm}; {name} stays away {retried}"
    return Request(said, annotations, question=f"{seen.key}: {name} serves. Take all of its traffic away?")


def pause(seen: Seen, revision: str | None, now: datetime) -> Request:
    """Hold everything as it is."""
    if seen.resource.asked.paused:
        raise _no(seen, f"it is paused already; kubectl model resume {seen.name} goes on")
    if seen.paused_by_spec:
        raise _no(seen, "it is paused already, by spec.paused")
    rollout = seen.status.rollout
    held = f"; {seen.short(rollout.revision)} stays at {rollout.weight}% of the requests" if rollout else ""
    risk = "nothing starts, switches or is taken back, whatever its labels say"
    said = f"the traffic stays where it is until kubectl model resume {seen.name}: {risk}{held}"
    return Request(said, {group.PAUSED_ANNOTATION: "true"})


def resume(seen: Seen, revision: str | None, now: datetime) -> Request:
    """End a pause that was asked for by `pause`, or that a policy has made."""
    held = seen.held
    if held is not None:
        known = {seen.resource.asked.resume, held.resume}
        end = {group.PAUSED_ANNOTATION: None} if seen.resource.asked.paused else {}
        what = f"{seen.short(held.revision)} goes on, although {held.message}; until that is over it is only told"
        return Request(what, {group.RESUME_ANNOTATION: _new_value(now, known), **end})
    if not seen.resource.asked.paused:
        reason = (
            "spec.paused holds it: set that to false where the spec comes from" if seen.paused_by_spec else "it runs"
        )
        raise _no(seen, f"no kubectl model pause is in force: {reason}")
    still = "; it stays held all the same, by spec.paused" if seen.paused_by_spec else ""
    worse = seen.row.serving is not None and seen.row.serving.verdict is Verdict.DEGRADED
    falls = "; what serves is proven worse, and may be taken back now" if worse and not still else ""
    return Request(
        f"what the spec asks for and what the labels say counts again{falls}{still}", {group.PAUSED_ANNOTATION: None}
    )


REQUESTS: Final[Mapping[str, Callable[[Seen, str | None, datetime], Request]]] = {
    "retry": retry,
    "promote": promote,
    "abort": abort,
    "pause": pause,
    "resume": resume,
}


def _new_value(now: datetime, known: set[str | None]) -> str:
    """Return a value for an annotation that is not one of these: the time, mostly."""
    value = int(now.timestamp())
    while str(value) in known:
        value += 1
    return str(value)


def _in_question(seen: Seen) -> Revision:
    """Return the candidate if there is one, else the revision that serves."""
    status = seen.status
    revision = seen.find(status.candidate_revision) or seen.find(status.serving_revision)
    if revision is None:
        raise _no(seen, "there is neither a candidate nor a revision that serves")
    return revision


def _is_left_to_its_user(seen: Seen) -> bool:
    """Return whether a candidate that is proven worse is not taken back by itself."""
    return seen.spec is not None and seen.spec.policies.degraded.action is not Action.ROLL_BACK


def _taken_back(seen: Seen, revision: str, kept: str) -> dict[str, str | None]:
    """Return what was asked before about the same revision, to be taken away."""
    asked = {group.PROMOTE_ANNOTATION: seen.resource.asked.promote, group.ABORT_ANNOTATION: seen.resource.asked.abort}
    return {name: None for name, value in asked.items() if value == revision and name != kept}


def _end_of_pause(seen: Seen) -> str:
    return "set spec.paused to false" if seen.paused_by_spec else f"kubectl model resume {seen.name} comes first"


def _no(seen: Seen, reason: str) -> CommandError:
    return CommandError(Exit.REFUSED, f"{seen.key}: {reason}")
