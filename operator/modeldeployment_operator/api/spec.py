"""The spec of a ModelDeployment: what its user wants.

The descriptions are what `kubectl explain` prints, and the CRD is made from these classes (`crd.py`), so a field
and its documentation live in one place. `CEL` rules stand beside the fields they check.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modeldeployment_operator.api.autoscaling import MOST_REPLICAS, Autoscaling
from modeldeployment_operator.api.base import ApiModel, NoTwins, Rule, lasts, seconds
from modeldeployment_operator.api.feedback import MATURE_AT_ONCE, Feedback
from modeldeployment_operator.api.kubernetes import LabelMap, Opaque
from modeldeployment_operator.api.model import ModelSource, Task
from modeldeployment_operator.api.policies import Action, Policies
from modeldeployment_operator.api.query import Query
from modeldeployment_operator.api.rollout import Rollout, Strategy
from modeldeployment_operator.api.route import Route
from modeldeployment_operator.api.serving import Serving

Interval = Annotated[str, Field(max_length=16), lasts("1s", "24h")]
ScrapeInterval = Annotated[str, Field(max_length=16), lasts("1s", "2m")]
"""Prometheus looks back five minutes for a value: with longer intervals, one scrape that fails leaves a gap."""
Probation = Annotated[str, Field(max_length=16), lasts("0s", "8760h")]
Window = Annotated[str, Field(max_length=16), lasts("10s", "24h")]
Lasting = Annotated[str, Field(max_length=16), lasts("0s", "24h")]
LONGEST_LATENCY: Final = "10s"
"""Beyond the last bucket of the pods' histogram no quantile can be told."""
Latency = Annotated[str, Field(max_length=16), lasts("1ms", LONGEST_LATENCY)]
LabelsWithin = Annotated[str, Field(max_length=16), lasts("1m", "720h")]
SCRAPE_INTERVAL: Final = "30s"
PROBATION: Final = "24h"
LABELS_WITHIN: Final = "24h"
_HAS_MATURITY: Final = (
    f"has(self.feedback) && has(self.feedback.maturity) && self.feedback.maturity != '{MATURE_AT_ONCE}'"
)
_JUDGES_CLASSES: Final = (
    "has(self.accuracy) && (has(self.accuracy.metric) && self.accuracy.metric != 'accuracy' || "
    "has(self.accuracy.additional) && self.accuracy.additional.exists(one, one.metric != 'accuracy'))"
)
Ratio = Annotated[float, Field(ge=0, lt=1)]
Relabelings = Annotated[list[Opaque], Field(max_length=64)]
"""As the Prometheus Operator has them; passed on as they are, and checked by the cluster."""


class AccuracyMetric(StrEnum):
    """What is judged. All but accuracy are of one class, the positive one."""

    ACCURACY = "accuracy"
    PRECISION = "precision"
    RECALL = "recall"
    F1 = "f1"


class LabelSource(StrEnum):
    """Where the numbers of labels are read that are judged."""

    PODS = "Pods"
    PROMETHEUS = "Prometheus"
    QUERY = "Query"


class Demand(ApiModel):
    """One more metric that a revision is to reach."""

    metric: AccuracyMetric = Field(description="What is judged: accuracy, precision, recall or f1.")
    minimum: float = Field(gt=0, lt=1, description="A revision whose true value lies below this is degraded.")


