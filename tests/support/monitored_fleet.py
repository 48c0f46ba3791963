"""A fleet of models as Prometheus would have seen it: one is rolled back, one is degraded, one cannot start.

Names and labels are those of operator/METRICS.md. Nothing here is measured: it is data to draw dashboards with.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from tests.support.openmetrics import Labels, Recording

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DELAYS = (1, 5, 15, 60, 300, 900, 3600, 14400, 86400, 604800)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
REASONS = ("malformed", "forged", "foreign", "duplicate", "unknown_class", "expired", "unavailable")
OPERATOR = {"job": "modeldeployment-operator", "instance": "10.0.0.9:8080"}
TARGET = {**OPERATOR, "namespace": "modelops-system", "pod": "modeldeployment-operator-6d5f7-x2x4k"}
RESTART = 0.7
"""When the operator starts anew, as a share of the story."""


@dataclass(frozen=True)
class Revision:
    """One revision; times are shares of the story."""

    name: str
    accuracy: float
    serves: tuple[tuple[float, float], ...] = ((0.0, 2.0),)
    runs: tuple[float, float] = (0.0, 2.0)
    rejected: bool = False

    def phase(self, at: float) -> str:
        if any(start <= at < end for start, end in self.serves):
            return "Serving"
        if not self.serves or at < self.serves[0][0]:
            return "Candidate"
        return "Rejected" if self.rejected else "Standby"


@dataclass(frozen=True)
class Model:
    """One ModelDeployment."""

    namespace: str
    name: str
    revisions: tuple[Revision, ...]
    classes: tuple[str, str] = ("no", "yes")
    metric: str = "accuracy"
    level: float = 0.9
    requests: float = 20.0
    """A second."""
    ready: tuple[str, str] = ("True", "Serving")
    monitored: tuple[str, str] = ("True", "ServiceMonitorApplied")
    rolled_back_at: float = 2.0
    promoted_at: float = 2.0
    seconds: float = 0.012
    """Of a prediction."""


FLEET = (
    Model(
        "demo",
        "news-classifier",
        (
            Revision("news-classifier-5d1f0c2b7e", 0.968, ((0.0, 0.4), (0.55, 2.0))),
            Revision("news-classifier-a90c44e17d", 0.82, ((0.4, 0.55),), (0.36, 0.57), rejected=True),
        ),
        ("review", "news"),
        rolled_back_at=0.55,
        promoted_at=0.4,
        requests=35,
    ),
    Model(
        "demo", "fraud-detector", (Revision("fraud-detector-77aa01c3f2", 0.97),), ("honest", "fraud"), "precision", 0.9
    ),
    Model("payments", "chargeback", (Revision("chargeback-19be3d0042", 0.86),), level=0.88, requests=60, seconds=0.08),
    Model(
        "payments",
        "limits",
        (Revision("limits-4410c9de55", 0.95),),
        requests=4,
        ready=("False", "Paused"),
        monitored=("False", "NoServiceMonitorKind"),
    ),
    Model(
        "search",
        "ranker",
        (Revision("ranker-0a1b2c3d4e", 0.93), Revision("ranker-ffee019283", 0.93, (), (0.5, 2.0))),
        ready=("False", "DigestMismatch"),
        level=0.925,
    ),
)


def tell(start: float, end: float, step: float) -> Recording:
    """Return the readings of a time, in Unix seconds."""
    recording = Recording()
    chance = random.Random(4)
    steps = int((end - start) / step)
    restart = int(RESTART * steps)
    for number in range(steps + 1):
        recording.time = start + number * step
        at = number / steps
        if number == restart:
            recording.forget(**OPERATOR)
        for model in FLEET:
            _operator_on(recording, model, at)
            for revision in model.revisions:
                if revision.runs[0] <= at < revision.runs[1]:
                    _revision(recording, chance, model, revision, at, step)
        began = start - 3600 if number < restart else start + restart * step
        _operator(recording, chance, step, began, starting=number - restart in range(3))
    return recording


def _operator_on(recording: Recording, model: Model, at: float) -> None:
    labels = {**OPERATOR, "namespace": model.namespace, "model": model.name}
    rolled_back = at >= model.rolled_back_at
    degraded = model.name == "chargeback" and at > 0.6
    ready = ("False", "RolledBack") if rolled_back else model.ready
    conditions = {
        "Ready": ready,
        "Available": ("True", "Serving"),
        "AccuracyHealthy": ("False", "Degraded") if degraded else ("True", "Healthy"),
        "Monitored": model.monitored,
        "RolledBack": ("True", "RolledBack") if rolled_back else ("False", "Serving"),
    }
    for kind, (status, reason) in conditions.items():
        recording.put("modeldeployment_condition", 1, {**labels, "type": kind, "status": status, "reason": reason})
    for outcome, when in (("Promoted", model.promoted_at), ("RolledBack", model.rolled_back_at), ("Rejected", 2.0)):
        recording.put("modeldeployment_decisions_total", float(when <= at < RESTART), {**labels, "outcome": outcome})
    for what, when in (("rollbacks", model.rolled_back_at), ("promotions", model.promoted_at)):
        recording.put(f"modeldeployment_{what}_total", float(when <= at < RESTART), labels)
    alert = {"namespace": model.namespace, "model": model.name}
    if 0.52 < at < 0.55 and not rolled_back and model.promoted_at < 1:
        _alert(recording, alert, "ModelAccuracyDegraded", "critical", "pending" if at < 0.535 else "firing")
    if rolled_back:
        _alert(recording, alert, "ModelRolledBack", "warning", "pending" if at < 0.57 else "firing")
    if degraded:
        _alert(recording, alert, "ModelAccuracyDegraded", "critical", "firing")


def _alert(recording: Recording, labels: Labels, name: str, severity: str, state: str) -> None:
    recording.put("ALERTS", 1, {**labels, "alertname": name, "severity": severity, "alertstate": state})


def _revision(
    recording: Recording, chance: random.Random, model: Model, revision: Revision, at: float, step: float
) -> None:
    phase = revision.phase(at)
    serves = phase == "Serving"
    starting = phase == "Candidate"
    key = {"namespace": model.namespace, "model": model.name, "revision": revision.name}
    for number, pod in enumerate(("x7k2p", "q9w4z")):
        if not starting:
            target = {**key, "pod": f"{revision.name}-{pod}"}
            _pod(recording, chance, model, revision, target, step, model.requests / 2 * serves * (0.9 + 0.2 * number))
    labels = {**OPERATOR, **key}
    recording.put("modeldeployment_revision_info", 1, {**labels, "phase": phase})
    recording.put("modeldeployment_replicas", 2, labels)
    recording.put("modeldeployment_ready_replicas", 0 if starting else 2, labels)
    weight = _weight(model, at)
    recording.put("modeldeployment_traffic_ratio", weight if starting else serves * (1 - weight), labels)
    if starting and weight:
        _rollout(recording, at, weight, labels)
    if not starting or weight:
        _judgement(recording, model, revision, at, labels)


def _weight(model: Model, at: float) -> float:
    """Return the share that a candidate has just before it takes all of the traffic."""
    since = at - (model.promoted_at - 0.03)
    return 0.0 if since < 0 or at >= model.promoted_at else 0.1 if since < 0.015 else 0.5


def _rollout(recording: Recording, at: float, weight: float, labels: Labels) -> None:
    recording.put("modeldeployment_rollout_info", 1, {**labels, "strategy": "Canary"})
    recording.put("modeldeployment_rollout_step", 1 if weight < 0.5 else 2, labels)
    recording.put("modeldeployment_rollout_steps", 2, labels)
    recording.put("modeldeployment_rollout_weight_ratio", weight, labels)
    recording.put("modeldeployment_rollout_step_start_time_seconds", recording.time // 600 * 600, labels)
    if at > 0.385:
        held = {**labels, "situation": "SourceDown", "action": "Hold"}
        recording.put("modeldeployment_situation", 1, held)


def _judgement(recording: Recording, model: Model, revision: Revision, at: float, labels: Labels) -> None:
    begun = revision.serves[0][0]
    served = sum(max(0.0, min(at, end) - start) for start, end in revision.serves)
    count = round(model.requests * 20 * served) + (400 if not begun else 0)
    half = 2.8 * math.sqrt(revision.accuracy * (1 - revision.accuracy) / max(count, 1))
    estimate = revision.accuracy + 0.35 * half * math.sin(9 * at) * math.exp(-2 * at)
    against = revision.rejected or model.name == "chargeback"
    pace = 0.15 if revision.rejected else 0.6
    evidence = (
        min(1.02, (served / pace) ** 1.5) if against else max(0.0, 0.05 + 0.04 * math.sin(20 * at + len(model.name)))
    )
    verdict = "Degraded" if evidence >= 1 else "Inconclusive" if count < 30 or estimate < model.level else "Healthy"
    recording.put("modeldeployment_verdict", 1, {**labels, "verdict": verdict})
    recording.put("modeldeployment_accuracy_labels", count, labels)
    recording.put("modeldeployment_evidence_ratio", evidence, labels)
    values = {
        "estimate": estimate,
        "lower": max(0.0, estimate - half),
        "upper": min(1.0, estimate + half),
        "level": model.level,
    }
    for name, value in values.items():
        recording.put(f"modeldeployment_accuracy_{name}", value, {**labels, "metric": model.metric})


def _pod(
    recording: Recording,
    chance: random.Random,
    model: Model,
    revision: Revision,
    target: Labels,
    step: float,
    requests: float,
) -> None:
    answered = requests * step * chance.uniform(0.85, 1.15)
    labels = answered * 0.3
    _labels(recording, model, revision, target, labels, chance)
    recording.add("model_predictions_total", answered * 1.8, target)
    recording.observe("model_label_delay_seconds", labels, 40, DELAYS, target)
    recording.observe("model_batch_size", answered, 1.8, SIZES, target)
    for method, code, count in (
        ("predict", "200", answered),
        ("predict", "400", answered * 0.004),
        ("predict", "503", answered * (0.006 if model.name == "chargeback" else 0)),
        ("feedback", "200", labels / 3),
        ("status", "200", step / 10),
    ):
        seconds = model.seconds if method == "predict" else 0.002
        request = {**target, "method": method, "code": code}
        recording.observe("model_request_duration_seconds", count, seconds, SECONDS, request)
    if candidate := next((one.name for one in model.revisions if one.rejected), None):
        # As if it was sent copies first, long ago.
        compared = {**target, "candidate": candidate}
        for outcome, share in (("same", 0.9), ("different", 0.1)):
            recording.add("model_copies_compared_total", answered * share, {**compared, "outcome": outcome})
        for outcome, share in (("won", 0.02), ("lost", 0.09), ("tied", 0.2)):
            recording.add("model_pairs_total", answered * share, {**compared, "outcome": outcome})
    passed_on = 0.4 * step if revision.rejected and not requests else 0
    recording.add("model_requests_forwarded_total", passed_on, {**target, "outcome": "answered"})
    recording.add("model_busy_seconds_total", answered * model.seconds, target)
    recording.put("model_threads", 4, target)
    recording.put("model_requests_waiting", chance.choice((0, 0, 0, 1, 2)) if requests > 20 else 0, target)
    recording.put("model_load_duration_seconds", 3.1, target)
    recording.put("model_fetch_duration_seconds", 4.2, target)
    recording.put("model_fetch_bytes", 1.1e6, target)
    recording.put("model_fetch_cached_bytes", 0.0, target)
    recording.put("process_resident_memory_bytes", 6.2e8 + chance.uniform(0, 4e6), target)
    recording.add("process_cpu_seconds_total", answered * model.seconds * 1.3 + 0.02 * step, target)
    recording.put("process_start_time_seconds", 1.6e9, target)
    recording.put("process_open_fds", 41, target)


def _labels(
    recording: Recording, model: Model, revision: Revision, target: Labels, labels: float, chance: random.Random
) -> None:
    right = min(1.0, revision.accuracy + chance.uniform(-0.012, 0.012))
    recording.add("model_labels_total", labels * right, {**target, "outcome": "correct"})
    recording.add("model_labels_total", labels * (1 - right), {**target, "outcome": "wrong"})
    first, second = model.classes
    cells = {
        (first, first): 0.6 * right,
        (first, second): 0.55 * (1 - right),
        (second, first): 0.45 * (1 - right),
        (second, second): 0.4 * right,
    }
    for (actual, predicted), share in cells.items():
        recording.add("model_confusion_total", labels * share, {**target, "actual": actual, "predicted": predicted})
    _optional_labels(recording, target, labels, right)
    for number, reason in enumerate(REASONS):
        recording.add("model_feedback_rejected_total", labels * 0.001 * number, {**target, "reason": reason})


def _optional_labels(recording: Recording, target: Labels, labels: float, right: float) -> None:
    """Record what is there by options of the spec. All at once, which no model has."""
    for name, share, part in (("web", 0.7, right), ("app", 0.3, right * 0.97)):
        recording.add(
            "model_slice_labels_total", labels * share * part, {**target, "slice": name, "outcome": "correct"}
        )
        wrong = {**target, "slice": name, "outcome": "wrong"}
        recording.add("model_slice_labels_total", labels * share * (1 - part), wrong)
    best = min(1.0, right * 1.02)
    recording.add("model_top_k_labels_total", labels * best, {**target, "k": "2", "outcome": "correct"})
    recording.add("model_top_k_labels_total", labels * (1 - best), {**target, "k": "2", "outcome": "wrong"})
    for error, size in (("absolute", 0.4), ("squared", 0.25)):
        recording.add(f"model_{error}_error_sum", labels * size, target)
        recording.add(f"model_{error}_error_count", labels, target)
    recording.put("model_labels_waiting", labels * 2, target)
    recording.add("model_audited_predictions_total", labels * 0.1, target)
    recording.add("model_audited_labels_total", labels * 0.09 * right, {**target, "outcome": "correct"})
    recording.add("model_audited_labels_total", labels * 0.09 * (1 - right), {**target, "outcome": "wrong"})


def _operator(recording: Recording, chance: random.Random, step: float, began: float, *, starting: bool) -> None:
    reconciles = step * chance.uniform(0.8, 1.2)
    for name, value in (
        ("operator_leader", 1.0),
        ("queue_length", 5.0 if starting else 0.0),
        ("queue_oldest_seconds", chance.uniform(1, 3) if starting else 0.0),
        ("workers", 10.0),
        ("workers_busy", 10.0 if starting else float(chance.random() < 0.2)),
        ("reconcile_longest_running_seconds", chance.uniform(0, 0.3)),
    ):
        recording.put(f"modeldeployment_{name}", value, TARGET)
    recording.observe("modeldeployment_reconcile_duration_seconds", reconciles, 0.06, SECONDS, TARGET)
    failed, conflicts = float(chance.random() < 0.02), float(chance.random() < 0.05)
    results = {"success": reconciles, "conflict": conflicts, "error": failed, "internal": 0.0}
    for result, count in results.items():
        recording.add("modeldeployment_reconciles_total", count, {**TARGET, "result": result})
    recording.observe("modeldeployment_prometheus_query_duration_seconds", step / 15, 0.02, SECONDS, TARGET)
    for source, failures in (("Pods", chance.random() < 0.03), ("Prometheus", False)):
        recording.add("modeldeployment_sample_failures_total", float(failures), {**TARGET, "source": source})
    for loop, beats in (("operator", step), ("watches", step)):
        labels = {**TARGET, "loop": loop}
        recording.observe("modeldeployment_event_loop_lag_seconds", beats, 0.003, SECONDS, labels)
    _requests(recording, step, reconciles)
    for resource, count in (("modeldeployments", 6.0), ("deployments", 9.0), ("pods", 17.0), ("services", 15.0)):
        recording.put("modeldeployment_cache_objects", count, {**TARGET, "resource": resource})
        began_anew = float(chance.random() < step / 1800)
        recording.add("modeldeployment_watch_restarts_total", began_anew, {**TARGET, "resource": resource})
    recording.put("process_start_time_seconds", began, TARGET)
    recording.put("process_resident_memory_bytes", 9.4e7 + chance.uniform(0, 2e6), TARGET)
    recording.put("process_open_fds", 38, TARGET)
    recording.add("process_cpu_seconds_total", 0.04 * step, TARGET)


def _requests(recording: Recording, step: float, reconciles: float) -> None:
    """Record what the operator asks the API server: the Lease all the time, and something in some reconciles."""
    requests = (
        ("get", "leases", "200", step / 2),
        ("update", "leases", "200", step / 2),
        ("patch", "modeldeployments/status", "200", 0.3 * reconciles),
        ("patch", "modeldeployments/status", "409", 0.02 * reconciles),
        ("patch", "deployments", "200", 0.1 * reconciles),
        ("create", "events", "201", 0.05 * reconciles),
    )
    for verb, resource, code, count in requests:
        labels = {**TARGET, "verb": verb, "resource": resource, "code": code}
        recording.add("modeldeployment_api_requests_total", count, labels)
    for verb in sorted({verb for verb, *_ in requests}):
        made = sum(count for one, _, _, count in requests if one == verb)
        labels = {**TARGET, "verb": verb}
        recording.observe("modeldeployment_api_request_duration_seconds", made, 0.012, SECONDS, labels)
