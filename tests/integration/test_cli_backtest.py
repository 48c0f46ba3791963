"""`kubectl model backtest` over what a real Prometheus has scraped."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from modeldeployment_operator.cli.errors import Exit

from tests.integration.command_line import CommandLine, install
from tests.integration.conftest import ControlPlane
from tests.support import debian
from tests.support.prometheus_process import PrometheusProcess

STEP, HOURS = 30, 5
GOOD, BAD = "news-aaa", "news-bbb"


@pytest.fixture
def model(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> CommandLine:
    """A ModelDeployment whose policy is tried."""
    (tmp_path / "bin").mkdir()
    spec = {"model": {"uri": "http://store/news.keras"}, "accuracy": {"minimum": 0.9, "minimumLabels": 50}}
    document = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "news"}}
    control_plane.in_namespace(namespace)("apply", "-f", "-", stdin=json.dumps(document | {"spec": spec}))
    return CommandLine(control_plane, install(tmp_path / "bin"), namespace)


@pytest.fixture
def recorded(model: CommandLine, tmp_path: Path) -> Iterator[PrometheusProcess]:
    """A Prometheus that has scraped two pods of a good revision for hours, and then one of a bad one.

    The first pod began to count anew halfway; nothing was scraped for half an hour.
    """
    directory = tmp_path / "prometheus"
    directory.mkdir()
    story = directory / "story.txt"
    story.write_text("\n".join(scraped(model.namespace, time.time() // STEP * STEP)), encoding="utf-8")
    command = [debian.command("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--quiet", story]
    subprocess.run([*command, directory / "data"], check=True, capture_output=True, timeout=120)
    with PrometheusProcess(directory, {}, "--storage.tsdb.retention.time=10y") as process:
        yield process


def scraped(namespace: str, end: float) -> Iterator[str]:
    """What was scraped, as OpenMetrics has it: every series by itself."""
    counted = [
        (GOOD, "a", "one", 0.95, range(HOURS * 3600, HOURS * 1800, -STEP)),
        (GOOD, "a", "two", 0.95, range(HOURS * 1800, 0, -STEP)),
        (GOOD, "b", "one", 0.95, range(HOURS * 3600, 0, -STEP)),
        (BAD, "c", "one", 0.75, range(3600, 0, -STEP)),
    ]
    random, labels, info = Random(1), [], []
    for revision, pod, started, true, ago in counted:
        own = f'namespace="{namespace}",pod="{pod}",model="news",revision="{revision}"'
        right, wrong = (1000, 900) if started == "one" and revision == GOOD else (0, 0)
        for seconds in ago:
            new = sum(random.random() < true for _ in range(3))
            right, wrong = right + new, wrong + 3 - new
            if 5400 < seconds <= 7200:
                continue
            at = end - seconds
            labels += [
                (f'model_labels_total{{{own},outcome="{what}"}}', at, n)
                for what, n in (("correct", right), ("wrong", wrong))
            ]
            info.append((f'model_counting_info{{{own},pod_uid="uid-{pod}",started="{started}"}}', at, 1))
    for kind, name, lines in (("counter", "model_labels", labels), ("gauge", "model_counting_info", info)):
        yield f"# TYPE {name} {kind}"
        yield from (f"{series} {value} {at:.0f}" for series, at, value in sorted(lines))
    yield "# EOF\n"


def test_what_the_policy_would_have_done(model: CommandLine, recorded: PrometheusProcess) -> None:
    words = ("backtest", "news", f"--prometheus={recorded.url}", "--since=6h")

    found = json.loads(model.says(*words, "-o", "json"))

    good, bad = found["revisions"]
    assert found["policy"]["minimumLabels"] == 50
    assert (good["revision"], good["verdict"], good["degraded"]) == (GOOD, "Healthy", None)
    per_pod = HOURS * 3600 // STEP * 3
    assert good["labels"] == 2 * per_pod - 6, "what was counted before the record begins is left out"
    assert (bad["revision"], bad["rolledBackTo"]) == (BAD, GOOD)
    assert 50 <= bad["degraded"]["labels"] < 250
    assert found["restarts"] == 1
    assert len(found["gaps"]) == 1
    text = model.says(*words)
    assert f"{BAD}: taken back at" in text
    assert "nothing was recorded for 30 min" in text


def test_a_policy_of_the_command_line_goes_before(model: CommandLine, recorded: PrometheusProcess) -> None:
    words = ("backtest", "news", f"--prometheus={recorded.url}", "--since=6h", "--minimum=.6", "-o", "json")

    assert [one["degraded"] for one in json.loads(model.says(*words))["revisions"]] == [None, None]


def test_a_prometheus_that_knows_nothing_or_is_not_there(model: CommandLine, recorded: PrometheusProcess) -> None:
    model.plane.in_namespace(model.namespace)(
        "patch", "mdep", "news", "--type=merge", "-p", '{"spec": {"model": {"labels": ["a", "b"]}}}'
    )
    nothing = model.fails(Exit.NOT_FOUND, "backtest", "news", f"--prometheus={recorded.url}", "--since=1s")
    assert f"has no labels of {model.namespace}/news in the last 0:00:01" in nothing
    by_class = ("--metric=f1", "--since=6h", "--minimum=.5")
    assert "has no labels" in model.fails(Exit.NOT_FOUND, "backtest", "news", f"--prometheus={recorded.url}", *by_class)
    away = model.fails(Exit.UNREACHABLE, "backtest", "news", "--prometheus=http://127.0.0.1:1")
    assert "cannot be asked" in away
    other = model.fails(Exit.FAILED, "backtest", "news", f"--prometheus={recorded.url}/no/such/path")
    assert "answers 404" in other