class Accuracy(ApiModel):
    """What quality is demanded of the model, and how sure a verdict must be."""

    metric: AccuracyMetric = Field(
        AccuracyMetric.ACCURACY,
        description="What is judged: accuracy, or precision, recall or f1 of one class.",
    )
    positive_class: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Class that precision, recall and f1 are of, by its name in model.labels or by its number; the "
        "second of two classes if absent. Of models of more than 20 classes none is counted.",
    )
    minimum: float | None = Field(
        None, gt=0, lt=1, description="A revision whose true value lies below this is degraded. A plain number: 0.9."
    )
    maximum_drop: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="A revision is degraded that lies more than this below the one before it: in a Canary below that "
        "one over the same time, in a Shadow rollout on the same requests, and once it serves below what that one had "
        "come to.",
    )
    additional: Annotated[list[Demand], Field(min_length=1, max_length=3), NoTwins("metric")] | None = Field(
        None, description="Metrics that a revision is to reach besides, at the same alpha for all together."
    )
    slice_minimum: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Accuracy that is to be reached in each of spec.feedback.slices.values, at the same alpha for all "
        "together.",
    )
    alpha: float = Field(
        0.01,
        gt=0,
        le=0.2,
        description="Chance that a good revision is ever called degraded, over its whole life, however often it is "
        "looked at.",
    )
    minimum_labels: int = Field(30, ge=1, le=1_000_000, description="Labels that a verdict needs at least.")
    sample_interval: Interval = Field("10s", description="How often the labels that the pods counted are read.")
    source: LabelSource = Field(
        LabelSource.PODS,
        description="Where they are read: Pods asks the pods themselves, Prometheus the one that the operator was "
        "installed with (PROMETHEUS_URL), which scrapes them. Query has that Prometheus asked for counters of others.",
    )
    query: Query | None = Field(None, description="Of source Query: whose counters are read.")

    rules = (
        Rule(
            cel="has(self.minimum) || has(self.maximumDrop)",
            holds=lambda self: self.minimum is not None or self.maximum_drop is not None,
            message="accuracy needs minimum, maximumDrop or both: without a level there is nothing to judge against",
        ),
        Rule(
            cel="!has(self.additional) || !self.additional.exists(one, one.metric == "
            "(has(self.metric) ? self.metric : 'accuracy'))",
            holds=lambda self: all(one.metric is not self.metric for one in self.additional or ()),
            message="additional names the metric that is judged already: give its minimum",
        ),
        Rule(
            cel="!(has(self.additional) || has(self.sliceMinimum)) || has(self.minimum)",
            holds=lambda self: self.minimum is not None or (self.additional is None and self.slice_minimum is None),
            message="additional and sliceMinimum come beside a minimum",
        ),
        Rule(
            cel="!has(self.positiveClass) || has(self.metric) && self.metric != 'accuracy' || "
            "has(self.additional) && self.additional.exists(one, one.metric != 'accuracy')",
            holds=lambda self: self.positive_class is None or self.metrics != {AccuracyMetric.ACCURACY},
            message="positiveClass is given with precision, recall or f1",
        ),
        # Not a bound of the field: the API server rounds bounds when it compares them with a whole number, as with 0.
        Rule(
            cel="!has(self.alpha) || self.alpha >= 0.000001",
            holds=lambda self: self.alpha >= 0.000001,
            message="alpha must be at least 0.000001",
        ),
        Rule(
            cel="(has(self.source) && self.source == 'Query') == has(self.query)",
            holds=lambda self: (self.source is LabelSource.QUERY) == (self.query is not None),
            message="query is given with source: Query, and with no other",
        ),
        Rule(
            cel="!has(self.query) || !has(self.query.gauge) || has(self.minimum) && !has(self.maximumDrop) && "
            "!has(self.alpha) && !has(self.minimumLabels)",
            holds=lambda self: (
                not self.is_gauged
                or (
                    self.minimum is not None and not self.model_fields_set & {"maximum_drop", "alpha", "minimum_labels"}
                )
            ),
            message="a gauge is held against minimum, a plain threshold: maximumDrop, alpha and minimumLabels are for "
            "labels that are counted",
        ),
        Rule(
            cel="!has(self.query) || (!has(self.metric) || self.metric == 'accuracy') && !has(self.additional)",
            holds=lambda self: self.query is None or self.metrics == {AccuracyMetric.ACCURACY},
            message="what a query counts is judged as accuracy, the share of correct in total: leave out metric "
            "and additional. Precision and recall are such shares, too: select their counters",
        ),
    )

    @property
    def is_gauged(self) -> bool:
        """Whether a gauge is held against the minimum, and no labels are judged."""
        return self.query is not None and self.query.gauge is not None

    @property
    def counted_by(self) -> str | None:
        """What names the counters that are judged, if they are not the pods' own."""
        return self.query.digest if self.query else None

    def minimum_of(self, metric: str | None) -> float | None:
        """Return the least that is demanded of a metric; None for the first one."""
        if metric is None or metric == self.metric.value:
            return self.minimum
        return next((one.minimum for one in self.additional or () if one.metric.value == metric), None)

    @property
    def metrics(self) -> frozenset[AccuracyMetric]:
        """All that is judged."""
        return frozenset({self.metric, *(one.metric for one in self.additional or ())})


