"""What the conditions are made from, and what each of them claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modeldeployment_operator.api import group
from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import Rejection
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.observation import Observation, Problem
from modeldeployment_operator.core.rejection import latched_rejection
from modeldeployment_operator.core.starting import problem_of


@dataclass(frozen=True)
class Claim:
    """A condition without its times."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str


@dataclass(frozen=True)
class View:
    """What the claims are made from."""

    observation: Observation
    decision: Decision
    judged: Judged | None
    """Of the revision that serves; None if nothing is judged."""
    problem: Problem | None
    """Why the operator could not do what it decided."""
    monitoring: Mapping[Kind, Problem] | None = None
    """Why objects of optional kinds are not what they should be; None if that was not tried yet."""
    candidate: Judged | None = None
    """Of the revision that the spec asks for."""

    @property
    def wish(self) -> str:
        """The revision that the spec asks for."""
        return self.observation.desired.name

    @property
    def rejection(self) -> Rejection | None:
        """Why the revision that the spec asks for may not serve."""
        if self.decision.rejection and self.decision.rejection.revision == self.wish:
            return self.decision.rejection
        return latched_rejection(self.observation, self.wish)

    @property
    def ready(self) -> int:
        """Pods that answer of the revision that serves."""
        workload = self.observation.workloads.get(self.decision.serving or "")
        return workload.ready if workload else 0

    @property
    def needed(self) -> int:
        """Pods that must answer of the revision that the spec asks for.

        What an autoscaler adds to one that serves is no fault while it starts; but a revision that is to take the
        traffic must be as large as the one that has it.
        """
        scaling = self.observation.spec.autoscaling
        return scaling.min_replicas if scaling and self.decision.serving == self.wish else self.observation.replicas

    @property
    def is_whole(self) -> bool:
        """Whether all of these answer, as the spec wants them.

        A Deployment that is scaled is not settled for a moment: what was reached for this spec is not lost by that.
        """
        workload = self.observation.workloads.get(self.wish)
        if workload is None or workload.ready < self.needed:
            return False
        return workload.settled or (self.observation.spec.autoscaling is not None and self._was_ready)

    @property
    def _was_ready(self) -> bool:
        return any(
            (one.type, one.status, one.observed_generation)
            == (ConditionType.READY, ConditionStatus.TRUE, self.observation.generation)
            for one in self.observation.status.conditions
        )

    @property
    def start_problem(self) -> Problem | None:
        """Why the revision that the spec asks for does not come up."""
        if self.decision.serving != self.wish and self.decision.candidate != self.wish:
            return None
        if self.is_whole:
            return None
        return problem_of(self.observation, self.wish)


def pause_words(view: View) -> str:
    """Say why everything is held, and how to go on."""
    if view.observation.spec.paused:
        return "spec.paused is true: set spec.paused to false to go on"
    return f"the annotation {group.PAUSED_ANNOTATION} is true: remove it to go on (kubectl model resume)"


def with_fallback(view: View, message: str) -> str:
    """Add who serves meanwhile, if another does."""
    serving = view.decision.serving
    return f"{message}; {serving} goes on serving" if serving and serving != view.wish else message
