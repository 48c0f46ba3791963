"""Revisions that were taken back: what is remembered of them, and in what words it is told."""

from __future__ import annotations

from modeldeployment_operator.api.status import Rejection, RejectionCause
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.text import count, precise, ratio


def latched_rejection(observation: Observation, revision: str) -> Rejection | None:
    """Return why a revision may not serve, unless its user has asked for another try since.

    A retry is of what the spec asks for; it does not let others in.
    """
    retry = observation.asked.retry
    for rejection in observation.status.rejections:
        if rejection.revision == revision:
            asked = retry is not None and retry != rejection.retry
            return None if asked and revision == observation.desired.name else rejection
    return None


def is_given_up(observation: Observation, revision: str) -> bool:
    """Return whether its user wants a revision taken back that was not taken back yet."""
    known = {rejection.revision for rejection in observation.status.rejections}
    return observation.asked.abort == revision and revision not in known


def reject(observation: Observation, judged: Judged | None, revision: str, successor: str) -> Rejection:
    """Return the record of a revision that is taken back now, in favour of another."""
    known = next((one for one in observation.status.revisions if one.name == revision), None)
    stored = observation.stored.get(revision)
    rejection = Rejection(
        revision=revision,
        model_uri=stored.template.model.uri if stored else "",
        time=precise(observation.now),
        reason=RejectionCause.ABORTED if is_given_up(observation, revision) else RejectionCause.DEGRADED,
        serving_since=known.serving_since if known else None,
        rolled_back_to=successor,
        retry=observation.asked.retry,
    )
    if judged is None or judged.level is None or judged.state is None:
        return rejection
    low, high = judged.interval
    return rejection.model_copy(
        update={
            "metric": judged.level.metric.value,
            "level": ratio(judged.level.value),
            "estimate": None if judged.estimate is None else ratio(judged.estimate),
            "lower": ratio(low),
            "upper": ratio(high),
            "labels": judged.labels,
            "wrong": judged.state.wrong,
            "log_e": f"{judged.log_e:.3f}",
            "alpha": f"{judged.level.alpha:g}",
        }
    )


def cause(rejection: Rejection) -> str:
    """Return why a revision was taken back, in words."""
    facts = (
        f"{rejection.metric} {rejection.estimate} [{rejection.lower}, {rejection.upper}] from "
        f"{count(rejection.labels, 'label')}"
        if rejection.estimate is not None
        else ""
    )
    if rejection.reason is RejectionCause.ABORTED:
        return f"its user gave it up{f', at {facts}' if facts else ''}"
    return f"{facts}, should have been at least {rejection.level}"
