"""All models on one page: which need somebody."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from manifests.dashboards import recorded
from manifests.dashboards.board import FLEET_UID, MODEL_UID, Section, build_dashboard, choice
from manifests.dashboards.panels import (
    AnyPanel,
    Column,
    Limit,
    Query,
    Text,
    coloured,
    graph,
    limits_of,
    linked,
    mapped,
    stat,
    table,
)
from manifests.dashboards.queries import KEY, MODELS, largest, matching, of_serving, or_zero, serving
from manifests.dashboards.states import BAD, GOOD, WARNING, reasons

MODEL_LINK: Final = (
    f"/d/{MODEL_UID}?var-datasource=${{datasource}}&var-namespace=${{__data.fields.Namespace}}"
    "&var-model=${__data.fields.Model}&${__url_time_range}"
)
DEGRADED: Final = 'verdict="Degraded"'
FIRING: Final = 'alertstate="firing", model!=""'
TRUE: Final = 'status="True"'
NOT_TRUE: Final = 'status!="True"'
NAMES: Final = "{{namespace}}/{{model}}"


def build() -> models.Dashboard:
    """Return the dashboard."""
    return build_dashboard(
        FLEET_UID,
        "Models: fleet",
        "All ModelDeployments: which are ready, which are degraded or rolled back, and which come close to it.",
        [choice("namespace", "Namespace", "modeldeployment_condition", "", several=True)],
        [
            Section("How many", _numbers()),
            Section("Each model", [_models()]),
            Section("Which need somebody", [*_quality(), *_serving()]),
        ],
        [],
    )


def _numbers() -> list[AnyPanel]:
    ready = _conditions("Ready")
    return [
        _number("Models", "ModelDeployments that the operator looks after.", f"count({ready})", None),
        _number(
            "Ready",
            "Models that serve the revision that their spec asks for. Normal: all of them.",
            f"count({_conditions('Ready', TRUE)})",
            None,
        ),
        _number(
            "Degraded",
            "Models whose serving revision is proven worse than its limit, and still serves: there was nothing to go "
            "back to, or rollback is switched off. Normal: 0. Apply a better model.",
            f"count({serving(f'modeldeployment_verdict{matching(MODELS, DEGRADED)}', MODELS)})",
            BAD,
        ),
        _number(
            "Rolled back",
            "Models whose spec asks for a revision that was taken back; the last good one serves. Normal: 0. Apply "
            "another model, or have it tried again by the annotation modelops.dev/retry.",
            f"count({_conditions('RolledBack', TRUE)})",
            WARNING,
        ),
        _number(
            "Unmonitored",
            "Models of which Prometheus was not told: their panels and alerts are blind. Normal: 0, unless their spec "
            "says so. The message of the condition Monitored has the reason.",
            f"count({_conditions('Monitored', NOT_TRUE)})",
            WARNING,
        ),
        _number(
            "Alerts firing",
            "Alerts of all models that are firing now. Normal: 0. Follow the model's name in the table below.",
            f"count(ALERTS{matching(MODELS, FIRING)})",
            BAD,
        ),
    ]


def _number(title: str, description: str, count: str, from_one: str | None) -> AnyPanel:
    limits = [Limit(1, from_one)] if from_one else [Limit(1, GOOD)]
    base = GOOD if from_one else WARNING
    return stat(Text(title, description), units.NoUnit, Query(or_zero(count)), limits=limits, base=base)


def _conditions(kind: str, *matchers: str) -> str:
    return largest("modeldeployment_condition", KEY, MODELS, f'type="{kind}"', *matchers)


def _models() -> AnyPanel:
    """One row a model; the queries share namespace and model, and the first two bring the other names along."""
    judged = f"{KEY}, metric"
    margin = f"{_judged('estimate')} - {_judged('level')}"
    state = largest("modeldeployment_condition", f"{KEY}, reason", MODELS, 'type="Ready"')
    revision = largest("modeldeployment_revision_info", f"{KEY}, revision", MODELS, 'phase="Serving"')
    share = units.PercentUnit
    columns = [
        Column("Namespace", label="namespace", width=110),
        Column("Model", label="model", width=160, properties=[linked(MODEL_LINK, "Open the model")]),
        Column("State", query=state, label="reason", width=120, properties=[mapped(reasons()), coloured()]),
        Column("Serving revision", query=revision, label="revision", width=215),
        Column("Judged by", label="metric", width=90),
        Column("Value", share, of_serving("modeldeployment_accuracy_estimate", judged, MODELS)),
        Column("From", share, of_serving("modeldeployment_accuracy_lower", judged, MODELS)),
        Column("To", share, of_serving("modeldeployment_accuracy_upper", judged, MODELS)),
        Column("Limit", share, of_serving("modeldeployment_accuracy_level", judged, MODELS)),
        Column(
            "Above limit", share, margin, width=95, properties=limits_of([Limit(0, WARNING), Limit(0.01, GOOD)], BAD)
        ),
        Column(
            "Evidence",
            share,
            of_serving("modeldeployment_evidence_ratio", KEY, MODELS),
            properties=limits_of([Limit(0.5, WARNING), Limit(1, BAD)]),
        ),
        Column("Labels", units.Short, of_serving("modeldeployment_accuracy_labels", KEY, MODELS)),
        Column("Requests", units.RequestsPerSecond, _recorded(recorded.REQUESTS), width=95),
        Column(
            "Errors",
            share,
            _recorded(recorded.ERRORS),
            properties=limits_of([Limit(0.001, WARNING), Limit(0.01, BAD)]),
        ),
        Column("p99", units.Seconds, _recorded(recorded.LATENCY)),
        Column(
            "Alerts",
            units.NoUnit,
            f"count by ({KEY}) (ALERTS{matching(MODELS, FIRING)}) or {_conditions('Ready')} * 0",
            properties=limits_of([Limit(1, BAD)]),
        ),
    ]
    return table(
        Text(
            "Models",
            "One line a model: its state (the reason of the condition Ready), the revision that serves, what its "
            "labels say with the interval that holds at all times (from, to) and the limit, the evidence that it is "
            "degraded (100 % is proof), and its traffic. Normal: Serving, above its limit. A click on the name "
            "leads to the model.",
        ),
        columns,
        sort="Evidence",
    )


def _recorded(rule: str) -> str:
    return largest(rule, KEY, MODELS)


def _judged(value: str) -> str:
    return of_serving(f"modeldeployment_accuracy_{value}", KEY, MODELS)


def _quality() -> list[AnyPanel]:
    return [
        graph(
            Text(
                "Closest to their limit",
                "The ten models whose judged value is least above its limit. Normal: above 0. Below it, the operator "
                "gathers evidence; look at the model's labels before it is rolled back.",
            ),
            units.PercentUnit,
            [Query(f"bottomk(10, {_judged('estimate')} - {_judged('level')})", NAMES)],
            span=12,
            minimum=None,
            limits=[Limit(0, BAD)],
        ),
        graph(
            Text(
                "Most evidence of degradation",
                "The ten models with the most evidence against them, as a share of proof. Normal: below 50 %, and "
                "falling again. At 100 % the revision is taken back.",
            ),
            units.PercentUnit,
            [Query(f"topk(10, {of_serving('modeldeployment_evidence_ratio', KEY, MODELS)})", NAMES)],
            span=12,
            limits=[Limit(1, BAD)],
            reach=1,
        ),
    ]


def _serving() -> list[AnyPanel]:
    return [
        graph(
            Text("Most traffic", "Predictions a second of the ten models that answer most, over 5 minutes."),
            units.RequestsPerSecond,
            [Query(f"topk(10, {_recorded(recorded.REQUESTS)})", NAMES)],
        ),
        graph(
            Text(
                "Highest share of errors",
                "Share of the predictions that were answered with 5xx, of the ten models with most. Normal: 0. See the "
                "model's requests by code, and the log of its pods.",
            ),
            units.PercentUnit,
            [Query(f"topk(10, {_recorded(recorded.ERRORS)})", NAMES)],
        ),
        graph(
            Text(
                "Slowest",
                "99th percentile of the time of predictions, of the ten slowest models. Normal: flat. If it rises with "
                "the traffic, the model needs more replicas or CPUs.",
            ),
            units.Seconds,
            [Query(f"topk(10, {_recorded(recorded.LATENCY)})", NAMES)],
        ),
    ]
