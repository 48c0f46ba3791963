"""What a model answers, and what its pods need for it."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units

from manifests.dashboards.model_quality import NAME
from manifests.dashboards.panels import NONE, AnyPanel, Limit, Query, Text, graph
from manifests.dashboards.queries import (
    ERRORS,
    PREDICTIONS,
    REVISIONS,
    largest,
    matching,
    mean,
    quantile,
    rate,
    share,
)
from manifests.dashboards.states import BAD

SECONDS: Final = "model_request_duration_seconds"
REQUESTS: Final = f"{SECONDS}_count"
NO_REQUESTS: Final = f"{NONE}no predictions in this time"


def requests() -> list[AnyPanel]:
    """Return what clients see."""
    failed = rate(REQUESTS, "revision", REVISIONS, PREDICTIONS, ERRORS)
    answered = rate(REQUESTS, "revision", REVISIONS, PREDICTIONS)
    return [
        graph(
            Text("Predictions a second", "Requests for predictions that each revision answered itself."),
            units.RequestsPerSecond,
            [Query(answered, NAME)],
            stacked=True,
        ),
        graph(
            Text(
                "Share of the traffic",
                "Share of the requests that is sent to each revision. Normal: 100 % to the one that serves, and steps "
                "when another takes over. In between, a revision passes on what reaches it.",
            ),
            units.PercentUnit,
            [Query(largest("modeldeployment_traffic_ratio", "revision", REVISIONS), NAME)],
            stacked=True,
            maximum=1,
        ),
        graph(
            Text(
                "Requests a second, by method and answer",
                "Normal: predict 200, and feedback 200. 4xx: clients send what the model cannot take. 5xx: see the "
                "log of its pods. 503: it is full, or ends.",
            ),
            units.RequestsPerSecond,
            [Query(rate(REQUESTS, "method, code", REVISIONS), "{{method}} {{code}}")],
        ),
        graph(
            Text(
                "Time of predictions",
                "Median, 95th and 99th percentile, of each revision. Normal: level. If it rises with the "
                "utilization, give it more replicas or CPUs.",
                NO_REQUESTS,
            ),
            units.Seconds,
            [
                Query(quantile(q, SECONDS, "revision", REVISIONS, PREDICTIONS), f"{{{{revision}}}} {name}")
                for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            ],
        ),
        graph(
            Text(
                "Share of errors",
                "Share of the predictions that were answered with 5xx. Normal: 0.",
                NO_REQUESTS,
            ),
            units.PercentUnit,
            [Query(share(failed, answered), NAME)],
            limits=[Limit(0.01, BAD)],
        ),
        graph(
            Text(
                "Requests passed on",
                "Requests a second that a pod passed on to another revision. Normal: 0, but for the share of a "
                "candidate, and the moments after a change of the traffic.",
            ),
            units.RequestsPerSecond,
            [Query(rate("model_requests_forwarded_total", "revision", REVISIONS, 'outcome="answered"'), NAME)],
        ),
        graph(
            Text(
                "Instances in a call",
                "Mean size of the batches that the model computes at once. Normal: what clients send.",
                NO_REQUESTS,
            ),
            units.Short,
            [Query(mean("model_batch_size", "revision", REVISIONS), NAME)],
        ),
        graph(
            Text(
                "Instances a second",
                "Instances that were predicted. A request may have many.",
            ),
            units.CountsPerSecond,
            [Query(rate("model_predictions_total", "revision", REVISIONS), NAME)],
        ),
        graph(
            Text(
                "Time of feedback",
                "95th percentile of the time of requests that bring labels. Normal: milliseconds.",
                f"{NONE}no labels in this time",
            ),
            units.Seconds,
            [Query(quantile(0.95, SECONDS, "revision", REVISIONS, 'method="feedback"'), NAME)],
        ),
    ]


def pods() -> list[AnyPanel]:
    """Return what the pods need."""
    of = matching(REVISIONS)
    pod = "{{pod}}"
    return [
        graph(
            Text(
                "Utilization",
                "Share of their time that each pod's threads spend in the model. Normal: below 80 %. Above, requests "
                "wait: give it more replicas or CPUs.",
            ),
            units.PercentUnit,
            [Query(f"rate(model_busy_seconds_total{of}[$__rate_interval]) / model_threads{of}", pod)],
            limits=[Limit(0.8, BAD)],
        ),
        graph(
            Text(
                "Requests that wait",
                "Requests that wait for a thread, in each pod. Normal: near 0. If it stays, see the utilization.",
            ),
            units.Short,
            [Query(f"model_requests_waiting{of}", pod)],
        ),
        graph(
            Text(
                "Pods",
                "Pods that answer, and that are wanted, of each revision. Normal: the same.",
            ),
            units.Short,
            [
                Query(largest("modeldeployment_ready_replicas", "revision", REVISIONS), "{{revision}} ready"),
                Query(largest("modeldeployment_replicas", "revision", REVISIONS), "{{revision}} wanted"),
            ],
        ),
        graph(
            Text(
                "Memory",
                "Resident memory of each pod's server. Normal: level after the first requests. At the limit of "
                "spec.serving.resources the pod is killed.",
            ),
            units.BytesIEC,
            [Query(f"process_resident_memory_bytes{of}", pod)],
        ),
        graph(
            Text("CPU", "CPUs that each pod's server uses. Normal: below its limit."),
            units.Short,
            [Query(f"rate(process_cpu_seconds_total{of}[$__rate_interval])", pod)],
        ),
        graph(
            Text(
                "Time to load the model",
                "What loading and warming up took, in each pod. It is the least time that a new pod needs.",
            ),
            units.Seconds,
            [Query(f"model_load_duration_seconds{of}", pod)],
        ),
        graph(
            Text(
                "Time to fetch the model",
                "What each pod's init container took before. A cache (spec.serving.fetchCache) makes it shorter.",
            ),
            units.Seconds,
            [Query(f"model_fetch_duration_seconds{of}", pod)],
            span=12,
        ),
        graph(
            Text(
                "Bytes of the model",
                "What each pod has fetched, and what came from the cache.",
            ),
            units.BytesIEC,
            [
                Query(f"model_fetch_bytes{of}", "{{pod}}"),
                Query(f"model_fetch_cached_bytes{of}", "{{pod}} from the cache"),
            ],
            span=12,
        ),
    ]
