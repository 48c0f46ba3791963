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
CALLS: Final = "modeldeployment_api_requests_total"
CALL_TIME: Final = "modeldeployment_api_request_duration_seconds"
LAG: Final = "modeldeployment_event_loop_lag_seconds"
RESULTS: Final = {"success": GOOD, "conflict": BUSY, "error": BAD, "internal": BAD}
UNANSWERED: Final = 'code=~"5..|error"'
ASKING: Final = "modeldeployment_prometheus_query_duration_seconds"
FAILED: Final = '{result=~"error|internal"}'
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
                "Replicas of the operator that Prometheus scrapes. Normal: as many as its Deployment has. While there "
                "is none, models serve on, but are not judged: see kubectl -n modelops-system get pods.",
            ),
            units.NoUnit,
            Query(or_zero("count(modeldeployment_queue_length)")),
            limits=[Limit(1, GOOD)],
            base=BAD,
            span=3,
        ),
        stat(
            Text(
                "Leading",
                "Replicas that act; the others stand by. Normal: 1, and 0 for some seconds while it passes from one to "
                "another. If it stays 0, nothing is judged: the log says why the Lease could not be taken.",
            ),
            units.NoUnit,
            Query("sum(modeldeployment_operator_leader)"),
            limits=[Limit(1, GOOD), Limit(2, BAD)],
            base=BAD,
            span=3,
        ),
        stat(
            Text("Models", "ModelDeployments that it looks after."),
            units.NoUnit,
            Query(or_zero('count(max by (namespace, model) (modeldeployment_condition{type="Ready"}))')),
            span=3,
        ),
        stat(
            Text("Longest wait", "For how long a ModelDeployment has been waiting for a worker. Normal: a second."),
            units.Seconds,
            Query("max(modeldeployment_queue_oldest_seconds)"),
            limits=[Limit(30, WARNING), Limit(120, BAD)],
            base=GOOD,
            span=3,
        ),
        stat(
            Text(
                "Failed reconciles",
                "Reconciles that failed within an hour. Each is tried again. Normal: next to none; the log says why.",
            ),
            units.Short,
            Query(f"sum(increase(modeldeployment_reconciles_total{FAILED}[1h]))"),
            limits=[Limit(10, WARNING), Limit(100, BAD)],
            base=GOOD,
            span=3,
        ),
        stat(
            Text("Rollbacks", "Revisions that it took back within 24 hours."),
            units.Short,
            Query(or_zero("round(sum(increase(modeldeployment_rollbacks_total[24h])))")),
            limits=[Limit(1, WARNING)],
            base=GOOD,
            span=3,
        ),
        stat(
            Text(
                "Running for",
                "Time since its process started. Normal: since the last update; the log of the previous "
                "container says why it ended.",
            ),
            units.DurationSeconds,
            Query(f"time() - max(process_start_time_seconds {ITSELF})"),
            span=3,
        ),
        stat(
            Text(
                "Lateness",
                "How late its event loops are, at most. Normal: some milliseconds. Above a second it is short of CPU.",
                f"{NONE}no operator in this time",
            ),
            units.Seconds,
            Query(f"max({quantile(0.99, LAG, 'instance, loop')})"),
            span=3,
            limits=[Limit(0.25, WARNING), Limit(1, BAD)],
            base=GOOD,
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
                "By result. Normal: a few for each model in a minute. A conflict (somebody else wrote meanwhile) is "
                "no fault; error: the API server or a pod did not do as asked; internal: a fault of the operator's.",
            ),
            units.CountsPerSecond,
            [Query(rate("modeldeployment_reconciles_total", "result"), "{{result}}")],
            colours=RESULTS,
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
        graph(
            Text(
                "Workers",
                "Reconciles that run, and that can run at a time. Normal: below the limit, but after a start.",
            ),
            units.Short,
            [
                Query("sum(modeldeployment_workers_busy)", "busy"),
                Query("max(modeldeployment_workers)", "limit"),
            ],
            span=12,
            colours={"busy": BUSY, "limit": WARNING},
        ),
        graph(
            Text(
                "Longest",
                "For how long a ModelDeployment has been waiting for a worker, and a reconcile has been running. "
                "Normal: seconds. Minutes of running: it hangs; after ten the container is restarted.",
            ),
            units.Seconds,
            [
                Query("max(modeldeployment_queue_oldest_seconds)", "waiting"),
                Query("max(modeldeployment_reconcile_longest_running_seconds)", "running"),
            ],
            span=12,
        ),
    ]


def _others() -> list[AnyPanel]:
    return [
        graph(
            Text(
                "Requests to the API server",
                "By verb and answer. Normal: 2xx, and a 404 or 409 now and then. 403: a right is missing; 429 and "
                "5xx: the API server is too busy; error: no answer.",
            ),
            units.RequestsPerSecond,
            [Query(rate(CALLS, "verb, code"), "{{verb}} {{code}}")],
        ),
        graph(
            Text(
                "What they are for",
                "The same by resource. Normal: without changes the Lease alone, twice in two seconds a replica.",
            ),
            units.RequestsPerSecond,
            [Query(rate(CALLS, "verb, resource"), "{{verb}} {{resource}}")],
        ),
        graph(
            Text(
                "Time of the API server",
                "95th percentile of its answers, by verb. Normal: below 100 ms.",
                f"{NONE}no requests in this time",
            ),
            units.Seconds,
            [Query(quantile(0.95, CALL_TIME, "verb"), "{{verb}}")],
        ),
        graph(
            Text(
                "Watches that began anew",
                "By what they watch. Normal: one in some minutes; more often: something closes them early, and changes "
                "are seen late.",
            ),
            units.CountsPerSecond,
            [Query(rate("modeldeployment_watch_restarts_total", "resource"), "{{resource}}")],
            span=12,
        ),
        graph(
            Text(
                "Objects that it knows",
                "What the watches have told, of the replica that knows most. Normal: as many as there are.",
            ),
            units.Short,
            [Query("max by (resource) (modeldeployment_cache_objects)", "{{resource}}")],
            span=12,
        ),
        graph(
            Text(
                "Failed readings of labels",
                "Readings of labels that failed, from the pods or from Prometheus. Normal: 0. While they fail, nothing "
                "is judged; the condition AccuracyHealthy of the model says why.",
            ),
            units.CountsPerSecond,
            [Query(rate("modeldeployment_sample_failures_total", "source"), "{{source}}")],
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
        ),
        graph(
            Text(
                "Failed by the API server",
                "Share of its requests that were answered with 5xx, or not at all (error). Normal: 0.",
                f"{NONE}no requests in this time",
            ),
            units.PercentUnit,
            [Query(share(f"sum by () ({_api_rate(UNANSWERED)})", f"sum by () ({_api_rate()})"), "failed")],
            limits=[Limit(0.01, BAD)],
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
            Text(
                "Lateness",
                "99th percentile of how late its event loops are, by pod. Normal: some milliseconds. Above a second "
                "it is short of CPU; at ten the Lease is lost.",
                f"{NONE}no operator in this time",
            ),
            units.Seconds,
            [Query(quantile(0.99, LAG, "instance, loop"), "{{instance}} {{loop}}")],
            span=6,
            limits=[Limit(1, WARNING)],
        ),
        graph(
            Text("Open files", "Files and connections. Normal: level."),
            units.Short,
            [Query(f"process_open_fds {ITSELF}", "{{instance}}")],
            span=6,
        ),
    ]


def _api_rate(*matchers: str) -> str:
    return rate(CALLS, "code", *matchers)
