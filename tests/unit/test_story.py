"""Whatever happens in whatever order: what must never be so, never is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType
from modeldeployment_operator.api.status import ModelDeploymentStatus, Verdict
from modeldeployment_operator.core.rejection import latched_rejection
from modeldeployment_operator.core.status import document

from tests.support.world import Look, World


class Story:
    """Every method is one thing that happens; then the operator looks, as it would when woken by it."""

    def __init__(self) -> None:
        self.world = World()
        self.promotions = self.rollbacks = 0
        self.labels: dict[str, int] = {}
        """By revision: labels that came back for it."""
        self.labels_at_rejection: dict[str, int] = {}
        self.rejected: dict[str, str | None] = {}
        """Revisions that were taken back, by the value of the retry annotation that does not let them in."""

    def the_user_asks_for(self, name: str) -> None:
        self.world.wish = name
        self.look()

    def pods_change(self, name: str, ready: int) -> None:
        if name in self.world.ready:
            self.world.ready[name] = min(ready, self.world.replicas)
            self.look()

    def everything_gets_ready(self) -> None:
        self.world.ready = dict.fromkeys(self.world.ready, self.world.replicas)
        self.look()

    def labels_come_back(self, name: str, labels: tuple[int, int]) -> None:
        self.label(name, *labels)
        self.look()

    def a_successor_takes_over(self, name: str, *, good: bool) -> None:
        """The usual way, in one piece, so that a story gets somewhere."""
        self.the_user_asks_for(name)
        self.everything_gets_ready()
        if good and self.world.selected:
            self.labels_come_back(self.world.selected, (95, 5))

    def the_one_that_serves_turns_out_worse(self) -> None:
        self.label(self.world.selected or "", 10, 60)
        self.look()

    def the_user_tries_again(self, *, kept: bool) -> None:
        """With another value of the annotation, which may be taken away once the revision serves."""
        if self.world.memory.rejections:
            self.the_user_asks_for(self.world.memory.rejections[0].revision)
            self.the_user_asks_for_a_retry("1" if self.world.retry != "1" else "2")
            self.everything_gets_ready()
            if not kept:
                self.the_user_asks_for_a_retry(None)

    def the_user_asks_for_a_retry(self, value: str | None) -> None:
        self.world.retry = value
        self.look()

    def the_user_pauses_or_goes_on(self) -> None:
        self.world.paused = not self.world.paused
        self.look()

    def the_user_switches(self, *, rollback: bool) -> None:
        self.world.rollback = rollback
        self.look()

    def the_user_scales(self, replicas: int) -> None:
        self.world.replicas = replicas
        self.look()

    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)
        self.look()

    def the_operator_restarts(self) -> None:
        self.world.restart_operator()
        self.look()

    def the_status_is_lost(self) -> None:
        """And with it which labels were counted: those that the pods still know count once more."""
        self.world.lose_status()
        self.labels_at_rejection.clear()
        self.look()

    def nothing_can_be_read(self) -> None:
        self.look(read=False)

    def label(self, name: str, right: int, wrong: int) -> None:
        self.world.label(name, right, wrong)
        self.labels[name] = self.labels.get(name, 0) + right + wrong

    def look(self, *, read: bool = True) -> None:
        """Look until nothing changes any more, and hold every look against what must be."""
        for _ in range(6):
            look = self.world.look(read=read)
            self.check(look)
            if at_rest(look.status) == at_rest(look.observation.status):
                return
        raise AssertionError("it does not come to rest")

    def check(self, look: Look) -> None:
        observation, decision, status = look.observation, look.decision, look.status
        assert ModelDeploymentStatus.parse(document(status)) == status
        for name, value in list(self.rejected.items()):
            if name == observation.desired.name and value != observation.asked.retry:
                del self.rejected[name]
            elif name != observation.desired.name:
                self.rejected[name] = observation.asked.retry
        self.promotions += decision.switched and decision.rejection is None
        if decision.rejection:
            self.rollbacks += 1
            taken_back = decision.rejection.revision
            assert look.judged[taken_back].verdict is Verdict.DEGRADED
            assert decision.serving == observation.status.standby_revision
            assert self.labels.get(taken_back, 0) > self.labels_at_rejection.get(taken_back, 0), "the same labels twice"
            self.labels_at_rejection[taken_back] = self.labels[taken_back]
            self.rejected[taken_back] = observation.asked.retry
        assert decision.serving not in self.rejected
        assert decision.candidate not in self.rejected
        assert decision.candidate is None or latched_rejection(observation, decision.candidate) is None
        assert decision.standby not in self.rejected
        if decision.serving is not None:
            assert decision.serving in decision.running
            assert decision.serving in self.world.stored
        before = observation.selected
        if decision.serving != before:
            assert decision.serving is not None, "traffic does not go away"
            workload = observation.workloads[decision.serving]
            assert workload.settled
            assert workload.ready >= observation.replicas - observation.replicas // 4
            assert not observation.spec.paused
            assert before is None or before in decision.running, "clients that keep connections are passed on"
        assert decision.switched == (decision.serving != before)
        kinds = {condition.type: condition.status for condition in status.conditions}
        assert not {ConditionType.STALLED, ConditionType.RECONCILING} <= kinds.keys()
        selected = observation.workloads.get(observation.selected or "")
        assert (kinds[ConditionType.AVAILABLE] is ConditionStatus.TRUE) == bool(selected and selected.ready)
        assert len(status.revisions) <= 10


def at_rest(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """A status without the numbers of pods, which the world changes and not the operator."""
    none = {"replicas": 0, "ready_replicas": 0}
    revisions = [revision.model_copy(update=none) for revision in status.revisions]
    return status.model_copy(update=none | {"revisions": revisions})


NAMES = ("m-1", "m-2", "m-3", "m-4")
EVENTS: tuple[tuple[int, Callable[[Story, Random], None]], ...] = (
    (8, lambda story, any_: story.a_successor_takes_over(any_.choice(NAMES), good=any_.random() < 0.5)),
    (6, lambda story, _: story.the_one_that_serves_turns_out_worse()),
    (3, lambda story, any_: story.the_user_tries_again(kept=any_.random() < 0.5)),
    (3, lambda story, any_: story.the_user_asks_for(any_.choice(NAMES))),
    (3, lambda story, any_: story.pods_change(any_.choice(NAMES), any_.randrange(3))),
    (3, lambda story, _: story.everything_gets_ready()),
    (3, lambda story, any_: story.labels_come_back(any_.choice(NAMES), any_.choice(((95, 5), (0, 40), (5, 5))))),
    (3, lambda story, any_: story.time_passes(any_.choice((1, 91, 3601)))),
    (2, lambda story, any_: story.the_user_asks_for_a_retry(any_.choice((None, "1", "2")))),
    (2, lambda story, _: story.the_user_pauses_or_goes_on()),
    (1, lambda story, any_: story.the_user_switches(rollback=any_.random() < 0.7)),
    (1, lambda story, any_: story.the_user_scales(any_.choice((0, 1, 2, 2, 4)))),
    (1, lambda story, _: story.the_operator_restarts()),
    (1, lambda story, _: story.the_status_is_lost()),
    (1, lambda story, _: story.nothing_can_be_read()),
)
"""What may happen, and how often."""


@pytest.mark.parametrize("seed", range(6))
def test_every_story_ends_well(seed: int) -> None:
    any_ = Random(seed)
    weights, events = zip(*EVENTS, strict=True)
    story = Story()
    story.look()
    for happens in any_.choices(events, weights, k=40):
        happens(story, any_)
