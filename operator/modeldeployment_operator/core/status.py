"""The status: what was observed and decided, for people, for tools, and as the operator's memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from model_server import contract

from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import (
    AccuracyStatus,
    Baseline,
    EvidenceState,
    ModelDeploymentStatus,
    Rejection,
    RejectionCause,
    Revision,
    RevisionPhase,
    RolloutStatus,
    Verdict,
)
from modeldeployment_operator.core import names
from modeldeployment_operator.core.activity import activity_of
from modeldeployment_operator.core.claims import View
from modeldeployment_operator.core.conditions import conditions, transition_time
from modeldeployment_operator.core.criteria import COMPARED
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.detection import outlook
from modeldeployment_operator.core.history import kept, recorded
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.leaving import left_by_route
from modeldeployment_operator.core.observation import Observation, Problem, StoredRevision
from modeldeployment_operator.core.rejection import latched_rejection
from modeldeployment_operator.core.revisions import Template
from modeldeployment_operator.core.rollout import known_rollout
from modeldeployment_operator.core.standing import revision_status, serving_revision
from modeldeployment_operator.core.starting import starting_of
from modeldeployment_operator.core.text import precise, ratio, shortened
from modeldeployment_operator.core.traffic import reached
from modeldeployment_operator.core.trials import restarted

REJECTIONS_KEPT: Final = 32
_BEGUN: Final = EvidenceState(metric="", log_bets=[])
"""For the evidence of a test, whatever it has come to."""
GROWTH: Final = 1.2
"""By this factor labels must have grown to be told at once."""


def summarise(
    observation: Observation,
    judged: Mapping[str, Judged],
    decision: Decision,
    problem: Problem | None = None,
    monitoring: Mapping[Kind, Problem] | None = None,
) -> ModelDeploymentStatus:
    """Return the whole status.

    `problem` is why the operator could not do what it decided, `monitoring` why Prometheus could not be told, by the
    kind of object; None if that was not tried yet.
    """
    serving = decision.serving
    judged = _afresh(observation, judged, decision)
    view = View(
        observation, decision, judged.get(serving or ""), problem, monitoring, judged.get(observation.desired.name)
    )
    workload = observation.workloads.get(serving or "")
    return ModelDeploymentStatus(
        observed_generation=observation.generation,
        serving_revision=serving,
        candidate_revision=decision.candidate,
        standby_revision=decision.standby,
        starting=starting_of(observation, decision),
        rollout=_rollout(observation, decision),
        situations=list(decision.situations),
        promoted=_acted_on(observation.asked.promote, observation.status.promoted, decision.serving),
        aborted=_acted_on(observation.asked.abort, observation.status.aborted, _given_up(decision)),
        replicas=workload.replicas if workload else 0,
        ready_replicas=view.ready,
        selector=_selector(observation, serving) if serving else None,
        endpoint=_endpoint(observation, serving) if serving else None,
        accuracy=_accuracy(observation, judged.get(serving or "")),
        candidate_accuracy=_told(judged.get(decision.rollout.revision)) if decision.rollout else None,
        revisions=_revisions(observation, judged, decision),
        rejections=_rejections(observation, decision),
        conditions=conditions(view),
    )


def recover(status: ModelDeploymentStatus, stored: Mapping[str, StoredRevision]) -> ModelDeploymentStatus:
    """Return a status with the rejections that the ControllerRevisions tell of, should it have lost them."""
    known = {rejection.revision for rejection in status.rejections}
    lost = [revision.rejection for revision in stored.values() if revision.rejection]
    missing = [rejection for rejection in lost if rejection.revision not in known]
    return status.model_copy(update={"rejections": [*status.rejections, *missing]}) if missing else status


def refused(status: ModelDeploymentStatus, generation: int, message: str, now: datetime) -> ModelDeploymentStatus:
    """Return a status that says that the spec cannot be read, and is the same in everything else."""
    changed = {ConditionType.READY: ConditionStatus.FALSE, ConditionType.STALLED: ConditionStatus.TRUE}
    before = {condition.type: condition for condition in status.conditions}
    told = [
        Condition(
            type=kind,
            status=value,
            reason=Reason.INVALID_SPEC,
            message=shortened(f"the spec cannot be read, and what served before serves on: {message}"),
            last_transition_time=transition_time(before.get(kind), value, now),
            observed_generation=generation,
        )
        for kind, value in changed.items()
    ]
    others = [one for one in status.conditions if one.type not in {*changed, ConditionType.RECONCILING}]
    return status.model_copy(update={"observed_generation": generation, "conditions": [*told, *others]})


def must_precede(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Return whether a status is to be written before what it tells of is done.

    So it is with whatever takes traffic from a revision. What the spec alone leads to, a candidate that starts and the
    first revision of all, is decided again in the same way if it is not known what was done.
    """
    return before.serving_revision is not None and _promise(before) != _promise(after)


