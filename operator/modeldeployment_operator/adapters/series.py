"""What a status says, as series of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from modeldeployment_operator.api.status import AccuracyStatus, ModelDeploymentStatus, RolloutStatus
from modeldeployment_operator.core.fleet import Model, number, running, time_of, traffic

MODEL: Final = ("namespace", "model")
"""Labels of everything that is told of a ModelDeployment."""
_REVISION: Final = (*MODEL, "revision")

Series = Iterator[tuple[tuple[str, ...], float]]
"""Values of the labels behind MODEL, and of the series."""


@dataclass(frozen=True)
class _Family:
    """A metric: `series` returns what there is of it in a status."""

    name: str
    help: str
    labels: tuple[str, ...]
    series: Callable[[ModelDeploymentStatus], Series]


def families(models: Iterable[Model]) -> list[Metric]:
    """Return all metrics that follow from statuses."""
    return [_metric(family, models) for family in _FAMILIES]


def _metric(family: _Family, models: Iterable[Model]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for model in models:
        key = (model.key.namespace, model.key.name)
        for labels, value in family.series(model.status):
            metric.add_metric((*key, *labels), value)
    return metric


def _conditions(status: ModelDeploymentStatus) -> Series:
    return (((condition.type, condition.status, condition.reason), 1) for condition in status.conditions)


def _phases(status: ModelDeploymentStatus) -> Series:
    return (((revision.name, revision.phase), 1) for revision in running(status))


def _replicas(status: ModelDeploymentStatus) -> Series:
    return (((revision.name,), revision.replicas) for revision in running(status))


def _ready_replicas(status: ModelDeploymentStatus) -> Series:
    return (((revision.name,), revision.ready_replicas) for revision in running(status))


def _traffic(status: ModelDeploymentStatus) -> Series:
    return (((name,), share) for name, share in traffic(status).items())


def _verdicts(status: ModelDeploymentStatus) -> Series:
    return (((revision.name, revision.verdict), 1) for revision in running(status) if revision.verdict)


def _judged(field: Callable[[AccuracyStatus], str | None], *, by_metric: bool = True) -> Callable[..., Series]:
    """Return what reads a number of what is judged, of the revision that serves and of one on its way."""

    def series(status: ModelDeploymentStatus) -> Series:
        for revision, told in (
            (status.serving_revision, status.accuracy),
            (status.rollout.revision if status.rollout else None, status.candidate_accuracy),
        ):
            value = number(field(told)) if told and revision else None
            if told and revision and value is not None:
                yield ((revision, told.metric) if by_metric else (revision,)), value

    return series


def _on_the_way(field: Callable[[RolloutStatus], float | None]) -> Callable[..., Series]:
    """Return what reads a number of a rollout."""

    def series(status: ModelDeploymentStatus) -> Series:
        value = field(status.rollout) if status.rollout else None
        if status.rollout and value is not None:
            yield (status.rollout.revision,), value

    return series


def _strategy(status: ModelDeploymentStatus) -> Series:
    if status.rollout:
        yield (status.rollout.revision, status.rollout.strategy), 1


def _began(rollout: RolloutStatus) -> float | None:
    time = time_of(rollout.since)
    return time.timestamp() if time else None


def _situations(status: ModelDeploymentStatus) -> Series:
    return (((one.revision, one.situation, one.action), 1) for one in status.situations)


_JUDGED: Final = (*_REVISION, "metric")
_ROLLOUT: Final = (
    _Family("modeldeployment_rollout_info", "Rollouts that are under way.", (*_REVISION, "strategy"), _strategy),
    _Family("modeldeployment_rollout_step", "Step of a rollout.", _REVISION, _on_the_way(lambda one: one.step)),
    _Family("modeldeployment_rollout_steps", "Steps that it has.", _REVISION, _on_the_way(lambda one: one.steps)),
    _Family(
        "modeldeployment_rollout_weight_ratio",
        "Share of the requests that a revision is to answer at its step.",
        _REVISION,
        _on_the_way(lambda one: one.weight / 100),
    ),
    _Family(
        "modeldeployment_rollout_step_start_time_seconds",
        "When the step began, in seconds since 1970.",
        _REVISION,
        _on_the_way(_began),
    ),
    _Family(
        "modeldeployment_situation",
        "Situations that spec.policies speaks of, and what is done about them.",
        (*_REVISION, "situation", "action"),
        _situations,
    ),
)
_FAMILIES: Final = (
    *_ROLLOUT,
    _Family("modeldeployment_condition", "Each condition as it is.", (*MODEL, "type", "status", "reason"), _conditions),
    _Family("modeldeployment_revision_info", "Revisions that run.", (*_REVISION, "phase"), _phases),
    _Family("modeldeployment_replicas", "Pods that a revision should have.", _REVISION, _replicas),
    _Family("modeldeployment_ready_replicas", "Pods of a revision that answer.", _REVISION, _ready_replicas),
    _Family("modeldeployment_traffic_ratio", "Share of the traffic that is sent to a revision.", _REVISION, _traffic),
    _Family("modeldeployment_verdict", "What the labels say of a revision.", (*_REVISION, "verdict"), _verdicts),
    _Family(
        "modeldeployment_accuracy_estimate",
        "Value of the metric that is judged.",
        _JUDGED,
        _judged(lambda accuracy: accuracy.estimate),
    ),
    _Family(
        "modeldeployment_accuracy_lower",
        "Lower end of the interval that holds at all times.",
        _JUDGED,
        _judged(lambda accuracy: accuracy.lower),
    ),
    _Family(
        "modeldeployment_accuracy_upper",
        "Upper end of the interval that holds at all times.",
        _JUDGED,
        _judged(lambda accuracy: accuracy.upper),
    ),
    _Family(
        "modeldeployment_accuracy_level",
        "Lowest value at which a revision counts as good.",
        _JUDGED,
        _judged(lambda accuracy: accuracy.level),
    ),
    _Family(
        "modeldeployment_accuracy_labels",
        "Labels that were judged.",
        _REVISION,
        _judged(lambda accuracy: str(accuracy.labels), by_metric=False),
    ),
    _Family(
        "modeldeployment_evidence_ratio",
        "Evidence that a revision is degraded, as a share of proof.",
        _REVISION,
        _judged(lambda accuracy: accuracy.evidence, by_metric=False),
    ),
)
