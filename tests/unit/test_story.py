"""Whatever happens in whatever order: what must never be so, never is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.status import ModelDeploymentStatus, RejectionCause, Verdict
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.rejection import latched_rejection
from modeldeployment_operator.core.standing import on_probation, serving_revision
from modeldeployment_operator.core.status import document
from pydantic import ValidationError

from tests.support.world import Look, World

NAMES = st.sampled_from(["m-1", "m-2", "m-3", "m-4"])
HOLDS: dict[str, Any] = {"labels": 40, "duration": "10m"}
ROLLOUTS: list[dict[str, Any]] = [
    {},
    {"strategy": "BlueGreen", "hold": {"duration": "10m", "approval": True}},
    {"strategy": "Canary", "steps": [{"weight": 5, "hold": HOLDS}, {"weight": 50, "hold": {"healthy": True}}]},
    {"strategy": "Shadow", "hold": {"labels": 40}},
]


ANY = st.sampled_from(["RollBack", "Hold", "Pause", "Promote", "Alert"])
CAUTIOUS = st.sampled_from(["RollBack", "Hold", "Pause", "Alert"])
POLICIES: dict[str, Any] = {
    "degraded": st.fixed_dictionaries({"action": CAUTIOUS}),
    "drift": st.fixed_dictionaries({"action": CAUTIOUS}),
    "sourceDown": st.fixed_dictionaries({"action": CAUTIOUS, "after": st.sampled_from(["1s", "10m"])}),
    "invalidData": st.fixed_dictionaries({"action": CAUTIOUS}),
    "noTraffic": st.fixed_dictionaries({"action": ANY, "after": st.sampled_from(["10m", "1h"])}),
    "noLabels": st.fixed_dictionaries({"action": ANY, "after": st.sampled_from(["10m", "1h"])}),
}
GAUGE = 'quality{namespace="$(namespace)",revision="$(revision)"}'
DEMANDS: list[dict[str, Any] | None] = [
    None,
    {"minimum": 0.9, "alpha": 0.05},
    {"minimum": 0.5, "alpha": 0.05},
    {"minimum": 0.9, "source": "Query", "query": {"gauge": GAUGE, "for": "5m"}},
]
PRESSING = {situation.value for situation in Situation if situation is not Situation.DEGRADED}


class Story(RuleBasedStateMachine):
    """Every rule is one thing that happens; then the operator looks, as it would when woken by it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.labels: dict[str, int] = {}
        """By revision: labels that came back for it."""
        self.labels_at_rejection: dict[str, int] = {}
        self.rejected: dict[str, str | None] = {}
        """Revisions that were taken back, by the value of the retry annotation that does not let them in."""
        self.low: dict[str, timedelta] = {}
        """By revision whose gauge is low: since when."""

    @initialize(rollout=st.sampled_from(ROLLOUTS))
    def it_begins(self, rollout: dict[str, Any]) -> None:
        self.world.rollout = rollout
        self.look()

    @rule(name=NAMES)
    def the_user_asks_for(self, name: str) -> None:
        self.world.wish = name
        self.look()

    @rule(rollout=st.sampled_from(ROLLOUTS))
    def the_user_chooses_another_way(self, rollout: dict[str, Any]) -> None:
        self.apply(rollout=rollout)

    @rule(name=NAMES, ready=st.integers(0, 2))
    def pods_change(self, name: str, ready: int) -> None:
        if name in self.world.ready:
            self.world.ready[name] = min(ready, self.world.replicas)
            self.look()

    @rule()
    def everything_gets_ready(self) -> None:
        self.world.ready = dict.fromkeys(self.world.ready, self.world.replicas)
        self.look()

    @rule(name=NAMES, labels=st.sampled_from([(95, 5), (0, 40), (5, 5)]))
    def labels_come_back(self, name: str, labels: tuple[int, int]) -> None:
        self.label(name, *labels)
        self.look()

    @rule(name=NAMES, good=st.booleans())
    def a_successor_takes_over(self, name: str, *, good: bool) -> None:
        """The usual way, in one piece, so that a story gets somewhere."""
        self.the_user_asks_for(name)
        self.everything_gets_ready()
        self.the_user_asks_to_promote(name)
        if good and self.world.selected:
            self.labels_come_back(self.world.selected, (95, 5))

    @rule()
    def the_one_that_serves_turns_out_worse(self) -> None:
        self.label(self.world.selected or "", 10, 60)
        self.look()

    @rule()
    def the_candidate_turns_out_worse(self) -> None:
        self.label(self.world.memory.candidate_revision or "", 10, 60)
        self.look()

    @precondition(lambda self: self.world.memory.rejections)
    @rule(kept=st.booleans())
    def the_user_tries_again(self, *, kept: bool) -> None:
        """With another value of the annotation, which may be taken away once the revision serves."""
        self.the_user_asks_for(self.world.memory.rejections[0].revision)
        self.the_user_asks_for_a_retry("1" if self.world.asked.retry != "1" else "2")
        self.everything_gets_ready()
        if not kept:
            self.the_user_asks_for_a_retry(None)

    @rule(value=st.sampled_from([None, "1", "2"]))
    def the_user_asks_for_a_retry(self, value: str | None) -> None:
        self.world.asked = replace(self.world.asked, retry=value)
        self.look()

    @rule(name=NAMES)
    def the_user_asks_to_promote(self, name: str) -> None:
        self.world.asked = replace(self.world.asked, promote=name)
        self.look()

    @rule(name=st.none() | NAMES)
    def the_user_gives_up(self, name: str | None) -> None:
        self.world.asked = replace(self.world.asked, abort=name)
        self.look()

    @rule(by_annotation=st.booleans())
    def the_user_pauses_or_goes_on(self, *, by_annotation: bool) -> None:
        if by_annotation:
            self.world.asked = replace(self.world.asked, paused=not self.world.asked.paused)
        else:
            self.world.paused = not self.world.paused
        self.look()

    @rule(policies=st.fixed_dictionaries({}, optional=POLICIES))
    def the_user_chooses_policies(self, policies: dict[str, Any]) -> None:
        self.world.policies = policies
        self.look()

    @rule(accuracy=st.sampled_from(DEMANDS))
    def the_user_demands(self, accuracy: dict[str, Any] | None) -> None:
        """Something else, nothing, or the same again."""
        self.apply(accuracy=accuracy)

    @rule(accuracy=st.none() | st.just(DEMANDS[-1]), minutes=st.sampled_from([0, 6]))
    def the_user_thinks_twice(self, accuracy: dict[str, Any] | None, minutes: int) -> None:
        before = self.world.accuracy
        self.the_user_demands(accuracy)
        self.world.now += timedelta(minutes=minutes)
        self.the_user_demands(before)

    @rule(name=NAMES, value=st.sampled_from([0.4, 0.95]))
    def the_gauge_says(self, name: str, value: float) -> None:
        self.world.gauges[name] = value
        if value < 0.9:
            self.low.setdefault(name, self.world.now)
        else:
            self.low.pop(name, None)
        self.look()

    @rule(value=st.sampled_from([None, "1", "2"]))
    def the_user_says_go_on(self, value: str | None) -> None:
        self.world.asked = replace(self.world.asked, resume=value)
        self.look()

    @rule(seconds=st.sampled_from([1, 61, 601]), invalid=st.booleans())
    def the_source_is_down(self, seconds: int, *, invalid: bool) -> None:
        """For so long that it is told; or it tells what cannot be."""
        self.world.now += timedelta(seconds=seconds)
        self.look(down=not invalid, invalid=invalid)

    @rule(candidate=st.booleans(), minutes=st.sampled_from([0, 40]))
    def predictions_come(self, *, candidate: bool, minutes: int) -> None:
        """And no labels of them."""
        memory = self.world.memory
        for _ in range(2):
            self.world.predict((memory.candidate_revision if candidate else memory.serving_revision) or "", 10)
            self.world.now += timedelta(minutes=minutes)
            self.look()

    @rule(replicas=st.sampled_from([0, 1, 2, 4]))
    def the_user_scales(self, replicas: int) -> None:
        self.world.replicas = replicas
        self.look()

    @rule(seconds=st.sampled_from([1, 91, 601, 3601]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)
        self.look()

    @rule()
    def the_operator_restarts(self) -> None:
        self.world.restart_operator()
        self.look()

    @rule()
    def the_status_is_lost(self) -> None:
        """And with it which labels were counted: those that the pods still know count once more."""
        self.world.lose_status()
        self.labels_at_rejection.clear()
        self.look()

    @rule()
    def nothing_can_be_read(self) -> None:
        self.look(read=False)

    def apply(self, **changed: Any) -> None:
        """Edit the spec; the API server takes it or not."""
        world = replace(self.world, **changed)
        try:
            _ = world.spec
        except ValidationError:
            return
        self.world = world
        self.look()

    def label(self, name: str, right: int, wrong: int) -> None:
        self.world.predict(name, right + wrong)
        self.world.label(name, right, wrong)
        self.labels[name] = self.labels.get(name, 0) + right + wrong

    def look(self, *, read: bool = True, down: bool = False, invalid: bool = False) -> None:
        """Look until nothing changes any more, and hold every look against what must be."""
        for _ in range(8):
            look = self.world.look(read=read, down=down, invalid=invalid)
            self.check(look)
            if at_rest(look.status) == at_rest(look.observation.status):
                self.check_that_it_says_what_it_waits_for(look)
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
        self.check_rejection(look)
        self.check_what_begins(look)
        assert decision.serving not in self.rejected
        assert decision.candidate not in self.rejected
        assert decision.candidate is None or latched_rejection(observation, decision.candidate) is None
        assert decision.standby not in self.rejected
        if decision.serving is not None:
            assert decision.serving in decision.running
            assert decision.serving in self.world.stored
        self.check_share(decision, status, observation.replicas)
        self.check_situations(look)
        before = observation.selected
        if decision.serving != before:
            assert decision.serving is not None, "traffic does not go away"
            workload = observation.workloads[decision.serving]
            assert workload.settled
            assert workload.ready >= observation.replicas - observation.replicas // 4
            assert not observation.paused or observation.asked.abort == before
            assert before is None or before in decision.running, "clients that keep connections are passed on"
        assert decision.switched == (decision.serving != before)
        kinds = {condition.type: condition.status for condition in status.conditions}
        assert not {ConditionType.STALLED, ConditionType.RECONCILING} <= kinds.keys()
        selected = observation.workloads.get(observation.selected or "")
        assert (kinds[ConditionType.AVAILABLE] is ConditionStatus.TRUE) == bool(selected and selected.ready)
        assert len(status.revisions) <= 10

    def check_rejection(self, look: Look) -> None:
        """What is taken back is proven worse by labels that did not count before, or its user has said so."""
        observation, decision, rejection = look.observation, look.decision, look.decision.rejection
        if rejection is None:
            return
        name = rejection.revision
        if rejection.reason is RejectionCause.ABORTED:
            assert observation.asked.abort == name
        elif rejection.reason is RejectionCause.PROGRESS_DEADLINE_EXCEEDED:
            starting = observation.status.starting
            assert starting is not None
            assert (starting.revision, name) == (name, observation.status.candidate_revision)
            assert observation.now - datetime.fromisoformat(starting.since) >= timedelta(minutes=20)
            assert self.world.ready.get(name, 0) <= starting.ready
            assert decision.serving is not None, "the first of all is never given up"
        elif rejection.reason.value in PRESSING:
            situation = Situation(rejection.reason.value)
            assert observation.spec.policies.action(situation) is Action.ROLL_BACK
            assert not observation.paused
            assert rejection.message
            if name != observation.status.candidate_revision:
                assert on_probation(observation)
        else:
            assert observation.spec.policies.degraded.action is Action.ROLL_BACK or observation.asked.abort == name
            assert look.judged[name].verdict is Verdict.DEGRADED
            self.check_proof(look, name)
        served = serving_revision(observation)
        assert decision.serving == (observation.status.standby_revision if name == served else served)
        self.rejected[name] = observation.asked.retry

    def check_proof(self, look: Look, name: str) -> None:
        """What a gauge says, it has said for so long; what labels prove, others have not proven before."""
        if look.judged[name].gauge is not None:
            assert self.world.now - self.low[name] >= timedelta(minutes=5)
        else:
            assert self.labels.get(name, 0) > self.labels_at_rejection.get(name, 0), "the same labels twice"
            self.labels_at_rejection[name] = self.labels[name]

    @staticmethod
    def check_what_begins(look: Look) -> None:
        """A test that begins with a revision that has served has proven nothing, whatever was said of it before."""
        for one in look.observation.status.revisions:
            judged = look.judged.get(one.name)
            begins = one.serving_since is not None and one.evidence is None
            if judged is not None and judged.gauge is None and begins:
                assert judged.verdict is not Verdict.DEGRADED

    @staticmethod
    def check_situations(look: Look) -> None:
        """What is held stays where it is, and it is told why."""
        observation, decision, before = look.observation, look.decision, look.observation.status.rollout
        for one in decision.situations:
            wanted = observation.spec.policies.action(one.situation)
            assert one.revision in {decision.serving, decision.candidate, observation.desired.name}
            assert one.action is wanted or one.action in {Action.ALERT, Action.HOLD}
            assert not one.resumed or one.action is not Action.PAUSE
        told = {condition.type: condition.message for condition in look.status.conditions}
        assert bool(decision.situations) <= (ConditionType.NEEDS_ATTENTION in told)
        held = [one for one in decision.situations if one.action in {Action.HOLD, Action.PAUSE}]
        about = [one for one in held if one.revision == observation.desired.name != decision.serving]
        if not about or before is None or before.revision != decision.candidate:
            return
        assert observation.asked.promote != decision.serving or not decision.switched
        if decision.rollout is not None and before.strategy is observation.spec.rollout.strategy:
            assert decision.rollout.step <= before.step
            assert decision.rollout.since == before.since

    @staticmethod
    def check_share(decision: Decision, status: ModelDeploymentStatus, replicas: int) -> None:
        """Nobody but a candidate that has begun its way gets a share, and no more than all of it."""
        assert 0 <= decision.weight < 100
        assert not decision.weight or replicas, "without pods nothing is tried"
        if decision.weight or decision.copies:
            assert decision.candidate is not None
            assert decision.rollout is not None
            assert decision.rollout.revision == decision.candidate != decision.serving
            assert decision.candidate in decision.running
        assert status.rollout is None or status.rollout.weight == decision.weight

    @staticmethod
    def check_that_it_says_what_it_waits_for(look: Look) -> None:
        """At rest, what is asked for serves, or the conditions say why it does not."""
        ready = next(one for one in look.status.conditions if one.type is ConditionType.READY)
        if look.status.serving_revision != look.observation.desired.name:
            assert ready.status is ConditionStatus.FALSE
        assert ready.message
        if look.status.rollout:
            assert look.status.rollout.waits_for


def at_rest(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """A status without the numbers of pods, which the world changes and not the operator."""
    none = {"replicas": 0, "ready_replicas": 0}
    revisions = [revision.model_copy(update=none) for revision in status.revisions]
    return status.model_copy(update=none | {"revisions": revisions})


TestStories = Story.TestCase
TestStories.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
