"""The spec of a ModelDeployment: what its user wants.

The descriptions are what `kubectl explain` prints, and the CRD is made from these classes (`crd.py`), so a field
and its documentation live in one place. `CEL` rules stand beside the fields they check.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from model_server.contract import Env
from pydantic import BeforeValidator, Field

from modeldeployment_operator.api.base import ApiModel, NoTwins, Rule, drop_nulls, form, lasts, seconds

OPAQUE: Final = "x-kubernetes-preserve-unknown-fields"

QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

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
Ratio = Annotated[float, Field(ge=0, lt=1)]
Uri = Annotated[
    str,
    Field(max_length=1024),
    # What a space is stands here: it differs between the dialects.
    form(
        r"(pvc|http|https|s3)://[^/\x00-\x20\x7f]+(/[^\x00-\x20\x7f]*)?",
        "write pvc://CLAIM/PATH, http://HOST/FILE, https://HOST/FILE or s3://BUCKET/KEY, without spaces",
    ),
]
Digest = Annotated[
    str,
    Field(max_length=71),
    form("sha256:[0-9a-f]{64}", "write sha256: and the 64 hexadecimal digits that sha256sum prints"),
]
ModelName = Annotated[
    str,
    Field(max_length=63),
    form(
        "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?",
        "use letters, digits, '.', '_' and '-' only, and begin and end with a letter or a digit",
    ),
]
LabelMap = Annotated[dict[str, str], Field(max_length=32), BeforeValidator(drop_nulls)]
Quantity = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=32)],
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]
"""An amount as Kubernetes writes it: 2, "500m", "1.5", 4Gi."""
Quantities = Annotated[dict[str, Quantity], Field(max_length=16), BeforeValidator(drop_nulls)]
Opaque = Annotated[dict[str, Any], Field(json_schema_extra={OPAQUE: True})]
"""An object of Kubernetes' own that is passed on as it is and checked when the pods are made."""
Relabelings = Annotated[list[Opaque], Field(max_length=64)]
"""As the Prometheus Operator has them; passed on as they are, and checked by the cluster."""
ClassNames = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=128)]], Field(min_length=2, max_length=1000), NoTwins()
]


class ModelFormat(StrEnum):
    """File formats of a model."""

    KERAS = "keras"
    H5 = "h5"
    SAVED_MODEL = "saved_model"


class AccuracyMetric(StrEnum):
    """What is judged. All but accuracy are of the second of two classes, the positive one."""

    ACCURACY = "accuracy"
    PRECISION = "precision"
    RECALL = "recall"
    F1 = "f1"


class LabelSource(StrEnum):
    """Where the numbers of labels are read that are judged."""

    PODS = "Pods"
    PROMETHEUS = "Prometheus"


_USERS_ENV: Final = {Env.DRAIN_SECONDS, Env.EXTRA_OPS, Env.MAX_BODY_BYTES}
_USERS_NAMES: Final = sorted(name.value for name in _USERS_ENV)
_PREFIX: Final = "MODEL_"
_OTHERS: Final = sorted(name.value for name in Env if not name.startswith(_PREFIX))
"""All names of the server's settings begin with the prefix, but for these."""


class EnvVar(ApiModel):
    """An environment variable of a container."""

    name: str = Field(min_length=1, max_length=256, description="Name of the variable.")
    value: str | None = Field(None, max_length=4096, description="Its value.")
    value_from: Opaque | None = Field(None, description="Where its value comes from, as in a pod's env.")

    rules = (
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            holds=lambda self: self.value is None or self.value_from is None,
            message="give value or valueFrom, not both",
        ),
        Rule(
            cel=f"self.name in {_USERS_NAMES} || !(self.name.startsWith('{_PREFIX}') || self.name in {_OTHERS})",
            holds=lambda self: self.name in _USERS_NAMES or not (self.name.startswith(_PREFIX) or self.name in _OTHERS),
            message=f"the operator sets {', '.join(_OTHERS)} and all that begin with {_PREFIX}, "
            f"but for {', '.join(_USERS_NAMES)}",
        ),
    )


Environment = Annotated[list[EnvVar], Field(max_length=64), NoTwins("name")]


class ModelSource(ApiModel):
    """The model to serve."""

    uri: Uri = Field(
        description="Where the model lies: pvc://CLAIM/PATH, http(s)://HOST/FILE or s3://BUCKET/KEY; a file (.keras, "
        ".h5, or a .zip or .tar.gz of a SavedModel) or a SavedModel directory.",
    )
    digest: Digest | None = Field(
        None,
        description="SHA-256 of the model, verified before anything opens it. Without it, a file that changes behind "
        "its URI goes unnoticed: give it in production.",
    )
    format: ModelFormat | None = Field(None, description="Format of the model; found out from the files if absent.")
    name: ModelName | None = Field(
        None,
        description="Name in the URL that clients call, /v1/models/NAME; the ModelDeployment's name if absent.",
    )
    labels: ClassNames | None = Field(
        None,
        description="Names of the classes in the order of the model's outputs. Of two classes the second is the "
        "positive one. With them, labels can be sent by name.",
    )
    env: Environment | None = Field(
        None,
        description="Environment of the container that fetches the model, and of no other: credentials of the store, "
        "its region or endpoint, a proxy.",
    )

    rules = (
        Rule(
            cel=f"!has(self.env) || !self.env.exists(variable, variable.name in {_USERS_NAMES})",
            holds=lambda self: not any(variable.name in _USERS_NAMES for variable in self.env or ()),
            message=f"{', '.join(_USERS_NAMES)} belong into serving.env, and hold where a model is prepared, too",
        ),
    )


