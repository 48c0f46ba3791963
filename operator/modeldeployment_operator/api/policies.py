"""What is done when a rollout, or what it rests on, is not as it should be."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, lasts

After = Annotated[str, Field(max_length=16), lasts("1s", "720h")]
SOURCE_DOWN_AFTER: Final = "5m"


class Situation(StrEnum):
    """What may be so."""

    DEGRADED = "Degraded"
    """The labels prove that a revision is worse than demanded."""
    DRIFT = "Drift"
    """The candidate and the revision that serves fall together."""
    SOURCE_DOWN = "SourceDown"
    """The counts of labels cannot be read."""


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
        description="Hold: the candidate gets no requests until it is otherwise, and nothing is taken back. Pause: the "
        "same, until kubectl model resume. RollBack: the candidate is taken back. Alert: each is judged by itself.",
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

    def action(self, situation: Situation) -> Action:
        """Return what is to be done in a situation."""
        actions: dict[Situation, Action] = {
            Situation.DEGRADED: self.degraded.action,
            Situation.DRIFT: self.drift.action,
            Situation.SOURCE_DOWN: self.source_down.action,
        }
        return actions[situation]

    @property
    def want_standby(self) -> bool:
        """Whether a revision on probation may have to give way, so that a standby is worth its pods.

        One that is proven worse and only held waits for its user, who may give it up at any time.
        """
        gives_way = any(self.action(situation) is Action.ROLL_BACK for situation in Situation)
        return gives_way or self.degraded.action is not Action.ALERT
