"""The operator itself: whether it keeps up, and what holds it back."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from manifests.dashboards.board import OPERATOR_UID, Event, Section, build_dashboard
from manifests.dashboards.panels import NONE, AnyPanel, Limit, Query, Text, graph, stat
from manifests.dashboards.queries import or_zero, quantile, rate, share
from manifests.dashboards.states import ACCURACY_HEALTHY, BAD, BUSY, GOOD, READY, WARNING

ITSELF: Final = "and on (job, instance) modeldeployment_queue_length"
"""Of all processes, the operator's: nobody else has a queue of ModelDeployments."""
RECONCILES: Final = "modeldeployment_reconcile_duration_seconds"
API: Final = "modeldeployment_api_request_duration_seconds"
UNANSWERED: Final = 'code=~"5..|error"'
ASKING: Final = "modeldeployment_prometheus_query_duration_seconds"
PERCENTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def build() -> models.Dashboard:
    """Return the dashboard."""
    return build_dashboard(
        OPERATOR_UID,
        "ModelDeployment operator",
        "The operator: reconciles, requests to the API server, readings of labels, and its process.",
        [],
        [
            Section("Now", _now()),
            Section("Reconciles", _reconciles()),
            Section("What it asks others", _others()),
            Section("The ModelDeployments", _objects()),
            Section("Its process", _process()),
        ],
        [
            Event(
                "Started",
                f"max by (job, instance) (process_start_time_seconds {ITSELF}) * 1000",
                "The operator's process started",
                BUSY,
                value_is_time=True,
            )
        ],
    )


def _now() -> list[AnyPanel]:
    return [
        stat(
            Text(
                "Operators",
                "Operators that Prometheus scrapes. Normal: 1. While there is none, models serve on, but "
                "are not judged: see kubectl -n modelops-system get pods.",
            ),
            units.NoUnit,
            Query(or_zero("count(modeldeployment_queue_length)")),
            limits=[Limit(1, GOOD), Limit(2, WARNING)],
            base=BAD,
        ),
        stat(
            Text("Models", "ModelDeployments that it looks after."),
            units.NoUnit,
            Query(or_zero('count(modeldeployment_condition{type="Ready"})')),
        ),
        stat(
            Text("Waiting", "ModelDeployments that wait for a worker. Normal: 0, or falling."),
            units.NoUnit,
            Query("sum(modeldeployment_queue_length)"),
            limits=[Limit(50, WARNING)],
            base=GOOD,
        ),
        stat(
            Text(
                "Failed reconciles",
                "Reconciles that failed within an hour. Each is tried again. Normal: next to none; the log says why.",
            ),
            units.Short,
            Query("sum(increase(modeldeployment_reconcile_errors_total[1h]))"),
            limits=[Limit(10, WARNING), Limit(100, BAD)],
            base=GOOD,
        ),
        stat(
            Text("Rollbacks", "Revisions that it took back within 24 hours."),
            units.Short,
            Query(or_zero("round(sum(increase(modeldeployment_rollbacks_total[24h])))")),
            limits=[Limit(1, WARNING)],
            base=GOOD,
        ),
        stat(
            Text(
                "Running for",
                "Time since its process started. Normal: since the last update; the log of the previous "
                "container says why it ended.",
            ),
            units.DurationSeconds,
            Query(f"time() - max(process_start_time_seconds {ITSELF})"),
        ),
    ]


def _reconciles() -> list[AnyPanel]:
    return [
        graph(
            Text(
                "Time of a reconcile",
                "Median, 95th and 99th percentile. Normal: below a second. If it rises, see the requests to the API "
                "server below.",
                f"{NONE}no reconciles in this time",
            ),
            units.Seconds,
            [Query(quantile(q, RECONCILES, ""), name) for name, q in PERCENTILES],
        ),
        graph(
            Text(
                "Reconciles a second",
                "Reconciles, and those of them that failed. Normal: a few for each model in a minute, none failed.",
            ),
            units.CountsPerSecond,
            [
                Query(f"sum(rate({RECONCILES}_count[$__rate_interval]))", "all"),
                Query("sum(rate(modeldeployment_reconcile_errors_total[$__rate_interval]))", "failed"),
            ],
            colours={"all": GOOD, "failed": BAD},
        ),
        graph(
            Text(
                "Waiting",
                "ModelDeployments that wait for one of the ten workers. Normal: near 0; after a start it is the number "
                "of models, and falls.",
            ),
            units.Short,
            [Query("sum(modeldeployment_queue_length)", "waiting")],
        ),
    ]


