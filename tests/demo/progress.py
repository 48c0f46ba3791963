"""A line about the labels and the evidence, once a second or so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modeldeployment_operator.settings import HTTP_PORT

from tests.demo.kubectl import KubectlError
from tests.demo.records import Kind
from tests.demo.workspace import NAME, NAMESPACE, OPERATOR, OPERATOR_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.demo.console import Console
    from tests.demo.kubectl import Kubectl
    from tests.demo.records import Record
    from tests.demo.traffic_pod import TrafficPod

LEASE = f"{OPERATOR}-leader"
EVERY = 1.5


class Progress:
    """Tells what the clients and the operator's metrics say. The status has the counts too, but not every second."""

    def __init__(self, console: Console, kubectl: Kubectl, traffic: TrafficPod, revision: str | None = None) -> None:
        self._console = console
        self._kubectl = kubectl
        self._traffic = traffic
        self._revision = revision
        self._due = 0.0
        self._metrics = metrics_path(kubectl)
        console.say("Evidence against the revision that serves, as Prometheus gets it from the replica that acts:")
        console.command(*kubectl.shown, "get", "--raw", self._metrics)

    def labels(self) -> int:
        """Return how many labels the model has taken."""
        return len(labels_of(self._traffic.records, self._revision))

    def tell(self) -> None:
        """Print a line, unless the last one is too young. Raises DemoError if the traffic has ended."""
        self._traffic.check()
        if self._console.elapsed < self._due:
            return
        self._due = self._console.elapsed + EVERY
        try:
            evidence = evidence_in(self._kubectl.run("get", "--raw", self._metrics))
        except KubectlError:
            evidence = None
            self._metrics = metrics_path(self._kubectl)  # Another replica may act by now.
        self._console.say(progress_line(self._traffic.records, self._revision, evidence))


def metrics_path(kubectl: Kubectl) -> str:
    """Return the path of the metrics of the operator's replica that acts: it alone tells of models."""
    holder = kubectl.run(
        *("get", "lease", LEASE, "--namespace", OPERATOR_NAMESPACE, "--ignore-not-found"),
        *("--output", "jsonpath={.spec.holderIdentity}"),
    ).strip()
    return f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{holder or OPERATOR}:{HTTP_PORT}/proxy/metrics"


def evidence_in(metrics: str) -> float | None:
    """Return the evidence against the demo's model from the operator's metrics, 1 being proof."""
    labels = f'model="{NAME}",namespace="{NAMESPACE}",revision="[^"]*"'
    found = re.search(rf"^modeldeployment_evidence_ratio\{{{labels}\}} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else None


def progress_line(records: Iterable[Record], revision: str | None, evidence: float | None) -> str:
    """Return a line: labels of a revision, or of all, how many say that it was right, and the evidence."""
    records = list(records)
    labels = labels_of(records, revision)
    right = sum(label.right is True for label in labels)
    share = f"{right / len(labels):.3f}" if labels else "-"
    told = "unknown" if evidence is None else f"{evidence:.0%} of proof"
    failed = sum(record.failed for record in records)
    counts = f"{len(labels):4} labels, {right:4} for the model ({share})"
    return f"{counts}; evidence against it: {told}; failed requests: {failed}"


def labels_of(records: Iterable[Record], revision: str | None) -> list[Record]:
    """Return the labels that were taken, of a revision's predictions or of all."""
    return [one for one in records if one.kind is Kind.LABEL and not one.failed and revision in {None, one.revision}]
