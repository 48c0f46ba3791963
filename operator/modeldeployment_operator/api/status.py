"""The status of a ModelDeployment: what the operator did, saw and concluded.

It is also the operator's memory: everything that a decision rests on is written here before the decision is carried
out, so that an operator that dies at any moment goes on where it stopped. Fractions are strings, as Kubernetes asks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field
from pydantic.config import JsonDict

from modeldeployment_operator.api.base import ApiModel, NoTwins
from modeldeployment_operator.api.conditions import Condition
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.rollout import Strategy

MESSAGE_KEPT: Final = 1024
"""Characters of why a revision was taken back."""
Timestamp = str
TIME: JsonDict = {"format": "date-time"}


class RevisionPhase(StrEnum):
    """What a revision is at the moment."""

    CANDIDATE = "Candidate"
    """Starting; takes the traffic when it is ready."""
    SERVING = "Serving"
    STANDBY = "Standby"
    """The last good revision, running, to take the traffic back if the serving one is proven worse."""
    REJECTED = "Rejected"
    """Proven worse; not served again until its user asks for a retry."""
    RETIRED = "Retired"
    """Kept as history only."""


class Verdict(StrEnum):
    """What the labels say of a revision."""

    HEALTHY = "Healthy"
    """Labels enough, and they do not speak against it."""
    DEGRADED = "Degraded"
    """Proven below the level that was demanded, at the chance of error `alpha`."""
    INCONCLUSIVE = "Inconclusive"
    """Not labels enough, or below the level without proof."""
    UNAVAILABLE = "Unavailable"
    """Its pods could not be asked."""


class CriterionKind(StrEnum):
    """How a demand is judged."""

    MINIMUM = "Minimum"
    """By its labels, against a number of the spec."""
    BASELINE = "Baseline"
    """By its labels, against what its predecessor's came to."""
    CONCURRENT = "Concurrent"
    """Against the revision that serves, over the same time on requests of their own."""
    PAIRED = "Paired"
    """Against the revision that serves, on the same requests."""


class PodCounts(ApiModel):
    """What was last read from a pod, so that a number read twice counts once."""

    uid: str = Field(description="UID of the pod, or what names a process whose counters a query selects.")
    started: str = Field(
        description="Run of counting that the numbers belong to; unread if it could not be read when the test began."
    )
    right: int = Field(ge=0, description="Labels that spoke for the model.")
    wrong: int = Field(ge=0, description="Labels that spoke against it.")
    further: list[int] = Field(
        default_factory=list,
        max_length=64,
        description="The same two numbers by the metric or slice of each further criterion; of pairs, those tied.",
    )


class CriterionState(ApiModel):
    """The state of one criterion's test."""

    kind: CriterionKind = Field(description="How it is judged.")
    metric: str = Field(description="What is judged.")
    slice: str | None = Field(None, description="In which slice of the labels; absent if in all.")
    level: str | None = Field(
        None,
        description="Lowest good value, or the drop that is allowed; absent while there is no baseline.",
    )
    weight: str = Field(description="Share that it has of the evidence.")
    right: int = Field(0, ge=0, description="Labels for the revision that were judged; pairs that it won.")
    wrong: int = Field(0, ge=0, description="Labels against it; pairs that it lost.")
    tied: int = Field(0, ge=0, description="Pairs that it neither won nor lost.")
    against: str | None = Field(None, description="Revision that it was compared with last.")
    since: Timestamp | None = Field(
        None, description="When the step of its rollout began to which labels belong that wait for others."
    )
    other_right: int = Field(0, ge=0, description="Labels for that revision in what was compared.")
    other_wrong: int = Field(0, ge=0, description="Labels against it.")
    numbers: list[str] = Field(
        default_factory=list, max_length=64, description="Natural logarithms of the capital of each bet, and the like."
    )


