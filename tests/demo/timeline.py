"""From what the clients saw and what the status says to the demo's figures, promises and timeline. Pure.

The clients' clock is compared with the operator's. On one machine it is the same; on a cluster of several nodes their
difference is in the figures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tests.demo.records import Connections, Kind, Record

MANAGER = "modeldeployment-operator"
ROLLED_BACK = "ModelRolledBack"
"""The alert that the story ends with."""
SAFE_SECONDS = 3.0
"""From the sample that decides to the last answer of the bad revision."""
WARM_SECONDS, COLD_SECONDS = 4 * 60.0, 25 * 60.0


@dataclass(frozen=True)
class Seen:
    """What Prometheus saw of the story."""

    labels: Mapping[str, int]
    """Labels that it counted, by revision."""
    judged: Mapping[str, int]
    """Labels that the operator judged of the revision that serves, first from its pods and then from Prometheus."""
    alerts: Sequence[str]
    """Names of the alerts on the model that Alertmanager has."""
    unanswered: int
    """Queries of the dashboards that have no answer and should have one."""
    prometheus: str
    """Its URL."""
    alertmanager: str


@dataclass(frozen=True)
class Facts:
    """What happened. Times are seconds since the epoch."""

    began: float
    applied: float
    """When the good model was applied."""
    ready: float
    """When it was Ready."""
    good: str
    bad_applied: float
    bad: str
    user_generation: int
    """Generation of the object after the user's last apply."""
    user_spec: Mapping[str, Any]
    """The spec as it was then."""
    after: Mapping[str, Any]
    """The object after the rollback, with its managed fields."""
    records: Sequence[Record]
    ended: float
    warm: bool
    """Whether all that takes minutes was in the cache."""
    seen: Seen | None = None
    """What Prometheus saw; None without one."""


@dataclass(frozen=True)
class Goal:
    """A promise, and whether it was kept."""

    name: str
    value: float | str
    goal: str
    met: bool


@dataclass(frozen=True)
class Count:
    """Requests of one kind."""

    sent: int
    failed: int


@dataclass(frozen=True)
class Moment:
    """A line of the timeline."""

    name: str
    time: float
    what: str


def count(records: Iterable[Record], kind: Kind) -> Count:
    """Count requests of a kind."""
    of_kind = [record for record in records if record.kind is kind]
    return Count(len(of_kind), sum(record.failed for record in of_kind))


def answers_of(records: Iterable[Record], revision: str, connections: Connections | None = None) -> list[Record]:
    """Return the predictions that a revision computed, in the order of their answers."""
    found = [
        record
        for record in records
        if record.kind is Kind.PREDICTION and record.revision == revision and connections in {None, record.connections}
    ]
    return sorted(found, key=lambda record: record.done)


def rejection_of(document: Mapping[str, Any], revision: str) -> Mapping[str, Any] | None:
    """Return why a revision was taken back, from the status; None if it was not."""
    rejections: Sequence[Mapping[str, Any]] = document.get("status", {}).get("rejections", [])
    return next((one for one in rejections if one["revision"] == revision), None)


def seconds_to_safety(facts: Facts, connections: Connections | None = None) -> float | None:
    """Return the time from the deciding sample to the bad revision's last answer; None without a rollback."""
    rejection = rejection_of(facts.after, facts.bad)
    if rejection is None:
        return None
    decided = epoch(rejection["time"])
    last = max((record.done for record in answers_of(facts.records, facts.bad, connections)), default=decided)
    return max(0.0, last - decided)


def spec_fields_owned_by(manager: str, document: Mapping[str, Any]) -> list[str]:
    """Return the fields of the spec that a manager owns, however it came to own them."""
    owned: list[str] = []
    for entry in document["metadata"].get("managedFields", []):
        if entry["manager"] == manager and "f:spec" in entry.get("fieldsV1", {}):
            owned += [f"spec.{field.removeprefix('f:')}" for field in entry["fieldsV1"]["f:spec"] or ["f:"]]
    return owned


def goals(facts: Facts) -> list[Goal]:
    """Return every promise and whether it was kept."""
    failed = sum(count(facts.records, kind).failed for kind in Kind)
    safety = seconds_to_safety(facts)
    served_by = facts.after.get("status", {}).get("servingRevision", "")
    generation, spec = facts.after["metadata"]["generation"], facts.after["spec"]
    owned = spec_fields_owned_by(MANAGER, facts.after)
    limit = WARM_SECONDS if facts.warm else COLD_SECONDS
    total = facts.ended - facts.began
    return [
        Goal("failed requests", failed, "0", failed == 0),
        Goal("revision that serves in the end", served_by, facts.good, served_by == facts.good and safety is not None),
        Goal(
            "seconds from the deciding sample to the last answer of the bad revision",
            "no rollback" if safety is None else round(safety, 3),
            f"< {SAFE_SECONDS:g}",
            safety is not None and safety < SAFE_SECONDS,
        ),
        *(_moved_back(facts, connections) for connections in Connections),
        Goal(
            "generation after the rollback", generation, str(facts.user_generation), generation == facts.user_generation
        ),
        Goal(
            "spec after the rollback",
            "as applied" if spec == facts.user_spec else "changed",
            "as applied",
            spec == facts.user_spec,
        ),
        Goal("spec fields that the operator owns", ", ".join(owned) or "none", "none", not owned),
        *_seen_by_prometheus(facts),
        Goal(f"seconds in all, {'warm' if facts.warm else 'cold'}", round(total, 1), f"<= {limit:g}", total <= limit),
    ]


