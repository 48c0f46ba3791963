"""The alerts on the operator itself, as `manifests/components/monitoring` has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.monitoring.promtool import Rules, Series, series
from tests.support import metrics_page

FILE = Path(__file__).parents[2] / "manifests/components/monitoring/prometheusrule.yaml"
NAMESPACE = {"namespace": "modelops-system"}


SPEC = yaml.safe_load(FILE.read_text(encoding="utf-8"))["spec"]
(GROUP,) = SPEC["groups"]


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules.written(tmp_path, SPEC)


def of(metric: str, pod: str = "operator-1", **labels: str) -> str:
    return series(f"modeldeployment_{metric}", job="modeldeployment-operator", pod=pod, **NAMESPACE, **labels)


def lag(loop: str, *, late: str, in_time: str) -> Series:
    """Return how often a loop was up to 5 s late, and up to 5 ms."""
    name, by = "event_loop_lag_seconds_bucket", {"pod": "operator-1", "loop": loop}
    return {
        of(name, **by, le="0.005"): in_time,
        of(name, **by, le="2.5"): in_time,
        of(name, **by, le="5.0"): late,
        of(name, **by, le="+Inf"): late,
    }


QUEUE, LEADS, STANDS_BY = of("queue_length"), of("operator_leader"), of("operator_leader", "operator-2")
OLDEST, YOUNGER = of("queue_oldest_seconds"), of("queue_oldest_seconds", "operator-2")
FAILURES, FAULTS, CONFLICTS = (of("reconciles_total", result=result) for result in ("error", "internal", "conflict"))
CALLS = "api_requests_total"
GOOD, BAD, LOST = (
    of(CALLS, verb="list", resource="pods", code="200"),
    of(CALLS, verb="list", resource="pods", code="503"),
    of(CALLS, verb="patch", resource="services", code="error"),
)
WATCHES, OTHERS = (of("watch_restarts_total", pod, resource="pods") for pod in ("operator-1", "operator-2"))
DOWN, LEADERLESS, FAIL, OLD, LAGS, BREAK, ERRORS = (
    f"ModelDeployment{name}"
    for name in ("OperatorDown", "NoLeader", "ReconcilesFail", "QueueOld", "OperatorLags", "WatchesBreak", "ApiErrors")
)
POD = NAMESPACE | {"pod": "operator-1"}
CRITICAL = {"severity": "critical"}


@pytest.mark.parametrize(
    ("alert", "given", "at", "fires"),
    [
        pytest.param(DOWN, {}, "6m", [CRITICAL], id="never there"),
        pytest.param(DOWN, {QUEUE: "0x5 stale"}, "9m", [CRITICAL], id="gone"),
        pytest.param(DOWN, {QUEUE: "0x30"}, "9m", [], id="there"),
        pytest.param(DOWN, {QUEUE: "0x5 stale _x4 0x30"}, "9m", [], id="replaced"),
        pytest.param(LEADERLESS, {LEADS: "0x30", STANDS_BY: "0x30"}, "5m", [NAMESPACE | CRITICAL], id="nobody leads"),
        pytest.param(LEADERLESS, {LEADS: "1x30", STANDS_BY: "0x30"}, "9m", [], id="one leads"),
        pytest.param(LEADERLESS, {LEADS: "1x5 stale", STANDS_BY: "0x6 1x30"}, "9m", [], id="another took over"),
        pytest.param(FAIL, {FAILURES: "0 0 1+1x100"}, "25m", [NAMESPACE], id="fails twice a minute"),
        pytest.param(FAIL, {FAULTS: "0 0 1+1x100"}, "25m", [NAMESPACE], id="is at fault itself"),
        pytest.param(FAIL, {CONFLICTS: "0+9x100"}, "25m", [], id="others are faster"),
        pytest.param(FAIL, {FAILURES: "0x10 40x60"}, "12m", [], id="failed all at once"),
        pytest.param(FAIL, {FAILURES: "0x60"}, "25m", [], id="does not fail"),
        pytest.param(FAIL, {FAILURES: "500x20 0x60"}, "25m", [], id="began anew"),
        pytest.param(OLD, {OLDEST: "200x60", YOUNGER: "0x60"}, "6m", [NAMESPACE], id="one waits for long"),
        pytest.param(OLD, {OLDEST: "200x4 0 200x4 0 200x4 0 200x4 0", YOUNGER: "0x60"}, "9m", [], id="in waves"),
        pytest.param(OLD, {OLDEST: "60x60"}, "20m", [], id="a while after the start"),
        pytest.param(
            LAGS, lag("operator", late="0+9x60", in_time="0+1x60"), "16m", [POD | {"loop": "operator"}], id="late"
        ),
        pytest.param(LAGS, lag("watches", late="0+9x60", in_time="0+9x60"), "16m", [], id="in time"),
        pytest.param(
            BREAK,
            {WATCHES: "0+4x90", OTHERS: "0x90"},
            "25m",
            [POD | {"resource": "pods"}],
            id="those of one replica are closed at once",
        ),
        pytest.param(BREAK, {WATCHES: "0x20 8x90"}, "25m", [], id="the API server was restarted"),
        pytest.param(ERRORS, {GOOD: "0+8x60", BAD: "0+1x60", LOST: "0+1x60"}, "16m", [NAMESPACE], id="a fifth fails"),
        pytest.param(ERRORS, {LOST: "0+1x60"}, "16m", [NAMESPACE], id="no answer at all"),
        pytest.param(ERRORS, {GOOD: "0+50x60", BAD: "0+1x60"}, "16m", [], id="one of fifty fails"),
        pytest.param(ERRORS, {GOOD: "0+50x60"}, "16m", [], id="none fails"),
        pytest.param(ERRORS, {GOOD: "9x60", BAD: "9x60"}, "16m", [], id="no requests"),
    ],
)
def test_alert(rules: Rules, alert: str, given: Series, at: str, fires: list[dict[str, str]]) -> None:
    rules.expect(alert, [{"severity": "warning"} | labels for labels in fires], given, at)


def test_rules_are_clean(rules: Rules) -> None:
    rules.check()


def test_descriptions_have_the_numbers(rules: Rules) -> None:
    labels = NAMESPACE | {"severity": "warning"}
    description = (
        "A ModelDeployment has been waiting for a worker for 3m 20s: changes, verdicts and rollbacks are late."
    )

    rules.expect_texts(OLD, labels, description, {OLDEST: "200x30"}, "6m")


def test_every_alert_is_on_the_page_and_tried() -> None:
    alerts = {rule["alert"]: rule["labels"]["severity"] for rule in GROUP["rules"]}

    assert alerts == metrics_page.alerts("Alerts of the operator")
    assert set(alerts) == {DOWN, LEADERLESS, FAIL, OLD, LAGS, BREAK, ERRORS}
