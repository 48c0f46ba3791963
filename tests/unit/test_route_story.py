"""Whatever happens in whatever order, behind a Gateway that may be late: nobody is asked who is not there to answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from modeldeployment_operator.core.decision import LINGER, Decision
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.rejection import latched_rejection
from modeldeployment_operator.core.route import Acceptance, Route, led_to, shares

from tests.support.observations import KEY
from tests.support.world import Gateway, Look
from tests.unit.test_story import NAMES, ROLLOUTS, Story

MODEL = KEY.name
CANARY = next(rollout for rollout in ROLLOUTS if rollout.get("strategy") == "Canary")


class RoutedStory(Story):
    """All that happens elsewhere, and what a Gateway does."""

    def __init__(self) -> None:
        super().__init__()
        self.world.gateway = self.gateway = Gateway()
        self.is_forgotten = False
        """The status was lost while the Gateway had not read the route."""

    @rule(prompt=st.booleans(), refuses=st.booleans())
    def the_gateway_is_as_it_is(self, *, prompt: bool, refuses: bool) -> None:
        self.gateway.prompt, self.gateway.refuses = prompt, refuses
        self.look()

    @precondition(lambda self: self.gateway.read != self.gateway.written and not self.gateway.refuses)
    @rule()
    def the_gateway_reads(self) -> None:
        self.gateway.read = self.gateway.written
        self.is_forgotten = False
        self.look()

    @rule(name=NAMES, worse=st.booleans(), late=st.booleans())
    def a_canary_begins(self, name: str, *, worse: bool, late: bool) -> None:
        """In one piece: it has its first step, and labels enough for the next, or to be taken back."""
        self.the_user_chooses_another_way(CANARY)
        self.the_user_asks_for(name)
        self.everything_gets_ready()
        self.gateway.prompt = not late
        self.label(name, 10 if worse else 95, 60 if worse else 5)
        self.look()
        self.time_passes(601)

    def look(self, **how: Any) -> None:
        self.is_forgotten |= not self.world.memory.revisions
        super().look(**how)
        self.is_forgotten &= self.gateway.read != self.gateway.written

    def check(self, look: Look) -> None:
        super().check(look)
        observation, decision = look.observation, look.decision
        self.check_what_is_written(observation, decision)
        self.check_that_it_is_answered(decision)
        before, after, route = observation.status.rollout, decision.rollout, observation.route
        if before and after and before.revision == after.revision and after.step > before.step and before.weight:
            assert before.strategy is after.strategy
            assert route is not None
            assert route.acceptance is Acceptance.YES
            assert set(shares(route.rules, MODEL, after.revision)) == {before.weight}
            assert after.reached_since is None

    def check_what_is_written(self, observation: Observation, decision: Decision) -> None:
        """The candidate gets what its step says, or nothing, and nobody else gets anything by a Service of its own."""
        route = Route(self.gateway.written, Acceptance.YES)
        led = led_to(route, MODEL)
        assert led <= {decision.candidate}
        assert not led & self.rejected.keys()
        for name in led:
            assert latched_rejection(observation, name) is None
            assert set(shares(route.rules, MODEL, name)) == {decision.weight}

    def check_that_it_is_answered(self, decision: Decision) -> None:
        """Who is asked by a Gateway that is late has pods, and who is not to be asked passes it on."""
        late = self.world.now - self.gateway.changed
        if self.is_forgotten or (self.gateway.read != self.gateway.written and late >= LINGER):
            return
        for name in led_to(Route(self.gateway.read, Acceptance.YES), MODEL):
            assert name in decision.running, (name, late, decision)
            assert name in self.world.ready


def test_a_share_that_was_taken_a_moment_ago_may_be_asked_for_still() -> None:
    """In a drift the candidate loses its share, and then its user asks for another one."""
    story = RoutedStory()
    story.it_begins({"strategy": "Canary", "steps": [{"weight": 5, "hold": {"labels": 1000}}]})
    story.everything_gets_ready()
    serving = story.world.memory.serving_revision
    assert serving is not None
    story.the_user_asks_for("m-2")
    story.everything_gets_ready()
    story.gateway.prompt = False
    for name in (serving, "m-2"):
        story.label(name, 10, 600)
    story.look()
    story.look()
    assert led_to(Route(story.gateway.written, Acceptance.YES), MODEL) == frozenset()
    assert led_to(Route(story.gateway.read, Acceptance.YES), MODEL) == {"m-2"}
    story.the_user_asks_for("m-3")
    assert "m-2" in story.world.ready


def test_a_gateway_that_is_late_for_ever_finds_nobody_at_last() -> None:
    """The check can fail: what it allows for is needed."""
    story = RoutedStory()
    story.it_begins({"strategy": "Canary", "steps": [{"weight": 5, "hold": {"labels": 1000}}]})
    story.everything_gets_ready()
    story.the_user_asks_for("m-2")
    story.everything_gets_ready()
    assert led_to(Route(story.gateway.read, Acceptance.YES), MODEL) == {"m-2"}
    story.gateway.prompt = False
    story.the_user_gives_up("m-2")
    assert "m-2" in story.world.ready
    assert led_to(Route(story.gateway.written, Acceptance.YES), MODEL) == frozenset()
    story.world.now += LINGER - timedelta(seconds=1)
    story.look()
    assert "m-2" in story.world.ready
    story.time_passes(1)
    assert "m-2" not in story.world.ready
    assert led_to(Route(story.gateway.read, Acceptance.YES), MODEL) == {"m-2"}


TestRoutedStories = RoutedStory.TestCase
TestRoutedStories.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
