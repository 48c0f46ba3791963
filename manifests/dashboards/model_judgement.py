"""What the operator makes of a model's labels."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from manifests.dashboards.panels import NONE, AnyPanel, Limit, Query, Text, fixed_colour, graph, stat, timeline
from manifests.dashboards.queries import (
    KEY,
    MODEL,
    REVISIONS,
    coded,
    largest,
    matching,
    of_serving,
    or_zero,
    share,
    total,
)
from manifests.dashboards.states import ALERTS, BAD, GOOD, PHASES, VERDICTS, WARNING, codes

NO_LIMIT: Final = f"{NONE}no limit to judge by"
FIRING: Final = 'alertstate="firing"'


def now() -> list[AnyPanel]:
    """Return the line of numbers at the top."""
    kind = 'type="Ready"'
    ready = largest("modeldeployment_condition", "reason", MODEL, kind, 'status="True"')
    not_ready = largest("modeldeployment_condition", "reason", MODEL, kind, 'status!="True"')
    wanted = total("modeldeployment_replicas", KEY, MODEL, 'revision=~"$revision"')
    answering = total("modeldeployment_ready_replicas", KEY, MODEL, 'revision=~"$revision"')
    return [
        stat(
            Text(
                "State",
                "Reason of the condition Ready. Normal: Serving. RolledBack: the revision that the spec asks for was "
                "taken back, the last good one serves. Any other: the condition's message says what to do.",
            ),
            units.NoUnit,
            Query(f"{ready} or {not_ready} * 0", "{{reason}}"),
            named=True,
            limits=[Limit(1, GOOD)],
            base=WARNING,
        ),
        stat(
            Text("Serving revision", "The revision that has the traffic."),
            units.NoUnit,
            Query(largest("modeldeployment_revision_info", "revision", MODEL, 'phase="Serving"'), "{{revision}}"),
            named=True,
            span=5,
        ),
        stat(
            Text(
                "Judged value",
                "What is judged (spec.accuracy.metric) of the serving revision, over all its labels. Normal: above "
                "the limit.",
                "No labels yet",
            ),
            units.PercentUnit,
            Query(of_serving("modeldeployment_accuracy_estimate", "metric", MODEL), "{{metric}}"),
            span=3,
        ),
        stat(
            Text("Limit", "The level that the revision must hold.", NO_LIMIT),
            units.PercentUnit,
            Query(of_serving("modeldeployment_accuracy_level", "metric", MODEL), "{{metric}}"),
            span=3,
        ),
        stat(
            Text(
                "Evidence against it",
                "Evidence that the serving revision is below its limit, as a share of proof. Normal: below 50 %. At "
                "100 % it is proven and taken back; the chance that this happens to a good revision, ever, is alpha.",
                NO_LIMIT,
            ),
            units.PercentUnit,
            Query(of_serving("modeldeployment_evidence_ratio", KEY, MODEL)),
            span=3,
            limits=[Limit(0.5, WARNING), Limit(1, BAD)],
            base=GOOD,
        ),
        stat(
            Text("Labels", "Labels of the serving revision that were judged.", "No labels yet"),
            units.Short,
            Query(of_serving("modeldeployment_accuracy_labels", KEY, MODEL)),
            span=2,
        ),
        stat(
            Text(
                "Pods ready",
                "Pods that answer, of those that are wanted. Normal: 100 %. Otherwise see kubectl describe mdep.",
            ),
            units.PercentUnit,
            Query(share(answering, wanted)),
            span=2,
            limits=[Limit(0.01, WARNING), Limit(1, GOOD)],
            base=BAD,
        ),
        stat(
            Text("Alerts", "Alerts of this model that fire now. Normal: 0. The row Pods shows which, and since when."),
            units.NoUnit,
            Query(or_zero(f"count(ALERTS{matching(MODEL, FIRING)})")),
            span=2,
            limits=[Limit(1, BAD)],
            base=GOOD,
        ),
    ]


def history() -> list[AnyPanel]:
    """Return how it came to that."""
    return [_interval(), _evidence(), _verdicts(), _phases(), _alerts()]


def _interval() -> AnyPanel:
    parts = {"Upper end": "upper", "Value": "estimate", "Lower end": "lower", "Limit": "level"}
    queries = [Query(of_serving(f"modeldeployment_accuracy_{part}", KEY, MODEL), name) for name, part in parts.items()]
    panel = graph(
        Text(
            "Judged value and its interval",
            "Of the revision that serves: the value, the interval that holds at all times at once, and the limit. "
            "Normal: the value is above the limit. The interval narrows with every label; when its upper end is "
            "about to sink below the limit, the revision is taken back.",
            "No data: no labels yet, or Prometheus does not scrape the operator",
        ),
        units.PercentUnit,
        queries,
        span=12,
        minimum=None,
        maximum=1,
        colours={"Value": GOOD, "Limit": BAD},
    )
    edge = [fixed_colour("#6d9eeb"), models.DynamicConfigValue("custom.lineWidth", 0.5)]
    band = [
        models.DynamicConfigValue("custom.fillBelowTo", "Lower end"),
        models.DynamicConfigValue("custom.fillOpacity", 18),
    ]
    no_fill = [models.DynamicConfigValue("custom.fillOpacity", 0)]
    dashes = models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]})
    panel.override_by_name("Upper end", [*edge, *band])
    panel.override_by_name("Lower end", [*edge, *no_fill])
    panel.override_by_name("Value", no_fill)
    return panel.override_by_name("Limit", [*no_fill, dashes])


def _evidence() -> AnyPanel:
    return graph(
        Text(
            "Evidence of degradation",
            "Of each revision, as a share of proof. Normal: low. At 100 % the revision is called Degraded, and is "
            "taken back if there is a good one to go back to. It may rise and fall for a while with good models.",
            NO_LIMIT,
        ),
        units.PercentUnit,
        [Query(largest("modeldeployment_evidence_ratio", "revision", REVISIONS), "{{revision}}")],
        span=12,
        limits=[Limit(1, BAD)],
        reach=1,
    )


def _verdicts() -> AnyPanel:
    return timeline(
        Text(
            "Verdicts",
            "What the labels say of each revision. Normal: Healthy, and Inconclusive while there are few labels. "
            "Degraded: proven below its limit. Unavailable: no pod could be asked, and nothing is concluded.",
        ),
        Query(coded("modeldeployment_verdict", "revision", "verdict", codes(VERDICTS), REVISIONS), "{{revision}}"),
        VERDICTS,
    )


def _phases() -> AnyPanel:
    return timeline(
        Text(
            "Life of the revisions",
            "Candidate: starts. Serving: has the traffic. Standby: the last good one, kept running. Rejected: taken "
            "back, and about to end. Normal: one serves at each time.",
        ),
        Query(coded("modeldeployment_revision_info", "revision", "phase", codes(PHASES), REVISIONS), "{{revision}}"),
        PHASES,
    )


def _alerts() -> AnyPanel:
    return timeline(
        Text(
            "Alerts",
            "Alerts of this model that are pending or firing. Normal: none. Each alert's runbook says what to do.",
            f"{NONE}no alert is pending or firing",
        ),
        Query(coded("ALERTS", "alertname", "alertstate", codes(ALERTS), MODEL), "{{alertname}}"),
        ALERTS,
        span=24,
        height=5,
    )