class LocalObjectReference(ApiModel):
    """Names an object in the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the object.")


class ResourceRequirements(ApiModel):
    """Compute resources of a container."""

    requests: Quantities | None = Field(None, description="What is reserved for it in each pod.")
    limits: Quantities | None = Field(
        None, description="What it may use at most. The number of threads of the server follows its CPU limit."
    )


class Serving(ApiModel):
    """How the pods run. A change of image or env makes a new revision; the rest is applied to the pods that are."""

    image: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="Serving image; the one that the operator was installed with if absent.",
    )
    env: Environment | None = Field(
        None,
        description="Environment of the container that serves. Credentials of the model's store belong into "
        "model.env: a container that answers requests has no use for them.",
    )
    resources: ResourceRequirements | None = Field(None, description="Compute resources of the container that serves.")
    fetch_resources: ResourceRequirements | None = Field(
        None,
        description="Compute resources of the container that fetches the model before the other starts; those of the "
        "other if absent.",
    )
    node_selector: LabelMap | None = Field(None, description="Labels that a node must have.")
    tolerations: Annotated[list[Opaque], Field(max_length=64)] | None = Field(
        None, description="Taints that the pods tolerate, as in a pod."
    )
    affinity: Opaque | None = Field(None, description="Affinity, as in a pod.")
    priority_class_name: str | None = Field(None, max_length=253, description="PriorityClass of the pods.")
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=16)] | None = Field(
        None, description="Secrets to pull the image with."
    )
    service_account_name: str | None = Field(
        None, max_length=253, description="ServiceAccount of the pods; its token is never mounted."
    )


class Accuracy(ApiModel):
    """What quality is demanded of the model, and how sure a verdict must be."""

    metric: AccuracyMetric = Field(
        AccuracyMetric.ACCURACY,
        description="What is judged: accuracy, or precision, recall or f1 of the second of two classes.",
    )
    minimum: float | None = Field(
        None, gt=0, lt=1, description="A revision whose true value lies below this is degraded. A plain number: 0.9."
    )
    maximum_drop: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="A revision is degraded that lies more than this below the revision it took over from.",
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
        "installed with (PROMETHEUS_URL), which scrapes them.",
    )

    rules = (
        Rule(
            cel="has(self.minimum) || has(self.maximumDrop)",
            holds=lambda self: self.minimum is not None or self.maximum_drop is not None,
            message="accuracy needs minimum, maximumDrop or both: without a level there is nothing to judge against",
        ),
        # Not a bound of the field: the API server rounds bounds when it compares them with a whole number, as with 0.
        Rule(
            cel="!has(self.alpha) || self.alpha >= 0.000001",
            holds=lambda self: self.alpha >= 0.000001,
            message="alpha must be at least 0.000001",
        ),
    )


class Rollback(ApiModel):
    """What happens to a revision that is proven worse."""

    enabled: bool = Field(
        True, description="Give the traffic back to the last good revision. If false, a verdict is only reported."
    )
    probation: Probation = Field(
        "24h", description="How long the previous revision is kept running, ready to take the traffic back at once."
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
    labels_within: LabelsWithin = Field(
        "24h",
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
    replicas: int | None = Field(None, ge=0, le=1000, description="Number of serving pods; 1 if absent.")
    serving: Serving = Field(default_factory=Serving, description="How the pods run.")
    accuracy: Accuracy | None = Field(
        None, description="The quality demanded of the model. Without it nothing is judged and nothing rolled back."
    )
    rollback: Rollback = Field(default_factory=Rollback, description="What happens to a revision that is proven worse.")
    monitoring: Monitoring = Field(default_factory=Monitoring, description="How the pods are watched by others.")
    revision_history_limit: int = Field(
        10, ge=0, le=100, description="How many revisions are kept that neither serve nor stand by."
    )
    paused: bool = Field(
        False, description="Hold the traffic where it is: nothing new is started, switched or rolled back."
    )

    rules = (
        Rule(
            cel="!has(self.accuracy) || !has(self.accuracy.metric) || self.accuracy.metric == 'accuracy' || "
            "!has(self.model.labels) || size(self.model.labels) == 2",
            holds=lambda self: (
                self.accuracy is None
                or self.accuracy.metric is AccuracyMetric.ACCURACY
                or self.model.labels is None
                or len(self.model.labels) == 2
            ),
            message="precision, recall and f1 are judged for two classes: judge accuracy, or give two model.labels",
        ),
    )
