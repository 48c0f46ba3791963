"""What a model waits for, and what its user could do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.policies import Action
from modeldeployment_operator.api.status import RevisionPhase, RolloutStatus, Verdict
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.text.words import clock, span
from modeldeployment_operator.core.fleet import time_of
from modeldeployment_operator.core.rollout import plan
from modeldeployment_operator.core.text import count


def waits(seen: Seen, now: datetime) -> Iterator[str]:
    """Yield what is waited for, the first first."""
    name = seen.name
    if seen.is_behind:
        yield "the operator, which has not looked at the latest change of the spec yet"
    if seen.paused_by_spec:
        yield "spec.paused: false; until then nothing starts, switches or is taken back"
    elif seen.paused:
        yield f"kubectl model resume {name}; until then nothing starts, switches or is taken back"
    for one in seen.status.situations:
        if one.action is Action.PAUSE:
            yield f"kubectl model resume {name}, because {one.message}"
        elif one.action is Action.HOLD:
            yield f"the end of this: {one.message}, since {clock(one.since)} UTC"
    if seen.refused:
        yield f"another model in the spec, or kubectl model retry {name}"
    yield from _candidate(seen, now)
    yield from _labels(seen)
    yield from _probation(seen, now)


def progress(seen: Seen, rollout: RolloutStatus, now: datetime) -> str:
    """Return how much has come of what a step of a rollout waits for."""
    stages = plan(seen.spec) if seen.spec else ()
    hold = stages[min(rollout.step, len(stages)) - 1].hold if stages else None
    revision, begun = seen.find(rollout.revision), time_of(rollout.reached_since or rollout.since)
    if hold is None or revision is None:
        return rollout.waits_for
    if seen.spec and seen.spec.route and rollout.weight and rollout.reached != rollout.weight:
        return (
            f"Gateways, which are to send it {rollout.weight}% of the requests (the condition Routed has their words)"
        )
    parts = []
    if hold.labels is not None:
        evidence = revision.evidence
        labels = max(0, (evidence.right + evidence.wrong if evidence else 0) - rollout.labels_before)
        parts.append(f"{labels:,} of {count(hold.labels, 'label')}")
    if hold.duration is not None and begun is not None:
        parts.append(f"{span(now - begun)} of {hold.duration}")
    if hold.healthy:
        parts.append(f"the verdict Healthy (it is {revision.verdict.value if revision.verdict else 'none'} now)")
    if hold.approval:
        parts.append(f"kubectl model promote {seen.name}")
    return ", ".join(parts)


def _candidate(seen: Seen, now: datetime) -> Iterator[str]:
    status = seen.status
    if status.rollout is not None:
        yield f"{seen.short(status.rollout.revision)}, on its way to the traffic: {progress(seen, status.rollout, now)}"
        return
    candidate = seen.find(status.candidate_revision)
    if candidate is not None:
        there = f"{candidate.ready_replicas} of {candidate.replicas} ready"
        yield f"the pods of {seen.short(candidate.name)}: {there if candidate.replicas else 'none is there yet'}"


def _labels(seen: Seen) -> Iterator[str]:
    serving, accuracy = seen.row.serving, seen.spec.accuracy if seen.spec else None
    if accuracy is not None and accuracy.is_gauged:
        return
    if serving is None or accuracy is None or serving.verdict not in {Verdict.INCONCLUSIVE, None}:
        return
    labels = seen.status.accuracy.labels if seen.status.accuracy else 0
    if labels < accuracy.minimum_labels:
        yield f"labels: {labels:,} of the {accuracy.minimum_labels:,} that a verdict needs"


def _probation(seen: Seen, now: datetime) -> Iterator[str]:
    serving, standby = seen.row.serving, seen.find(seen.status.standby_revision)
    begun = time_of(serving.serving_since) if serving else None
    if (
        serving is None
        or begun is None
        or standby is None
        or standby.phase is not RevisionPhase.STANDBY
        or not seen.spec
    ):
        return
    left = begun + timedelta(seconds=seconds(seen.spec.rollback.probation)) - now
    if left > timedelta(0):
        names = f"{seen.short(standby.name)} stays warm to take over from {seen.short(serving.name)}"
        yield f"the end of probation, in {span(left)}: until then {names}"