class EvidenceState(ApiModel):
    """The state of the tests: see judgement in the operator's design page."""

    kind: CriterionKind = Field(CriterionKind.MINIMUM, description="How the first criterion is judged.")
    metric: str = Field(description="What is judged.")
    level: str | None = Field(
        None, description="Lowest value at which the revision counts as good; absent while labels are only counted."
    )
    positive_class: str | None = Field(None, description="Class that precision, recall and F1 are of, if it was named.")
    query: str | None = Field(None, description="Digest of the query that counted the labels; absent if the pods did.")
    right: int = Field(0, ge=0, description="Labels that spoke for the model since the test began.")
    wrong: int = Field(0, ge=0, description="Labels that spoke against it.")
    log_bets: list[str] = Field(max_length=64, description="Natural logarithms of the capital of each bet.")
    weight: str = Field("1", description="Share that the first criterion has of the evidence.")
    further: list[CriterionState] = Field(default_factory=list, max_length=32, description="Further criteria.")
    pods: list[PodCounts] = Field(
        default_factory=list, max_length=2500, description="What was last read from each pod."
    )
    copying: list[PodCounts] = Field(
        default_factory=list,
        max_length=2500,
        description="What was last read of pairs from each pod that sends copies: won, lost, and further those tied.",
    )


class Baseline(ApiModel):
    """Labels of the predecessor, frozen when its successor took the traffic: what `maximumDrop` is measured from."""

    metric: str = Field(description="What was judged then; of another metric the numbers say nothing.")
    positive_class: str | None = Field(None, description="Class that precision, recall and F1 are of, if it was named.")
    query: str | None = Field(None, description="Digest of the query that counted them; absent if the pods did.")
    right: int = Field(ge=0, description="Labels that spoke for the predecessor.")
    wrong: int = Field(ge=0, description="Labels that spoke against it.")


class GaugeState(ApiModel):
    """What a user's gauge says of a revision: a plain threshold, without a bound on errors."""

    query: str = Field(description="Digest of the query.")
    minimum: str = Field(description="The threshold.")
    value: str = Field(description="What it said last.")
    below_since: Timestamp | None = Field(
        None, description="Since when it was below, at every look; absent if it is not.", json_schema_extra=TIME
    )


class Activity(ApiModel):
    """What comes to a revision on its way to the traffic, or on probation."""

    predictions: int | None = Field(
        None, ge=0, description="Predictions that its pods had made when they were last read; absent if nobody tells."
    )
    labels: int = Field(0, ge=0, description="Labels of it that its pods had counted by then.")
    predicted: Timestamp | None = Field(
        None, description="When predictions were last more than before, or first read.", json_schema_extra=TIME
    )
    unlabelled: Timestamp | None = Field(
        None, description="Since when predictions come, and no label.", json_schema_extra=TIME
    )


class Revision(ApiModel):
    """One revision that the operator knows."""

    name: str = Field(description="Name of the revision, of its ControllerRevision, Deployment and Service.")
    phase: RevisionPhase = Field(description="What it is at the moment.")
    model_uri: str = Field(description="Where its model lies.")
    digest: str | None = Field(None, description="SHA-256 that its model was demanded to have.")
    serving_since: Timestamp | None = Field(None, description="When it took the traffic.", json_schema_extra=TIME)
    serving_until: Timestamp | None = Field(None, description="When it gave the traffic away.", json_schema_extra=TIME)
    baseline: Baseline | None = Field(None, description="Labels of the revision it took over from, at that time.")
    replicas: int = Field(0, ge=0, description="Pods it has.")
    ready_replicas: int = Field(0, ge=0, description="Pods of it that answer.")
    verdict: Verdict | None = Field(None, description="What the labels say of it.")
    evidence: EvidenceState | None = Field(None, description="State of the test.")
    gauge: GaugeState | None = Field(None, description="What the gauge says, where one is judged instead of labels.")
    judged_since: Timestamp | None = Field(None, description="When that test began.", json_schema_extra=TIME)
    activity: Activity | None = Field(
        None, description="What comes to it; written seldom, and absent unless it is on its way or on probation."
    )


