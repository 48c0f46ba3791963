"""Cases of the alerts on what the labels say, and on labels that do not come."""

from __future__ import annotations

from tests.monitoring.scenes import ONE, A, B, Case, condition, of_operator, of_pod

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
        "it ended a moment ago",
        DEGRADED,
        {PROVEN: "1x9 stale", SERVES: "1x9 stale", condition("Ready", "True", "Serving"): "1x20"},
        "5m30s",
    ),
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
            condition("Ready", "True", "Serving"): "1x6 stale",
            of_operator("verdict", "operator-2", revision=B, verdict="Degraded"): "_x10 1x20",
            of_operator("revision_info", "operator-2", revision=B, phase="Serving"): "_x10 1x20",
            of_operator("condition", "operator-2", type="Ready", status="True", reason="Serving"): "_x10 1x20",
        },
        "6m",
        ({"revision": B},),
    ),
    Case(
        "an operator that goes does not bring back what was over",
        "ModelRolledBack",
        {condition("RolledBack", "True", "Degraded"): "1x4 stale", condition("Ready", "True", "Serving"): "1x5 stale"},
        "3m30s",
    ),
    Case(
        "an operator that goes takes nothing back",
        "ModelRolledBack",
        {condition("RolledBack", "True", "Degraded"): "1x5 stale", condition("Ready", "True", "Serving"): "1x5 stale"},
        "3m30s",
        ONE,
    ),
    Case("it was", "ModelRolledBack", {condition("RolledBack", "True", "Degraded"): "1x5"}, "1m", ONE),
    Case(
        "its pods did not get ready",
        "ModelRolledBack",
        {condition("RolledBack", "True", "ProgressDeadlineExceeded"): "1x5"},
        "1m",
        ONE,
    ),
    Case("its user gave it up", "ModelRolledBack", {condition("RolledBack", "True", "Aborted"): "1x5"}, "1m"),
    Case(
        "not any more",
        "ModelRolledBack",
        {condition("RolledBack", "True", "Degraded"): "1x5 stale", condition("Ready", "True", "Serving"): "1x20"},
        "3m",
    ),
    Case(
        "the operator is replaced",
        "ModelRolledBack",
        {condition("RolledBack", "True", "Degraded"): "1x5 stale"},
        "4m",
        ONE,
    ),
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

CASES = [*QUALITY, *LABELS_MISSING, *FEEDBACK]
