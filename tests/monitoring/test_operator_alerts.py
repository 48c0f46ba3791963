"""The alerts on the operator itself, as `manifests/components/monitoring` has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.monitoring.promtool import Rules, Series, series

FILE = Path(__file__).parents[2] / "manifests/components/monitoring/prometheusrule.yaml"
NAMESPACE = {"namespace": "modelops-system"}


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules.written(tmp_path, yaml.safe_load(FILE.read_text(encoding="utf-8"))["spec"])


def of(metric: str, **labels: str) -> str:
    return series(f"modeldeployment_{metric}", job="modeldeployment-operator", pod="operator-1", **NAMESPACE, **labels)


QUEUE, FAILURES = of("queue_length"), of("reconcile_errors_total")
CALLS = "api_request_duration_seconds_count"
GOOD, BAD, LOST = (
    of(CALLS, method="GET", code="200"),
    of(CALLS, method="GET", code="503"),
    of(CALLS, method="PATCH", code="error"),
)
DOWN, FAIL, GROWS, ERRORS = (
    f"ModelDeployment{name}" for name in ("OperatorDown", "ReconcilesFail", "QueueGrows", "ApiErrors")
)


@pytest.mark.parametrize(
    ("alert", "given", "at", "fires"),
    [
        pytest.param(DOWN, {}, "6m", [{"severity": "critical"}], id="never there"),
        pytest.param(DOWN, {QUEUE: "0x5 stale"}, "9m", [{"severity": "critical"}], id="gone"),
        pytest.param(DOWN, {QUEUE: "0x30"}, "9m", [], id="there"),
        pytest.param(DOWN, {QUEUE: "0x5 stale _x4 0x30"}, "9m", [], id="replaced"),
        pytest.param(FAIL, {FAILURES: "0 0 1+1x100"}, "25m", [NAMESPACE], id="fails twice a minute"),
        pytest.param(FAIL, {FAILURES: "0x10 40x60"}, "12m", [], id="failed all at once"),
        pytest.param(FAIL, {FAILURES: "0x60"}, "25m", [], id="does not fail"),
        pytest.param(FAIL, {FAILURES: "500x20 0x60"}, "25m", [], id="began anew"),
        pytest.param(GROWS, {QUEUE: "30x60"}, "16m", [NAMESPACE], id="many wait"),
        pytest.param(
            GROWS, {QUEUE: "30 30 30 0 30 30 30 0 30 30 30 30 0 30x4 0 30x4 0 30x5 0 30x5 0"}, "16m", [], id="in waves"
        ),
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
        "30 ModelDeployments or more have been waiting for a worker all the time: changes, verdicts and rollbacks are "
        "late."
    )

    rules.expect_texts(GROWS, labels, description, {QUEUE: "30x60"}, "16m")