def _seen_by_prometheus(facts: Facts) -> list[Goal]:
    """Return what is promised of metrics, alerts and dashboards where there is a Prometheus."""
    if facts.seen is None:
        return []
    labels, alerts, unanswered = facts.seen.labels, facts.seen.alerts, facts.seen.unanswered
    sent = dict(Counter(r.revision for r in facts.records if r.kind is Kind.LABEL and not r.failed))
    told = f"as sent: {sum(labels.values())}" if labels == sent else f"{labels}, sent were {sent}"
    judged, wanted = dict(facts.seen.judged), {facts.good: sent.get(facts.good, 0)}
    return [
        Goal("labels by revision in Prometheus", told, "as sent", labels == sent),
        Goal("labels judged, from the pods and then from Prometheus", str(judged), str(wanted), judged == wanted),
        Goal("alerts", ", ".join(alerts) or "none", ROLLED_BACK, ROLLED_BACK in alerts),
        Goal("queries of the dashboards without an answer", unanswered, "0", unanswered == 0),
    ]


def _moved_back(facts: Facts, connections: Connections) -> Goal:
    """The traffic of these clients came to the bad revision, and is answered by the good one in the end."""
    bad = answers_of(facts.records, facts.bad, connections)
    good = [
        record for record in answers_of(facts.records, facts.good, connections) if bad and record.done > bad[-1].done
    ]
    name = f"answers of the bad, then of the good revision, on {connections}"
    return Goal(name, f"{len(bad)}, then {len(good)}", "some, then some", bool(bad and good))


def moments(facts: Facts) -> list[Moment]:
    """Return what happened, in order."""
    predictions = sorted((r for r in facts.records if r.kind is Kind.PREDICTION), key=lambda record: record.done)
    found = [
        Moment("applied", facts.applied, "the good model"),
        Moment(
            "deployed", facts.ready, f"{facts.good} is Ready, {facts.ready - facts.applied:.1f} s after it was applied"
        ),
        *(Moment("first prediction", first.done, f"answered by {first.revision}") for first in predictions[:1]),
        Moment("worse model", facts.bad_applied, "applied as a new version"),
    ]
    bad = answers_of(facts.records, facts.bad)
    if bad:
        found.append(Moment("degraded since", bad[0].done, f"first answer of {facts.bad}"))
    if rejection := rejection_of(facts.after, facts.bad):
        found.append(Moment("verdict", epoch(rejection["time"]), f"Degraded: {verdict(rejection)}"))
        safety = seconds_to_safety(facts) or 0.0
        after = (
            "no answer of it after the deciding sample" if safety == 0 else f"{safety:.2f} s after the deciding sample"
        )
        found.append(Moment("traffic back", epoch(rejection["time"]) + safety, f"last answer of {facts.bad}: {after}"))
    return sorted(found, key=lambda moment: moment.time)


def verdict(rejection: Mapping[str, Any]) -> str:
    """Return the numbers that a revision was taken back for."""
    proof = math.exp(float(rejection["logE"]))
    return (
        f"{rejection['metric']} {rejection['estimate']} [{rejection['lower']}, {rejection['upper']}] from "
        f"{rejection['labels']} labels, {rejection['wrong']} of them wrong; it should be at least "
        f"{rejection['level']}. Evidence {proof:,.0f}, where {1 / float(rejection['alpha']):,.0f} is proof"
    )


def render(facts: Facts) -> list[str]:
    """Return the timeline as lines."""
    lines = [f"  {clock(m.time)}  +{m.time - facts.began:6.1f} s  {m.name:<17} {m.what}" for m in moments(facts)]
    predictions, labels = count(facts.records, Kind.PREDICTION), count(facts.records, Kind.LABEL)
    lines.append(
        f"  failed requests: {predictions.failed + labels.failed}  "
        f"(of {predictions.sent} predictions and {labels.sent} labels)"
    )
    return lines


def render_goals(found: Iterable[Goal]) -> list[str]:
    """Return the promises as lines."""
    return [
        f"  {'kept  ' if goal.met else 'BROKEN'}  {goal.name}: {goal.value} (promised: {goal.goal})" for goal in found
    ]


def report(facts: Facts) -> dict[str, Any]:
    """Return all figures, for build/demo.json."""
    predictions = [record for record in facts.records if record.kind is Kind.PREDICTION]
    rejection = rejection_of(facts.after, facts.bad)
    return {
        "goals": [asdict(goal) for goal in goals(facts)],
        "timeline": [asdict(moment) | {"seconds": round(moment.time - facts.began, 3)} for moment in moments(facts)],
        "warm": facts.warm,
        "seconds": round(facts.ended - facts.began, 1),
        "seconds_to_safety": {
            kind.value: None if seconds is None else round(seconds, 3)
            for kind, seconds in ((kind, seconds_to_safety(facts, kind)) for kind in Connections)
        },
        "seconds_bad_served": round(_span(answers_of(facts.records, facts.bad)), 3),
        "rejection": dict(rejection) if rejection else None,
        "requests": {kind.value: asdict(count(facts.records, kind)) for kind in Kind},
        "errors": dict(
            Counter(f"{r.kind} {r.status} {r.error}"[:200] for r in facts.records if r.failed).most_common(20)
        ),
        "latency_seconds": latencies([record.done - record.sent for record in predictions if not record.failed]),
        "answers": dict(Counter(record.revision for record in predictions if not record.failed)),
    }


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Return some quantiles; nothing of nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[math.ceil(share * len(ordered)) - 1], 4) for name, share in places.items()}


def epoch(time: str) -> float:
    """Return a time of the API as seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()


def clock(time: float) -> str:
    """Return a time of day in UTC, as the API has it, with milliseconds."""
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S.%f")[:-3]


def _span(records: Sequence[Record]) -> float:
    return records[-1].done - records[0].done if records else 0.0
