"""How a new revision comes to the traffic."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, Rule, lasts

HoldDuration = Annotated[str, Field(max_length=16), lasts("1s", "720h")]
Weight = Annotated[int, Field(ge=1, le=99)]
ProgressDeadline = Annotated[str, Field(max_length=16), lasts("0s", "720h")]
PROGRESS_DEADLINE: Final = "2h"
"""Fetching a model may take an hour, and is tried again when it fails; then it is loaded."""
MOST_STEPS: Final = 20


class Strategy(StrEnum):
    """What happens between a revision's being ready and its having the traffic."""

    REPLACE = "Replace"
    """Nothing: it takes the traffic when all its pods are ready."""
    BLUE_GREEN = "BlueGreen"
    """It waits beside the one that serves, to be tried by its own Service, and then takes all of the traffic."""
    CANARY = "Canary"
    """It answers a growing share of the requests."""
    SHADOW = "Shadow"
    """It is sent a copy of each request; its answers are compared and judged, and never returned."""


class Hold(ApiModel):
    """What must have come true until a rollout goes on: all that is given."""

    labels: int | None = Field(
        None, ge=1, le=1_000_000, description="Labels of the new revision that have come since the step began."
    )
    duration: HoldDuration | None = Field(None, description="Time since the step began.")
    healthy: bool = Field(
        False, description="Its verdict is Healthy: it has labels enough, and they do not speak against it."
    )
    approval: bool = Field(False, description="Its user has said so: kubectl model promote.")

    rules = (
        Rule(
            cel="has(self.labels) || has(self.duration) || has(self.healthy) && self.healthy || "
            "has(self.approval) && self.approval",
            holds=lambda self: bool(self.labels or self.duration or self.healthy or self.approval),
            message="say what to wait for: labels, duration, healthy: true or approval: true",
        ),
    )


class Step(ApiModel):
    """One share of the traffic, and for how long."""

    weight: Weight = Field(description="Percent of the requests that the new revision answers.")
    hold: Hold = Field(description="What must have come true until the next step; all that is given.")


class Rollout(ApiModel):
    """How a new revision comes to the traffic once its pods are ready. The first revision of all takes it at once."""

    strategy: Strategy = Field(
        Strategy.REPLACE,
        description="Replace: it takes all of the traffic at once. BlueGreen: it waits beside the one that serves, and "
        "then takes all. Canary: it answers a growing share of the requests. Shadow: it is sent copies of them, its "
        "answers are judged but never returned, and then it takes all.",
    )
    steps: Annotated[list[Step], Field(min_length=1, max_length=MOST_STEPS)] | None = Field(
        None, description="Of a Canary: shares of the traffic, each larger than the one before."
    )
    hold: Hold | None = Field(
        None, description="Of BlueGreen and Shadow: what must have come true until it takes the traffic."
    )

    progress_deadline: ProgressDeadline = Field(
        PROGRESS_DEADLINE,
        description="How long a candidate may go without one more of its pods getting ready until it is taken back; "
        "0s: for ever. The first revision of all is never given up.",
    )

    rules = (
        Rule(
            cel="(has(self.strategy) && self.strategy == 'Canary') == has(self.steps)",
            holds=lambda self: (self.strategy is Strategy.CANARY) == (self.steps is not None),
            message="steps are given for strategy Canary, and for no other",
        ),
        Rule(
            cel="(has(self.strategy) && self.strategy in ['BlueGreen', 'Shadow']) == has(self.hold)",
            holds=lambda self: (self.strategy in {Strategy.BLUE_GREEN, Strategy.SHADOW}) == (self.hold is not None),
            message="hold is given for the strategies BlueGreen and Shadow; the steps of a Canary have their own",
        ),
        Rule(
            cel="!has(self.steps) || self.steps.map(step, has(step.hold.approval) && step.hold.approval)"
            ".indexOf(true) in [-1, size(self.steps) - 1]",
            holds=lambda self: not any(step.hold.approval for step in (self.steps or ())[:-1]),
            message="only the last step may wait for approval: a promotion leads to all of the traffic",
        ),
        Rule(
            cel="!has(self.steps) || self.steps.map(step, step.weight).isSorted() && "
            "self.steps.all(step, self.steps.exists_one(other, other.weight == step.weight))",
            holds=lambda self: (
                self.steps is None or all(one.weight < other.weight for one, other in pairwise(self.steps))
            ),
            message="each step needs a larger weight than the one before",
        ),
    )

    @property
    def holds(self) -> tuple[Hold, ...]:
        """All that is waited for, in order."""
        return tuple(step.hold for step in self.steps or ()) + ((self.hold,) if self.hold else ())
