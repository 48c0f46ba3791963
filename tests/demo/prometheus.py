"""The story as Prometheus saw it: labels, the alert, and the dashboards, each query of which has an answer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.cluster.paths import REPOSITORY
from tests.demo.errors import DemoError
from tests.demo.records import Kind
from tests.demo.timeline import ROLLED_BACK, Seen
from tests.demo.workspace import NAME, NAMESPACE, RESULT, SCRAPE_INTERVAL
from tests.support.prometheus import Alertmanager, Prometheus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.cluster.monitoring import Installed
    from tests.demo.console import Console
    from tests.demo.records import Record

MODEL = {"namespace": NAMESPACE, "model": NAME}
LABELS = f'sum by (revision) (last_over_time(model_labels_total{{namespace="{NAMESPACE}", model="{NAME}"}}[15s]))'
"""Of the last seconds: pods of an earlier demo are seen for five minutes, as they went with their ServiceMonitor."""
JUDGED = f'modeldeployment_accuracy_labels{{namespace="{NAMESPACE}", model="{NAME}"}}'
PICTURES = RESULT.parent / "dashboards"
SECONDS = 20.0
"""For what was counted to be scraped, and for the alert to get through."""


def look(installed: Installed, records: Iterable[Record], began: float, console: Console) -> Seen:
    """Show what Prometheus has since `began`, and draw the dashboards; return the figures."""
    prometheus, alertmanager = Prometheus(installed.prometheus), Alertmanager(installed.alertmanager)
    console.say(f"It scrapes each pod every {SCRAPE_INTERVAL}, found by the ServiceMonitor alone. {LABELS}:")
    sent = dict(Counter(one.revision for one in records if one.kind is Kind.LABEL and not one.failed))
    _wait(lambda: _labels(prometheus) == sent)
    labels = _labels(prometheus)
    console.show("\n".join(f"{revision}  {count}" for revision, count in labels.items()))
    console.say(f"As many were judged of the revision that serves, whatever their source. {JUDGED}:")
    _wait(lambda: all(count == labels.get(revision) for revision, count in _judged(prometheus).items()))
    judged = _judged(prometheus)
    console.show("\n".join(f"{revision}  {count}" for revision, count in judged.items()))
    _wait(lambda: ROLLED_BACK in _alerts(alertmanager))
    console.say("Alertmanager has, of the rules that the operator made:")
    alerts = _alerts(alertmanager)
    for name, summary in alerts.items():
        console.show(f"{name}: {summary}")
    console.say("The dashboards, each query of which is asked:")
    checked = _run(console, dashboards(installed, began, time.time(), "--check"))
    if checked.stderr:
        raise DemoError(checked.stderr)
    summary = checked.stdout.splitlines()[-1]
    console.show(checked.stdout if checked.returncode else summary)
    drawn = _run(console, dashboards(installed, began, time.time(), "--output", str(PICTURES)))
    if drawn.returncode != 0:
        raise DemoError(drawn.stderr)
    console.say(f"They are drawn in {PICTURES}, as Grafana shows them.")
    unanswered = int(summary.split()[0]) if checked.returncode else 0
    return Seen(labels, judged, list(alerts), unanswered, installed.prometheus, installed.alertmanager)


def dashboards(installed: Installed, began: float, ended: float, *options: str) -> list[str]:
    """Return the command that asks or draws the dashboards of the demo's model, from one time to another."""
    words = [sys.executable, "-m", "tests.pictures", "--prometheus", installed.prometheus, "--namespace", NAMESPACE]
    words += ["--model", NAME, "--range", f"{ended - began:.0f}s", "--end", f"{ended:.0f}"]
    return [*words, "--scrape-interval", SCRAPE_INTERVAL.removesuffix("s"), *options]


def _labels(prometheus: Prometheus) -> dict[str, int]:
    return {one.labels["revision"]: int(one.value) for one in prometheus.query(LABELS) if one.value}


def _judged(prometheus: Prometheus) -> dict[str, int]:
    return {one.labels["revision"]: int(one.value) for one in prometheus.query(JUDGED)}


def _alerts(alertmanager: Alertmanager) -> dict[str, str]:
    return {one.name: one.annotations["summary"] for one in alertmanager.alerts() if one.has(MODEL)}


def _wait(holds: Callable[[], bool]) -> None:
    """Wait; whether it came to be is among the figures."""
    end = time.monotonic() + SECONDS
    while not holds() and time.monotonic() < end:
        time.sleep(0.5)


def _run(console: Console, words: list[str]) -> subprocess.CompletedProcess[str]:
    console.command("python", *words[1:])
    return subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
