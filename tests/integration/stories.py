"""One ModelDeployment, its operator and its pods, in a namespace of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet


@dataclass
class Story:
    """What a test does and sees."""

    kubectl: Callable[..., str]
    """Runs kubectl in the namespace."""
    namespace: str
    kubelet: Kubelet
    operator: Operator
    name: str = "news"

    def apply(self, model: int, *, replicas: int = 2, **spec: Any) -> None:
        """Apply the ModelDeployment as its user would."""
        document: dict[str, Any] = {
            "apiVersion": "modelops.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name},
            "spec": {
                "model": {"uri": f"http://store/news-{model}.keras", "labels": ["review", "news"]},
                "replicas": replicas,
                "accuracy": {"minimum": 0.9, "sampleInterval": "1s"},
                **spec,
            },
        }
        document["spec"] = {name: value for name, value in document["spec"].items() if value is not None}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(document))

    def count(self, revision: str, *, correct: int, wrong: int) -> None:
        """Have each pod of a revision count so many labels."""
        for pod in self.kubelet.of(revision):
            pod.correct += correct
            pod.wrong += wrong

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object."""
        document: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return document

    def resource(self) -> dict[str, Any]:
        """Return the ModelDeployment."""
        return self.get("mdep", self.name)

    def status(self) -> dict[str, Any]:
        """Return its status."""
        status: dict[str, Any] = self.resource().get("status", {})
        return status

    def condition(self, kind: str) -> dict[str, Any]:
        """Return one of its conditions, empty if it is not there."""
        found: list[dict[str, Any]] = [one for one in self.status().get("conditions", ()) if one["type"] == kind]
        return found[0] if found else {}

    def selected(self) -> str:
        """Return the revision that the serving Service selects; empty if there is no such Service."""
        path = "jsonpath={.spec.selector.modelops\\.dev/revision}"
        return self.kubectl("get", "service", self.name, "--ignore-not-found", "-o", path)

    def events(self) -> list[dict[str, Any]]:
        """Return the Events of the namespace."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", "events", "-o", "json"))["items"]
        return items

    def wait_for(self, condition: Callable[[dict[str, Any]], Any], what: str, *, seconds: float = 30) -> Any:
        """Wait until something holds for the status; return what the condition returned."""
        result = None

        def holds() -> bool:
            nonlocal result
            status = self.status()
            result = condition(status) if status else None
            return bool(result)

        self.wait_until(holds, what, seconds=seconds)
        return result

    def wait_until(self, condition: Callable[[], Any], what: str, *, seconds: float = 30) -> None:
        """Wait until something holds; fail the test if it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                seen = self.kubectl("get", "mdep,deployments,pods", "-o", "wide")
                status = self.kubectl("get", "mdep", "-o", "jsonpath={.items[*].status}")
                pytest.fail(f"not so within {seconds} s: {what}\n{seen}\n{status}")
            time.sleep(0.1)
