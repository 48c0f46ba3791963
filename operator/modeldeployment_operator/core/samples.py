"""The counts of a ModelDeployment's pods, from what Prometheus has of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from model_server.contract import Metric

from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.core.metrics import one_against_all
from modeldeployment_operator.core.observation import Observation, Pod, Sample
from modeldeployment_operator.core.passing import ANSWERS_ITSELF
from modeldeployment_operator.core.promql import Scrape, Target, Targets
from modeldeployment_operator.core.validity import faulty

_CORRECT: Final = ("correct",)
_WRONG: Final = ("wrong",)
_NUMBERS: Final = ("0", "1")
"""Names of two classes that were given none."""


class _UnusableError(Exception):
    """Why what there is of a target says nothing."""


class _FaultyError(_UnusableError):
    """What there is of a target cannot be."""


def samples_of(observation: Observation, targets: Targets) -> tuple[dict[str, Sample], str | None]:
    """Return the counts of the pods that run, by UID, and why those of the first of the others could not be read."""
    samples, problem = {}, None
    for pod in observation.pods:
        if pod.running:
            try:
                there = targets.get((observation.key.namespace, pod.name), ())
                samples[pod.uid] = _sample(observation, pod, there)
            except _UnusableError as error:
                problem = problem or str(error)
                if isinstance(error, _FaultyError):
                    samples[pod.uid] = faulty(pod, str(error))
    return samples, problem


def _sample(observation: Observation, pod: Pod, targets: Iterable[Target]) -> Sample:
    """Return the furthest counts of a pod in its latest run of counting."""
    found: list[tuple[float, Sample]] = []
    problem: _UnusableError | None = None
    for target in targets:
        if (target.model, target.revision) == (observation.key.name, pod.revision):
            try:
                found.append(_latest(observation, pod, target))
            except _UnusableError as error:
                problem = type(error)(f"what Prometheus has of pod {pod.name} cannot be used: {error}")
    if not found:
        raise problem or _UnusableError(_nothing(observation, pod))
    _, newest = max(found, key=lambda one: one[0])
    return max((one for _, one in found if one.started == newest.started), key=lambda one: one.correct + one.wrong)


def _nothing(observation: Observation, pod: Pod) -> str:
    cure = "see that it scrapes the pods' port admin and gives them these labels"
    if observation.spec.monitoring.service_monitor.enabled:
        cure = (
            f"see that it selects ServiceMonitor {observation.key.name} (by spec.monitoring.serviceMonitor.labels) and "
            "that its targets are up"
        )
    return (
        f"Prometheus has no {Metric.LABELS} and {Metric.COUNTING_INFO} of pod {pod.name} with the labels namespace, "
        f"pod, model and revision: {cure}"
    )


def _latest(observation: Observation, pod: Pod, target: Target) -> tuple[float, Sample]:
    """Return the latest scrape that is whole, with its time."""
    if target.fault:
        raise _FaultyError(target.fault)
    for time in sorted(target.scrapes, reverse=True):
        scrape = target.scrapes[time]
        if len(scrape.runs) == 1 and {_CORRECT, _WRONG} <= scrape.counts.keys():
            uid, started = scrape.runs[0]
            cells = _cells(observation, pod, scrape)
            if uid == pod.uid and cells is not None:
                positive = observation.spec.accuracy.positive_class if observation.spec.accuracy else None
                of_class = (cells["true_positive"], cells["false_positive"], cells["false_negative"])
                return time, Sample(
                    classes={} if positive is None else {positive: of_class},
                    pod_uid=uid,
                    revision=pod.revision,
                    started=started,
                    passing=ANSWERS_ITSELF,
                    correct=scrape.counts[_CORRECT],
                    wrong=scrape.counts[_WRONG],
                    true_positive=cells["true_positive"],
                    false_positive=cells["false_positive"],
                    false_negative=cells["false_negative"],
                )
    by_class = f", and {Metric.CONFUSION} of two classes: name them in spec.model.labels"
    raise _UnusableError(
        f"no scrape has all of {Metric.LABELS}, {Metric.COUNTING_INFO} with pod_uid {pod.uid}"
        f"{by_class if _classes_are_judged(observation) else ''}"
    )


def _classes_are_judged(observation: Observation) -> bool:
    accuracy = observation.spec.accuracy
    return accuracy is not None and accuracy.metrics != {AccuracyMetric.ACCURACY}


def _cells(observation: Observation, pod: Pod, scrape: Scrape) -> dict[str, int] | None:
    """Return labels by class as a pod counts them; None if they are not there, or not of two classes.

    They are all 0 unless they are needed. The second class is the positive one.
    """
    if not _classes_are_judged(observation):
        return {"true_positive": 0, "false_positive": 0, "false_negative": 0}
    cells = {own: number for own, number in scrape.counts.items() if len(own) == 2}
    positive_class = observation.spec.accuracy.positive_class if observation.spec.accuracy else None
    if positive_class is not None:
        # They are all there if they come to as many as the labels.
        is_whole = sum(cells.values()) == scrape.counts[_CORRECT] + scrape.counts[_WRONG]
        outcomes = ("true_positive", "false_positive", "false_negative")
        return dict(zip(outcomes, one_against_all(cells, positive_class), strict=True)) if is_whole else None
    stored = observation.stored.get(pod.revision)
    names = (stored.template.model.labels if stored else None) or _NUMBERS
    if len(names) != 2:
        return None
    negative, positive = names
    classes = {negative, positive}
    no_class = "none"  # What predictions of none are counted under, as METRICS.md says.
    while no_class in classes:
        no_class = f"({no_class})"
    whole = {(actual, predicted) for actual in classes for predicted in classes} <= cells.keys()
    if not whole or not all(actual in classes and predicted in {*classes, no_class} for actual, predicted in cells):
        return None
    wrong = {own: number for own, number in cells.items() if own[0] != own[1]}
    return {
        "true_positive": cells[positive, positive],
        "false_positive": sum(number for (actual, _), number in wrong.items() if actual == negative),
        "false_negative": sum(number for (actual, _), number in wrong.items() if actual == positive),
    }
