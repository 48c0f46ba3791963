"""Statuses as the operator writes them, of models in every state that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.api.status import ModelDeploymentStatus, Verdict
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Key, Problem
from modeldeployment_operator.core.status import document, summarise

from tests.support.observations import LEVEL, NOW, ObservationBuilder, ago, an_observation, evidence

TEAM = "team"


def body(key: Key | str, status: ModelDeploymentStatus, version: int = 1) -> dict[str, Any]:
    """Return a ModelDeployment as the API server tells of it; a name alone is one of TEAM's."""
    key = key if isinstance(key, Key) else Key(TEAM, key)
    metadata = {
        "namespace": key.namespace,
        "name": key.name,
        "uid": f"uid-{key}",
        "resourceVersion": str(version),
        "generation": 1,
    }
    env = [{"name": "TOKEN", "value": "sesame-of-env"}]
    spec = {"model": {"uri": "https://user:sesame-password@models/x"}, "serving": {"env": env}}
    return {"metadata": metadata, "spec": spec, "status": document(status)}


def healthy(key: Key | str = "news", labels: int = 1200) -> ModelDeploymentStatus:
    """One revision serves, and its labels speak for it."""
    name = _name(key)
    builder = _served(name, f"{name}-6f1c0a")
    return _status(key, builder, {f"{name}-6f1c0a": _judged(labels - labels // 25, labels // 25)})


def unjudged(key: Key | str = "minimal") -> ModelDeploymentStatus:
    """One revision serves; nobody demanded anything of it."""
    name = _name(key)
    return _status(key, replace(_served(name, f"{name}-6f1c0a"), document=_demanding(None)), {})


def on_probation(key: Key | str = "fraud", labels: int = 40) -> ModelDeploymentStatus:
    """A new revision serves, the last good one stands by, and the labels say nothing yet."""
    name = _name(key)
    good, new = f"{name}-6f1c0a", f"{name}-9b27e4"
    builder = _served(name, new).standby(good, serving_since=ago(days=9), verdict=Verdict.HEALTHY).ready(good)
    return _status(key, builder, {new: _judged(labels - labels // 7, labels // 7), good: _judged(960, 40)})


def rolled_back(key: Key | str = "reviews", labels: int = 300) -> ModelDeploymentStatus:
    """The revision that the spec asks for was taken back; the last good one serves again."""
    name = _name(key)
    good, bad = f"{name}-6f1c0a", f"{name}-9b27e4"
    builder = _served(name, good).asks_for(bad).rejected(bad, rolled_back_to=good, serving_since=ago(hours=2))
    lingering = builder.ready(bad).revision(bad, builder.status.revisions[-1].phase, serving_until=ago(minutes=1))
    return _status(key, lingering, {good: _judged(labels - labels // 25, labels // 25)})


def degraded(key: Key | str = "churn") -> ModelDeploymentStatus:
    """Proven worse, and serving all the same: rollback is off."""
    name = _name(key)
    builder = replace(
        _served(name, f"{name}-6f1c0a"),
        document=_demanding({"minimum": 0.9}) | {"policies": {"degraded": {"action": "Alert"}}},
    )
    return _status(key, builder, {f"{name}-6f1c0a": _judged(400, 100)})


def failing(key: Key | str = "vision", message: str = "no such bucket") -> ModelDeploymentStatus:
    """What the spec asks for cannot start; what served before serves on."""
    name = _name(key)
    good, new = f"{name}-6f1c0a", f"{name}-9b27e4"
    builder = _served(name, good).candidate(new).failing(new, Problem(Reason.FETCH_FAILED, message))
    return _status(key, builder, {good: _judged(970, 30)})


def starting(key: Key | str = "voice") -> ModelDeploymentStatus:
    """Nothing has served yet."""
    name = f"{_name(key)}-6f1c0a"
    return _status(key, an_observation().candidate(name).starting(name), {})


def unavailable(key: Key | str = "search") -> ModelDeploymentStatus:
    """The revision that serves has no pod that answers."""
    name = _name(key)
    return _status(key, _served(name, f"{name}-6f1c0a").ready(f"{name}-6f1c0a", 0), {})


def paused(key: Key | str = "pricing") -> ModelDeploymentStatus:
    """What the spec asks for waits until somebody lets it go on."""
    name = _name(key)
    builder = _served(name, f"{name}-6f1c0a").asks_for(f"{name}-9b27e4").paused()
    return _status(key, builder, {f"{name}-6f1c0a": _judged(960, 40)})


ALL: tuple[Callable[[Key | str], ModelDeploymentStatus], ...] = (
    healthy,
    rolled_back,
    on_probation,
    degraded,
    failing,
    unjudged,
    starting,
    unavailable,
    paused,
)


def many(count: int, namespaces: int = 7) -> Iterator[tuple[Key, ModelDeploymentStatus]]:
    """Yield so many models; most are well."""
    words = ("news", "fraud", "churn", "reviews", "vision", "search", "voice", "spam", "ranking", "forecast")
    for index in range(count):
        key = Key(f"team-{chr(ord('a') + index % namespaces)}", f"{words[index % len(words)]}-{index:03d}")
        kind = ALL[(index // 9) % len(ALL)] if index % 9 == 0 else healthy
        yield key, kind(key)


def _name(key: Key | str) -> str:
    return key.name if isinstance(key, Key) else key


def _served(name: str, revision: str) -> ObservationBuilder:
    """A revision has served for an hour, and all its pods answer."""
    return an_observation().asks_for(revision).serving(revision, serving_since=ago(hours=1)).ready(revision)


def _demanding(accuracy: dict[str, Any] | None) -> dict[str, Any]:
    spec = {"model": {"uri": "https://models/x.keras"}, "replicas": 2}
    return spec if accuracy is None else spec | {"accuracy": accuracy}


def _judged(right: int, wrong: int) -> Judged:
    state = evidence(right, wrong)
    log_e = Evidence.start(LEVEL.value).observe(right, wrong).log_e
    verdict = Verdict.INCONCLUSIVE
    if log_e >= LEVEL.proof:
        verdict = Verdict.DEGRADED
    elif right + wrong >= 100 and right >= LEVEL.value * (right + wrong):
        verdict = Verdict.HEALTHY
    return Judged(AccuracyMetric.ACCURACY, verdict, LEVEL, state, log_e)


def _status(key: Key | str, builder: ObservationBuilder, judged: Mapping[str, Judged]) -> ModelDeploymentStatus:
    """Return what the operator makes of it, a minute later."""
    key = key if isinstance(key, Key) else Key(TEAM, key)
    seen = builder.having(key=key, selected=builder.status.serving_revision, now=NOW + timedelta(minutes=1))
    observation = seen.obj()
    return summarise(observation, judged, decide(observation, judged))
