"""The alerts of a model as text; what they do is tested with Prometheus' own tools in tests/monitoring."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from modeldeployment_operator.core.alerts import alerts
from modeldeployment_operator.core.alerts.subject import Alert, quoted
from modeldeployment_operator.core.text import span

from tests.golden import prometheus_rule
from tests.support import metrics_page
from tests.support.observations import an_observation

OF_TARGETS = {"namespace", "model", "revision", "pod"}
SERIES = re.compile(r"\b((?:model|modeldeployment)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?")
PARTS_OF_HISTOGRAMS = re.compile(r"_(bucket|count)$")


def made(accuracy: dict[str, Any] | None = None, **monitoring: Any) -> dict[str, Alert]:
    observation = an_observation(accuracy=accuracy or {"minimum": 0.9}, monitoring=monitoring).obj()
    return {alert.name: alert for alert in alerts(observation)}


def test_golden_file_is_current() -> None:
    assert prometheus_rule.FILE.read_text(encoding="utf-8") == prometheus_rule.render(), (
        "the alerts have changed: run `python -m tests.golden.prometheus_rule`, and look at what changed"
    )


def test_the_page_lists_every_alert() -> None:
    page = metrics_page.PAGE.read_text(encoding="utf-8")
    section = page.partition("\n## Alerts of each ModelDeployment\n")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.MULTILINE))

    assert told == {name: alert.severity.value for name, alert in made().items()}


def texts(alert: Alert) -> list[str]:
    """PromQL of an alert, and of the queries in its description."""
    return [alert.expression, *re.findall(r"range query `([^`]*)`", alert.description)]


@pytest.mark.parametrize("alert", made().values(), ids=lambda alert: str(alert.name))
def test_alerts_ask_for_nothing_but_what_the_page_promises(alert: Alert) -> None:
    promised = metrics_page.described(metrics_page.POD) | metrics_page.described(metrics_page.OPERATOR)
    found = [match for text in texts(alert) for match in SERIES.finditer(text.replace("}", "} "))]
    by_name = [match for match in found if match[2] or match[1] in promised]

    assert by_name
    for match in by_name:
        name, labels = PARTS_OF_HISTOGRAMS.sub("", match[1]), set(re.findall(r"(\w+)=", match[2] or ""))
        if name != "up":
            assert labels - OF_TARGETS - {"le"} <= promised[name].labels, match[0]


@pytest.mark.parametrize("alert", made().values(), ids=lambda alert: str(alert.name))
def test_every_selector_is_of_this_model_alone(alert: Alert) -> None:
    selectors = [selector for text in texts(alert) for selector in re.findall(r"\{([^}]*)\}", text)]

    assert selectors
    for selector in selectors:
        assert 'namespace="team",model="m"' in selector


@pytest.mark.parametrize("alert", made().values(), ids=lambda alert: str(alert.name))
def test_every_alert_says_what_to_do(alert: Alert) -> None:
    commands = re.findall(r"`(kubectl [^`]*)`", alert.runbook)

    assert commands
    for command in commands:
        words = shlex.split(command)
        words = words[1:] if words[1] == "model" else words  # The verb comes after the plugin's name.
        assert words[2:4] in (["-n", "team"], ["prometheus", "-A"]), command


def test_that_labels_are_missing_is_told_where_they_are_wanted() -> None:
    unjudged = an_observation().spec(accuracy=None).obj()

    assert made().keys() - {alert.name for alert in alerts(unjudged)} == {"ModelLabelsMissing"}


def test_rates_are_taken_over_four_scrapes_at_least() -> None:
    usual, seldom = made(), made(serviceMonitor={"interval": "2m"})

    assert "[5m]" in usual["ModelErrorRatioHigh"].expression
    assert "[8m]" in seldom["ModelErrorRatioHigh"].expression
    assert (usual["ModelTargetDown"].lasting, seldom["ModelTargetDown"].lasting) == (300, 480)


def test_limits_are_those_of_the_spec() -> None:
    limits = {
        "window": "90s",
        "for": "0s",
        "maximumErrorRatio": 0.015,
        "maximumLatency": "250ms",
        "maximumRejectedRatio": 0.25,
        "maximumUtilization": 0.7,
        "labelsWithin": "48h",
    }
    found = made(prometheusRule=limits, serviceMonitor={"interval": "10s"})

    assert "[1m30s]" in found["ModelErrorRatioHigh"].expression
    assert found["ModelErrorRatioHigh"].expression.endswith("> 0.015")
    assert "the limit is 1.5%" in found["ModelErrorRatioHigh"].description
    assert found["ModelLatencyHigh"].expression.endswith(">= 0.25")
    assert "the limit is 250ms" in found["ModelLatencyHigh"].description
    assert found["ModelFeedbackRejected"].expression.endswith("> 0.25")
    assert found["ModelSaturated"].expression.endswith("> 0.7")
    assert "offset 48h" in found["ModelLabelsMissing"].expression
    assert {alert.lasting for name, alert in found.items() if name != "ModelTargetDown"} == {0}


def test_scaling_changes_no_rule() -> None:
    """An autoscaler scales all the time, and Prometheus would read its rules anew for each step."""
    few, many = (an_observation().spec(replicas=replicas).obj() for replicas in (1, 7))

    assert alerts(few) == alerts(many)


def test_strings_of_promql_end_where_they_should() -> None:
    assert quoted('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (90, "1m30s"), (86400, "24h"), (3661.5, "1h1m1s500ms")]
)
def test_spans_are_written_as_prometheus_reads_them(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_step_that_is_held_for_a_time_is_given_that_time() -> None:
    hold = {"approval": True, "duration": "48h"}
    told = {
        name: next(one for one in alerts(an_observation(rollout=rollout).obj()) if one.name == "ModelAwaitingApproval")
        for name, rollout in {
            "held": {"strategy": "BlueGreen", "hold": hold},
            "asks": {"strategy": "BlueGreen", "hold": {"approval": True}},
        }.items()
    }
    assert "> 259200\n" in told["held"].expression
    assert "> 86400\n" in told["asks"].expression
    assert "24h after the 48h of its hold." in told["held"].description
