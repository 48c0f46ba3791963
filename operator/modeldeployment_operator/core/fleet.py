"""All ModelDeployments at a glance: what the metrics and the page of the operator tell is made from these.

Only what stands in a status is told: it holds no environment, no Secret and no address of a pod.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import (
    AccuracyStatus,
    ModelDeploymentStatus,
    Rejection,
    Revision,
    RevisionPhase,
    Verdict,
)
from modeldeployment_operator.core.observation import Key

_AT_WORK: Final = frozenset({RevisionPhase.CANDIDATE, RevisionPhase.SERVING, RevisionPhase.STANDBY})


@dataclass(frozen=True)
class Model:
    """A ModelDeployment, as far as it is told to others."""

    key: Key
    status: ModelDeploymentStatus


class State(StrEnum):
    """What a person has to know first of a model; the worst first."""

    UNAVAILABLE = "unavailable"
    DEGRADED = "degraded"
    STALLED = "stalled"
    ROLLED_BACK = "rolled-back"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    NEW = "new"
    READY = "ready"

    @property
    def words(self) -> str:
        """The state as people say it."""
        return _WORDS[self]


_WORDS: Final[Mapping[State, str]] = {
    State.UNAVAILABLE: "Not available",
    State.DEGRADED: "Degraded",
    State.STALLED: "Stalled",
    State.ROLLED_BACK: "Rolled back",
    State.PROGRESSING: "In progress",
    State.PAUSED: "Paused",
    State.NEW: "New",
    State.READY: "Ready",
}
_UNJUDGED: Final[Mapping[Reason, str]] = {
    Reason.NOT_JUDGED: "Not judged",
    Reason.NO_BASELINE: "No limit yet",
    Reason.SAMPLES_UNAVAILABLE: "Labels cannot be read",
}
_VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.HEALTHY: "Healthy",
    Verdict.DEGRADED: "Degraded",
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.UNAVAILABLE: "Labels cannot be read",
}


@dataclass(frozen=True)
class Quality:
    """What the labels say of the revision that serves, as numbers to draw and as the status writes them."""

    told: AccuracyStatus
    level: float
    estimate: float | None
    lower: float
    upper: float
    evidence: float

    @property
    def sentence(self) -> str:
        """The same for who does not see the drawing."""
        interval = f"interval {self.told.lower} to {self.told.upper}, limit {self.told.level}"
        return f"{self.told.metric} {self.told.estimate or 'unknown'}, {interval}"


@dataclass(frozen=True)
class Row:
    """A model in one line."""

    key: Key
    state: State
    why: str
    """In a sentence; empty if it is not known."""
    serving: Revision | None
    others: tuple[Revision, ...]
    """Of the other revisions those that run."""
    verdict: str
    quality: Quality | None
    rollback: Rejection | None
    """The last one."""

    def short(self, revision: str) -> str:
        """Return the name of a revision without that of the model."""
        return short(self.key, revision)


def short(key: Key, revision: str) -> str:
    """Return the name of a revision without that of its model."""
    return revision.removeprefix(f"{key.name}-")


def running(status: ModelDeploymentStatus) -> list[Revision]:
    """Return the revisions that run, those among them that gave their traffic away a moment ago.

    Each is there once: nothing keeps somebody else's status from naming one twice, and Prometheus from stumbling at it.
    """
    known = {one.name: one for one in status.revisions if one.phase in _AT_WORK or one.replicas}
    return list(known.values())


def traffic(status: ModelDeploymentStatus) -> Mapping[str, float]:
    """Return by revision that runs the share of the traffic that it answers, as far as the pods have said so."""
    rollout = status.rollout
    share = (rollout.reached or 0) / 100 if rollout else 0.0
    shares = {status.serving_revision: 1.0 - share} | ({rollout.revision: share} if rollout else {})
    return {revision.name: shares.get(revision.name, 0.0) for revision in running(status)}


def row(model: Model) -> Row:
    """Return a model in one line."""
    status = model.status
    state = _state(_by_type(status))
    why = _why(state, _by_type(status))
    for revision in status.revisions:
        why = why.replace(revision.name, short(model.key, revision.name))
    return Row(
        key=model.key,
        state=state,
        why=why,
        serving=next((one for one in status.revisions if one.name == status.serving_revision), None),
        others=tuple(one for one in running(status) if one.name != status.serving_revision),
        verdict=_verdict(status),
        quality=_quality(status.accuracy),
        rollback=status.rejections[0] if status.rejections else None,
    )


def number(text: str | None) -> float | None:
    """Return a number of the status; None if there is none, or if somebody wrote something else there."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def time_of(text: str | None) -> datetime | None:
    """Return a time of the status; None if there is none, or if somebody wrote something else there."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else None


def since(time: datetime, now: datetime) -> str:
    """Return how long ago something was, as people say it."""
    passed = max(timedelta(0), now - time)
    minutes, hours, days = (int(passed / timedelta(**{unit: 1})) for unit in ("minutes", "hours", "days"))
    if minutes < 1:
        return "just now"
    if hours < 1:
        return f"{minutes} min ago"
    if days < 1:
        return f"{hours} h ago"
    return f"{days} day{'' if days == 1 else 's'} ago"


def location(uri: str) -> str:
    """Return a URI without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "(not a URI)"
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _by_type(status: ModelDeploymentStatus) -> Mapping[ConditionType, Condition]:
    return {condition.type: condition for condition in status.conditions}


def _state(told: Mapping[ConditionType, Condition]) -> State:
    ready, available = told.get(ConditionType.READY), told.get(ConditionType.AVAILABLE)
    healthy = told.get(ConditionType.ACCURACY_HEALTHY)
    if ready is None:
        return State.NEW
    if available is not None and available.reason is Reason.NO_READY_PODS:
        return State.UNAVAILABLE
    if healthy is not None and healthy.status is ConditionStatus.FALSE:
        return State.DEGRADED
    if ConditionType.ROLLED_BACK in told:
        return State.ROLLED_BACK
    if ready.status is ConditionStatus.TRUE:
        return State.READY
    if ready.reason is Reason.PAUSED:
        return State.PAUSED
    return State.STALLED if ConditionType.STALLED in told else State.PROGRESSING


def _why(state: State, told: Mapping[ConditionType, Condition]) -> str:
    about = {State.UNAVAILABLE: ConditionType.AVAILABLE, State.DEGRADED: ConditionType.ACCURACY_HEALTHY}
    condition = told.get(about.get(state, ConditionType.READY))
    return condition.message if condition else "The operator has not looked at it yet."


def _verdict(status: ModelDeploymentStatus) -> str:
    """Return what the labels say of the revision that serves."""
    told = _by_type(status).get(ConditionType.ACCURACY_HEALTHY)
    if told is not None and told.reason in _UNJUDGED:
        return _UNJUDGED[told.reason]
    serving = next((one for one in status.revisions if one.name == status.serving_revision), None)
    return _VERDICTS[serving.verdict] if serving and serving.verdict else "None yet"


def _quality(told: AccuracyStatus | None) -> Quality | None:
    if told is None or (level := number(told.level)) is None:
        return None
    return Quality(
        told=told,
        level=level,
        estimate=number(told.estimate),
        lower=number(told.lower) or 0.0,
        upper=1.0 if (upper := number(told.upper)) is None else upper,
        evidence=max(0.0, number(told.evidence) or 0.0),
    )
