"""A small cluster for the pure core: what is decided comes true, and labels come back.

It keeps what a real one keeps (the object with its status, records, Deployments, pods with their counts, and what
the serving Service selects), and one operator that may lose its memory at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import ModelDeploymentStatus
from modeldeployment_operator.core.children import parse_child
from modeldeployment_operator.core.decision import Decision, decide
from modeldeployment_operator.core.judgement import Judged, judge
from modeldeployment_operator.core.kinds import CONTROLLER_REVISION, HTTP_ROUTE
from modeldeployment_operator.core.leaving import let_linger
from modeldeployment_operator.core.observation import Asked, Observation, Pod, Sample, StoredRevision, Workload
from modeldeployment_operator.core.passing import ANSWERS_ITSELF
from modeldeployment_operator.core.resources import records
from modeldeployment_operator.core.resources.route import build_http_route
from modeldeployment_operator.core.revisions import Snapshot
from modeldeployment_operator.core.route import Acceptance, Route
from modeldeployment_operator.core.status import document, recover, summarise, without_counts

from tests.support.observations import KEY, NOW, a_template


@dataclass(frozen=True)
class Look:
    """What one reconcile saw and did."""

    observation: Observation
    judged: Mapping[str, Judged]
    decision: Decision
    status: ModelDeploymentStatus


@dataclass
class Gateway:
    """Does what the route said when it was read last."""

    prompt: bool = True
    """Reads each change at once."""
    refuses: bool = False
    written: tuple[Any, ...] = ()
    """Rules of the route as it is."""
    read: tuple[Any, ...] = ()
    changed: timedelta = timedelta(0)
    """When the route last was another one than that which was read."""

    @property
    def route(self) -> Route | None:
        """The route, with the Gateway's word."""
        is_read = Acceptance.YES if self.read == self.written else Acceptance.UNKNOWN
        return Route(self.written, Acceptance.NO if self.refuses else is_read) if self.written else None

    def write(self, rules: tuple[Any, ...], now: timedelta) -> None:
        """Change the route."""
        if self.read == self.written != rules:
            self.changed = now
        self.written = rules
        if self.prompt and not self.refuses:
            self.read = rules