class AccuracyStatus(ApiModel):
    """What the labels say of the revision that serves, for people to read."""

    metric: str = Field(description="What is judged.")
    level: str = Field(description="Lowest value at which the revision counts as good.")
    estimate: str | None = Field(None, description="Share of labels that spoke for the model.")
    lower: str | None = Field(
        None, description="Lower end of an interval that holds at any time, at chance of error alpha."
    )
    upper: str | None = Field(None, description="Upper end of that interval.")
    labels: int = Field(0, ge=0, description="Labels that were judged.")
    wrong: int = Field(0, ge=0, description="Those that spoke against the model.")
    evidence: str | None = Field(
        None,
        description="Evidence that the revision is degraded, as a share of what a verdict needs: 1 or more is proof.",
    )
    counted_until: Timestamp | None = Field(
        None, description="When labels were last more than before.", json_schema_extra=TIME
    )
    labels_per_hour: str | None = Field(None, description="How many labels came in an hour since the test began.")
    decline: str | None = Field(
        None, description="Value with half as many errors more than are allowed: the decline that is spoken of next."
    )
    decline_labels: int | None = Field(
        None, ge=0, description="Labels until such a decline is proven, in half of all cases."
    )
    decline_within: str | None = Field(
        None, description="Time until then, if labels go on to come as they did; absent if none come."
    )


class RejectionCause(StrEnum):
    """Why a revision was taken back."""

    DEGRADED = "Degraded"
    """Its labels have proven it worse."""
    ABORTED = "Aborted"
    """Its user gave it up."""
    DRIFT = "Drift"
    """It fell together with the revision that serves."""
    NO_TRAFFIC = "NoTraffic"
    """No predictions came to it for too long."""
    NO_LABELS = "NoLabels"
    """No labels of its predictions came for too long."""
    INVALID_DATA = "InvalidData"
    """Its counts could not be."""
    SOURCE_DOWN = "SourceDown"
    """Its labels could not be read for too long."""
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    """Its pods did not get ready in time."""


class Rejection(ApiModel):
    """Why a revision was taken back: the verdict in numbers, as far as there was anything to judge."""

    revision: str = Field(description="Name of the revision.")
    model_uri: str = Field(description="Where its model lies.")
    time: Timestamp = Field(description="When it was decided.", json_schema_extra=TIME)
    reason: RejectionCause = Field(
        RejectionCause.DEGRADED,
        description="Degraded by its labels, Aborted by its user, or what else happened on its way to the traffic.",
    )
    message: str | None = Field(
        None, max_length=MESSAGE_KEPT, description="Why, in words, if it was neither its labels nor its user."
    )
    criterion: CriterionKind | None = Field(
        None, description="How it was judged by what proves it worse; absent if nothing does."
    )
    slice: str | None = Field(None, description="In which slice of the labels, if in one.")
    metric: str | None = Field(None, description="What was judged.")
    level: str | None = Field(None, description="Lowest value at which the revision would have counted as good.")
    estimate: str | None = Field(None, description="What its labels came to.")
    lower: str | None = Field(None, description="Lower end of the interval.")
    upper: str | None = Field(None, description="Upper end of the interval.")
    labels: int = Field(0, ge=0, description="Labels that were judged.")
    wrong: int = Field(0, ge=0, description="Those that spoke against it.")
    log_e: str | None = Field(None, description="Natural logarithm of the evidence; the verdict needs ln(1/alpha).")
    alpha: str | None = Field(None, description="Chance of error that the verdict was allowed.")
    serving_since: Timestamp | None = Field(
        None, description="When the revision took the traffic.", json_schema_extra=TIME
    )
    rolled_back_to: str | None = Field(None, description="Revision that took the traffic back.")
    retry: str | None = Field(None, description="Value of the retry annotation at that time; another one asks again.")
    retried: bool = Field(False, description="It is tried again, as its user has asked since.")
    verdict: str | None = Field(
        None, description="ModelVerdict that says so, if it was decided for another object or before this one was made."
    )


