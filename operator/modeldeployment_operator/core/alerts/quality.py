"""Alerts on what the labels say, and on labels that do not come.

Those on conditions and verdicts aggregate away the operator's pod, so that an operator that starts anew begins no other
alert.
"""

from __future__ import annotations

from typing import Final

from model_server.contract import Metric

from modeldeployment_operator.api import group
from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import RejectionCause, RevisionPhase, Verdict
from modeldeployment_operator.core.alerts.subject import Alert, Severity, Subject, percent, queried
from modeldeployment_operator.core.text import span

_BY_MODEL: Final = "by (namespace, model)"
_BY_REVISION: Final = "by (namespace, model, revision)"


def degraded(subject: Subject) -> Alert:
    """Fire while a revision serves that is proven worse: the rollback is switched off, paused or has no target."""
    verdict = subject.series("modeldeployment_verdict", verdict=Verdict.DEGRADED)
    serving = subject.series("modeldeployment_revision_info", phase=RevisionPhase.SERVING)
    # There may be a candidate with numbers of its own.
    of_serving = f"and on (namespace, model, revision) {serving}"
    estimate = f"{subject.series('modeldeployment_accuracy_estimate')} {of_serving}"
    level = f"{subject.series('modeldeployment_accuracy_level')} {of_serving}"
    return Alert(
        "ModelAccuracyDegraded",
        Severity.CRITICAL,
        f"max {_BY_REVISION} ({subject.told(verdict)}) == 1\nand\nmax {_BY_REVISION} ({subject.told(serving)}) == 1",
        f"Model {subject.key} is proven worse than it should be, and still serves",
        f"Revision {{{{ $labels.revision }}}} of model {subject.key} has the traffic although its labels prove it worse"
        + queried(f"max by (metric) ({estimate})", ": {{ .Labels.metric }} is {{ .Value | humanizePercentage }}")
        + queried(f"max by (metric) ({level})", ", and should be at least {{ .Value | humanizePercentage }}")
        + ".",
        f"Condition AccuracyHealthy says why it still serves: {subject.describe}. Set "
        "spec.policies.degraded.action to RollBack or spec.paused to false to have it taken back. If there is no good "
        "revision to go back to, apply a better model; "
        "if that is no better either, ask whether the world has changed since they were trained.",
        subject.lasting,
    )


_PROVEN_OR_NOT: Final = tuple(Reason(cause.value) for cause in RejectionCause if cause is not RejectionCause.ABORTED)
"""Why a revision is taken back by the operator."""


def rolled_back(subject: Subject) -> Alert:
    """Fire while the spec asks for a revision that was taken back, unless its user has given it up."""
    condition = subject.condition(ConditionType.ROLLED_BACK, ConditionStatus.TRUE, _PROVEN_OR_NOT)
    retry = subject.kubectl("annotate", f"mdep {subject.key.name} {group.RETRY_ANNOTATION}=$(date +%s) --overwrite")
    return Alert(
        "ModelRolledBack",
        Severity.WARNING,
        f"max {_BY_MODEL} ({subject.told(condition)}) == 1",
        f"Model {subject.key} was rolled back: the revision that its spec asks for was taken back",
        f"The revision that the spec of model {subject.key} asks for was taken back, and its predecessor serves. "
        "Condition RolledBack says why, with the numbers of the verdict.",
        f"Read the verdict: {subject.describe}. Clients are served well, so there is time: apply a better model, or "
        f"give spec.model its former value. To try the same model again: {retry}.",
    )


def labels_missing(subject: Subject) -> Alert:
    """Fire if predictions that are as old as labels may take were followed by no label at all.

    Predictions of just then are asked for, not of any time before: after a pause, labels may take as long again. A
    model that is younger has no such predictions.
    """
    within = max(seconds(subject.monitoring.prometheus_rule.labels_within), subject.scrapes)
    then = span(max(within / 10, subject.scrapes))
    predictions, labels = subject.series(Metric.PREDICTIONS), subject.series(Metric.LABELS)
    return Alert(
        "ModelLabelsMissing",
        Severity.WARNING,
        f"sum {_BY_MODEL} (increase({predictions}[{span(within)}])) > 0\n"
        f"and\nsum {_BY_MODEL} (increase({predictions}[{then}] offset {span(within)})) > 0\n"
        f"unless\nsum {_BY_MODEL} (increase({labels}[{span(within)}])) > 0",
        f"Model {subject.key} gets no labels",
        f"Model {subject.key} has made {{{{ $value | humanize }}}} predictions within {span(within)}, and not one "
        "label has come. Without labels nothing is judged, and a bad model is not taken back.",
        "Look whether whatever sends the labels runs, and whether it sends the Prediction-Id of the answers to "
        f"/v1/models/NAME/feedback of the same Service: {subject.logs}. If labels take longer by nature, raise "
        "spec.monitoring.prometheusRule.labelsWithin.",
        subject.lasting,
    )


def labels_unavailable(subject: Subject) -> Alert:
    """Fire while the operator cannot read the labels of the revision that serves."""
    condition = subject.condition(ConditionType.ACCURACY_HEALTHY, ConditionStatus.UNKNOWN, [Reason.SAMPLES_UNAVAILABLE])
    return Alert(
        "ModelLabelsUnavailable",
        Severity.WARNING,
        f"max {_BY_MODEL} ({subject.told(condition)}) == 1",
        f"The labels of model {subject.key} cannot be read",
        f"The operator cannot read the labels of model {subject.key}. Nothing is judged meanwhile, and everything "
        "stays as it is.",
        f"Condition AccuracyHealthy says what failed: {subject.describe}. Look whether the pods run ({subject.pods}), "
        "and whether a NetworkPolicy keeps the operator from their port admin, or from Prometheus if labels are read "
        "there.",
        subject.lasting,
    )


def feedback_rejected(subject: Subject) -> Alert:
    """Fire if too many of the labels that are sent are refused."""
    limit = subject.monitoring.prometheus_rule.maximum_rejected_ratio
    rejected = subject.series(Metric.FEEDBACK_REJECTED)
    # Both in one selector: a sum of two vectors is nothing at all where one of them is empty.
    sent = subject.series("", f'__name__=~"{Metric.LABELS}|{Metric.FEEDBACK_REJECTED}"')
    return Alert(
        "ModelFeedbackRejected",
        Severity.WARNING,
        f"sum {_BY_MODEL} (rate({rejected}[{subject.window}]))\n/\n"
        f"sum {_BY_MODEL} (rate({sent}[{subject.window}]))\n> {limit!r}",
        f"Labels of model {subject.key} are refused",
        f"Of the labels that are sent for model {subject.key}, {{{{ $value | humanizePercentage }}}} are refused"
        + queried(
            f"topk(1, sum by (reason) (rate({rejected}[{subject.window}])) > 0)", ", most often as {{ .Labels.reason }}"
        )
        + f"; the limit is {percent(limit)}.",
        "Each answer to feedback says which labels were refused and why, so look at what the sender logs. malformed "
        "and unknown_class: it sends something else than the model's classes. forged, foreign: its Prediction-Id comes "
        "from another ModelDeployment. duplicate: it sends labels again that were counted. expired: labels come too "
        f"late. unavailable: a pod did not answer, and sending them again helps: {subject.pods}.",
        subject.lasting,
    )
