"""Alerts on how requests are answered, and on pods."""

from __future__ import annotations

from typing import Final

from model_server.contract import Metric

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import START_FAILURES, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.core.alerts.subject import Alert, Severity, Subject, percent, queried

_BY_MODEL: Final = "by (namespace, model)"
_BY_REVISION: Final = "by (namespace, model, revision)"
_BY_METHOD: Final = "by (namespace, model, method)"


def error_ratio_high(subject: Subject) -> Alert:
    """Fire if too many predictions, or too many requests with labels, fail by fault of the server.

    Each of the two by itself: few requests with labels would not be seen among many predictions. Those who ask whether
    the model is loaded get 503 until it is, and are left out.
    """
    limit = subject.monitoring.prometheus_rule.maximum_error_ratio
    metric, methods = f"{Metric.REQUEST_SECONDS}_count", 'method=~"predict|feedback"'
    failed, all_of_them = subject.series(metric, methods, 'code=~"5.."'), subject.series(metric, methods)
    return Alert(
        "ModelErrorRatioHigh",
        Severity.CRITICAL,
        f"sum {_BY_METHOD} (rate({failed}[{subject.window}]))\n/\n"
        f"sum {_BY_METHOD} (rate({all_of_them}[{subject.window}]))\n> {limit!r}",
        f"Model {subject.key} fails to answer requests",
        f"Of the {{{{ $labels.method }}}} requests to model {subject.key}, {{{{ $value | humanizePercentage }}}} are "
        f"answered with a 5xx status; the limit is {percent(limit)}.",
        f"Look at what the pods say ({subject.logs}) and whether they restart ({subject.pods}). 503 and 504 mean more "
        f"requests than the pods can answer: add pods, as in {subject.more_pods}. If it began with a new revision, "
        "give spec.model its former value.",
        subject.lasting,
    )


def latency_high(subject: Subject) -> Alert:
    """Fire if predictions take too long.

    At the limit too: a quantile beyond the last bucket of the histogram is told as that bucket's bound.
    """
    limit = subject.monitoring.prometheus_rule.maximum_latency
    buckets = subject.series(f"{Metric.REQUEST_SECONDS}_bucket", 'code=~"2.."', method="predict")
    return Alert(
        "ModelLatencyHigh",
        Severity.WARNING,
        f"histogram_quantile(0.99, sum by (namespace, model, le) (rate({buckets}[{subject.window}])))\n"
        f">= {seconds(limit)!r}",
        f"Model {subject.key} answers slowly",
        f"One of 100 predictions of model {subject.key} takes {{{{ $value | humanizeDuration }}}} or longer; the limit "
        f"is {limit}.",
        f"If requests wait for a thread (model_requests_waiting), add pods, as in {subject.more_pods}, or raise "
        "spec.serving.resources.limits.cpu, which the number of threads follows. If not, the model itself is slow: "
        f"compare with the revision before. Look for CPU that is missing: {subject.pods}.",
        subject.lasting,
    )


def saturated(subject: Subject) -> Alert:
    """Fire if the threads of a revision are busy nearly all the time.

    By revision, since one that stands by has idle threads, and by pods that are there: the rate of one that is gone is
    left for a while, its threads are not.
    """
    limit = subject.monitoring.prometheus_rule.maximum_utilization
    busy, threads = subject.series(Metric.BUSY_SECONDS), subject.series(Metric.THREADS)
    return Alert(
        "ModelSaturated",
        Severity.WARNING,
        f"avg {_BY_REVISION} (rate({busy}[{subject.window}]) / {threads})\n> {limit!r}",
        f"Model {subject.key} is used to capacity",
        f"The threads of revision {{{{ $labels.revision }}}} of model {subject.key} are busy for "
        f"{{{{ $value | humanizePercentage }}}} of the time; the limit is {percent(limit)}.",
        f"More requests will wait, and be refused in the end: add pods, as in {subject.more_pods}, or raise "
        "spec.serving.resources.limits.cpu.",
        subject.lasting,
    )


def load_failed(subject: Subject) -> Alert:
    """Fire if the revision that the spec asks for cannot start.

    Not by reason: while a pod tries again and again its reasons may take turns, and each would wait from the start.
    """
    condition = subject.condition(ConditionType.READY, ConditionStatus.FALSE, START_FAILURES)
    return Alert(
        "ModelLoadFailed",
        Severity.CRITICAL,
        f"max {_BY_MODEL} ({subject.told(condition)}) == 1",
        f"Model {subject.key} cannot start the revision that its spec asks for",
        f"The revision that the spec of model {subject.key} asks for cannot start"
        + queried(f"max by (reason) ({condition})", ": {{ .Labels.reason }}")
        + ". If another revision had the traffic, it goes on serving.",
        f"Condition Ready says what is wrong and what to do: {subject.describe}. The pods say more: {subject.logs}. "
        "Until it is mended, give spec.model its former value.",
        subject.lasting,
    )


def not_available(subject: Subject) -> Alert:
    """Fire if the revision that has the traffic has no pod that answers; not if none is wanted."""
    condition = subject.condition(ConditionType.AVAILABLE, ConditionStatus.FALSE, [Reason.NO_READY_PODS])
    return Alert(
        "ModelNotAvailable",
        Severity.CRITICAL,
        f"max {_BY_MODEL} ({subject.told(condition)}) == 1",
        f"Model {subject.key} answers no requests",
        f"None of the pods of model {subject.key} that have the traffic is ready: clients get no answer.",
        f"Look at why they are not ready: {subject.pods}, {subject.describe}, {subject.logs}. If it began with a "
        "change of the spec, take that back.",
        subject.lasting,
    )


def target_down(subject: Subject) -> Alert:
    """Fire if a pod cannot be scraped, or pods that answer are not scraped at all.

    After some scrapes at the soonest: until the first one of a new pod there is nothing to be seen of it.
    """
    up = subject.series("up")
    ready = subject.told(subject.series("modeldeployment_ready_replicas"))
    unknown = f"\nor\n(\n  max {_BY_REVISION} ({ready}) > 0\n  unless\n  max {_BY_REVISION} ({up})\n)"
    return Alert(
        "ModelTargetDown",
        Severity.WARNING,
        f"max by (namespace, model, revision, pod) ({up}) == 0"
        + (unknown if subject.monitoring.service_monitor.enabled else ""),
        f"Prometheus does not see pods of model {subject.key}",
        "{{ if $labels.pod }}Prometheus cannot scrape pod {{ $labels.pod }}{{ else }}Prometheus scrapes none of the "
        "{{ $value }} pods that answer{{ end }} of revision {{ $labels.revision }} of model "
        f"{subject.key}: other alerts and the dashboards do not see what they do.",
        f"Look at the page Targets of Prometheus, and whether the pods run: {subject.pods}. If they are not on that "
        "page, Prometheus does not select the ServiceMonitor: compare "
        + subject.kubectl("get", f"servicemonitor {subject.key.name} --show-labels")
        + " with what `kubectl get prometheus -A -o yaml` says of serviceMonitorSelector. A NetworkPolicy must let "
        "Prometheus reach their port admin.",
        max(subject.lasting, subject.scrapes),
    )
