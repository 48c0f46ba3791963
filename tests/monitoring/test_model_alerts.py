"""Each alert of a model fires when it should, and not when it should not: with series that are missing, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.resources.monitoring import build_prometheus_rule

from tests.monitoring import quality, rollouts, serving
from tests.monitoring.promtool import Rules, Series
from tests.monitoring.quality import DEGRADED, FORGED, LABELS, MALFORMED, PROVEN, REJECTED, SERVES
from tests.monitoring.rollouts import ATTENTION, BEGAN, DRIFTS, WAITING, WAITS
from tests.monitoring.scenes import MODEL, NAMESPACE, A, B, Case, condition, of_operator
from tests.monitoring.serving import (
    AVAILABLE,
    ERRORS,
    LATENCY,
    LOAD,
    READY,
    SATURATED,
    SLOW,
    TARGET,
    UP,
    busy,
    requests,
    threads,
)
from tests.support.observations import an_observation

SEVERITY = {DEGRADED: "critical", ERRORS: "critical", LOAD: "critical", AVAILABLE: "critical"}
CASES = [*quality.CASES, *rollouts.CASES, *serving.CASES]


def rules_of(directory: Path, **monitoring: Any) -> Rules:
    observation = an_observation(monitoring=monitoring).having(key=Key(NAMESPACE, MODEL)).obj()
    return Rules.written(directory, build_prometheus_rule(observation)["spec"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_alert(case: Case, tmp_path: Path) -> None:
    always = {"namespace": NAMESPACE, "model": MODEL, "severity": SEVERITY.get(case.alert, "warning")}

    rules_of(tmp_path, **(case.monitoring or {})).expect(
        case.alert, [always | labels for labels in case.fires], case.series, case.at, case.every
    )


def test_every_alert_is_seen_to_fire_and_not_to_fire(tmp_path: Path) -> None:
    there = {rule["alert"] for group in rules_of(tmp_path).groups for rule in group["rules"]}

    assert {case.alert for case in CASES if case.fires} == {case.alert for case in CASES if not case.fires} == there


@pytest.mark.parametrize("accuracy", [None, {"minimum": 0.9}])
def test_rules_are_clean(tmp_path: Path, accuracy: dict[str, Any] | None) -> None:
    observation = an_observation(accuracy=accuracy).having(key=Key("a-b-c", "n" * 50)).obj()

    Rules.written(tmp_path, build_prometheus_rule(observation)["spec"]).check()


JUDGED = {
    of_operator("accuracy_estimate", revision=B, metric="f1"): "0.7812x20",
    of_operator("accuracy_level", revision=B, metric="f1"): "0.9x20",
}


@pytest.mark.parametrize(
    ("alert", "given", "labels", "at", "description"),
    [
        pytest.param(
            DEGRADED,
            {PROVEN: "1x20", SERVES: "1x20", **JUDGED},
            {"revision": B},
            "6m",
            "Revision news-b of model team/news has the traffic although its labels prove it worse: f1 is 78.12%, and "
            "should be at least 90%.",
            id="degraded",
        ),
        pytest.param(
            DEGRADED,
            {PROVEN: "1x20", SERVES: "1x20"},
            {"revision": B},
            "6m",
            "Revision news-b of model team/news has the traffic although its labels prove it worse.",
            id="degraded, without numbers",
        ),
        pytest.param(
            DEGRADED,
            {
                PROVEN: "1x20",
                SERVES: "1x20",
                **JUDGED,
                of_operator("accuracy_estimate", revision=A, metric="f1"): "0.99x20",
                of_operator("accuracy_level", revision=A, metric="f1"): "0.95x20",
            },
            {"revision": B},
            "6m",
            "Revision news-b of model team/news has the traffic although its labels prove it worse: f1 is 78.12%, and "
            "should be at least 90%.",
            id="degraded, beside a candidate",
        ),
        pytest.param(
            WAITING,
            {WAITS: "1x3100", BEGAN: "0x3100"},
            {},
            "25h",
            "A new revision of model team/news has come to a step that waits for its user, 1d 1h 0m 0s ago; it should "
            "not take more than 24h.",
            id="waits",
        ),
        pytest.param(
            ATTENTION,
            {DRIFTS: "1x20"},
            {"reason": "Drift"},
            "6m",
            "Condition NeedsAttention of model team/news is true, with the reason Drift. Drift: the revision that "
            "serves and its successor fall together. SourceDown: the labels cannot be read.",
            id="needs attention",
        ),
        pytest.param(
            REJECTED,
            {LABELS: "0+8x40", FORGED: "0+2x40", MALFORMED: "0x40"},
            {},
            "15m",
            "Of the labels that are sent for model team/news, 20% are refused, most often as forged; the limit is 10%.",
            id="rejected",
        ),
        pytest.param(
            ERRORS,
            {requests("200"): "0+9x40", requests("503"): "0+1x40"},
            {"method": "predict"},
            "15m",
            "Of the predict requests to model team/news, 10% are answered with a 5xx status; the limit is 5%.",
            id="errors",
        ),
        pytest.param(
            LATENCY,
            SLOW,
            {},
            "15m",
            "One of 100 predictions of model team/news takes 2.2s or longer; the limit is 1s.",
            id="latency",
        ),
        pytest.param(
            SATURATED,
            {busy(): "0+57x40", threads(): "2x40"},
            {"revision": A},
            "15m",
            "The threads of revision news-a of model team/news are busy for 95% of the time; the limit is 90%.",
            id="saturated",
        ),
        pytest.param(
            LOAD,
            {condition("Ready", "False", "DigestMismatch"): "1x20"},
            {},
            "6m",
            "The revision that the spec of model team/news asks for cannot start: DigestMismatch. If another revision "
            "had the traffic, it goes on serving.",
            id="load",
        ),
        pytest.param(
            TARGET,
            {UP: "0x20"},
            {"revision": A, "pod": f"{A}-1"},
            "6m",
            "Prometheus cannot scrape pod news-a-1 of revision news-a of model team/news: other alerts and the "
            "dashboards do not see what they do.",
            id="target down",
        ),
        pytest.param(
            TARGET,
            {READY: "2x20"},
            {"revision": A},
            "6m",
            "Prometheus scrapes none of the 2 pods that answer of revision news-a of model team/news: other alerts and "
            "the dashboards do not see what they do.",
            id="no target",
        ),
    ],
)
def test_descriptions_have_the_numbers(
    tmp_path: Path, alert: str, given: Series, labels: dict[str, str], at: str, description: str
) -> None:
    always = {"namespace": NAMESPACE, "model": MODEL, "severity": SEVERITY.get(alert, "warning")}

    rules_of(tmp_path).expect_texts(alert, always | labels, description, given, at)
