"""Observations for tests, in words: `an_observation().serving("m-1").ready("m-1").asks_for("m-2").obj()`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modeldeployment_operator.api.model import ModelSource
from modeldeployment_operator.api.spec import AccuracyMetric, ModelDeploymentSpec
from modeldeployment_operator.api.status import (
    EvidenceState,
    ModelDeploymentStatus,
    Rejection,
    Revision,
    RevisionPhase,
    Verdict,
)
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.judgement import Judged, Level
from modeldeployment_operator.core.observation import Key, Observation, Pod, Problem, Sample, StoredRevision, Workload
from modeldeployment_operator.core.passing import ANSWERS_ITSELF
from modeldeployment_operator.core.revisions import Snapshot, Template
from modeldeployment_operator.core.text import precise

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
KEY = Key("team", "m")
LEVEL = Level(AccuracyMetric.ACCURACY, 0.9, 0.01)


def ago(**span: float) -> str:
    """Return a time before NOW as the status writes it."""
    return precise(NOW - timedelta(**span))


def a_template(name: str, **model: Any) -> Template:
    source = {"uri": f"https://models/{name}.keras", "name": "m"} | model
    return Template(model=ModelSource.parse(source), image="server:1")


def a_revision(name: str, phase: RevisionPhase = RevisionPhase.RETIRED, **fields: Any) -> Revision:
    return Revision(name=name, phase=phase, model_uri=f"https://models/{name}.keras", **fields)


def a_rejection(revision: str, **fields: Any) -> Rejection:
    return Rejection(
        revision=revision,
        model_uri=f"https://models/{revision}.keras",
        time=ago(hours=1),
        metric="accuracy",
        level="0.9000",
        estimate="0.7000",
        lower="0.6000",
        upper="0.8000",
        labels=100,
        wrong=30,
        log_e="5.000",
        alpha="0.01",
        **fields,
    )


def a_pod(revision: str, number: int = 0, *, ready: bool = True, **fields: Any) -> Pod:
    name = f"{revision}-pod-{number}"
    values: dict[str, Any] = {"ip": f"10.0.0.{number + 1}", "running": True, "ready": ready} | fields
    return Pod(name=name, uid=name, revision=revision, **values)


def a_sample(uid: str, correct: int = 0, wrong: int = 0, started: str = "s", **fields: Any) -> Sample:
    values: dict[str, Any] = {
        "revision": uid.rpartition("-pod-")[0],
        "true_positive": 0,
        "false_positive": 0,
        "false_negative": 0,
        "passing": ANSWERS_ITSELF,
    } | fields
    return Sample(pod_uid=uid, started=started, correct=correct, wrong=wrong, **values)


def evidence(right: int, wrong: int, level: Level = LEVEL) -> EvidenceState:
    """The state of a test that saw these labels in one step."""
    after = Evidence.start(level.value).observe(right, wrong)
    bets = [repr(value) for value in after.log_bets]
    return EvidenceState(metric=level.metric.value, level=f"{level.value:.6f}", right=right, wrong=wrong, log_bets=bets)


def degraded(right: int = 70, wrong: int = 30) -> Judged:
    return Judged(AccuracyMetric.ACCURACY, Verdict.DEGRADED, LEVEL, evidence(right, wrong), log_e=6.0)


def healthy(right: int = 98, wrong: int = 2) -> Judged:
    return Judged(AccuracyMetric.ACCURACY, Verdict.HEALTHY, LEVEL, evidence(right, wrong), log_e=-0.5)


def inconclusive(right: int = 4, wrong: int = 1) -> Judged:
    return Judged(AccuracyMetric.ACCURACY, Verdict.INCONCLUSIVE, LEVEL, evidence(right, wrong), log_e=0.1)


@dataclass(frozen=True)
class ObservationBuilder:
    """Each word returns a new builder. A revision that is named is also stored, with the next number."""

    wish: str = "m-1"
    document: dict[str, Any] = field(default_factory=dict)
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    stored: dict[str, StoredRevision] = field(default_factory=dict)
    workloads: dict[str, Workload] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    rest: dict[str, Any] = field(default_factory=dict)

    def asks_for(self, name: str) -> ObservationBuilder:
        """The spec asks for this revision; it need not be stored yet."""
        return replace(self, wish=name)

    def spec(self, **fields: Any) -> ObservationBuilder:
        """Set fields of the spec, as JSON has them."""
        return replace(self, document=self.document | fields)

    def knows(self, *names: str) -> ObservationBuilder:
        """There are ControllerRevisions of these names."""
        stored = dict(self.stored)
        for name in names:
            stored.setdefault(name, StoredRevision(len(stored) + 1, a_template(name)))
        return replace(self, stored=stored)

    def revision(self, name: str, phase: RevisionPhase, **fields: Any) -> ObservationBuilder:
        """The status tells this of a revision."""
        others = [one for one in self.status.revisions if one.name != name]
        known = [*others, a_revision(name, phase, **fields)]
        return self.remembers(revisions=known).knows(name)

    def serving(self, name: str, **fields: Any) -> ObservationBuilder:
        fields = {"serving_since": ago(hours=1)} | fields
        fields = {"judged_since": fields["serving_since"]} | fields
        return self.remembers(serving_revision=name).revision(name, RevisionPhase.SERVING, **fields)

    def candidate(self, name: str, **fields: Any) -> ObservationBuilder:
        builder = self.remembers(candidate_revision=name).asks_for(name)
        return builder.revision(name, RevisionPhase.CANDIDATE, **fields)

    def standby(self, name: str, **fields: Any) -> ObservationBuilder:
        return self.remembers(standby_revision=name).revision(name, RevisionPhase.STANDBY, **fields)

    def rejected(self, name: str, **fields: Any) -> ObservationBuilder:
        """A revision was taken back an hour ago."""
        builder = self.remembers(rejections=[a_rejection(name, **fields), *self.status.rejections])
        return builder.revision(name, RevisionPhase.REJECTED, verdict=Verdict.DEGRADED, serving_until=ago(hours=1))

    def remembers(self, **fields: Any) -> ObservationBuilder:
        """Set fields of the status."""
        return replace(self, status=self.status.model_copy(update=fields))

    def ready(self, name: str, ready: int = 2, of: int = 2, *, settled: bool = True) -> ObservationBuilder:
        """So many pods of a revision answer."""
        workloads = self.workloads | {name: Workload(of, ready, settled)}
        others = tuple(pod for pod in self.pods if pod.revision != name)
        pods = tuple(a_pod(name, number, ready=number < ready) for number in range(of))
        return replace(self.knows(name), workloads=workloads, pods=(*others, *pods))

    def unrecorded(self, name: str) -> ObservationBuilder:
        """All pods of a revision answer, but its ControllerRevision is not there."""
        return replace(self.ready(name), stored=self.stored)

    def starting(self, name: str) -> ObservationBuilder:
        return self.ready(name, 0)

    def failing(self, name: str, problem: Problem) -> ObservationBuilder:
        """The pods of a revision do not come up."""
        builder = self.starting(name)
        pods = [replace(pod, problem=problem, running=False) if pod.revision == name else pod for pod in builder.pods]
        return replace(builder, pods=tuple(pods))

    def having(self, **fields: Any) -> ObservationBuilder:
        """Set any other field of the observation: retry, samples, selected, now."""
        return replace(self, rest=self.rest | fields)

    def paused(self) -> ObservationBuilder:
        return self.spec(paused=True)

    def obj(self) -> Observation:
        values: dict[str, Any] = {
            "key": KEY,
            "uid": "uid-1",
            "generation": 3,
            "version": "7",
            "spec": ModelDeploymentSpec.parse(self.document),
            "desired": Snapshot(self.wish, a_template(self.wish)),
            "status": self.status,
            "stored": self.stored,
            "workloads": self.workloads,
            "pods": self.pods,
            "now": NOW,
        }
        return Observation(**values | self.rest)


def an_observation(**spec: Any) -> ObservationBuilder:
    """A spec that asks for m-1 with two pods and an accuracy of 0.9, and nothing that exists yet."""
    least = {"model": {"uri": "https://models/m-1.keras"}, "replicas": 2, "accuracy": {"minimum": 0.9}}
    return ObservationBuilder(document=least | spec)
