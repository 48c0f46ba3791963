"""How the number of pods follows the load."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, NoTwins, Obeys, Rule, lasts
from modeldeployment_operator.api.kubernetes import Quantity

CPU_UTILIZATION: Final = 80
"""What a HorizontalPodAutoscaler has that is told of no metric."""
MOST_REPLICAS: Final = 1000

ScaleDownAfter = Annotated[str, Field(max_length=16), lasts("1m", "1h")]
"""A revision that has just taken the traffic has no load to be measured by yet, and seems too large for a moment."""
AverageValue = Annotated[
    Quantity,
    Obeys(
        Rule(
            cel="type(self) == int ? self > 0 : self.matches('[1-9]')",
            holds=lambda value: any(digit in "123456789" for digit in str(value)),
            message="averageValue must be more than 0",
        )
    ),
]


class PodMetric(ApiModel):
    """A metric of the pods that an adapter serves from custom.metrics.k8s.io."""

    name: str = Field(
        min_length=1, max_length=253, description="Name of the metric as the adapter has it, as model_requests_waiting."
    )
    average_value: AverageValue = Field(description="What it should be on average over the pods: 2, 500m or 1k.")


class Autoscaling(ApiModel):
    """Between which bounds the number of pods follows the load, and what the load is."""

    min_replicas: int = Field(1, ge=1, le=MOST_REPLICAS, description="Number of serving pods at least.")
    max_replicas: int = Field(ge=1, le=MOST_REPLICAS, description="Number of serving pods at most.")
    cpu_utilization: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="CPU that the serving containers should use on average, in percent of what they request; "
        f"{CPU_UTILIZATION} if absent and there are no podMetrics. It needs serving.resources with a CPU, and a "
        "metrics server.",
    )
    pod_metrics: Annotated[list[PodMetric], Field(min_length=1, max_length=16), NoTwins("name")] | None = Field(
        None,
        description="Metrics of the pods to scale by, as requests that wait or that come in a second, where an adapter "
        "serves them. Of several metrics the one that asks for the most pods holds.",
    )
    scale_down_after: ScaleDownAfter = Field(
        "5m", description="How long fewer pods must have been enough until some are taken away."
    )

    rules = (
        Rule(
            cel="(has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
            holds=lambda self: self.min_replicas <= self.max_replicas,
            message="minReplicas must not be more than maxReplicas",
        ),
    )

    @property
    def cpu(self) -> int | None:
        """Percent of CPU to scale by; None if other metrics alone decide."""
        return CPU_UTILIZATION if self.cpu_utilization is None and not self.pod_metrics else self.cpu_utilization

    def clamp(self, replicas: int) -> int:
        """Return the nearest number of pods that is allowed."""
        return min(max(replicas, self.min_replicas), self.max_replicas)
