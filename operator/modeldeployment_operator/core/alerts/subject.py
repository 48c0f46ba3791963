"""What an alert is, and how it speaks of one ModelDeployment in PromQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.spec import Monitoring
from modeldeployment_operator.core import names
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.text import span

SCRAPES: Final = 4
"""A rate needs two samples; so many, and one scrape may fail and another come late."""

_SILENCE_SECONDS: Final = 120.0
"""For which what the operator said last holds while it says nothing."""
_STEP_SECONDS: Final = 5.0
_CONDITION: Final = "modeldeployment_condition"


class Severity(StrEnum):
    """How urgent it is."""

    CRITICAL = "critical"
    """Clients get wrong answers, or none."""
    WARNING = "warning"


@dataclass(frozen=True)
class Alert:
    """One alert. The texts are templates of Prometheus."""

    name: str
    severity: Severity
    expression: str
    summary: str
    description: str
    """What is the case, with the numbers and the limit."""
    runbook: str
    """What to do; commands stand in backticks."""
    lasting: float = 0.0
    """Seconds for which it must be so before it is told."""


@dataclass(frozen=True)
class Subject:
    """The ModelDeployment that the alerts are about."""

    key: Key
    monitoring: Monitoring

    def series(self, metric: str, *matchers: str, **labels: str) -> str:
        """Return a selector of its series: `labels` are equal, `matchers` stand as they are."""
        own = {"namespace": self.key.namespace, "model": self.key.name} | labels
        return f"{metric}{{{','.join([*(f'{name}={quoted(value)}' for name, value in own.items()), *matchers])}}}"

    def condition(self, kind: ConditionType, status: ConditionStatus, reasons: Iterable[Reason] = ()) -> str:
        """Return a selector of a condition that is so, for one of some reasons."""
        words = list(reasons)
        matchers = [f"reason{'=~' if len(words) > 1 else '='}{quoted('|'.join(words))}"] if words else []
        return self.series(_CONDITION, *matchers, type=kind, status=status)

    def told(self, selector: str) -> str:
        """Return what the operator says now, or said last if it says nothing of the model at all.

        It is replaced within a minute or two, and an alert must not end and begin anew for that. What ended before it
        fell silent is over: that was scraped earlier than the last of what it said.
        """
        anything = self.series(_CONDITION)
        last = (
            f"last_over_time({selector}[{span(_SILENCE_SECONDS)}])\n    and\n    ({_scraped(selector)}"
            f"\n      >= on (namespace, model) group_left () max by (namespace, model) ({_scraped(anything)}))"
        )
        return f"\n  {selector}\n  or\n  (\n    {last}\n    unless on (namespace, model) {anything}\n  )\n"

    @property
    def scrapes(self) -> float:
        """Seconds in which so many scrapes fall that something can be told from them."""
        return SCRAPES * seconds(self.monitoring.service_monitor.interval)

    @property
    def window(self) -> str:
        """Span over which rates are taken."""
        return span(max(seconds(self.monitoring.prometheus_rule.window), self.scrapes))

    @property
    def lasting(self) -> float:
        """Seconds for which a symptom must be there."""
        return seconds(self.monitoring.prometheus_rule.lasting)

    def kubectl(self, verb: str, rest: str) -> str:
        """Return a command in the ModelDeployment's namespace."""
        return f"`kubectl {verb} -n {self.key.namespace} {rest}`"

    def model(self, verb: str) -> str:
        """Return a command of the plugin about it."""
        return f"`kubectl model {verb} -n {self.key.namespace} {self.key.name}`"

    @property
    def describe(self) -> str:
        """Command that shows its conditions and Events."""
        return self.kubectl("describe", f"mdep {self.key.name}")

    @property
    def pods(self) -> str:
        """Command that lists its pods."""
        return self.kubectl("get", f"pods -l {names.NAME_LABEL}={self.key.name} -o wide")

    @property
    def more_pods(self) -> str:
        """Command that adds a pod. It asks how many there are: the rule stays as it is when they are scaled."""
        there = f"$(kubectl get -n {self.key.namespace} mdep {self.key.name} -o jsonpath={{.status.replicas}})"
        return self.kubectl("scale", f"mdep {self.key.name} --replicas=$(({there} + 1))")

    @property
    def logs(self) -> str:
        """Command that shows what its pods last said."""
        return self.kubectl("logs", f"-l {names.NAME_LABEL}={self.key.name} --all-containers --prefix --tail=50")


def _scraped(selector: str) -> str:
    """Return when series were scraped last, as far as that is a short while ago."""
    return f"max_over_time(timestamp({selector})[{span(_SILENCE_SECONDS)}:{span(_STEP_SECONDS)}])"


def quoted(text: str) -> str:
    """Return a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def percent(ratio: float) -> str:
    """Return a limit as people read it, and as Prometheus writes the value that it is held against."""
    return f"{ratio * 100:.4g}%"


def queried(query: str, template: str) -> str:
    """Return a template for each result of a query; nothing if there is none."""
    return f"{{{{ range query `{query}` }}}}{template}{{{{ end }}}}"
