"""One ModelDeployment in a namespace of its own, as its user handles and sees it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.demo.kubectl import MODEL_DEPLOYMENTS, RESOURCE, condition
from tests.demo.workspace import CLASSES, MINIMUM
from tests.e2e.clients import Client
from tests.e2e.stage import START_SECONDS
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stage import Stage

Document = dict[str, Any]
CHILDREN = "deployments,services,controllerrevisions,poddisruptionbudgets,secrets,pods,replicasets"


class ModelDeployment:
    """What a test does with it, and sees of it."""

    def __init__(self, stage: Stage, namespace: str, name: str = "news") -> None:
        self.stage = stage
        self.namespace = namespace
        self.name = name

    def kubectl(self, *words: str, stdin: bytes | None = None) -> str:
        """Run kubectl in its namespace."""
        return self.stage.kubectl.run("--namespace", self.namespace, *words, stdin=stdin)

    def document(self, trained: str = "good", /, **spec: Any) -> Document:
        """Return what a user applies: one of the stage's trained models, and fields of the spec that differ."""
        source = {"uri": self.stage.uris[trained], "digest": self.stage.models[trained].digest}
        return {
            "apiVersion": "modelops.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name},
            "spec": {
                "model": {**source, "labels": list(CLASSES)},
                "accuracy": {"minimum": MINIMUM, "sampleInterval": "1s"},
                **spec,
            },
        }

    def apply(self, document: Document) -> None:
        """Apply it as its user would."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(document).encode())

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f"{MODEL_DEPLOYMENTS.format(namespace=self.namespace)}/{self.name}"

    def get(self) -> Document:
        """Return it as it is now."""
        found = self.stage.get(self.path)
        assert found is not None
        return found

    def status(self) -> Document:
        """Return its status."""
        status: Document = self.get().get("status", {})
        return status

    def serving(self) -> str:
        """Return the revision that has the traffic; empty before there is one."""
        return str(self.status().get("servingRevision", ""))

    def condition(self, kind: str) -> Document:
        """Return a condition; empty if it has none of this type."""
        return dict(condition(self.get(), kind))

    def wait(
        self, holds: Callable[[Document], object], what: str, *, seconds: float = START_SECONDS, every: float = 0.1
    ) -> Document:
        """Wait until its status is as wanted; return the object."""
        seen: Document = {}

        def look() -> bool:
            nonlocal seen
            seen = self.get()
            return bool(holds(seen.get("status", {})))

        wait_until(look, what, seconds=seconds, every=every, explain=self.explain)
        return seen

    def wait_for_condition(self, kind: str, status: str, reason: str, *, seconds: float = START_SECONDS) -> Document:
        """Wait until a condition of the latest spec has this status and reason; return the condition."""

        def holds(seen: Document) -> bool:
            return is_so(seen, kind, status, reason) and is_of_latest(self.get(), kind)

        found = self.wait(holds, f"{kind} is {status} because of {reason}", seconds=seconds)
        return dict(condition(found, kind))

    def wait_ready(self) -> str:
        """Wait until the latest spec serves, and can be reached; return its revision."""
        self.wait_for_condition("Ready", "True", "Serving")
        self.wait_reachable()
        return self.serving()

    def wait_reachable(self) -> None:
        """Wait until kube-proxy has made the way to the pods, which takes it a second or two after they are ready."""
        client = self.client()
        wait_until(client.is_answered, "the Service leads to a pod", seconds=30, explain=self.explain)

    def client(self) -> Client:
        """Return a client of the Service that users call."""
        service = self.stage.get(f"/api/v1/namespaces/{self.namespace}/services/{self.name}")
        assert service is not None
        return Client(service["spec"]["clusterIP"], self.name)

    def children(self) -> list[str]:
        """Return the names of all that was made for it."""
        label = f"modelops.dev/name={self.name}"
        return self.kubectl("get", CHILDREN, "--selector", label, "--output=name", "--ignore-not-found").split()

    def explain(self) -> str:
        """Return what helps to understand why it is not as it should be."""
        seen = self.kubectl("get", "mdep,deployments,pods", "-o", "wide")
        events = self.kubectl("events", "--types=Warning")
        logs = self.kubectl("logs", "--selector", f"modelops.dev/name={self.name}", "--prefix", "--tail=15")
        return "\n".join([seen, json.dumps(self.status(), indent=1), events, logs, self.stage.operator.explain()])

    def delete(self) -> float:
        """Delete it and wait until it is gone; return how many seconds that took."""
        began = time.monotonic()
        self.kubectl("delete", RESOURCE, self.name, "--ignore-not-found", "--timeout=30s")
        return time.monotonic() - began


def is_so(status: Document, kind: str, wanted: str, reason: str) -> bool:
    """Whether a condition has a status and a reason."""
    found = condition({"status": status}, kind)
    return (found.get("status"), found.get("reason")) == (wanted, reason)


def is_of_latest(document: Document, kind: str) -> bool:
    """Whether a condition tells of the spec as it is now."""
    return bool(condition(document, kind).get("observedGeneration") == document["metadata"]["generation"])


def assert_answers(model: ModelDeployment, revision: str) -> None:
    """Assert that a revision answers the clients."""
    answer = model.client().predict()
    if answer.status != 200:
        pytest.fail(f"{answer}\n{model.explain()}")
    assert answer.revision == revision
