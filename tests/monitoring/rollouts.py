"""Cases of the alerts on rollouts that wait, and on what policies speak of."""

from __future__ import annotations

from tests.monitoring.scenes import ONE, B, Case, condition, of_operator

WAITING, ATTENTION = "ModelAwaitingApproval", "ModelNeedsAttention"
WAITS = condition("Ready", "False", "AwaitingApproval")
BEGAN = of_operator("rollout_step_start_time_seconds", revision=B)
SOON = {"prometheusRule": {"approvalWithin": "10m"}}
DRIFTS = condition("NeedsAttention", "True", "Drift")
CASES = [
    Case("for too long", WAITING, {WAITS: "1x40", BEGAN: "0x40"}, "11m", ONE, SOON),
    Case("not for long yet", WAITING, {WAITS: "1x40", BEGAN: "0x40"}, "9m", (), SOON),
    Case("a day, unless told otherwise", WAITING, {WAITS: "1x300", BEGAN: "0x300"}, "24h30m", ONE, every="5m"),
    Case("less than a day", WAITING, {WAITS: "1x300", BEGAN: "0x300"}, "23h30m", every="5m"),
    Case("since the step began", WAITING, {WAITS: "1x40", BEGAN: "300x40"}, "14m", (), SOON),
    Case("Prometheus was away: it began long ago", WAITING, {WAITS: "_x36 1x4", BEGAN: "_x36 0x4"}, "19m", ONE, SOON),
    Case(
        "it waits for labels",
        WAITING,
        {condition("Ready", "False", "RollingOut"): "1x40", BEGAN: "0x40"},
        "15m",
        (),
        SOON,
    ),
    Case("it was promoted", WAITING, {WAITS: "1x10 stale", BEGAN: "0x10 stale"}, "15m", (), SOON),
    Case(
        "the operator is replaced",
        WAITING,
        {WAITS: "1x22 stale", BEGAN: "0x22 stale"},
        "12m",
        ONE,
        SOON,
    ),
    Case("both fall", ATTENTION, {DRIFTS: "1x20"}, "6m", ({"reason": "Drift"},)),
    Case(
        "labels cannot be read",
        ATTENTION,
        {condition("NeedsAttention", "True", "SourceDown"): "1x20"},
        "6m",
        ({"reason": "SourceDown"},),
    ),
    Case("not for long yet", ATTENTION, {DRIFTS: "1x20"}, "4m"),
    Case("it is over", ATTENTION, {DRIFTS: "1x8 stale", condition("Ready", "True", "Serving"): "1x20"}, "8m"),
    Case("another condition", ATTENTION, {condition("AccuracyHealthy", "False", "Drift"): "1x20"}, "6m"),
]
