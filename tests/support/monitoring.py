"""Prometheus and Alertmanager of a cluster, as tests use them: asked, waited for, taken away and brought back."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.cluster.monitoring import objects
from tests.support.prometheus import Alert, Alertmanager, Prometheus, PrometheusError, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cluster.monitoring import Installed
    from tests.demo.kubectl import Kubectl

SECONDS = 60.0
"""For what was applied to become what is scraped: the Prometheus Operator, the kubelet and the reloader pass it on."""


@dataclass(frozen=True)
class Monitoring:
    """The monitoring stack of a cluster on this machine."""

    prometheus: Prometheus
    alertmanager: Alertmanager
    kubectl: Kubectl

    @classmethod
    def of(cls, installed: Installed, kubectl: Kubectl) -> Self:
        """Use what was installed."""
        return cls(Prometheus(installed.prometheus), Alertmanager(installed.alertmanager), kubectl)

    def targets(self, labels: Mapping[str, str]) -> list[Target]:
        """Return the targets with all of these labels."""
        return [target for target in self.prometheus.targets() if labels.items() <= target.labels.items()]

    def wait_for_targets(self, number: int, labels: Mapping[str, str], *, seconds: float = SECONDS) -> list[Target]:
        """Wait until there are so many targets with these labels, and all are scraped; return them."""

        def hold() -> bool:
            found = self.targets(labels)
            return len(found) == number and all(target.health == "up" for target in found)

        self.wait(hold, f"{number} targets with {labels} are up", seconds, lambda: f"{self.prometheus.targets()}")
        return self.targets(labels)

    def wait_for_query(self, expression: str, wanted: Callable[[float], bool], *, seconds: float = SECONDS) -> float:
        """Wait until a query has one value, and that is as wanted; return it."""
        seen: float | None = None

        def hold() -> bool:
            nonlocal seen
            seen = self.prometheus.value(expression)
            return seen is not None and wanted(seen)

        self.wait(hold, f"{expression} is as wanted", seconds, lambda: f"it is {seen}")
        assert seen is not None
        return seen

    def find_alert(self, name: str, labels: Mapping[str, str]) -> Alert | None:
        """Return an alert as Alertmanager has it; None if it has none that is not resolved."""
        found = (one for one in self.alertmanager.alerts() if one.name == name and one.has(labels))
        return next(found, None)

    def wait_for_alert(self, name: str, labels: Mapping[str, str], *, seconds: float = SECONDS) -> Alert:
        """Wait until Alertmanager has an alert; return it."""
        found: list[Alert] = []

        def hold() -> bool:
            alert = self.find_alert(name, labels)
            found.extend([alert] if alert else [])
            return bool(found)

        self.wait(hold, f"Alertmanager has {name} of {labels}", seconds, lambda: self.explain(name))
        return found[0]

    def wait_resolved(self, name: str, labels: Mapping[str, str], *, seconds: float = SECONDS) -> None:
        """Wait until Alertmanager has an alert no longer."""
        self.wait(
            lambda: self.find_alert(name, labels) is None,
            f"{name} of {labels} is resolved",
            seconds,
            lambda: self.explain(name),
        )

    def explain(self, alert: str) -> str:
        """Return what helps to understand why an alert is not as it should be."""
        rules = [rule for rule in self.prometheus.rules() if rule.name == alert]
        values = {rule.query: self.prometheus.query(rule.query) for rule in rules}
        pending = [(one.name, one.state, one.labels) for one in self.prometheus.alerts()]
        return f"its rules and what they give: {values}\nalerts of Prometheus: {pending}"

    def stop(self) -> None:
        """Take Prometheus away, with all that it has stored; return when its pod is gone."""
        self._scale(0)
        selector = f"app.kubernetes.io/instance={objects.PROMETHEUS}"
        in_namespace = ("--namespace", objects.NAMESPACE)
        self.wait(
            lambda: not self.kubectl.run("get", "pods", "--selector", selector, "--output=name", *in_namespace).strip(),
            "Prometheus is gone",
            SECONDS,
            lambda: self.kubectl.run("describe", "pods", "--selector", selector, *in_namespace),
        )

    def start(self) -> None:
        """Bring Prometheus back; return when it answers."""
        self._scale(1)
        self.wait(self.prometheus.is_ready, "Prometheus answers", SECONDS, lambda: "")

    def _scale(self, replicas: int) -> None:
        change = json.dumps({"spec": {"replicas": replicas}})
        what = ("prometheuses.monitoring.coreos.com", objects.PROMETHEUS, "--namespace", objects.NAMESPACE)
        self.kubectl.run("patch", *what, "--type=merge", "--patch", change)

    def wait(self, holds: Callable[[], bool], what: str, seconds: float, explain: Callable[[], str]) -> None:
        """Wait until something holds. A Prometheus that does not answer holds nothing, and is asked again."""
        deadline = time.monotonic() + seconds
        while not self._holds(holds):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not so within {seconds:.0f} s: {what}\n{explain()}")
            time.sleep(0.2)

    @staticmethod
    def _holds(holds: Callable[[], bool]) -> bool:
        try:
            return holds()
        except PrometheusError:
            return False
