"""How many pods each revision gets with autoscaling, and who says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.core.claims import View
from modeldeployment_operator.core.conditions import conditions
from modeldeployment_operator.core.decision import Decision, decide
from modeldeployment_operator.core.observation import Autoscaler, Problem, Workload
from modeldeployment_operator.core.resources import desired
from modeldeployment_operator.core.resources.secret import Keys
from modeldeployment_operator.core.scaling import Size, size_of

from tests.support.observations import ObservationBuilder, ago, an_observation, degraded

KEYS = Keys("f" * 64, "a" * 64)
BY_WAITING = {"podMetrics": [{"name": "model_requests_waiting", "averageValue": "1500m"}]}
SCALING = {"minReplicas": 2, "maxReplicas": 10, **BY_WAITING}
NEW = an_observation(replicas=None, autoscaling=SCALING)


def serves(replicas: int, *, shared: bool = False, wish: str = "m-1") -> ObservationBuilder:
    """m-1 serves with so many pods."""
    return sized(NEW.serving("m-1").asks_for(wish), "m-1", replicas, shared=shared)


def sized(builder: ObservationBuilder, name: str, replicas: int, *, shared: bool = False) -> ObservationBuilder:
    builder = builder.ready(name, replicas, of=replicas)
    workload = replace(builder.workloads[name], shared_size=shared, uid=f"uid-of-{name}", version="77")
    return replace(builder, workloads=builder.workloads | {name: workload})


def asked(builder: ObservationBuilder, decision: Decision, revision: str) -> int | None:
    return size_of(builder.obj(), decision, revision).replicas


def made(builder: ObservationBuilder, decision: Decision) -> dict[str, dict[str, Any]]:
    return {
        f"{one['kind']}/{one['metadata']['name']}": one
        for one in desired(builder.obj(), decision, KEYS)
        if one["kind"] in {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
    }


# --- How large ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "shared", "expected"),
    [
        pytest.param(5, False, 5, id="nobody else sets it: it stays what it is"),
        pytest.param(5, True, None, id="handed over"),
        pytest.param(2, True, None, id="handed over at the lower bound"),
        pytest.param(1, False, 2, id="too small"),
        pytest.param(1, True, 2, id="set too small by somebody"),
        pytest.param(0, True, 2, id="an autoscaler leaves no pods at none"),
        pytest.param(12, False, 10, id="too large"),
        pytest.param(12, True, None, id="too large: the autoscaler's to mend"),
    ],
)
def test_the_revision_that_serves(live: int, shared: bool, expected: int | None) -> None:
    assert asked(serves(live, shared=shared), Decision("m-1"), "m-1") == expected


def test_without_autoscaling_the_spec_says_it_whoever_else_does() -> None:
    builder = serves(5, shared=True).spec(autoscaling=None, replicas=3)

    assert asked(builder, Decision("m-1"), "m-1") == 3


@pytest.mark.parametrize(("live", "expected"), [(1, 2), (5, 5), (12, 10)])
def test_candidate_standby_and_who_lingers_are_as_large_as_the_one_that_serves(live: int, expected: int) -> None:
    builder = serves(live, shared=True, wish="m-2")
    decision = Decision("m-1", candidate="m-2", standby="m-0", standby_runs=True, lingering=frozenset({"m-9"}))

    assert {asked(builder, decision, name) for name in ("m-2", "m-0", "m-9")} == {expected}


def test_the_first_revision_starts_with_the_least() -> None:
    assert asked(NEW, Decision(None, candidate="m-1"), "m-1") == 2


def test_a_deployment_that_was_deleted_comes_back_as_large_as_it_was() -> None:
    builder = NEW.serving("m-1").remembers(replicas=7)

    assert asked(builder, Decision("m-1"), "m-1") == 7


@pytest.mark.parametrize("taken", [5, 6, 8])
def test_who_takes_the_traffic_is_not_made_smaller_than_it_is_or_than_its_predecessor(taken: int) -> None:
    builder = sized(serves(6, shared=True, wish="m-2"), "m-2", taken)
    decision = Decision("m-2", standby="m-1", standby_runs=True, lingering=frozenset({"m-1"}), switched=True)

    assert asked(builder, decision, "m-2") == max(taken, 6)
    assert asked(builder, decision, "m-1") == 6


def test_a_deployment_keeps_a_number_that_is_not_the_operators() -> None:
    kept = made(serves(5, shared=True), Decision("m-1"))["Deployment/m-1"]
    set_by_the_operator = made(serves(5), Decision("m-1"))["Deployment/m-1"]

    assert "replicas" not in kept["spec"]
    assert kept["metadata"]["uid"] == "uid-of-m-1", "one that is gone is not made anew by that, with one pod"
    assert "resourceVersion" not in kept["metadata"]
    assert set_by_the_operator["spec"]["replicas"] == 5
    assert set_by_the_operator["metadata"]["resourceVersion"] == "77", "what came in between is not set back"
    assert "uid" not in set_by_the_operator["metadata"]


def test_a_fixed_number_rests_on_nothing_that_was_seen() -> None:
    fixed = made(serves(5).spec(autoscaling=None, replicas=3), Decision("m-1"))["Deployment/m-1"]

    assert not {"uid", "resourceVersion"} & fixed["metadata"].keys()


@pytest.mark.parametrize(("shared", "expected"), [(True, None), (False, 5)])
def test_a_fixed_number_waits_until_the_autoscaler_is_gone(shared: bool, expected: int | None) -> None:
    """Until then it would set another one."""
    off = serves(5, shared=shared).spec(autoscaling=None, replicas=3)

    assert asked(off.having(autoscaler=Autoscaler("m-1", active=True)), Decision("m-1"), "m-1") == expected
    assert asked(off.having(autoscaler=Autoscaler("m-0", active=True)), Decision("m-1"), "m-1") == 3
    assert size_of(off.obj(), Decision("m-1"), "m-1") == Size(3)


# --- What is made -------------------------------------------------------------------------------------------


def test_an_autoscaler_for_the_revision_that_serves() -> None:
    builder = sized(serves(5, wish="m-2"), "m-2", 5)
    autoscaler = made(builder, Decision("m-1", candidate="m-2"))["HorizontalPodAutoscaler/m"]

    assert autoscaler["apiVersion"] == "autoscaling/v2"
    assert autoscaler["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "m-1"},
        "minReplicas": 2,
        "maxReplicas": 10,
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "model_requests_waiting"},
                    "target": {"type": "AverageValue", "averageValue": "1500m"},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }


@pytest.mark.parametrize(
    ("scaling", "utilization"),
    [({}, 80), ({"cpuUtilization": 50}, 50), ({"cpuUtilization": 50, **BY_WAITING}, 50), (BY_WAITING, None)],
)
def test_cpu_is_that_of_the_serving_container(scaling: dict[str, Any], utilization: int | None) -> None:
    resources = {"limits": {"cpu": "500m"}}
    builder = serves(5).spec(autoscaling={"maxReplicas": 3, **scaling}, serving={"resources": resources})
    metrics = made(builder, Decision("m-1"))["HorizontalPodAutoscaler/m"]["spec"]["metrics"]
    of_cpu = [one["containerResource"] for one in metrics if one["type"] == "ContainerResource"]
    target = {"type": "Utilization", "averageUtilization": utilization}

    assert of_cpu == ([{"name": "cpu", "container": "server", "target": target}] if utilization else [])
    assert [one["type"] for one in metrics if one["type"] == "Pods"] == ["Pods"] * ("podMetrics" in scaling)


def test_quantities_are_written_as_the_api_server_keeps_them() -> None:
    metrics = [{"name": "a", "averageValue": "0.5"}, {"name": "b", "averageValue": 3}]
    builder = serves(5).spec(autoscaling={"maxReplicas": 3, "podMetrics": metrics})
    made_of = made(builder, Decision("m-1"))["HorizontalPodAutoscaler/m"]["spec"]["metrics"]

    assert [one["pods"]["target"]["averageValue"] for one in made_of] == ["500m", "3"]


def test_how_long_fewer_must_have_been_enough() -> None:
    builder = serves(5).spec(autoscaling={**SCALING, "scaleDownAfter": "1m30s"})
    autoscaler = made(builder, Decision("m-1"))["HorizontalPodAutoscaler/m"]

    assert autoscaler["spec"]["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 90}}


def test_none_before_anything_serves_and_none_unless_asked_for() -> None:
    fixed = an_observation().serving("m-1").ready("m-1")

    assert "HorizontalPodAutoscaler/m" not in made(NEW, Decision(None, candidate="m-1"))
    assert "HorizontalPodAutoscaler/m" not in made(fixed, Decision("m-1"))


@pytest.mark.parametrize(("most", "live", "expected"), [(1, 1, False), (2, 1, True), (2, 2, True)])
def test_a_budget_where_there_may_be_several_pods(most: int, live: int, expected: bool) -> None:
    builder = serves(live).spec(autoscaling={"maxReplicas": most, **BY_WAITING})

    assert ("PodDisruptionBudget/m" in made(builder, Decision("m-1"))) is expected


# --- What is decided and told --------------------------------------------------------------------------------


@pytest.mark.parametrize(("ready", "taken"), [(4, False), (5, True)])
def test_a_candidate_must_be_as_large_as_the_one_that_serves(ready: int, taken: bool) -> None:
    builder = serves(5, shared=True, wish="m-2").ready("m-2", ready, of=5)

    assert decide(builder.obj(), {}).switched is taken


ON_PROBATION = NEW.standby("m-1").serving("m-2").asks_for("m-2").ready("m-2", 8, of=8)


@pytest.mark.parametrize(
    ("ready", "without_a_node", "back"),
    [
        pytest.param(5, 0, False, id="more are starting"),
        pytest.param(6, 0, True, id="a quarter may be missing"),
        pytest.param(3, 4, True, id="who finds no node is not waited for"),
        pytest.param(2, 6, True, id="as many as the user called enough"),
        pytest.param(1, 7, False, id="fewer than that"),
    ],
)
def test_a_rollback_waits_for_the_pods_that_can_come(ready: int, without_a_node: int, back: bool) -> None:
    builder = ON_PROBATION.ready("m-1", ready, of=8)
    homeless = {f"m-1-pod-{number}" for number in range(8 - without_a_node, 8)}
    problem = Problem(Reason.UNSCHEDULABLE, "no node has room for the pod")
    pods = tuple(replace(pod, problem=problem) if pod.name in homeless else pod for pod in builder.pods)

    decision = decide(replace(builder, pods=pods).obj(), {"m-2": degraded()})

    assert decision.serving == ("m-1" if back else "m-2")
    assert decision.returning is not back


def claims(builder: ObservationBuilder) -> dict[ConditionType, Condition]:
    view = View(builder.having(selected="m-1").obj(), Decision("m-1"), None, None)
    return {one.type: one for one in conditions(view)}


def told(builder: ObservationBuilder) -> tuple[ConditionStatus, Reason]:
    ready = claims(builder)[ConditionType.READY]
    return ready.status, ready.reason


READY = Condition(
    type=ConditionType.READY,
    status=ConditionStatus.TRUE,
    reason=Reason.SERVING,
    message="m-1 serves",
    last_transition_time=ago(hours=1),
    observed_generation=3,
)


@pytest.mark.parametrize(
    ("workload", "before", "expected"),
    [
        pytest.param(Workload(5, 5, settled=True), None, Reason.SERVING, id="all are there"),
        pytest.param(Workload(8, 5, settled=True), None, Reason.SERVING, id="more are starting"),
        pytest.param(Workload(8, 5, settled=False), READY, Reason.SERVING, id="just scaled"),
        pytest.param(Workload(8, 5, settled=False), None, Reason.SCALING, id="rolled out for the first time"),
        pytest.param(
            Workload(8, 5, settled=False),
            READY.model_copy(update={"observed_generation": 2}),
            Reason.SCALING,
            id="rolled out for another spec",
        ),
        pytest.param(Workload(8, 1, settled=True), READY, Reason.SCALING, id="fewer than there must be"),
    ],
)
def test_being_scaled_is_no_fault(workload: Workload, before: Any, expected: Reason) -> None:
    builder = serves(5).remembers(conditions=[before] if before else [])
    builder = replace(builder, workloads={"m-1": workload})
    status = ConditionStatus.TRUE if expected is Reason.SERVING else ConditionStatus.FALSE

    assert told(builder) == (status, expected)


def test_a_deployment_of_fixed_size_is_ready_when_all_are_there() -> None:
    builder = serves(5).spec(autoscaling=None, replicas=8).remembers(conditions=[READY])

    assert told(builder) == (ConditionStatus.FALSE, Reason.SCALING)


@pytest.mark.parametrize(
    ("autoscaler", "status", "reason", "word"),
    [
        (None, ConditionStatus.UNKNOWN, Reason.STARTING, "not looked"),
        (Autoscaler("m-1", None), ConditionStatus.UNKNOWN, Reason.STARTING, "not looked"),
        (Autoscaler("m-1", active=True), ConditionStatus.TRUE, Reason.METRICS_READ, "reads the load"),
        (Autoscaler("m-1", active=False, problem="no API"), ConditionStatus.FALSE, Reason.NOT_SCALING, "no API"),
    ],
)
def test_whether_the_number_of_pods_follows_the_load(
    autoscaler: Autoscaler | None, status: ConditionStatus, reason: Reason, word: str
) -> None:
    found = claims(serves(5).having(autoscaler=autoscaler))

    assert (found[ConditionType.AUTOSCALED].status, found[ConditionType.AUTOSCALED].reason) == (status, reason)
    assert word in found[ConditionType.AUTOSCALED].message
    assert found[ConditionType.READY].status is ConditionStatus.TRUE, "serving does not depend on it"


def test_nothing_is_said_of_the_load_where_it_decides_nothing() -> None:
    assert ConditionType.AUTOSCALED not in claims(serves(5).spec(autoscaling=None, replicas=5))


# --- The hand-over, in any order of events --------------------------------------------------------------------


@dataclass
class Field:
    """A number with its managers, as the API server keeps them; one without a manager falls back to 1."""

    value: int
    appliers: frozenset[str] = frozenset({"operator"})
    updaters: frozenset[str] = frozenset()

    def apply(self, value: int | None) -> None:
        if value is None:
            self.appliers -= {"operator"}
            self.value = self.value if self.appliers | self.updaters else 1
        else:
            self.updaters = self.updaters if value == self.value else frozenset()
            self.appliers, self.value = self.appliers | {"operator"}, value

    def update(self, manager: str, value: int) -> None:
        if value != self.value:
            self.appliers, self.updaters, self.value = frozenset(), frozenset({manager}), value


STEPS = st.one_of(
    st.tuples(st.just("spec"), st.one_of(st.none(), st.integers(0, 12))),
    st.tuples(st.just("autoscaler"), st.integers(2, 10)),
    st.tuples(st.just("somebody"), st.integers(0, 12)),
    st.tuples(st.just("operator"), st.none()),
)


@given(st.lists(STEPS, max_size=30), st.integers(0, 12))
def test_the_operator_never_lowers_what_an_autoscaler_may_set(steps: list[tuple[str, Any]], start: int) -> None:
    field, fixed = Field(start), start
    automatic = False
    for who, value in steps:
        if who == "spec":
            automatic, fixed = value is None, fixed if value is None else value
        elif who == "autoscaler" and automatic and field.value:
            field.update("kube-controller-manager", value)
        elif who == "somebody":
            field.update("kubectl", value)
        elif who == "operator":
            before = field.value
            builder = serves(before, shared=bool((field.appliers | field.updaters) - {"operator"}))
            builder = builder if automatic else builder.spec(autoscaling=None, replicas=fixed)
            field.apply(asked(builder, Decision("m-1"), "m-1"))
            if automatic:
                assert field.value >= 2
                assert field.value >= min(before, 10)
            else:
                assert field.value == fixed
                assert "operator" in field.appliers
