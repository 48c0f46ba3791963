"""What is demanded of a revision: a list of criteria, fixed before its first label.

Each criterion has a test of its own and a weight; `combine` averages their evidence. A revision is proven worse when
the average reaches 1/alpha, and so with probability at most alpha if it is good by all criteria, over its whole life.

- Minimum: its quality is at least a number. Of the metric, of each additional one, and in each slice.
- Baseline: it is at most `maximumDrop` below what its predecessor's labels came to, once it has the traffic. That level
  is itself an estimate, so half of alpha is for its being too high.
- Concurrent: it is at most `maximumDrop` below the revision that serves over the same time, on requests of their own.
  So it is judged while it has a share of the traffic: if the world changes, both change.
- Paired: the same on the same requests, while it is sent copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modeldeployment_operator.api.feedback import Feedback
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.api.status import Baseline, CriterionKind
from modeldeployment_operator.core.evidence import slice_weights
from modeldeployment_operator.core.intervals import clopper_pearson_lower
from modeldeployment_operator.core.metrics import drop_in_share, right_and_wrong, share_of, value_of
from modeldeployment_operator.core.observation import Sample

COMPARED = {Strategy.CANARY: CriterionKind.CONCURRENT, Strategy.SHADOW: CriterionKind.PAIRED}
"""How a candidate is compared with the revision that serves; otherwise with what that was."""


@dataclass(frozen=True)
class Stream:
    """Labels that a criterion looks at."""

    metric: AccuracyMetric
    slice: str | None = None
    positive: str | None = None
    """Class that the metric is of; None for accuracy, and for the second of two classes."""

    @classmethod
    def of_metric(cls, metric: AccuracyMetric, positive: str | None) -> Stream:
        """Return the labels that a metric is of, in all slices."""
        return cls(metric, positive=None if metric is AccuracyMetric.ACCURACY else positive)

    def of(self, sample: Sample) -> tuple[int, int]:
        """Return how many speak for the model and how many against it."""
        if self.slice is not None:
            return sample.slices.get(self.slice, (0, 0))
        cells = (sample.true_positive, sample.false_positive, sample.false_negative)
        if self.positive is not None:
            cells = sample.classes.get(self.positive, (0, 0, 0))
        return right_and_wrong(self.metric, sample.correct, sample.wrong, *cells)

    def __str__(self) -> str:
        of = "" if self.positive is None else f" of class {self.positive}"
        return f"{self.metric.value}{of}" if self.slice is None else f"{self.metric.value} of slice {self.slice}"


@dataclass(frozen=True)
class Criterion:
    """One demand.

    Attributes:
        kind: how it is judged.
        stream: by which labels.
        value: lowest good value of the metric, or the drop that is allowed; None while a baseline is not known.
        weight: share of the evidence, in (0, 1].

    """

    kind: CriterionKind
    stream: Stream
    value: float | None
    weight: float = 1.0

    @property
    def text(self) -> str | None:
        """The value as it is written into the status. Two are the same if their texts are."""
        return None if self.value is None else f"{self.value:.6f}"

    @property
    def share(self) -> str:
        """The weight as it is written."""
        return f"{self.weight:.17g}"

    @property
    def demand(self) -> str:
        """Say what is demanded."""
        if self.value is None:
            return f"{self.stream} by what its predecessor came to, when that is known"
        drop = share_of(self.stream.metric, self.value)
        match self.kind:
            case CriterionKind.MINIMUM:
                return f"{self.stream} at least {self.value:g}"
            case CriterionKind.BASELINE:
                return f"{self.stream} at least {self.value:.4g}, by what its predecessor came to"
            case CriterionKind.CONCURRENT:
                return f"{self.stream} at most {drop:g} below that of who serves, over the same time"
            case CriterionKind.PAIRED:
                return f"{self.stream} at most {drop:g} below that of who serves, on the same requests"

    @property
    def is_level(self) -> bool:
        """Whether it is judged by its own labels alone."""
        return self.kind in {CriterionKind.MINIMUM, CriterionKind.BASELINE}


@dataclass(frozen=True)
class Plan:
    """All that is demanded of one revision.

    Attributes:
        alpha: chance of error that is left to the tests.
        criteria: the first is what is shown of the revision; each has labels of its own or those of the first.
        query: what names the counters, if they are not the pods' own.
        positive: class that precision, recall and F1 are of, if it was named.

    """

    alpha: float
    criteria: tuple[Criterion, ...]
    query: str | None = None
    positive: str | None = None

    @property
    def first(self) -> Criterion:
        """The criterion that people look at."""
        return self.criteria[0]

    @property
    def others(self) -> tuple[Criterion, ...]:
        """All but the first."""
        return self.criteria[1:]

    @property
    def counted(self) -> tuple[Stream, ...]:
        """What is counted for it, of each pod: the labels of the first criterion first."""
        return tuple(dict.fromkeys(one.stream for one in self.criteria))


def plan_of(
    accuracy: Accuracy, baseline: Baseline | None, compared: CriterionKind | None = None, slices: Sequence[str] = ()
) -> Plan:
    """Return what is demanded of a revision with this predecessor.

    `compared` says how it is compared with the one that serves, if it ever is; `slices` are those that are told apart.
    """
    stream = Stream.of_metric(accuracy.metric, accuracy.positive_class)
    criteria: list[Criterion] = []
    if accuracy.minimum is not None:
        criteria.append(Criterion(CriterionKind.MINIMUM, stream, accuracy.minimum))
    if accuracy.maximum_drop is not None:
        criteria.append(Criterion(CriterionKind.BASELINE, stream, _least(accuracy, accuracy.maximum_drop, baseline)))
        if compared is not None:
            criteria.append(Criterion(compared, stream, drop_in_share(accuracy.metric, accuracy.maximum_drop)))
    criteria += [
        Criterion(CriterionKind.MINIMUM, Stream.of_metric(one.metric, accuracy.positive_class), one.minimum)
        for one in accuracy.additional or ()
    ]
    weight = 1.0 / len(criteria)
    criteria = [replace(one, weight=weight) for one in criteria]
    if accuracy.slice_minimum is not None and slices:
        whole, part = slice_weights(weight, len(slices))
        criteria[0] = replace(criteria[0], weight=whole)
        criteria += [
            Criterion(CriterionKind.MINIMUM, Stream(AccuracyMetric.ACCURACY, name), accuracy.slice_minimum, part)
            for name in slices
        ]
    alpha = accuracy.alpha / 2 if accuracy.maximum_drop is not None else accuracy.alpha
    return Plan(alpha, tuple(criteria), accuracy.counted_by, accuracy.positive_class)


def slices_of(feedback: Feedback | None) -> tuple[str, ...]:
    """Return the slices that the pods of a revision tell apart by name."""
    slices = feedback.slices if feedback else None
    return tuple(slices.values or ()) if slices else ()


def _least(accuracy: Accuracy, drop: float, baseline: Baseline | None) -> float | None:
    """Return the lowest good value after such a predecessor; None if its labels say too little."""
    measured = (accuracy.metric.value, accuracy.counted_by, accuracy.positive_class)
    if baseline is None or (baseline.metric, baseline.query, baseline.positive_class) != measured:
        return None
    # An estimate itself: the lower end of Clopper and Pearson's interval, at half of alpha.
    share = clopper_pearson_lower(baseline.right, baseline.right + baseline.wrong, accuracy.alpha / 2)
    value = value_of(accuracy.metric, share) - drop
    return value if value > 0 else None
