"""What one reconcile looks at: everything that was seen, and nothing that was concluded from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from modeldeployment_operator.api import group
from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import ModelDeploymentStatus, Rejection
from modeldeployment_operator.core.kinds import HTTP_ROUTE, PROMETHEUS_RULE, SERVICE_MONITOR, Kind
from modeldeployment_operator.core.passing import Passing
from modeldeployment_operator.core.revisions import Snapshot, Template
from modeldeployment_operator.core.route import Route


@dataclass(frozen=True, order=True)
class Key:
    """Names a ModelDeployment."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Problem:
    """Why something does not come up, in words for its user."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Pod:
    """A serving pod."""

    name: str
    uid: str
    revision: str
    ip: str | None
    running: bool
    """Its serving container runs; it may be ready or not."""
    ready: bool
    keys: str | None = None
    """Hash of the keys that it was made for."""
    problem: Problem | None = None


@dataclass(frozen=True)
class StoredRevision:
    """What a ControllerRevision keeps of a revision."""

    number: int
    template: Template
    rejection: Rejection | None = None


@dataclass(frozen=True)
class Workload:
    """A revision's Deployment."""

    replicas: int
    """Wanted pods, as the Deployment says."""
    ready: int
    settled: bool
    """Its controller has seen the latest change, and all pods are of that change."""
    record: StoredRevision | None = None
    """A second copy of the revision's record."""
    problem: Problem | None = None
    uid: str = ""
    version: str = field(default="", compare=False)
    """The resourceVersion."""
    shared_size: bool = False
    """Another than the operator owns `spec.replicas`, too, so that the number stays when the operator leaves it out."""


@dataclass(frozen=True)
class Autoscaler:
    """What a HorizontalPodAutoscaler says of itself."""

    revision: str
    """Whose number of pods it sets."""
    active: bool | None
    """Whether it can tell how many pods are needed; None before it has tried."""
    problem: str = ""
    """Why it cannot, in its own words."""


@dataclass(frozen=True)
class Sample:
    """Counts of one pod, read at one time; the cells are 0 unless the model has two classes."""

    pod_uid: str
    revision: str
    started: str
    correct: int
    wrong: int
    true_positive: int
    false_positive: int
    false_negative: int
    passing: Passing
    gauge: float | None = None
    """What a user's gauge says of the revision, instead of all counts."""
    classes: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    """True positives, false positives and false negatives by the name of a class."""
    slices: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Correct and wrong by the name of a slice."""
    pairs: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    """By a revision that got copies of its requests: labels that it won, lost and tied."""
    predictions: int | None = None
    """None if the source does not tell."""
    fault: str | None = None
    """Why the numbers cannot be counts; then they mean nothing."""


@dataclass(frozen=True)
class Asked:
    """What a user asks for without touching the spec, which is often Git's: see `api/group.py`."""

    retry: str | None = None
    promote: str | None = None
    abort: str | None = None
    resume: str | None = None
    paused: bool = False

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> Asked:
        """Read annotations."""
        return cls(
            retry=annotations.get(group.RETRY_ANNOTATION),
            promote=annotations.get(group.PROMOTE_ANNOTATION),
            abort=annotations.get(group.ABORT_ANNOTATION),
            resume=annotations.get(group.RESUME_ANNOTATION),
            paused=annotations.get(group.PAUSED_ANNOTATION) == "true",
        )


@dataclass(frozen=True)
class Observation:
    """Everything that was seen of one ModelDeployment."""

    key: Key
    uid: str
    generation: int
    version: str
    """The resourceVersion: a status is written for this state of the object, or not at all."""
    spec: ModelDeploymentSpec
    desired: Snapshot
    """What the spec asks for."""
    status: ModelDeploymentStatus
    """What the operator remembers."""
    asked: Asked = Asked()
    """What its user asks for in annotations."""
    stored: Mapping[str, StoredRevision] = field(default_factory=dict)
    """By revision."""
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    """By revision."""
    pods: tuple[Pod, ...] = ()
    samples: Mapping[str, Sample] | None = None
    """By pod's UID, of the pods whose labels could be read; None if it was not time to."""
    silence: str | None = None
    """Why those of a pod could not, and what to do."""
    silent: frozenset[str] = frozenset()
    """Revisions of which none could be read for so long that it is worth telling."""
    invalid: Mapping[str, str] = field(default_factory=dict)
    """By revision: what was wrong with its counts at the last look."""
    unread: frozenset[str] = frozenset()
    """Revisions of which none could be read at the last look."""
    uncounted: frozenset[str] = frozenset()
    """Of those, revisions of which the source has answered that nothing is counted, and never was."""
    selected: str | None = None
    """Revision that the serving Service selects."""
    told: Mapping[str, Passing] = field(default_factory=dict)
    """By pod's UID, what of its requests it answers itself, where that is known."""
    autoscaler: Autoscaler | None = None
    route: Route | None = None
    """The HTTPRoute of its own."""
    knows: frozenset[Kind] = frozenset()
    """Optional kinds that the cluster has."""
    operator_namespace: str = ""
    """Where the operator runs."""
    watched_since: datetime | None = None
    """When this operator first looked at it. What may have been before that, nobody saw."""
    now: datetime = field(kw_only=True)

    @property
    def paused(self) -> bool:
        """Whether the traffic is held where it is."""
        return self.spec.paused or self.asked.paused

    def seen_since(self, time: str | datetime) -> datetime:
        """Return since when something has been seen to be so that is remembered to be so since a time."""
        since = datetime.fromisoformat(time) if isinstance(time, str) else time
        return max(since, self.watched_since) if self.watched_since else since

    def pods_of(self, revision: str) -> Iterable[Pod]:
        """Return the pods of a revision."""
        return (pod for pod in self.pods if pod.revision == revision)

    def at(self, version: str) -> Observation:
        """Return the same for the object as it is after a write of its status."""
        return replace(self, version=version)

    @property
    def wanted_kinds(self) -> frozenset[Kind]:
        """Optional kinds that the spec asks for, whether the cluster has them or not."""
        monitoring = self.spec.monitoring
        enabled = {
            SERVICE_MONITOR: monitoring.service_monitor.enabled,
            PROMETHEUS_RULE: monitoring.prometheus_rule.enabled,
            HTTP_ROUTE: self.spec.route is not None,
        }
        return frozenset(kind for kind, wanted in enabled.items() if wanted)

    @property
    def replicas(self) -> int:
        """Pods that carry the traffic: what the spec says, or as many as the revision that serves has just now."""
        if self.spec.autoscaling:
            return self.spec.autoscaling.clamp(max(self._size, self.least_replicas))
        return 1 if self.spec.replicas is None else self.spec.replicas

    @property
    def least_replicas(self) -> int:
        """Pods that there must be whatever the load is.

        In a rollout the revision that serves has less to do with each step, and has to be able to take all of it back.
        """
        least = self.spec.autoscaling.min_replicas if self.spec.autoscaling else 0
        return max(least, self.status.rollout.replicas) if self.status.rollout else least

    @property
    def most_replicas(self) -> int:
        """How many pods that may become without a change of the spec."""
        return self.spec.autoscaling.max_replicas if self.spec.autoscaling else self.replicas

    @property
    def _size(self) -> int:
        """What the Deployment says of the revision that serves; should that be lost, what the status does."""
        for name in (self.status.serving_revision, self.selected):
            if name is not None and name in self.workloads:
                return self.workloads[name].replicas
        return self.status.replicas
