"""Each alert of a model fires when it should, and not when it should not: with series that are missing, too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.resources.monitoring import build_prometheus_rule

from tests.monitoring.promtool import Rules, Series, series
from tests.support.observations import an_observation

NAMESPACE, MODEL, A, B = "team", "news", "news-a", "news-b"


def rules_of(directory: Path, **monitoring: Any) -> Rules:
    observation = an_observation(monitoring=monitoring).having(key=Key(NAMESPACE, MODEL)).obj()
    return Rules.written(directory, build_prometheus_rule(observation)["spec"])


def of_pod(metric: str, revision: str = A, number: int = 1, model: str = MODEL, **labels: str) -> str:
    """A series of a pod, with the labels of its target."""
    target = {"job": revision, "namespace": NAMESPACE, "pod": f"{revision}-{number}", "container": "server"}
    return series(metric, **target, model=model, revision=revision, **labels)


def of_operator(metric: str, operator: str = "operator-1", /, model: str = MODEL, **labels: str) -> str:
    """A series of the operator, with the labels of its target."""
    target = {"job": "modeldeployment-operator", "pod": operator, "instance": f"{operator}:8080"}
    return series(f"modeldeployment_{metric}", **target, namespace=NAMESPACE, model=model, **labels)


def condition(kind: str, status: str, reason: str, **more: str) -> str:
    return of_operator("condition", type=kind, status=status, reason=reason, **more)


@dataclass(frozen=True)
class Case:
    """One alert, and what is seen of the model."""

    title: str
    alert: str
    series: Series
    at: str
    fires: tuple[dict[str, str], ...] = ()
    """Labels of what fires, besides those that all have."""
    monitoring: dict[str, Any] | None = None
    every: str = "30s"

    def __str__(self) -> str:
        return f"{self.alert}: {self.title}"


ONE: tuple[dict[str, str], ...] = ({},)

DEGRADED = "ModelAccuracyDegraded"
PROVEN, SERVES = (
    of_operator("verdict", revision=B, verdict="Degraded"),
    of_operator("revision_info", revision=B, phase="Serving"),
)
QUALITY = [
    Case("it still serves", DEGRADED, {PROVEN: "1x20", SERVES: "1x20"}, "6m", ({"revision": B},)),
    Case("a rollback takes less", DEGRADED, {PROVEN: "1x20", SERVES: "1x8 stale"}, "8m"),
    Case("not for long yet", DEGRADED, {PROVEN: "1x20", SERVES: "1x20"}, "4m"),
    Case(
        "it was taken back",
        DEGRADED,
        {
            PROVEN: "1x20",
            of_operator("revision_info", revision=B, phase="Rejected"): "1x20",
            of_operator("revision_info", revision=A, phase="Serving"): "1x20",
        },
        "8m",
    ),
    Case("nothing is judged", DEGRADED, {SERVES: "1x20"}, "8m"),
    Case(
        "of another model",
        DEGRADED,
        {
            of_operator("verdict", model="other", revision=B, verdict="Degraded"): "1x20",
            of_operator("revision_info", model="other", revision=B, phase="Serving"): "1x20",
        },
        "8m",
    ),
    Case(
        "an operator that starts anew does not begin it anew",
        DEGRADED,
        {
            PROVEN: "1x6 stale",
            SERVES: "1x6 stale",
            of_operator("verdict", "operator-2", revision=B, verdict="Degraded"): "_x7 1x20",
            of_operator("revision_info", "operator-2", revision=B, phase="Serving"): "_x7 1x20",
        },
        "6m",
        ({"revision": B},),
    ),
    Case("it was", "ModelRolledBack", {condition("RolledBack", "True", "Degraded"): "1x5"}, "1m", ONE),
    Case("not any more", "ModelRolledBack", {condition("RolledBack", "True", "Degraded"): "1x5 stale"}, "4m"),
    Case("another condition", "ModelRolledBack", {condition("Stalled", "True", "RolledBack"): "1x5"}, "1m"),
    Case(
        "the operator cannot",
        "ModelLabelsUnavailable",
        {condition("AccuracyHealthy", "Unknown", "SamplesUnavailable"): "1x20"},
        "6m",
        ONE,
    ),
    Case(
        "few labels are another thing",
        "ModelLabelsUnavailable",
        {condition("AccuracyHealthy", "Unknown", "Inconclusive"): "1x20"},
        "6m",
    ),
]

MISSING = "ModelLabelsMissing"
PREDICTIONS, LABELS = of_pod("model_predictions_total"), of_pod("model_labels_total", outcome="correct")
# A value each five minutes: 12 are an hour.
LABELS_MISSING = [
    Case("for a day", MISSING, {PREDICTIONS: "0+9x600", LABELS: "0x600"}, "24h30m", ONE, every="5m"),
    Case("a young model", MISSING, {PREDICTIONS: "0+9x600", LABELS: "0x600"}, "23h50m", every="5m"),
    Case("no label was ever counted", MISSING, {PREDICTIONS: "0+9x600"}, "24h30m", ONE, every="5m"),
    Case("one an hour ago", MISSING, {PREDICTIONS: "0+9x600", LABELS: "0x310 1x200"}, "27h", every="5m"),
    Case(
        "they stopped a day ago",
        MISSING,
        {PREDICTIONS: "0+9x600", LABELS: "0+3x120 360x400"},
        "34h30m",
        ONE,
        every="5m",
    ),
    Case(
        "they stopped, less than a day ago",
        MISSING,
        {PREDICTIONS: "0+9x600", LABELS: "0+3x120 360x400"},
        "33h",
        every="5m",
    ),
    Case("no traffic any more", MISSING, {PREDICTIONS: "0+9x24 216x600", LABELS: "0x600"}, "26h30m", every="5m"),
    Case("no traffic at all", MISSING, {PREDICTIONS: "0x600", LABELS: "0x600"}, "30h", every="5m"),
    Case(
        "traffic after a pause: labels may take their time",
        MISSING,
        {PREDICTIONS: "0+9x24 216x576 225+9x300", LABELS: "0+3x24 72x900"},
        "55h",
        every="5m",
    ),
    Case(
        "traffic after a pause: they took too long",
        MISSING,
        {PREDICTIONS: "0+9x24 216x576 225+9x300", LABELS: "0+3x24 72x900"},
        "75h",
        ONE,
        every="5m",
    ),
    Case(
        "counters that begin anew are no labels",
        MISSING,
        {PREDICTIONS: "0+9x300 0+9x300", LABELS: "7x100 0x500"},
        "24h30m",
        ONE,
        every="5m",
    ),
    Case(
        "pods come and go",
        MISSING,
        {PREDICTIONS: "0+9x150 stale", of_pod("model_predictions_total", B): "_x150 0+9x400"},
        "24h30m",
        ONE,
        every="5m",
    ),
    Case(
        "of a model that wants them sooner",
        MISSING,
        {PREDICTIONS: "0+9x60", LABELS: "0x60"},
        "10m",
        ONE,
        {"prometheusRule": {"labelsWithin": "1m", "for": "1m"}, "serviceMonitor": {"interval": "30s"}},
    ),
]

REJECTED = "ModelFeedbackRejected"
FORGED, MALFORMED = (of_pod("model_feedback_rejected_total", reason=reason) for reason in ("forged", "malformed"))
FEEDBACK = [
    Case("a fifth", REJECTED, {LABELS: "0+8x40", FORGED: "0+2x40", MALFORMED: "0x40"}, "15m", ONE),
    Case("one of fifty", REJECTED, {LABELS: "0+49x40", FORGED: "0+1x40"}, "15m"),
    Case("all, and none was ever counted", REJECTED, {FORGED: "0+2x40"}, "15m", ONE),
    Case("none sent", REJECTED, {LABELS: "0x40", FORGED: "0x40", MALFORMED: "0x40"}, "15m"),
    Case("none sent any more", REJECTED, {LABELS: "0+1x10 10x60", FORGED: "0+9x10 90x60"}, "25m"),
    Case("no series at all", REJECTED, {}, "15m"),
    Case("counters that begin anew", REJECTED, {LABELS: "0+50x20 0+50x20", FORGED: "90x20 0x20"}, "15m"),
]

ERRORS, SECONDS = "ModelErrorRatioHigh", "model_request_duration_seconds"


def requests(code: str, method: str = "predict", revision: str = A) -> str:
    return of_pod(f"{SECONDS}_count", revision, method=method, code=code)


SERVING = [
    Case(
        "a tenth of the predictions",
        ERRORS,
        {requests("200"): "0+9x40", requests("503"): "0+1x40"},
        "15m",
        ({"method": "predict"},),
    ),
    Case("one of a hundred", ERRORS, {requests("200"): "0+99x40", requests("500"): "0+1x40"}, "15m"),
    Case("all, and none was ever answered", ERRORS, {requests("500"): "0+1x40"}, "15m", ({"method": "predict"},)),
    Case("never any", ERRORS, {requests("200"): "0+9x40", requests("400"): "0+9x40"}, "15m"),
    Case(
        "labels among many predictions",
        ERRORS,
        {requests("200"): "0+999x40", requests("200", "feedback"): "0+1x40", requests("500", "feedback"): "0+1x40"},
        "15m",
        ({"method": "feedback"},),
    ),
    Case("asked before it is loaded", ERRORS, {requests("200"): "0+9x40", requests("503", "status"): "0+9x40"}, "15m"),
    Case(
        "of a revision among others", ERRORS, {requests("200"): "0+99x40", requests("500", revision=B): "0+1x40"}, "15m"
    ),
    Case("no traffic any more", ERRORS, {requests("200"): "0+9x10 90x60", requests("503"): "0+9x10 90x60"}, "25m"),
    Case("no series at all", ERRORS, {}, "15m"),
]

LATENCY = "ModelLatencyHigh"


def bucket(le: str, code: str = "200", method: str = "predict") -> str:
    return of_pod(f"{SECONDS}_bucket", le=le, method=method, code=code)


SLOW = {bucket("0.5"): "0+90x40", bucket("1.0"): "0+95x40", bucket("2.5"): "0+100x40", bucket("+Inf"): "0+100x40"}
FAST = {bucket("0.5"): "0+100x40", bucket("1.0"): "0+100x40", bucket("+Inf"): "0+100x40"}
SERVING += [
    Case("one of twenty is slow", LATENCY, SLOW, "15m", ONE),
    Case("all are fast", LATENCY, FAST, "15m"),
    Case(
        "slow errors are errors",
        LATENCY,
        FAST | {bucket("0.5", "504"): "0x40", bucket("+Inf", "504"): "0+50x40"},
        "15m",
    ),
    Case(
        "slow labels",
        LATENCY,
        FAST | {bucket("0.5", method="feedback"): "0x40", bucket("+Inf", method="feedback"): "0+50x40"},
        "15m",
    ),
    Case("no traffic", LATENCY, dict.fromkeys(SLOW, "7x40"), "15m"),
    Case("no series at all", LATENCY, {}, "15m"),
    Case(
        "the highest limit that there is",
        LATENCY,
        {bucket("5.0"): "0x40", bucket("10.0"): "0+9x40", bucket("+Inf"): "0+100x40"},
        "15m",
        ONE,
        {"prometheusRule": {"maximumLatency": "10s"}},
    ),
    Case("less is demanded", LATENCY, SLOW, "15m", monitoring={"prometheusRule": {"maximumLatency": "3s"}}),
]

SATURATED = "ModelSaturated"


def threads(revision: str = A, number: int = 1) -> str:
    return of_pod("model_threads", revision, number)


def busy(revision: str = A, number: int = 1) -> str:
    return of_pod("model_busy_seconds_total", revision, number)


SERVING += [
    Case("two threads of two", SATURATED, {busy(): "0+57x40", threads(): "2x40"}, "15m", ({"revision": A},)),
    Case("half of the time", SATURATED, {busy(): "0+30x40", threads(): "2x40"}, "15m"),
    Case(
        "beside one that stands by",
        SATURATED,
        {busy(): "0+57x40", threads(): "2x40", busy(B): "0x40", threads(B): "2x40"},
        "15m",
        ({"revision": A},),
    ),
    Case(
        "one of two pods",
        SATURATED,
        {busy(): "0+59x40", threads(): "2x40", busy(number=2): "0x40", threads(number=2): "2x40"},
        "15m",
    ),
    Case(
        "fewer pods than before",
        SATURATED,
        {
            busy(): "0+30x40",
            threads(): "2x40",
            busy(number=2): "0+30x20 stale",
            threads(number=2): "2x20 stale",
            busy(number=3): "0+30x20 stale",
            threads(number=3): "2x20 stale",
        },
        "13m",
        monitoring={"prometheusRule": {"for": "0s"}},
    ),
    Case("the model is not loaded yet", SATURATED, {}, "15m"),
]

LOAD, AVAILABLE, TARGET = "ModelLoadFailed", "ModelNotAvailable", "ModelTargetDown"
UP, READY = of_pod("up"), of_operator("ready_replicas", revision=A)
PODS = [
    *(
        Case(reason, LOAD, {condition("Ready", "False", reason): "1x20"}, "6m", ONE)
        for reason in ("FetchFailed", "DigestMismatch", "LoadFailed", "ImagePullFailed", "CrashLoop", "Unschedulable")
    ),
    *(
        Case(f"not {reason}", LOAD, {condition("Ready", "False", reason): "1x20"}, "6m")
        for reason in ("Starting", "RolledBack", "Paused", "Scaling")
    ),
    Case(
        "reasons that take turns",
        LOAD,
        {
            condition("Ready", "False", "FetchFailed"): "1x3 stale _x3 1x20",
            condition("Ready", "False", "CrashLoop"): "_x4 1x3 stale _x20",
        },
        "6m",
        ONE,
    ),
    Case("it came up", LOAD, {condition("Ready", "False", "CrashLoop"): "1x5 stale"}, "6m"),
    Case("no pod", AVAILABLE, {condition("Available", "False", "NoReadyPods"): "1x20"}, "6m", ONE),
    Case("a moment", AVAILABLE, {condition("Available", "False", "NoReadyPods"): "1x4 stale"}, "6m"),
    Case("none is wanted", AVAILABLE, {condition("Available", "False", "ScaledToZero"): "1x20"}, "6m"),
    Case("not yet", AVAILABLE, {condition("Available", "False", "Starting"): "1x20"}, "6m"),
    Case("the operator is away", AVAILABLE, {}, "6m"),
    Case(
        "a pod",
        TARGET,
        {UP: "1x5 0x20", of_pod("up", number=2): "1x20", READY: "2x30"},
        "9m",
        ({"revision": A, "pod": f"{A}-1"},),
    ),
    Case("all are up", TARGET, {UP: "1x20", READY: "1x20"}, "9m"),
    Case("a scrape failed", TARGET, {UP: "1x5 0x2 1x20", READY: "1x20"}, "9m"),
    Case("the pod is gone", TARGET, {UP: "1x5 0x2 stale", READY: "0x20"}, "9m"),
    Case("not selected by Prometheus", TARGET, {READY: "2x20"}, "6m", ({"revision": A},)),
    Case(
        "a new revision is not scraped yet",
        TARGET,
        {
            UP: "1x20",
            READY: "1x20",
            of_operator("ready_replicas", revision=B): "_x10 1x20",
            of_pod("up", B): "_x12 1x20",
        },
        "6m",
        monitoring={"prometheusRule": {"for": "0s"}},
    ),
    Case("no pods", TARGET, {READY: "0x20"}, "6m"),
    Case(
        "scraped by other means or not at all",
        TARGET,
        {READY: "2x20"},
        "6m",
        monitoring={"serviceMonitor": {"enabled": False}},
    ),
]

SEVERITY = {DEGRADED: "critical", ERRORS: "critical", LOAD: "critical", AVAILABLE: "critical"}
CASES = [*QUALITY, *LABELS_MISSING, *FEEDBACK, *SERVING, *PODS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_alert(case: Case, tmp_path: Path) -> None:
    always = {"namespace": NAMESPACE, "model": MODEL, "severity": SEVERITY.get(case.alert, "warning")}

    rules_of(tmp_path, **(case.monitoring or {})).expect(
        case.alert, [always | labels for labels in case.fires], case.series, case.at, case.every
    )


def test_every_alert_is_seen_to_fire_and_not_to_fire(tmp_path: Path) -> None:
    there = {rule["alert"] for group in rules_of(tmp_path).groups for rule in group["rules"]}

    assert {case.alert for case in CASES if case.fires} == {case.alert for case in CASES if not case.fires} == there


@pytest.mark.parametrize("accuracy", [None, {"minimum": 0.9}])
def test_rules_are_clean(tmp_path: Path, accuracy: dict[str, Any] | None) -> None:
    observation = an_observation(accuracy=accuracy).having(key=Key("a-b-c", "n" * 50)).obj()

    Rules.written(tmp_path, build_prometheus_rule(observation)["spec"]).check()


JUDGED = {
    of_operator("accuracy_estimate", revision=B, metric="f1"): "0.7812x20",
    of_operator("accuracy_level", revision=B, metric="f1"): "0.9x20",
}


@pytest.mark.parametrize(
    ("alert", "given", "labels", "at", "description"),
    [
        pytest.param(
            DEGRADED,
            {PROVEN: "1x20", SERVES: "1x20", **JUDGED},
            {"revision": B},
            "6m",
            "Revision news-b of model team/news has the traffic although its labels prove it worse: f1 is 78.12%, and "
            "should be at least 90%.",
            id="degraded",
        ),
        pytest.param(
            DEGRADED,
            {PROVEN: "1x20", SERVES: "1x20"},
            {"revision": B},
            "6m",
            "Revision news-b of model team/news has the traffic although its labels prove it worse.",
            id="degraded, without numbers",
        ),
        pytest.param(
            REJECTED,
            {LABELS: "0+8x40", FORGED: "0+2x40", MALFORMED: "0x40"},
            {},
            "15m",
            "Of the labels that are sent for model team/news, 20% are refused, most often as forged; the limit is 10%.",
            id="rejected",
        ),
        pytest.param(
            ERRORS,
            {requests("200"): "0+9x40", requests("503"): "0+1x40"},
            {"method": "predict"},
            "15m",
            "Of the predict requests to model team/news, 10% are answered with a 5xx status; the limit is 5%.",
            id="errors",
        ),
        pytest.param(
            LATENCY,
            SLOW,
            {},
            "15m",
            "One of 100 predictions of model team/news takes 2.2s or longer; the limit is 1s.",
            id="latency",
        ),
        pytest.param(
            SATURATED,
            {busy(): "0+57x40", threads(): "2x40"},
            {"revision": A},
            "15m",
            "The threads of revision news-a of model team/news are busy for 95% of the time; the limit is 90%.",
            id="saturated",
        ),
        pytest.param(
            LOAD,
            {condition("Ready", "False", "DigestMismatch"): "1x20"},
            {},
            "6m",
            "The revision that the spec of model team/news asks for cannot start: DigestMismatch. If another revision "
            "had the traffic, it goes on serving.",
            id="load",
        ),
        pytest.param(
            TARGET,
            {UP: "0x20"},
            {"revision": A, "pod": f"{A}-1"},
            "6m",
            "Prometheus cannot scrape pod news-a-1 of revision news-a of model team/news: other alerts and the "
            "dashboards do not see what they do.",
            id="target down",
        ),
        pytest.param(
            TARGET,
            {READY: "2x20"},
            {"revision": A},
            "6m",
            "Prometheus scrapes none of the 2 pods that answer of revision news-a of model team/news: other alerts and "
            "the dashboards do not see what they do.",
            id="no target",
        ),
    ],
)
def test_descriptions_have_the_numbers(
    tmp_path: Path, alert: str, given: Series, labels: dict[str, str], at: str, description: str
) -> None:
    always = {"namespace": NAMESPACE, "model": MODEL, "severity": SEVERITY.get(alert, "warning")}

    rules_of(tmp_path).expect_texts(alert, always | labels, description, given, at)
