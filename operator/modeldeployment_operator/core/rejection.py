"""Revisions that were taken back: what is remembered of them, and in what words it is told."""

from __future__ import annotations

from collections.abc import Mapping

from modeldeployment_operator.api.status import ModelDeploymentStatus, Rejection, RejectionCause
from modeldeployment_operator.api.verdict import PROVEN_WORSE, ModelVerdictSpec
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Key, Observation
from modeldeployment_operator.core.revisions import Snapshot
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
    if judged is None or judged.state is None:
        return rejection
    return rejection.model_copy(update={**facts_of(judged), "labels": judged.labels, "wrong": judged.state.wrong})


def facts_of(judged: Judged) -> dict[str, str | None]:
    """Return what is known of a revision's quality, as it is recorded; nothing if it was not judged."""
    if judged.level is None or judged.state is None:
        return {}
    low, high = judged.interval
    return {
        "metric": judged.level.metric.value,
        "level": ratio(judged.level.value),
        "estimate": None if judged.estimate is None else ratio(judged.estimate),
        "lower": ratio(low),
        "upper": ratio(high),
        "log_e": f"{judged.log_e:.3f}",
        "alpha": f"{judged.level.alpha:g}",
    }


def recall(
    status: ModelDeploymentStatus, desired: Snapshot, key: Key, verdicts: Mapping[str, ModelVerdictSpec]
) -> ModelDeploymentStatus:
    """Return a status with the rejection of what the spec asks for, should its model have been proven worse before.

    `verdicts` are those of the namespace by their names: of this ModelDeployment, of a former one of its name, or of
    another that had the same model. The latest holds; one that serves, or is being tried again, goes on.
    """
    known = {status.serving_revision, status.candidate_revision, *(one.revision for one in status.rejections)}
    if desired.name in known:
        return status
    about = {name: one for name, one in verdicts.items() if _is_about(one, desired, key)}
    latest = max(about, key=lambda name: about[name].time, default=None)
    if latest is None or about[latest].outcome not in PROVEN_WORSE:
        return status
    recalled = _condemned(about[latest], desired.name, latest)
    return status.model_copy(update={"rejections": [*status.rejections, recalled]})


def _is_about(verdict: ModelVerdictSpec, desired: Snapshot, key: Key) -> bool:
    """Return whether a verdict is about the model that is asked for: the same content, or the same revision."""
    digest = desired.template.model.digest
    if digest is not None and verdict.digest is not None:
        return digest == verdict.digest
    return (verdict.model, verdict.revision) == (key.name, desired.name)


def _condemned(verdict: ModelVerdictSpec, revision: str, name: str) -> Rejection:
    """Return why a revision may not serve whose model was proven worse before, by whatever name."""
    return Rejection(
        revision=revision,
        model_uri=verdict.model_uri,
        time=verdict.time,
        verdict=name,
        metric=verdict.metric,
        level=verdict.level,
        estimate=verdict.estimate,
        lower=verdict.lower,
        upper=verdict.upper,
        labels=verdict.evidence.right + verdict.evidence.wrong if verdict.evidence else 0,
        wrong=verdict.evidence.wrong if verdict.evidence else 0,
        log_e=verdict.log_e,
        alpha=verdict.alpha,
        retry=verdict.retry,
    )


def cause(rejection: Rejection) -> str:
    """Return why a revision was taken back, in words."""
    facts = (
        f"{rejection.metric} {rejection.estimate} [{rejection.lower}, {rejection.upper}] from "
        f"{count(rejection.labels, 'label')}"
        if rejection.estimate is not None
        else ""
    )
    if rejection.verdict is not None:
        facts += f" (ModelVerdict {rejection.verdict}, of {rejection.time})"
    if rejection.reason is RejectionCause.ABORTED:
        return f"its user gave it up{f', at {facts}' if facts else ''}"
    return f"{facts}, should have been at least {rejection.level}"