class Rollback(ApiModel):
    """What is kept to go back to."""

    probation: Probation = Field(
        PROBATION, description="How long the previous revision is kept running, ready to take the traffic back at once."
    )


class ServiceMonitor(ApiModel):
    """How Prometheus Operator is told to scrape the pods."""

    enabled: bool = Field(True, description="Make a ServiceMonitor, if the cluster knows that kind.")
    labels: LabelMap | None = Field(
        None, description="Labels by which your Prometheus selects ServiceMonitors, as release: kube-prometheus-stack."
    )
    interval: ScrapeInterval = Field(
        SCRAPE_INTERVAL,
        description="How often Prometheus scrapes, two minutes at most: it looks back five minutes for a value, and a "
        "scrape may fail.",
    )
    scrape_timeout: ScrapeInterval | None = Field(
        None, description="How long a scrape may take, at most the interval; what Prometheus is set to if absent."
    )
    relabelings: Relabelings | None = Field(
        None,
        description="Relabelings of the targets, as in a ServiceMonitor; they come after those that make the labels "
        "model and revision, on which alerts, dashboards and accuracy read from Prometheus rest.",
    )
    metric_relabelings: Relabelings | None = Field(
        None, description="Relabelings of what was scraped, as in a ServiceMonitor: to drop series that nobody needs."
    )

    rules = (
        Rule(
            cel="!has(self.scrapeTimeout) || duration(self.scrapeTimeout) <= "
            f"duration(has(self.interval) ? self.interval : '{SCRAPE_INTERVAL}')",
            holds=lambda self: self.scrape_timeout is None or seconds(self.scrape_timeout) <= seconds(self.interval),
            message="scrapeTimeout must not be longer than the interval of scrapes",
        ),
    )


class PrometheusRule(ApiModel):
    """When Prometheus tells that something is wrong with the model."""

    enabled: bool = Field(True, description="Make a PrometheusRule with alerts, if the cluster knows that kind.")
    labels: LabelMap | None = Field(
        None, description="Labels by which your Prometheus selects PrometheusRules, as release: kube-prometheus-stack."
    )
    window: Window = Field("5m", description="Over which rates are taken; four scrapes if that is longer.")
    lasting: Lasting = Field("5m", alias="for", description="How long a symptom must last until it is told.")
    maximum_error_ratio: Ratio = Field(
        0.05, description="Highest share of predictions that may be answered with a 5xx status."
    )
    maximum_latency: Latency = Field(
        "1s", description="Time in which 99 of 100 predictions must be answered, as 250ms or 1s."
    )
    maximum_rejected_ratio: Ratio = Field(0.1, description="Highest share of the labels sent that may be refused.")
    maximum_utilization: Ratio = Field(
        0.9, description="Highest share of the time that the threads of a revision may be busy."
    )
    approval_within: LabelsWithin = Field(
        "24h", description="Time in which a rollout that waits for its user is to be promoted or given up."
    )
    labels_within: LabelsWithin = Field(
        LABELS_WITHIN,
        description="Time in which some label must come for predictions; Prometheus must keep data a tenth longer.",
    )


class Monitoring(ApiModel):
    """How the pods are watched by others."""

    service_monitor: ServiceMonitor = Field(
        default_factory=ServiceMonitor, description="The ServiceMonitor of the pods."
    )
    prometheus_rule: PrometheusRule = Field(
        default_factory=PrometheusRule, description="The PrometheusRule with the alerts of the model."
    )


