"""What is done when a rollout, or what it rests on, is not as it should be."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, lasts

After = Annotated[str, Field(max_length=16), lasts("1s", "720h")]
SOURCE_DOWN_AFTER: Final = "5m"
NO_TRAFFIC_AFTER: Final = "1h"
NO_LABELS_AFTER: Final = "24h"


class Situation(StrEnum):
    """What may be so."""

    DEGRADED = "Degraded"
    """The labels prove that a revision is worse than demanded."""
    DRIFT = "Drift"
    """The candidate and the revision that serves fall together."""
    SOURCE_DOWN = "SourceDown"
    """The counts of labels cannot be read."""
    INVALID_DATA = "InvalidData"
    """Counts were read that cannot be."""
    NO_TRAFFIC = "NoTraffic"
    """No predictions come."""
    NO_LABELS = "NoLabels"
    """Predictions come, and no labels of them."""


class Action(StrEnum):
    """What is done about it."""

    ROLL_BACK = "RollBack"
    """The candidate is taken back; or the revision that serves, on probation, gives way to its standby."""
    HOLD = "Hold"
    """Everything stays where it is as long as the situation lasts, and goes on by itself."""
    PAUSE = "Pause"
    """Everything stays where it is until its user says so: `kubectl model resume`."""
    PROMOTE = "Promote"
    """The step counts as done, although what it waits for did not come."""
    ALERT = "Alert"
    """It is told, and nothing is changed."""


def field_of(situation: Situation) -> str:
    """Return the name of a situation's field in `spec.policies`."""
    return situation.value[0].lower() + situation.value[1:]


Cautious = Literal[Action.ROLL_BACK, Action.HOLD, Action.PAUSE, Action.ALERT]


class DegradedPolicy(ApiModel):
    """What is done with a revision that is proven worse."""

    action: Cautious = Field(
        Action.ROLL_BACK,
        description="RollBack: a candidate is rejected, and a revision that serves gives way to the last good one. "
        "Hold: a candidate keeps its step and gets no further. Pause: the same, until kubectl model resume. Alert: its "
        "labels change nothing. Whichever it is but RollBack, a revision that serves goes on serving.",
    )


class DriftPolicy(ApiModel):
    """What is done when the candidate and the revision that serves both fall."""

    action: Cautious = Field(
        Action.HOLD,
        description="Hold: the candidate gets no requests, and nothing is taken back, until later labels speak for one "
        "of the two; what is proven stays so, and if both are, until another model is applied, or kubectl model "
        "promote or abort. Pause: the same, until kubectl model resume; then the rollout goes on, and still nothing is "
        "taken back. RollBack: the candidate is taken back. Alert: each is judged by itself.",
    )


class SourceDownPolicy(ApiModel):
    """What is done when the counts of labels cannot be read."""

    action: Cautious = Field(
        Action.HOLD,
        description="Hold: steps and shares stay as they are, and the standby is kept, until counts can be read again. "
        "Pause: the same, and from `after` on until kubectl model resume. RollBack: held until `after`, and then taken "
        "back. Alert: time goes on to count.",
    )
    after: After = Field(SOURCE_DOWN_AFTER, description="How long that has lasted when Pause or RollBack is done.")


class InvalidDataPolicy(ApiModel):
    """What is done when counts are read that cannot be."""

    action: Cautious = Field(
        Action.HOLD,
        description="Hold: steps and shares stay as they are, and the standby is kept, until all counts make sense. "
        "Pause: the same, until kubectl model resume. RollBack: taken back. Alert: the counts of other pods are judged "
        "on, and the rollout goes on. Whichever it is, counts that cannot be are never judged.",
    )


class NoTrafficPolicy(ApiModel):
    """What is done when no predictions come."""

    action: Action = Field(
        Action.HOLD,
        description="Hold: a rollout goes no further, not even by time, until a prediction comes. Pause: the same, "
        "until kubectl model resume. RollBack: taken back. Promote: the step is done without the labels it waits for. "
        "Alert: time goes on to count.",
    )
    after: After = Field(NO_TRAFFIC_AFTER, description="How long no prediction has come.")


class NoLabelsPolicy(ApiModel):
    """What is done when a step waits for labels, and none come although predictions do."""

    action: Action = Field(
        Action.HOLD,
        description="Hold: the step goes on waiting. Pause: the same, until kubectl model resume. RollBack: taken "
        "back. Promote: the step is done without the labels it waits for, unless those that came speak against it. "
        "Alert: as Hold, for the step waits for labels anyway.",
    )
    after: After = Field(
        NO_LABELS_AFTER,
        description="How long no label has come, beyond the time that labels take by feedback.maturity.",
    )


class Policies(ApiModel):
    """What is done when things are not as they should be. No default takes anything back without evidence."""

    degraded: DegradedPolicy = Field(
        default_factory=DegradedPolicy, description="A revision is proven worse by its labels."
    )
    drift: DriftPolicy = Field(
        default_factory=DriftPolicy, description="The candidate and the revision that serves both fall."
    )
    source_down: SourceDownPolicy = Field(
        default_factory=SourceDownPolicy, description="The counts of labels cannot be read, from pods or Prometheus."
    )

    invalid_data: InvalidDataPolicy = Field(
        default_factory=InvalidDataPolicy, description="Counts are read that cannot be."
    )
    no_traffic: NoTrafficPolicy = Field(
        default_factory=NoTrafficPolicy,
        description="No predictions come to a candidate that has a share of the requests, or to who is on probation.",
    )
    no_labels: NoLabelsPolicy = Field(
        default_factory=NoLabelsPolicy, description="A step waits for labels, and predictions come without any."
    )

    def action(self, situation: Situation) -> Action:
        """Return what is to be done in a situation."""
        actions: dict[Situation, Action] = {
            Situation.DEGRADED: self.degraded.action,
            Situation.DRIFT: self.drift.action,
            Situation.SOURCE_DOWN: self.source_down.action,
            Situation.INVALID_DATA: self.invalid_data.action,
            Situation.NO_TRAFFIC: self.no_traffic.action,
            Situation.NO_LABELS: self.no_labels.action,
        }
        return actions[situation]

    @property
    def want_standby(self) -> bool:
        """Whether a revision on probation may have to give way, so that a standby is worth its pods.

        One that is proven worse and only held waits for its user, who may give it up at any time.
        """
        gives_way = any(self.action(situation) is Action.ROLL_BACK for situation in Situation)
        return gives_way or self.degraded.action is not Action.ALERT
