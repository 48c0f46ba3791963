"""One model: what its labels say, what it serves, and how its pods are."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models

from manifests.dashboards import model_judgement, model_quality, model_rollout, model_serving
from manifests.dashboards.board import MODEL_UID, Event, Section, build_dashboard, choice
from manifests.dashboards.queries import KEY, MODEL, increase, largest
from manifests.dashboards.states import BAD, BUSY, QUIET


def build() -> models.Dashboard:
    """Return the dashboard."""
    return build_dashboard(
        MODEL_UID,
        "Model",
        "One ModelDeployment: its verdicts and their evidence, its quality by the labels, requests, and pods.",
        [
            choice("namespace", "Namespace", "modeldeployment_condition", ""),
            choice("model", "Model", "modeldeployment_condition", 'namespace="$namespace"'),
            choice("revision", "Revision", "modeldeployment_replicas", MODEL, several=True),
        ],
        [
            Section("Now", model_judgement.now()),
            Section("Judgement", model_judgement.history()),
            Section("Rollouts", model_rollout.rollout()),
            Section("Quality by the labels", model_quality.quality()),
            Section("Confusion", model_quality.confusion()),
            Section("Where the spec asks for more", model_quality.parts()),
            Section("Labels", model_quality.labels()),
            Section("Requests", model_serving.requests()),
            Section("Pods", model_serving.pods()),
        ],
        [
            Event("Rolled back", f"{_increased('rollbacks')} > 0", "{{model}}: a revision was taken back", BAD),
            Event(
                "Promoted",
                # What has the traffic again after a rollback was not promoted.
                f"{_serving()} * on ({KEY}) group_left () ({_increased('promotions')} > 0)"
                f" unless on ({KEY}) ({_increased('rollbacks')} > 0)",
                "{{revision}} takes the traffic",
                BUSY,
            ),
            Event(
                "Step",
                largest("modeldeployment_rollout_step_start_time_seconds", f"{KEY}, revision", MODEL) + " * 1000",
                "{{revision}} is at another step of its rollout",
                QUIET,
                value_is_time=True,
            ),
        ],
    )


def _increased(what: str) -> str:
    """Ask within a window of at least two readings: the operator is scraped every 30 seconds."""
    return increase(f"modeldeployment_{what}_total", KEY, "2m", MODEL)


def _serving() -> str:
    return largest("modeldeployment_revision_info", f"{KEY}, revision", MODEL, 'phase="Serving"')
