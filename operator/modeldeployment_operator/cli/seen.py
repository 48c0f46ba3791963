"""One ModelDeployment as it was read, and what follows from it for who looks at it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType
from modeldeployment_operator.api.policies import Action
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import ModelDeploymentStatus, Rejection, Revision, SituationStatus, Verdict
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.core.criteria import plan_of
from modeldeployment_operator.core.errors import InvalidSpecError
from modeldeployment_operator.core.findings import plan_in
from modeldeployment_operator.core.fleet import Model, Row, number, row, short, traffic
from modeldeployment_operator.core.judgement import Judged, judge_revision
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.rejection import GAUGE
from modeldeployment_operator.core.resource import Resource


@dataclass(frozen=True)
class Reading:
    """What the labels say of one revision, in numbers."""

    metric: str
    level: float
    labels: int
    wrong: int
    estimate: float | None
    lower: float
    upper: float
    proof: float
    """Evidence that it is worse, as a share of what a verdict needs."""


@dataclass(frozen=True)
class Seen:
    """What was read."""

    resource: Resource
    row: Row
    spec: ModelDeploymentSpec | None
    """None if it is not sound; the conditions say so."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Seen:
        """Read an object."""
        resource = Resource(body)
        try:
            spec = resource.spec
        except InvalidSpecError:
            spec = None
        return cls(resource, row(Model(resource.key, resource.status)), spec)

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.resource.key

    @property
    def name(self) -> str:
        """Its name."""
        return self.resource.key.name

    @property
    def status(self) -> ModelDeploymentStatus:
        """What the operator says."""
        return self.resource.status

    @property
    def is_behind(self) -> bool:
        """Whether the operator has not looked at the latest change of the spec yet."""
        return self.status.observed_generation != self.resource.generation

    @property
    def paused_by_spec(self) -> bool:
        """Whether the spec holds everything."""
        return self.spec is not None and self.spec.paused

    @property
    def paused(self) -> bool:
        """Whether everything is held."""
        return self.paused_by_spec or self.resource.asked.paused

    @property
    def held(self) -> SituationStatus | None:
        """What a policy has paused for, if one has."""
        return next((one for one in self.status.situations if one.action is Action.PAUSE), None)

    def short(self, revision: str) -> str:
        """Return the name of a revision without that of the model."""
        return short(self.key, revision)

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return a condition, if it is there."""
        return next((one for one in self.status.conditions if one.type is kind), None)

    def revision(self, text: str) -> Revision:
        """Return a revision by its name, its hash or the beginning of that; CommandError unless there is just one."""
        known = self.status.revisions
        found = [one for one in known if text in {one.name, self.short(one.name)}]
        found = found or [one for one in known if one.name.startswith(text) or self.short(one.name).startswith(text)]
        if len({one.name for one in found}) == 1:
            return found[0]
        there = ", ".join(self.short(one.name) for one in known) or "none yet"
        problem = "several revisions begin with" if found else "there is no revision"
        raise CommandError(Exit.NOT_FOUND, f"{self.key}: {problem} {text}; its revisions: {there}")

    def find(self, name: str | None) -> Revision | None:
        """Return what is known of a revision."""
        return next((one for one in self.status.revisions if one.name == name), None)

    def rejection(self, revision: str) -> Rejection | None:
        """Return why a revision was taken back, if it was and is not tried again."""
        return next((one for one in self.status.rejections if one.revision == revision and not one.retried), None)

    @property
    def refused(self) -> Rejection | None:
        """Why what the spec asks for is refused, if it is."""
        told = self.condition(ConditionType.ROLLED_BACK)
        if told is None or told.status is not ConditionStatus.TRUE:
            return None
        named = [one for one in self.status.rejections if told.message.startswith(one.revision)]
        return next(iter(named or self.status.rejections), None)

    def shares(self) -> Mapping[str, int]:
        """Return by revision that runs the percent of the requests that it answers."""
        return {name: round(100 * share) for name, share in traffic(self.status).items()}

    def judged(self, revision: Revision) -> Judged | None:
        """Return what is known of a revision's quality, as the operator has it; None if nothing is judged.

        Nor is anything known of a test that is another version's: it would look as if it had just begun.
        """
        if self.spec is None or self.spec.accuracy is None or revision.evidence is None:
            return None
        plan = plan_in(revision.evidence, plan_of(self.spec.accuracy, None).alpha)
        judged = judge_revision(self.spec.accuracy, revision, None, set(), plan)
        return judged if judged.labels == revision.evidence.right + revision.evidence.wrong else None

    def reading(self, revision: Revision) -> Reading | None:
        """Return the same in numbers: of the one that serves as the status has it, else from the state of the test."""
        if revision.name == self.status.serving_revision and self.row.quality is not None:
            quality = self.row.quality
            told = quality.told
            return Reading(
                told.metric,
                quality.level,
                told.labels,
                told.wrong,
                quality.estimate,
                quality.lower,
                quality.upper,
                quality.evidence,
            )
        judged = self.judged(revision)
        if judged is None or judged.level is None or judged.state is None:
            return None
        low, high = judged.interval
        proof = max(0.0, round(judged.log_e / judged.level.proof, 6))
        metric, level, wrong = judged.metric.value, judged.level.value, judged.state.wrong
        return Reading(metric, level, judged.labels, wrong, judged.estimate, low, high, proof)


def reading_of(rejection: Rejection) -> Reading | None:
    """Return the numbers of labels that a revision was taken back by; None if there are none."""
    level = number(rejection.level)
    if level is None or rejection.metric is None or rejection.metric == GAUGE:
        return None
    alpha, log_e = number(rejection.alpha), number(rejection.log_e)
    proof = 0.0 if alpha is None or log_e is None or not 0 < alpha < 1 else max(0.0, log_e / -math.log(alpha))
    return Reading(
        rejection.metric,
        level,
        rejection.labels,
        rejection.wrong,
        number(rejection.estimate),
        number(rejection.lower) or 0.0,
        1.0 if (upper := number(rejection.upper)) is None else upper,
        proof,
    )


def verdict_words(verdict: Verdict | None) -> str:
    """Return a verdict for a table."""
    return verdict.value if verdict else ""
