"""Runs Prometheus' own tests of rules: series in, what fires out."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support import debian

Series = dict[str, str]
"""By selector: values in promtool's notation, one at each scrape."""


@dataclass(frozen=True)
class Rules:
    """A file of rules, as a PrometheusRule holds them."""

    path: Path
    groups: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def written(cls, directory: Path, spec: Mapping[str, Any]) -> Rules:
        """Write the spec of a PrometheusRule where Prometheus reads it."""
        path = directory / "rules.yaml"
        path.write_text(yaml.safe_dump(dict(spec)), encoding="utf-8")
        return cls(path, list(spec["groups"]))

    def check(self) -> None:
        """Fail if promtool has anything against them."""
        _run("check", "rules", "--lint=all", "--lint-fatal", str(self.path))

    def annotations(self, alert: str, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the texts of an alert with its labels filled in; what else is a template stays one."""
        (found,) = [rule for group in self.groups for rule in group["rules"] if rule.get("alert") == alert]
        texts: dict[str, str] = found["annotations"]
        for label, value in labels.items():
            texts = {name: text.replace(f"{{{{ $labels.{label} }}}}", value) for name, text in texts.items()}
        return texts

    def expect(self, alert: str, fires: list[dict[str, str]], given: Series, at: str, every: str = "30s") -> None:
        """Fail unless an alert fires at a time just so often, with these labels."""
        samples = [
            {"labels": series("ALERTS", alertname=alert, alertstate="firing", **one), "value": 1} for one in fires
        ]
        wanted = {"expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}', "eval_time": at, "exp_samples": samples}
        self._test(given, every, promql_expr_test=[wanted])

    def expect_texts(self, alert: str, labels: dict[str, str], description: str, given: Series, at: str) -> None:
        """Fail unless an alert fires at a time with these labels, and describes itself like this."""
        wanted = {
            "exp_labels": labels,
            "exp_annotations": self.annotations(alert, labels) | {"description": description},
        }
        self._test(given, "30s", alert_rule_test=[{"eval_time": at, "alertname": alert, "exp_alerts": [wanted]}])

    def _test(self, given: Series, every: str, **expected: list[dict[str, Any]]) -> None:
        seen = [{"series": name, "values": values} for name, values in given.items()]
        tests = [{"interval": every, "input_series": seen, **expected}]
        path = self.path.with_name("test.yaml")
        document = {"rule_files": [self.path.name], "evaluation_interval": every, "tests": tests}
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        _run("test", "rules", str(path))


def series(metric: str, /, **labels: str) -> str:
    """Return the name of a series."""
    pairs = [f'{name}="{value}"' for name, value in labels.items()]
    return f"{metric}{{{','.join(pairs)}}}"


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [debian.command("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
