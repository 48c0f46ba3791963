"""Cases of the alerts on how requests are answered, and on pods."""

from __future__ import annotations

from tests.monitoring.scenes import ONE, A, B, Case, condition, of_operator, of_pod

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
    Case(
        "a moment",
        AVAILABLE,
        {
            condition("Available", "False", "NoReadyPods"): "1x9 stale",
            condition("Available", "True", "Serving"): "_x10 1x20",
        },
        "5m30s",
    ),
    Case("none is wanted", AVAILABLE, {condition("Available", "False", "ScaledToZero"): "1x20"}, "6m"),
    Case("not yet", AVAILABLE, {condition("Available", "False", "Starting"): "1x20"}, "6m"),
    Case("nothing is known", AVAILABLE, {}, "6m"),
    Case(
        "the operator is replaced", AVAILABLE, {condition("Available", "False", "NoReadyPods"): "1x11 stale"}, "7m", ONE
    ),
    Case("the operator is away", AVAILABLE, {condition("Available", "False", "NoReadyPods"): "1x11 stale"}, "8m30s"),
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
        "5m30s",
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

CASES = [*SERVING, *PODS]
