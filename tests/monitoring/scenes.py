"""What Prometheus sees of a model, and what should come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.monitoring.promtool import Series, series

NAMESPACE, MODEL, A, B = "team", "news", "news-a", "news-b"


def of_pod(metric: str, revision: str = A, number: int = 1, model: str = MODEL, **labels: str) -> str:
    """A series of a pod, with the labels of its target."""
    target = {"job": revision, "namespace": NAMESPACE, "pod": f"{revision}-{number}", "container": "server"}
    return series(metric, **target, model=model, revision=revision, **labels)


def of_operator(metric: str, operator: str = "operator-1", /, model: str = MODEL, **labels: str) -> str:
    """A series of the operator, with the labels of its target."""
    target = {"job": "modeldeployment-operator", "pod": operator, "instance": f"{operator}:8080"}
    return series(f"modeldeployment_{metric}", **target, namespace=NAMESPACE, model=model, **labels)


def condition(kind: str, status: str, reason: str, **more: str) -> str:
    return of_operator("condition", type=kind, status=status, reason=reason, **more)


@dataclass(frozen=True)
class Case:
    """One alert, and what is seen of the model."""

    title: str
    alert: str
    series: Series
    at: str
    fires: tuple[dict[str, str], ...] = ()
    """Labels of what fires, besides those that all have."""
    monitoring: dict[str, Any] | None = None
    every: str = "30s"

    def __str__(self) -> str:
        return f"{self.alert}: {self.title}"


ONE: tuple[dict[str, str], ...] = ({},)
