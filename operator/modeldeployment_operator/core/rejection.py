"""Revisions that were taken back: what is remembered of them, and in what words it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modeldeployment_operator.api.policies import Action
from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.api.status import (
    MESSAGE_KEPT,
    CriterionKind,
    ModelDeploymentStatus,
    Rejection,
    RejectionCause,
    Verdict,
)
from modeldeployment_operator.api.verdict import PROVEN_WORSE, ModelVerdictSpec
from modeldeployment_operator.core.gauge import words
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.revisions import content_of
from modeldeployment_operator.core.text import count, precise, ratio, shortened

GAUGE: Final = "gauge"
"""In place of a metric, where a gauge was judged."""
_ROUNDING: Final = 5e-5
"""Of a level in a record."""
_OWN: Final = {None, CriterionKind.MINIMUM}
"""How a revision was judged by itself; otherwise it was worse than another one, which says nothing to others."""
_BY_WHAT: Final = {
    CriterionKind.CONCURRENT: " by what the revision that serves came to over the same time",
    CriterionKind.PAIRED: " by what the revision that serves came to on the same requests",
}


@dataclass(frozen=True)
class Cause:
    """Why a revision is taken back; in words, if it is neither its labels nor its user."""

    reason: RejectionCause
    message: str | None = None


def latched_rejection(observation: Observation, revision: str) -> Rejection | None:
    """Return why a revision may not serve, unless its user has asked for another try since.

    A retry is of what the spec asks for; it does not let others in. Once it has begun, nothing more is read of it.
    """
    retry = observation.asked.retry
    for rejection in observation.status.rejections:
        if rejection.revision == revision:
            asked = rejection.retried or (retry is not None and retry != rejection.retry)
            return None if asked and revision == observation.desired.name else rejection
    return None


def is_given_up(observation: Observation, revision: str) -> bool:
    """Return whether its user wants a revision taken back, and has not been obeyed yet."""
    return observation.asked.abort == revision != observation.status.aborted


def reject(
    observation: Observation,
    judged: Judged | None,
    revision: str,
    successor: str,
    why: Cause,
) -> Rejection:
    """Return the record of a revision that is taken back now, in favour of another."""
    known = next((one for one in observation.status.revisions if one.name == revision), None)
    stored = observation.stored.get(revision)
    rejection = Rejection(
        revision=revision,
        model_uri=stored.template.model.uri if stored else "",
        time=precise(observation.now),
        reason=why.reason,
        message=why.message and shortened(why.message, MESSAGE_KEPT),
        serving_since=known.serving_since if known else None,
        rolled_back_to=successor,
        retry=observation.asked.retry,
    )
    if judged is not None and judged.gauge is not None:
        plain = words(judged.gauge) if why.reason is RejectionCause.DEGRADED else rejection.message
        return rejection.model_copy(update={**facts_of(judged), "message": plain})
    if judged is None or judged.state is None:
        return rejection
    counted = {"labels": judged.labels, "wrong": judged.state.wrong}
    return rejection.model_copy(update=counted | facts_of(judged))


def facts_of(judged: Judged) -> dict[str, Any]:
    """Return what is known of a revision's quality, as it is recorded; nothing if it was not judged."""
    if judged.gauge is not None:
        return {"metric": GAUGE, "level": judged.gauge.minimum, "estimate": judged.gauge.value}
    if judged.level is None or judged.state is None:
        return {}
    facts: dict[str, Any] = {}
    if judged.verdict is Verdict.DEGRADED:
        facts["criterion"] = judged.decided.criterion.kind if judged.decided else judged.state.kind
    told, estimate, interval = judged.subject, judged.estimate, judged.interval
    if told is not None:
        facts["slice"] = told.criterion.stream.slice
        estimate, interval = told.estimate, told.interval(judged.level.alpha)
    low, high = interval
    return facts | {
        "metric": told.criterion.stream.metric.value if told else judged.level.metric.value,
        "level": None if judged.limit is None else ratio(judged.limit),
        "labels": told.labels if told else judged.labels,
        "wrong": told.wrong if told else judged.state.wrong,
        "estimate": None if estimate is None else ratio(estimate),
        "lower": ratio(low),
        "upper": ratio(high),
        "log_e": f"{judged.log_e:.3f}",
        "alpha": f"{judged.level.alpha:g}",
    }