@dataclass
class World:
    """Everything there is."""

    wish: str = "m-1"
    paused: bool = False
    policies: dict[str, Any] = field(default_factory=dict)
    accuracy: dict[str, Any] | None = field(default_factory=lambda: {"minimum": 0.9, "alpha": 0.05})
    gauges: dict[str, float] = field(default_factory=dict)
    """By revision, where a gauge is asked for; 1 for the others."""
    replicas: int = 2
    asked: Asked = field(default_factory=Asked)
    rollout: dict[str, Any] = field(default_factory=dict)
    now: timedelta = timedelta(0)
    persisted: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    memory: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    stored: dict[str, StoredRevision] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    """By revision that has a Deployment: pods that answer."""
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By pod's UID: right and wrong labels."""
    predictions: dict[str, int] = field(default_factory=dict)
    """By pod's UID."""
    life: int = 0
    """Makes the UIDs of new pods new."""
    born: dict[str, int] = field(default_factory=dict)
    selected: str | None = None
    gateway: Gateway | None = None
    """That the spec names."""

    @property
    def spec(self) -> ModelDeploymentSpec:
        """What its user has applied. Raises pydantic.ValidationError if the API server would refuse it."""
        spec = {
            "model": {"uri": f"https://models/{self.wish}.keras"},
            "replicas": self.replicas,
            "paused": self.paused,
            "rollout": {"progressDeadline": "20m", **self.rollout},
            "rollback": {"probation": "1h"},
            "policies": self.policies,
            "accuracy": self.accuracy,
            "revisionHistoryLimit": 2,
            "route": {"parentRefs": [{"name": "public"}]} if self.gateway else None,
        }
        return ModelDeploymentSpec.parse(spec)

    def label(self, revision: str, right: int, wrong: int) -> None:
        """Labels come back for a revision, if a pod of it is there to take them."""
        if self.ready.get(revision):
            uid = self._uid(revision, 0)
            had = self.counts.get(uid, (0, 0))
            self.counts[uid] = (had[0] + right, had[1] + wrong)

    def predict(self, revision: str, number: int) -> None:
        """Predictions are asked of a revision."""
        if self.ready.get(revision):
            uid = self._uid(revision, 0)
            self.predictions[uid] = self.predictions.get(uid, 0) + number

    def restart_operator(self) -> None:
        """What was not written is forgotten."""
        self.memory = self.persisted

    def lose_status(self) -> None:
        """Somebody restores the object without its status."""
        self.persisted = self.memory = ModelDeploymentStatus()

    def look(self, *, read: bool = True, down: bool = False, invalid: bool = False) -> Look:
        """Reconcile once, with or without reading the pods; where all is down, or says what cannot be, in vain."""
        observation = self._observe(read=read)
        if down or invalid:
            unread = frozenset(pod.revision for pod in observation.pods if pod.running)
            faults = dict.fromkeys(unread, "-1 labels") if invalid else {}
            observation = replace(observation, invalid=faults)
            observation = replace(observation, samples={}, silence="down", silent=unread, unread=unread)
        judged = judge(observation)
        decision = let_linger(observation, decide(observation, judged))
        status = summarise(observation, judged, decision)
        self._come_true(observation, decision, status)
        return Look(observation, judged, decision, status)

    def _observe(self, *, read: bool) -> Observation:
        pods = tuple(self._pods())
        samples = self._samples(pods) if read else None
        return Observation(
            key=KEY,
            uid="uid-1",
            generation=1,
            version="7",
            spec=self.spec,
            desired=Snapshot(self.wish, a_template(self.wish)),
            status=recover(self.memory, self.stored),
            asked=self.asked,
            stored=dict(self.stored),
            workloads={name: Workload(self.replicas, ready, settled=True) for name, ready in self.ready.items()},
            pods=pods,
            samples=samples,
            selected=self.selected,
            knows=frozenset({HTTP_ROUTE}),
            route=self.gateway.route if self.gateway else None,
            now=NOW + self.now,
        )

    def _pods(self) -> list[Pod]:
        return [
            Pod(self._uid(name, number), self._uid(name, number), name, "10.0.0.1", number < ready, number < ready)
            for name, ready in self.ready.items()
            for number in range(max(self.replicas, ready))
        ]

    def _uid(self, revision: str, number: int) -> str:
        return f"{revision}-{self.born[revision]}-{number}"

    def _samples(self, pods: tuple[Pod, ...]) -> dict[str, Sample]:
        ready = [pod for pod in pods if pod.ready]
        if self.accuracy and "gauge" in self.accuracy.get("query", {}):
            gauges = {pod.revision: self.gauges.get(pod.revision, 1.0) for pod in ready}
            return {name: Sample(name, name, "", 0, 0, 0, 0, 0, ANSWERS_ITSELF, gauge=gauges[name]) for name in gauges}
        return {pod.uid: self._sample(pod) for pod in ready}

    def _sample(self, pod: Pod) -> Sample:
        right, wrong = self.counts.get(pod.uid, (0, 0))
        predictions = self.predictions.get(pod.uid, 0)
        return Sample(pod.uid, pod.revision, "s", right, wrong, 0, 0, 0, ANSWERS_ITSELF, predictions=predictions)

    def _come_true(self, observation: Observation, decision: Decision, status: ModelDeploymentStatus) -> None:
        written = {}
        for manifest in records(observation, decision):
            live = manifest | {"metadata": manifest["metadata"] | {"uid": "u", "resourceVersion": "1"}}
            child = parse_child(CONTROLLER_REVISION, live)
            assert child is not None
            assert isinstance(child.detail, StoredRevision)
            written[child.name] = child.detail
        self.stored = written
        self.memory = ModelDeploymentStatus.parse(document(status))
        if without_counts(self.memory) != without_counts(self.persisted):
            self.persisted = self.memory
        for name in decision.running - self.ready.keys():
            self.life += 1
            self.born[name] = self.life
        self.ready = {name: min(self.ready.get(name, 0), self.replicas) for name in decision.running}
        self.selected = decision.serving
        if self.gateway and decision.serving and observation.spec.route:
            manifest = build_http_route(observation, decision, observation.spec.route)
            self.gateway.write(tuple(manifest["spec"]["rules"]), self.now)