def _others() -> list[AnyPanel]:
    return [
        graph(
            Text(
                "Requests to the API server",
                "By method and answer. Normal: 2xx, and a 404 or 409 now and then. 403: a right is missing; 429 and "
                "5xx: the API server is too busy.",
            ),
            units.RequestsPerSecond,
            [Query(rate(f"{API}_count", "method, code"), "{{method}} {{code}}")],
            span=6,
        ),
        graph(
            Text(
                "Time of the API server",
                "95th percentile of its answers, by method. Normal: below 100 ms.",
                f"{NONE}no requests in this time",
            ),
            units.Seconds,
            [Query(quantile(0.95, API, "method"), "{{method}}")],
            span=6,
        ),
        graph(
            Text(
                "Failed readings of labels",
                "Readings of labels that failed, from the pods or from Prometheus. Normal: 0. While they fail, nothing "
                "is judged; the condition AccuracyHealthy of the model says why.",
            ),
            units.CountsPerSecond,
            [Query(rate("modeldeployment_sample_failures_total", "source"), "{{source}}")],
            span=6,
            colours={"Pods": WARNING, "Prometheus": BAD},
        ),
        graph(
            Text(
                "Queries to Prometheus",
                "Time of the queries for labels. Normal: below a second.",
                f"{NONE}no model is judged from Prometheus",
            ),
            units.Seconds,
            [Query(quantile(q, ASKING, ""), name) for name, q in PERCENTILES],
            span=6,
        ),
    ]


def _objects() -> list[AnyPanel]:
    return [
        graph(
            Text(
                "Ready, by reason",
                "ModelDeployments by the reason of their condition Ready. Normal: Serving.",
            ),
            units.Short,
            [Query(_by_reason("Ready"), "{{reason}}")],
            stacked=True,
            colours=READY,
        ),
        graph(
            Text(
                "AccuracyHealthy, by reason",
                "ModelDeployments by what their labels say. Normal: Healthy, and NotJudged of those without a limit.",
            ),
            units.Short,
            [Query(_by_reason("AccuracyHealthy"), "{{reason}}")],
            stacked=True,
            colours=ACCURACY_HEALTHY,
        ),
        graph(
            Text(
                "Changes of the traffic",
                "Revisions that took the traffic, and that were taken back, in an hour.",
            ),
            units.Short,
            [
                Query("round(sum(increase(modeldeployment_promotions_total[1h])))", "promotions"),
                Query("round(sum(increase(modeldeployment_rollbacks_total[1h])))", "rollbacks"),
            ],
            colours={"promotions": BUSY, "rollbacks": BAD},
        ),
    ]


def _by_reason(kind: str) -> str:
    return f'count by (reason) (max by (namespace, model, reason) (modeldeployment_condition{{type="{kind}"}}))'


def _process() -> list[AnyPanel]:
    return [
        graph(
            Text("Memory", "Resident memory. Normal: level. It grows with the number of models."),
            units.BytesIEC,
            [Query(f"process_resident_memory_bytes {ITSELF}", "{{instance}}")],
            span=6,
        ),
        graph(
            Text("CPU", "CPUs that it uses. Normal: far below one; it is one process of Python."),
            units.Short,
            [Query(f"rate(process_cpu_seconds_total[$__rate_interval]) {ITSELF}", "{{instance}}")],
            span=6,
            limits=[Limit(0.9, WARNING)],
        ),
        graph(
            Text("Open files", "Files and connections. Normal: level."),
            units.Short,
            [Query(f"process_open_fds {ITSELF}", "{{instance}}")],
            span=6,
        ),
        graph(
            Text(
                "Failed by the API server",
                "Share of its requests that were answered with 5xx, or not at all (error). Normal: 0.",
                f"{NONE}no requests in this time",
            ),
            units.PercentUnit,
            [Query(share(f"sum by () ({_api_rate(UNANSWERED)})", f"sum by () ({_api_rate()})"), "failed")],
            span=6,
            limits=[Limit(0.01, BAD)],
        ),
    ]


def _api_rate(*matchers: str) -> str:
    return rate(f"{API}_count", "code", *matchers)