def recall(observation: Observation, verdicts: Mapping[str, ModelVerdictSpec]) -> ModelDeploymentStatus:
    """Return the status with the rejection of what the spec asks for, should its model have been proven worse before.

    `verdicts` are those of the namespace by their names: of this ModelDeployment, of a former one of its name, or of
    another that had the same model. The latest holds. A revision that runs, or that this object knows already, is
    judged by what is known of it here.
    """
    status, desired = observation.status, observation.desired
    here: set[str | None] = {one.revision for one in status.rejections}
    here |= {one.name for one in status.revisions if one.serving_since}
    here |= {status.serving_revision, status.candidate_revision, observation.selected}
    if not verdicts or desired.name in here or not _rejects(observation):
        return status
    about = {name: one for name, one in verdicts.items() if _is_about(one, observation)}
    latest = max(about, key=lambda name: about[name].time, default=None)
    if latest is None or about[latest].outcome not in PROVEN_WORSE:
        return status
    recalled = _condemned(about[latest], observation, latest)
    return status.model_copy(update={"rejections": [*status.rejections, recalled]})


def _rejects(observation: Observation) -> bool:
    return observation.spec.policies.degraded.action is Action.ROLL_BACK


def _is_about(verdict: ModelVerdictSpec, observation: Observation) -> bool:
    """Return whether a verdict speaks of the model that is asked for, and of what is demanded of it.

    Of another ModelDeployment's, only one that speaks against the same content counts, and by its own labels.
    """
    if not _demands_as_much(verdict, observation.spec.accuracy):
        return False
    desired = observation.desired
    if (verdict.model, verdict.revision) == (observation.key.name, desired.name):
        return True
    digest = desired.template.model.digest
    same = digest is not None and (verdict.digest, verdict.content) == (digest, content_of(desired.template))
    speaks_to_all = verdict.outcome in PROVEN_WORSE and verdict.criterion in _OWN
    return same and (verdict.model == observation.key.name or speaks_to_all)


def _demands_as_much(verdict: ModelVerdictSpec, accuracy: Accuracy | None) -> bool:
    """Return whether what was missed then is demanded now: who lowers the minimum may have the model tried again."""
    if accuracy is None:
        return False
    if verdict.metric == GAUGE or accuracy.is_gauged:
        is_same = verdict.gauge is not None and verdict.gauge.query == accuracy.counted_by
        return is_same and accuracy.minimum is not None and float(verdict.level or 0) <= accuracy.minimum
    if (verdict.metric or accuracy.metric.value) not in accuracy.metrics:
        return False
    if verdict.evidence is not None and verdict.evidence.query != accuracy.counted_by:
        return False
    if verdict.evidence is not None and verdict.evidence.positive_class != accuracy.positive_class:
        return False
    if verdict.outcome not in PROVEN_WORSE or verdict.level is None:
        return True
    if verdict.criterion not in _OWN:
        allowed = None if verdict.maximum_drop is None else float(verdict.maximum_drop)
        return accuracy.maximum_drop is not None and allowed is not None and accuracy.maximum_drop <= allowed
    demanded = accuracy.slice_minimum if verdict.slice is not None else accuracy.minimum_of(verdict.metric)
    return demanded is not None and float(verdict.level) <= demanded + _ROUNDING


def _condemned(verdict: ModelVerdictSpec, observation: Observation, name: str) -> Rejection:
    """Return why a revision may not serve whose model was proven worse before, by whatever name.

    What another object's user has asked for there says nothing here: a retry has to be asked for from now on.
    """
    is_former = verdict.model == observation.key.name
    return Rejection(
        revision=observation.desired.name,
        model_uri=verdict.model_uri,
        time=verdict.time,
        verdict=name,
        criterion=verdict.criterion,
        slice=verdict.slice,
        metric=verdict.metric,
        level=verdict.level,
        estimate=verdict.estimate,
        lower=verdict.lower,
        upper=verdict.upper,
        labels=verdict.labels,
        wrong=verdict.wrong,
        log_e=verdict.log_e,
        alpha=verdict.alpha,
        retry=verdict.retry if is_former else observation.asked.retry,
    )


def cause(rejection: Rejection) -> str:
    """Return why a revision was taken back, in words."""
    what = rejection.metric if rejection.slice is None else f"{rejection.metric} of slice {rejection.slice}"
    facts = (
        f"{what} {rejection.estimate} [{rejection.lower}, {rejection.upper}] from {count(rejection.labels, 'label')}"
        if rejection.lower is not None
        else ""
    )
    if rejection.metric == GAUGE:
        facts = "" if rejection.message else f"gauge {rejection.estimate}, a plain threshold"
    if rejection.verdict is not None:
        facts += f" (ModelVerdict {rejection.verdict}, of {rejection.time})"
    if rejection.message is not None:
        return f"{rejection.message}{f', at {facts}' if facts else ''}"
    if rejection.reason is RejectionCause.ABORTED:
        return f"its user gave it up{f', at {facts}' if facts else ''}"
    how = _BY_WHAT.get(rejection.criterion or CriterionKind.MINIMUM, "")
    return f"{facts}, should have been at least {rejection.level}{how}"
