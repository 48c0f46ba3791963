"""What Prometheus is asked for labels, and what its answers say.

It is asked for raw samples with their times, `{…}[90s]`, and never for `rate()` or `increase()`, which extrapolate. All
numbers of one scrape of one target have the same time, and only such are put together: a store that got half of a
scrape, or replicas that were scraped at different times, give no counts that never were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from model_server.contract import Metric

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.spec import AccuracyMetric, ModelDeploymentSpec
from modeldeployment_operator.core.answers import in_form, matrix
from modeldeployment_operator.core.observation import Key

SHORTEST_WINDOW: Final = 60.0
"""Seconds."""
LONGEST_WINDOW: Final = 300.0
"""What Prometheus itself looks back for a value, unless told otherwise."""
_SCRAPES: Final = 3
"""So many scrapes fit into the window: one or two may fail or be late."""
_STARTED_LENGTH: Final = 64
_OWN_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    Metric.LABELS: ("outcome",),
    Metric.CONFUSION: ("actual", "predicted"),
    Metric.COUNTING_INFO: ("pod_uid", "started"),
}
"""Labels that a pod gives its lines. All others are the target's."""

Labels = tuple[str, ...]
"""Values of a line's own labels."""


@dataclass(frozen=True)
class Wish:
    """What is to be asked for one ModelDeployment."""

    key: Key
    by_class: bool
    """Whether the labels are needed by class, too."""
    window: float
    """Seconds to look back."""


@dataclass
class Scrape:
    """What one scrape of one target said."""

    counts: dict[Labels, int] = field(default_factory=dict)
    """Labels by (outcome), and by (actual, predicted)."""
    runs: list[tuple[str, str]] = field(default_factory=list)
    """UID of the pod and start of its run of counting: one of them, if all is well."""


@dataclass
class Target:
    """One pod as one Prometheus scrapes it. Replicas of Prometheus, and several jobs, make several of one pod."""

    model: str
    revision: str
    scrapes: dict[float, Scrape] = field(default_factory=dict)
    """By time, in seconds since 1970."""
    fault: str | None = None
    """A number that is none of labels."""


Targets = Mapping[tuple[str, str], list[Target]]
"""By namespace and name of the pod."""


def wish_of(key: Key, spec: ModelDeploymentSpec) -> Wish:
    """Return what is to be asked for a ModelDeployment."""
    monitor = spec.monitoring.service_monitor
    window = _SCRAPES * seconds(monitor.interval) if monitor.enabled else LONGEST_WINDOW
    by_class = spec.accuracy is not None and spec.accuracy.metrics != {AccuracyMetric.ACCURACY}
    return Wish(key, by_class, min(max(SHORTEST_WINDOW, window), LONGEST_WINDOW))


def queries(wishes: Iterable[Wish]) -> list[str]:
    """Return the PromQL for some ModelDeployments: one query, and one more if some need their labels by class."""
    wanted = list(wishes)
    by_class = [wish for wish in wanted if wish.by_class]
    texts = [_selector((Metric.LABELS, Metric.COUNTING_INFO), wanted)]
    return [*texts, _selector((Metric.CONFUSION,), by_class)] if by_class else texts


def read_answers(bodies: Iterable[bytes]) -> Targets:
    """Return what the answers to such queries say; PrometheusError if one of them is not as Prometheus answers."""
    targets: dict[frozenset[tuple[str, str]], Target] = {}
    by_pod: dict[tuple[str, str], list[Target]] = {}
    with in_form():
        for series in (one for body in bodies for one in matrix(body)):
            labels = dict(series["metric"])
            name = labels.pop("__name__", "")
            if name not in _OWN_LABELS:
                continue
            own = tuple(labels.pop(label, "") for label in _OWN_LABELS[name])
            identity = frozenset(labels.items())
            target = targets.get(identity)
            if target is None:
                target = targets[identity] = Target(labels.get("model", ""), labels.get("revision", ""))
                by_pod.setdefault((labels.get("namespace", ""), labels.get("pod", "")), []).append(target)
            _add(target, name, own, series["values"])
    return by_pod


def _selector(metrics: Iterable[str], wishes: list[Wish]) -> str:
    namespaces = sorted({wish.key.namespace for wish in wishes})
    models = sorted({wish.key.name for wish in wishes})
    window = math.ceil(max(wish.window for wish in wishes))
    return f'{{__name__=~"{_any(metrics)}",namespace=~"{_any(namespaces)}",model=~"{_any(models)}"}}[{window}s]'


def _any(names: Iterable[str]) -> str:
    """Return an expression for one of several names, which hold nothing but letters, digits, _, - and dots."""
    return "|".join(name.replace(".", r"\\.") for name in names)


def _add(target: Target, name: str, own: Labels, values: Iterable[tuple[float, str]]) -> None:
    """Take note of one series of a target."""
    for time, text in values:
        at, number = float(time), float(text)
        scrape = target.scrapes.get(at)
        if scrape is None:
            scrape = target.scrapes[at] = Scrape()
        if name == Metric.COUNTING_INFO:
            uid, started = own
            scrape.runs.append((uid, started[:_STARTED_LENGTH]))
        elif 0 <= number < 2**53 and number.is_integer() and own not in scrape.counts:
            scrape.counts[own] = int(number)
        else:
            target.fault = f"{name} is {number}, which is no number of labels"