def _promise(status: ModelDeploymentStatus) -> tuple[object, ...]:
    started = {RevisionPhase.CANDIDATE, RevisionPhase.RETIRED}
    at_work = {one.name: (one.phase, one.serving_since) for one in status.revisions if one.phase not in started}
    return (status.serving_revision, status.standby_revision, status.rejections, at_work)


def without_counts(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Return a status without what moves with every label: two that are equal so need not be told apart at once.

    That a test has begun is not of these: who does not know where would begin it anew, and lose what was counted.
    """
    revisions = [
        revision.model_copy(
            update={
                "evidence": _BEGUN if revision.evidence else None,
                "gauge": revision.gauge and revision.gauge.model_copy(update={"value": ""}),
                "activity": None,
            }
        )
        for revision in status.revisions
    ]
    quiet = [
        condition.model_copy(update={"message": ""}) if condition.type is ConditionType.ACCURACY_HEALTHY else condition
        for condition in status.conditions
    ]
    none = {"accuracy": None, "candidate_accuracy": None}
    return status.model_copy(update={**none, "revisions": revisions, "conditions": quiet})


def without_activity(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Return a status without what moves with every prediction. Nobody reads that, and a little of it may be lost."""
    revisions = [revision.model_copy(update={"activity": None}) for revision in status.revisions]
    return status.model_copy(update={"revisions": revisions})


def has_grown(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Return whether there are so many more labels that a reader would want to know."""
    seen, now = _labels(before), _labels(after)
    return any(labels >= max(1, seen.get(name, 0) * GROWTH) for name, labels in now.items())


def _labels(status: ModelDeploymentStatus) -> Mapping[str, int]:
    """Return the labels of the revisions that people look at: the one that serves, and the candidate."""
    looked_at = {status.serving_revision, status.candidate_revision}
    states = {one.name: one.evidence for one in status.revisions if one.name in looked_at}
    return {name: state.right + state.wrong for name, state in states.items() if state and state.right + state.wrong}


def document(status: ModelDeploymentStatus) -> dict[str, Any]:
    """Return the status as it is written."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _selector(observation: Observation, serving: str) -> str:
    labels = names.pod_selector(observation.key.name, serving)
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _endpoint(observation: Observation, serving: str) -> str | None:
    stored = observation.stored.get(serving)
    if stored is None:
        return None
    path = contract.MODEL_PATH_TEMPLATE.format(model=stored.template.model.name)
    scheme = "https" if observation.spec.serving.tls else "http"
    return f"{scheme}://{observation.key.name}.{observation.key.namespace}.svc:{contract.HTTP_PORT}{path}"


def _accuracy(observation: Observation, judged: Judged | None) -> AccuracyStatus | None:
    told = _told(judged)
    if told is None or judged is None:
        return None
    return told.model_copy(
        update={"counted_until": _counted_until(observation, judged), **_outlook(observation, judged)}
    )


def _told(judged: Judged | None) -> AccuracyStatus | None:
    if judged is None or judged.level is None:
        return None
    low, high = judged.interval
    return AccuracyStatus(
        metric=judged.level.metric.value,
        level=f"{judged.level.value:.6g}",
        estimate=None if judged.estimate is None else ratio(judged.estimate),
        lower=ratio(low),
        upper=ratio(high),
        labels=judged.labels,
        wrong=judged.state.wrong if judged.state else 0,
        evidence=f"{max(0.0, judged.log_e / judged.level.proof):.3f}",
    )


def _counted_until(observation: Observation, judged: Judged) -> str:
    told = observation.status.accuracy
    unchanged = told is not None and told.labels == judged.labels
    return told.counted_until if told and unchanged and told.counted_until else precise(observation.now)


def _outlook(observation: Observation, judged: Judged) -> dict[str, Any]:
    """Return how long a decline would go unseen."""
    found = outlook(observation, judged)
    if found is None:
        return {}
    return {
        "labels_per_hour": f"{found.per_hour:g}",
        "decline": ratio(found.quality),
        "decline_labels": round(found.labels) if math.isfinite(found.labels) else None,
        "decline_within": found.within if math.isfinite(found.seconds) else None,
    }


def _revisions(observation: Observation, judged: Mapping[str, Judged], decision: Decision) -> list[Revision]:
    """Return what is known of each revision, the newest first."""
    known, keep = recorded(observation, decision), kept(observation, decision)
    return [
        _revision(observation, judged, decision, name, known[name].template)
        for name in sorted(known, key=lambda name: known[name].number, reverse=True)
        if name in keep
    ]


def _revision(
    observation: Observation, judged: Mapping[str, Judged], decision: Decision, name: str, template: Template
) -> Revision:
    old = revision_status(observation, name)
    phase = _phase(observation, decision, name)
    workload = observation.workloads.get(name)
    revision = Revision(
        name=name,
        phase=phase,
        model_uri=template.model.uri,
        digest=template.model.digest,
        serving_since=old.serving_since if old else None,
        serving_until=old.serving_until if old else None,
        baseline=old.baseline if old else None,
        replicas=workload.replicas if workload else 0,
        ready_replicas=workload.ready if workload else 0,
        verdict=judged[name].verdict if name in judged else _last_verdict(observation, decision, old),
        evidence=judged[name].state if name in judged and name in decision.running else None,
        gauge=judged[name].gauge if name in judged and name in decision.running else None,
        activity=activity_of(observation, name) if _is_watched(decision, name) else None,
    )
    if left_by_route(observation, decision, name):
        revision = revision.model_copy(update={"serving_until": precise(observation.now)})
    revision = revision.model_copy(update={"judged_since": _judged_since(observation, old, revision)})
    if decision.rollout and decision.rollout.revision == name:
        revision = revision.model_copy(update={"baseline": _baseline_on_the_way(observation, judged, decision, old)})
    if decision.switched:
        return revision.model_copy(update=_switch(observation, judged, decision, name))
    if name == decision.serving and revision.serving_since is None:
        return revision.model_copy(update={"serving_since": precise(observation.now)})  # It was not known any more.
    return revision


def _is_watched(decision: Decision, name: str) -> bool:
    """Return whether it matters what comes to a revision: where it would be told, or acted on, if nothing did."""
    if name == decision.serving:
        return decision.standby_runs
    return decision.rollout is not None and decision.rollout.revision == name


def _acted_on(asked: str | None, before: str | None, done: str | None) -> str | None:
    """Return the word of a user that is done with: it means nothing any more until it is another one."""
    return asked if asked is not None and asked in {before, done} else None


def _given_up(decision: Decision) -> str | None:
    aborted = decision.rejection is not None and decision.rejection.reason is RejectionCause.ABORTED
    return decision.rejection.revision if decision.rejection and aborted else None


def _rollout(observation: Observation, decision: Decision) -> RolloutStatus | None:
    if decision.rollout is None:
        return None
    share = reached(observation, decision)
    return decision.rollout if share is None else decision.rollout.model_copy(update={"reached": share})


def _judged_since(observation: Observation, old: Revision | None, new: Revision) -> str | None:
    if new.evidence is None:
        return None
    before = old.evidence if old else None
    same = before is not None and _test(before) == _test(new.evidence)
    return old.judged_since if same and old and old.judged_since else precise(observation.now)


def _test(state: EvidenceState) -> tuple[object, ...]:
    further = [(one.kind, one.metric, one.slice, one.weight) for one in state.further]
    return state.kind, state.metric, state.level, state.query, state.positive_class, further


def _baseline_on_the_way(
    observation: Observation, judged: Mapping[str, Judged], decision: Decision, old: Revision | None
) -> Baseline | None:
    """Return what a revision in its rollout is measured from.

    One that is compared with the revision that serves meanwhile has none until it takes over. For the others it is what
    that had come to when the rollout began, and stays so: one test, one alpha.
    """
    if decision.rollout is None or decision.rollout.strategy in COMPARED:
        return None
    has_begun = known_rollout(observation, decision.rollout.revision) is not None
    if has_begun and old is not None and old.baseline is not None:
        return old.baseline
    return _baseline(judged.get(decision.serving or ""))


def _baseline(predecessor: Judged | None) -> Baseline | None:
    """Return the labels of a predecessor that its successor is measured from."""
    state = predecessor.state if predecessor else None
    if state is None or not state.right + state.wrong:
        return None
    return Baseline(
        metric=state.metric,
        query=state.query,
        positive_class=state.positive_class,
        right=state.right,
        wrong=state.wrong,
    )


def _afresh(observation: Observation, judged: Mapping[str, Judged], decision: Decision) -> Mapping[str, Judged]:
    """Return what is known, but of a revision that is tried again: what spoke against it does not count twice."""
    name = observation.desired.name
    if name not in judged or not _is_tried_again(observation, decision, name):
        return judged
    state = judged[name].state
    anew = replace(judged[name], verdict=Verdict.INCONCLUSIVE, state=restarted(state) if state else None, log_e=0.0)
    return {**judged, name: anew}


def _last_verdict(observation: Observation, decision: Decision, old: Revision | None) -> Verdict | None:
    return None if old is None or _is_tried_again(observation, decision, old.name) else old.verdict


def _is_tried_again(observation: Observation, decision: Decision, name: str) -> bool:
    """Return whether a revision that was taken back starts once more now."""
    rejected = any(rejection.revision == name for rejection in observation.status.rejections)
    old, at_work = revision_status(observation, name), {RevisionPhase.CANDIDATE, RevisionPhase.SERVING}
    was_at_work = old is not None and old.phase in at_work
    return rejected and not was_at_work and _phase(observation, decision, name) in at_work


def _switch(
    observation: Observation, judged: Mapping[str, Judged], decision: Decision, name: str
) -> dict[str, str | Baseline | None]:
    """Return what changes about a revision when the traffic moves."""
    now, left = precise(observation.now), _leaving(observation, decision)
    if name == left:
        return {"serving_until": now}
    if name != decision.serving:
        return {}
    taken: dict[str, str | Baseline | None] = {"serving_since": now, "serving_until": None}
    baseline = _baseline(judged.get(left or ""))
    rollout = known_rollout(observation, name)
    is_measured = rollout is not None and rollout.strategy not in COMPARED
    if decision.rejection is None and baseline is not None and not is_measured:
        taken["baseline"] = baseline
    return taken


def _leaving(observation: Observation, decision: Decision) -> str | None:
    """Return the revision that gives its traffic away now."""
    name = serving_revision(observation)
    return name if name in decision.lingering else None


def _phase(observation: Observation, decision: Decision, name: str) -> RevisionPhase:
    if name == decision.serving:
        return RevisionPhase.SERVING
    if name == decision.candidate:
        return RevisionPhase.CANDIDATE
    if name == decision.standby and decision.standby_runs:
        return RevisionPhase.STANDBY
    rejected = decision.rejection is not None and decision.rejection.revision == name
    if rejected or latched_rejection(observation, name):
        return RevisionPhase.REJECTED
    return RevisionPhase.RETIRED


def _rejections(observation: Observation, decision: Decision) -> list[Rejection]:
    """Return why revisions were taken back, the latest first.

    One that serves after all is none of them any more. For those that nobody asks for now, a retry is of another one,
    so it is no news to them later.
    """
    latest = [decision.rejection] if decision.rejection else []
    gone = {decision.serving, *(rejection.revision for rejection in latest)}
    known = [
        _as_asked(observation, decision, rejection)
        for rejection in observation.status.rejections
        if rejection.revision not in gone
    ]
    return [*latest, *known][:REJECTIONS_KEPT]


def _as_asked(observation: Observation, decision: Decision, rejection: Rejection) -> Rejection:
    """Return a rejection with what its user has asked for since."""
    if rejection.revision != observation.desired.name:
        return rejection.model_copy(update={"retry": observation.asked.retry, "retried": False})
    return rejection.model_copy(update={"retried": True}) if rejection.revision == decision.candidate else rejection
