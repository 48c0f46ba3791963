"""ModelVerdict: the record of one decision about a revision, with everything that it rests on.

It is written once, never changed, and belongs to nobody: it outlives its ModelDeployment, so that a model that was
proven worse is not served again because somebody deleted the object and created it anew.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, Rule
from modeldeployment_operator.api.status import TIME, CriterionKind, EvidenceState, GaugeState, Timestamp

VERDICT_KIND: Final = "ModelVerdict"
VERDICT_PLURAL: Final = "modelverdicts"
VERDICT_SINGULAR: Final = "modelverdict"
VERDICT_SHORT_NAMES: Final = ("mver",)


class Outcome(StrEnum):
    """What was decided of a revision."""

    PROMOTED = "Promoted"
    """It came through its rollout, and took the traffic."""
    ROLLED_BACK = "RolledBack"
    """Its labels have proven it worse while it had the traffic."""
    REJECTED = "Rejected"
    """Its labels have proven it worse on its way to the traffic."""
    ABORTED = "Aborted"
    """Its user gave it up."""
    WITHDRAWN = "Withdrawn"
    """It was taken back for another reason, which proves nothing against it."""


PROVEN_WORSE: Final = frozenset({Outcome.ROLLED_BACK, Outcome.REJECTED})


class ModelVerdictSpec(ApiModel):
    """One decision, and what it rests on."""

    model: str = Field(description="Name of the ModelDeployment.")
    model_uid: str = Field(description="Its UID.")
    revision: str = Field(description="Name of the revision that was decided on.")
    outcome: Outcome = Field(
        description="Promoted, RolledBack, Rejected on its way to the traffic, Aborted by its user, or Withdrawn "
        "without proof against it."
    )
    time: Timestamp = Field(description="When it was decided.", json_schema_extra=TIME)
    message: str = Field(max_length=4096, description="Why, in a sentence.")
    model_uri: str = Field(description="Where the revision's model lies.")
    digest: str | None = Field(None, description="SHA-256 that its model was demanded to have.")
    content: str | None = Field(None, description="Hash of what decides the answers, wherever the model lies.")
    serves: str | None = Field(None, description="Revision that has the traffic by this decision.")
    serving_since: Timestamp | None = Field(
        None, description="When the revision took the traffic, if it had it.", json_schema_extra=TIME
    )
    criterion: CriterionKind | None = Field(
        None, description="How it was judged by what proves it worse; absent if nothing does."
    )
    slice: str | None = Field(None, description="In which slice of the labels, if in one.")
    metric: str | None = Field(None, description="What was judged; absent if nothing was.")
    level: str | None = Field(None, description="Lowest value at which the revision counts as good.")
    labels: int = Field(0, ge=0, description="Labels that the estimate is of.")
    wrong: int = Field(0, ge=0, description="Those that spoke against the revision.")
    maximum_drop: str | None = Field(None, description="spec.accuracy.maximumDrop at that time.")
    alpha: str | None = Field(None, description="Chance of error that the test was allowed.")
    minimum_labels: int | None = Field(None, ge=0, description="Labels that a verdict needed at least.")
    estimate: str | None = Field(None, description="What its labels came to.")
    lower: str | None = Field(None, description="Lower end of the interval.")
    upper: str | None = Field(None, description="Upper end of the interval.")
    log_e: str | None = Field(
        None, description="Natural logarithm of the evidence against it; the verdict Degraded needs ln(1/alpha)."
    )
    evidence: EvidenceState | None = Field(None, description="State of the test, from which all that can be computed.")
    gauge: GaugeState | None = Field(None, description="What the gauge said, where one was judged instead of labels.")
    retry: str | None = Field(None, description="Value of the retry annotation at that time; another one asks again.")

    rules = (
        Rule(
            cel="self == oldSelf",
            holds=lambda _: True,  # Only who has both can tell.
            message="a ModelVerdict is a record of what was decided: it cannot be changed, only deleted",
        ),
    )