class SituationStatus(ApiModel):
    """Something that `spec.policies` speaks of, and what is done about it."""

    situation: Situation = Field(description="What is so.")
    revision: str = Field(description="Name of the revision that it is about.")
    since: Timestamp = Field(description="Since when.", json_schema_extra=TIME)
    action: Action = Field(description="What is done about it.")
    message: str = Field("", max_length=MESSAGE_KEPT, description="What was seen.")
    resume: str | None = Field(
        None, description="Value of the resume annotation when it was paused; another one lets it go on."
    )
    resumed: bool = Field(False, description="Its user has said go on: until it is over, it is only told.")


class StartingStatus(ApiModel):
    """How a candidate gets on while its pods start; `rollout.progressDeadline` counts from here."""

    revision: str = Field(description="Name of the candidate.")
    since: Timestamp = Field(
        description="When it began to start, or when a pod more was ready than ever before.", json_schema_extra=TIME
    )
    ready: int = Field(0, ge=0, description="Pods of it that answered at that time.")


class RolloutStatus(ApiModel):
    """How far a new revision has come on its way to the traffic."""

    revision: str = Field(description="Name of the new revision.")
    replicas: int = Field(
        0, ge=0, description="Pods that carried the traffic when it began; none fewer while it lasts."
    )
    strategy: Strategy = Field(description="How it comes to the traffic.")
    step: int = Field(1, ge=1, description="Step it is at.")
    steps: int = Field(1, ge=1, description="Number of steps.")
    weight: int = Field(0, ge=0, le=100, description="Percent of the requests that it is to answer.")
    reached: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Percent that the pods or, with spec.route, Gateways say they have it answer; absent until then.",
    )
    copies: bool = Field(False, description="Whether it is sent copies of the requests.")
    since: Timestamp = Field(description="When the step began.", json_schema_extra=TIME)
    reached_since: Timestamp | None = Field(
        None,
        description="When its Gateways first had the weight of this step, from when on time and labels count; absent "
        "without spec.route, and before.",
        json_schema_extra=TIME,
    )
    labels_before: int = Field(0, ge=0, description="Labels of the new revision when they began to count.")
    waits_for: str = Field("", description="What must come true until the next step; all of it.")


class ModelDeploymentStatus(ApiModel):
    """What is so."""

    observed_generation: int | None = Field(None, ge=0, description="Generation of the spec that was acted on.")
    serving_revision: str | None = Field(None, description="Revision that has the traffic.")
    candidate_revision: str | None = Field(None, description="Revision that the spec asks for, while it starts.")
    standby_revision: str | None = Field(
        None, description="Last good revision, to go back to. It runs while the one that serves is on probation."
    )
    starting: StartingStatus | None = Field(
        None, description="How the candidate gets on while its pods start; absent once they are all ready."
    )
    rollout: RolloutStatus | None = Field(
        None, description="How far the candidate has come, once its pods are ready; absent if nothing is on its way."
    )
    situations: list[SituationStatus] = Field(
        default_factory=list, max_length=16, description="What is not as it should be, and what is done about it."
    )
    promoted: str | None = Field(None, description="Value of the promote annotation that was acted on.")
    aborted: str | None = Field(None, description="Value of the abort annotation that was acted on.")
    replicas: int = Field(0, ge=0, description="Pods of the revision that serves.")
    ready_replicas: int = Field(0, ge=0, description="Those that answer.")
    selector: str | None = Field(None, description="Label selector of the pods of the revision that serves.")
    endpoint: str | None = Field(None, description="URL of the model inside the cluster.")
    accuracy: AccuracyStatus | None = Field(None, description="What the labels say of the revision that serves.")
    candidate_accuracy: AccuracyStatus | None = Field(
        None, description="The same of the candidate, while it is on its way to the traffic."
    )
    revisions: list[Revision] = Field(
        default_factory=list, max_length=128, description="Revisions that run or were kept."
    )
    rejections: list[Rejection] = Field(
        default_factory=list, max_length=32, description="Revisions that were taken back, and why."
    )
    conditions: Annotated[list[Condition], Field(max_length=16), NoTwins("type")] = Field(
        default_factory=list, description="Conditions; Ready is the summary."
    )