class ModelDeploymentSpec(ApiModel):
    """What should be served, how, and what quality is demanded of it."""

    model: ModelSource = Field(description="The model to serve.")
    replicas: int | None = Field(
        None, ge=0, le=MOST_REPLICAS, description="Number of serving pods; 1 if absent, unless autoscaling is given."
    )
    autoscaling: Autoscaling | None = Field(
        None, description="Have the number of serving pods follow the load, in place of replicas."
    )
    serving: Serving = Field(default_factory=Serving, description="How the pods run.")
    route: Route | None = Field(
        None,
        description="How requests come from a Gateway, which then divides them in a Canary, too: an HTTPRoute is made "
        "for the model.",
    )
    feedback: Feedback | None = Field(None, description="How labels are asked for, counted and told apart.")
    accuracy: Accuracy | None = Field(
        None, description="The quality demanded of the model. Without it nothing is judged and nothing rolled back."
    )
    rollout: Rollout = Field(default_factory=Rollout, description="How a new revision comes to the traffic.")
    rollback: Rollback = Field(default_factory=Rollback, description="What is kept to go back to.")
    policies: Policies = Field(
        default_factory=Policies, description="What is done when things are not as they should be."
    )
    monitoring: Monitoring = Field(default_factory=Monitoring, description="How the pods are watched by others.")
    revision_history_limit: int = Field(
        10, ge=0, le=100, description="How many revisions are kept that neither serve nor stand by."
    )
    paused: bool = Field(
        False, description="Hold the traffic where it is: nothing new is started, switched or rolled back."
    )

    rules = (
        Rule(
            cel="!(has(self.replicas) && has(self.autoscaling))",
            holds=lambda self: self.replicas is None or self.autoscaling is None,
            message="give replicas or autoscaling, not both: with autoscaling the number of pods follows the load, "
            "between minReplicas and maxReplicas",
        ),
        Rule(
            cel="!has(self.autoscaling) || has(self.autoscaling.podMetrics) && "
            "!has(self.autoscaling.cpuUtilization) || has(self.serving) && has(self.serving.resources) && ("
            "has(self.serving.resources.requests) && 'cpu' in self.serving.resources.requests || "
            "has(self.serving.resources.limits) && 'cpu' in self.serving.resources.limits)",
            holds=lambda self: (
                self.autoscaling is None
                or self.autoscaling.cpu is None
                or (self.serving.resources is not None and self.serving.resources.names("cpu"))
            ),
            message="to scale by CPU, give serving.resources.requests.cpu: the target is a share of it",
        ),
        Rule(
            cel=f"!({_JUDGES_CLASSES}) || !has(self.model.labels) || size(self.model.labels) == 2 || "
            "has(self.accuracy.positiveClass)",
            holds=lambda self: (
                self.accuracy is None
                or self.accuracy.metrics <= {AccuracyMetric.ACCURACY}
                or self.model.labels is None
                or len(self.model.labels) == 2
                or self.accuracy.positive_class is not None
            ),
            message="precision, recall and f1 are of one class: of more than two, name it in accuracy.positiveClass",
        ),
        Rule(
            cel="!has(self.accuracy) || !has(self.accuracy.positiveClass) || !has(self.model.labels) || "
            "self.accuracy.positiveClass in self.model.labels",
            holds=lambda self: (
                self.accuracy is None
                or self.accuracy.positive_class is None
                or self.model.labels is None
                or self.accuracy.positive_class in self.model.labels
            ),
            message="accuracy.positiveClass is none of model.labels",
        ),
        Rule(
            cel="!has(self.model.task) || self.model.task != 'regression' || "
            f"!({_JUDGES_CLASSES} || has(self.feedback) && has(self.feedback.topK))",
            holds=lambda self: (
                self.model.task is not Task.REGRESSION
                or (
                    (self.accuracy is None or self.accuracy.metrics <= {AccuracyMetric.ACCURACY})
                    and (self.feedback is None or self.feedback.top_k is None)
                )
            ),
            message="a regression has no classes: judge accuracy, the share of numbers within the tolerance, and leave "
            "out topK",
        ),
        Rule(
            cel="has(self.accuracy) || !has(self.rollout) || !(has(self.rollout.steps) ? self.rollout.steps.exists("
            "step, has(step.hold.labels) || has(step.hold.healthy) && step.hold.healthy) : has(self.rollout.hold) && "
            "(has(self.rollout.hold.labels) || has(self.rollout.hold.healthy) && self.rollout.hold.healthy))",
            holds=lambda self: (
                self.accuracy is not None or not any(hold.labels or hold.healthy for hold in self.rollout.holds)
            ),
            message="a rollout that waits for labels or for a verdict needs accuracy: without it nothing is counted",
        ),
        Rule(
            cel="!has(self.accuracy) || !has(self.accuracy.query) || !has(self.accuracy.query.gauge) || "
            "!has(self.rollout) || !(has(self.rollout.steps) ? self.rollout.steps.exists(step, has(step.hold.labels)) "
            ": has(self.rollout.hold) && has(self.rollout.hold.labels))",
            holds=lambda self: (
                self.accuracy is None
                or not self.accuracy.is_gauged
                or not any(hold.labels for hold in self.rollout.holds)
            ),
            message="a gauge counts no labels: have the rollout wait for a duration, or for healthy: true",
        ),
        Rule(
            cel="!has(self.accuracy) || !has(self.accuracy.sliceMinimum) || has(self.feedback) && "
            "has(self.feedback.slices) && has(self.feedback.slices.values)",
            holds=lambda self: (
                self.accuracy is None
                or self.accuracy.slice_minimum is None
                or bool(self.feedback and self.feedback.slices and self.feedback.slices.values)
            ),
            message="accuracy.sliceMinimum needs feedback.slices.values: which slices are judged has to be said before "
            "their first label",
        ),
        Rule(
            cel="!has(self.accuracy) || !has(self.accuracy.maximumDrop) || !has(self.accuracy.metric) || "
            "self.accuracy.metric == 'accuracy' || !has(self.rollout) || !has(self.rollout.strategy) || "
            "self.rollout.strategy != 'Shadow'",
            holds=lambda self: (
                self.accuracy is None
                or self.accuracy.maximum_drop is None
                or self.accuracy.metric is AccuracyMetric.ACCURACY
                or self.rollout.strategy is not Strategy.SHADOW
            ),
            message="a Shadow rollout compares pairs of answers by which of them are right: with maximumDrop judge "
            "accuracy",
        ),
        Rule(
            cel="!has(self.accuracy) || !has(self.accuracy.source) || self.accuracy.source == 'Pods' || "
            "!has(self.accuracy.sliceMinimum) && !(has(self.accuracy.maximumDrop) && has(self.rollout) && "
            "has(self.rollout.strategy) && self.rollout.strategy == 'Shadow')",
            holds=lambda self: (
                self.accuracy is None
                or self.accuracy.source is LabelSource.PODS
                or (
                    self.accuracy.slice_minimum is None
                    and (self.accuracy.maximum_drop is None or self.rollout.strategy is not Strategy.SHADOW)
                )
            ),
            message="slices, and pairs of a Shadow rollout, are read from the pods alone: with another "
            "accuracy.source leave out sliceMinimum, and maximumDrop with strategy Shadow",
        ),
        Rule(
            cel=f"!({_HAS_MATURITY}) || !has(self.accuracy) || has(self.policies) && has(self.policies.degraded) && "
            "has(self.policies.degraded.action) && self.policies.degraded.action != 'RollBack' || "
            "duration(self.feedback.maturity) < "
            f"duration(has(self.rollback) && has(self.rollback.probation) ? self.rollback.probation : '{PROBATION}')",
            holds=lambda self: (
                self.feedback is None
                or self.feedback.maturity == MATURE_AT_ONCE
                or self.accuracy is None
                or self.policies.degraded.action is not Action.ROLL_BACK
                or seconds(self.feedback.maturity) < seconds(self.rollback.probation)
            ),
            message="rollback.probation must be longer than feedback.maturity: until then no label counts, and nothing "
            "is proven",
        ),
        Rule(
            cel=f"!({_HAS_MATURITY}) || duration(self.feedback.maturity) < duration("
            "has(self.monitoring) && has(self.monitoring.prometheusRule) && "
            "has(self.monitoring.prometheusRule.labelsWithin) ? self.monitoring.prometheusRule.labelsWithin : "
            f"'{LABELS_WITHIN}')",
            holds=lambda self: (
                self.feedback is None
                or self.feedback.maturity == MATURE_AT_ONCE
                or seconds(self.feedback.maturity) < seconds(self.monitoring.prometheus_rule.labels_within)
            ),
            message="monitoring.prometheusRule.labelsWithin must be longer than feedback.maturity: until then no label "
            "counts",
        ),
    )
