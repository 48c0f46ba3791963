"""The route from a Gateway: what the operator writes into it, what it leaves alone, and what it waits for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.policies import Situation
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.route import Route as Wanted
from modeldeployment_operator.api.status import Activity, RevisionPhase, RolloutStatus
from modeldeployment_operator.core.decision import Decision, decide
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.kinds import HTTP_ROUTE, OPTIONAL
from modeldeployment_operator.core.leaving import let_linger
from modeldeployment_operator.core.observation import Asked, Observation, Problem
from modeldeployment_operator.core.passing import ANSWERS_ITSELF, Passing
from modeldeployment_operator.core.resources import desired
from modeldeployment_operator.core.resources.route import build_http_route
from modeldeployment_operator.core.resources.secret import Keys
from modeldeployment_operator.core.route import Acceptance, Route, divided, led_to, read_route, shares
from modeldeployment_operator.core.status import summarise
from modeldeployment_operator.core.traffic import rotation

from tests.support.observations import (
    ObservationBuilder,
    a_sample,
    ago,
    an_observation,
    degraded,
    healthy,
    inconclusive,
)

GATEWAY = {"name": "public", "namespace": "infra"}
STEPS = [{"weight": 5, "hold": {"labels": 100}}, {"weight": 50, "hold": {"duration": "30m"}}]
CANARY = {"strategy": "Canary", "steps": STEPS}
KEYS = Keys("f" * 64, "a" * 64)


def backend(name: str = "m", weight: int = 1, **fields: Any) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": name, "port": 8501, "weight": weight} | fields


def rule(*backends: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"backendRefs": list(backends)} | fields


def weights(found: list[dict[str, Any]]) -> dict[str, int]:
    return {one["name"]: one["weight"] for one in found}


def sends(percent: int, *, acceptance: Acceptance = Acceptance.YES, words: str = "") -> Route:
    """A route that sends so many of the requests to m-2."""
    backends = divided(rule(backend()), "m", "m-2", percent)
    return Route((rule(*backends, name="predictions"),), acceptance, words)


def beside(weight: int, percent: int) -> Route:
    """A route that sends so many to m-2, as far as can be: a rule of its user's has the model beside another."""
    (ours,) = sends(percent).rules
    mine = rule(*divided(rule(backend(weight=weight), backend("other", weight)), "m", "m-2", percent), name="mine")
    return Route((ours, mine), Acceptance.YES)


def routed(**fields: Any) -> ObservationBuilder:
    """m-1 serves behind a Gateway, and all pods of m-2, which is asked for, are ready."""
    builder = an_observation(rollout=CANARY, route={"parentRefs": [GATEWAY]}).serving("m-1").ready("m-1")
    return builder.candidate("m-2").ready("m-2").having(selected="m-1", knows=frozenset(OPTIONAL), **fields)


def at(step: int, minutes: int | None = 10, **fields: Any) -> RolloutStatus:
    """m-2 is at a step, whose share it has had for so long; None if it has not got it yet."""
    reached = None if minutes is None else ago(minutes=minutes)
    values: dict[str, Any] = {"weight": STEPS[step - 1]["weight"], "steps": 2} | fields
    return RolloutStatus(
        revision="m-2", strategy=Strategy.CANARY, step=step, since=ago(hours=2), reached_since=reached, **values
    )


def decided(builder: ObservationBuilder, **judged: Judged) -> Decision:
    observation = builder.obj()
    return let_linger(observation, decide(observation, {name.replace("_", "-"): one for name, one in judged.items()}))


def route_of(observation: Observation, decision: Decision) -> dict[str, Any]:
    assert observation.spec.route
    return build_http_route(observation, decision, observation.spec.route)


def rules_of(observation: Observation, decision: Decision) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in route_of(observation, decision)["spec"]["rules"]}


# --- Dividing what a rule sends ------------------------------------------------------------------------------


@given(weight=st.integers(0, 10_000), percent=st.integers(1, 99), later=st.integers(0, 99))
def test_any_percent_is_exact_and_what_was_comes_back(weight: int, percent: int, later: int) -> None:
    began = rule(backend(weight=weight))
    during = rule(*divided(began, "m", "m-2", percent))
    parts = weights(during["backendRefs"])
    assert parts["m-2-g"] * 100 == percent * sum(parts.values())
    assert sum(parts.values()) == 100 * weight
    assert divided(during, "m", "m-2", percent) == during["backendRefs"], "it is so already"
    assert divided(during, "m", "m-3", later) == divided(began, "m", "m-3", later), "another one begins anew"
    assert divided(during, "m", None, 0) == began["backendRefs"]


def test_backends_of_others_keep_their_weights() -> None:
    other, elsewhere = backend("legacy", 300), backend("m", 7, namespace="theirs")
    kept = [other, elsewhere, backend("m", 8, kind="ServiceImport"), backend("m-x-0123456789-g", 9)]
    began = rule(kept[0], backend(weight=200), *kept[1:])
    found = divided(began, "m", "m-2", 5)
    assert [one for one in found if one in kept] == kept
    assert [(one["name"], one["weight"]) for one in found if one not in kept] == [("m", 190), ("m-2-g", 10)]
    assert divided(rule(*found), "m", None, 0) == began["backendRefs"]


def test_two_backends_with_the_same_port_have_a_part_each() -> None:
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}]
    began = rule(backend(), backend(weight=3, filters=filters))
    found = divided(began, "m", "m-2", 50)
    assert [(one["name"], one["weight"]) for one in found] == [("m", 50), ("m-2-g", 50), ("m", 150), ("m-2-g", 150)]
    assert divided(rule(*found), "m", "m-2", 50) == found
    assert divided(rule(*found), "m", None, 0) == began["backendRefs"]


def test_nobody_gets_more_than_its_step() -> None:
    assert weights(divided(rule(backend(), backend("other")), "m", "m-2", 60)) == {"m": 1, "m-2-g": 0, "other": 1}
    assert weights(divided(rule(backend(weight=75), backend("other")), "m", "m-2", 33))["m-2-g"] == 25, "33.3%"


WEIGHTS = st.one_of(st.integers(0, 300), st.sampled_from([9_999, 10_000, 10_001, 20_000, 400_000]))
BACKENDS = st.lists(
    st.builds(
        lambda name, weight, port: backend(name, weight, port=port),
        st.sampled_from(["m", "m", "other"]),
        WEIGHTS,
        st.sampled_from([8501, 8500]),
    ),
    min_size=1,
    max_size=4,
).filter(lambda found: any(one["name"] == "m" for one in found))
PERCENT = st.integers(1, 100)


def of_the_model(found: list[dict[str, Any]]) -> list[int]:
    """What each backend that is the model has in sum; those of its candidate stand directly behind it."""
    sums: list[int] = []
    for one in found:
        if one["name"] == "m":
            sums.append(one["weight"])
        elif one["name"] == "m-2-g":
            sums[-1] += one["weight"]
    return sums


def are_in_proportion(some: list[int], others: list[int]) -> bool:
    return all(
        one * last == other * first
        for one, other in zip(some, others, strict=True)
        for first, last in zip(some, others, strict=True)
    ) and [bool(one) for one in some] == [bool(one) for one in others]


@given(began=BACKENDS, percent=PERCENT, later=PERCENT, data=st.data())
def test_whatever_somebody_changes_meanwhile_is_kept_and_written_once(
    began: list[dict[str, Any]], percent: int, later: int, data: st.DataObject
) -> None:
    found = divided(rule(*began), "m", "m-2", percent)
    assert divided(rule(*found), "m", "m-2", percent) == found, "it is so already"
    before = divided(rule(*found), "m", None, 0)
    assert are_in_proportion(of_the_model(before), of_the_model(began))
    if any(one["name"] == "other" for one in began) or all(one["weight"] <= 10_000 for one in began):
        assert before == began
    if data.draw(st.booleans(), "all others go"):
        found = [one for one in found if one["name"] != "other"]
    if data.draw(st.booleans(), "another comes"):
        found.append(backend("other", data.draw(WEIGHTS)))
    for place in data.draw(st.sets(st.integers(0, len(found) - 1), max_size=3)):
        found[place] = found[place] | {"weight": data.draw(WEIGHTS)}
    after = divided(rule(*found), "m", "m-2", later)
    assert divided(rule(*after), "m", "m-2", later) == after, "one look is enough"
    assert are_in_proportion(of_the_model(after), of_the_model(found))
    restored = divided(rule(*after), "m", None, 0)
    assert divided(rule(*restored), "m", None, 0) == restored
    assert are_in_proportion(of_the_model(restored), of_the_model(found))
    if others := [one for one in found if one["name"] == "other"]:
        assert [one for one in restored if one["name"] == "other"] == others
        assert of_the_model(restored) == of_the_model(found)
    assert all(0 <= one["weight"] <= 1_000_000 for one in [*after, *restored])


def test_filters_of_the_backend_hold_for_the_candidate_and_ports_are_apart() -> None:
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}]
    found = divided(rule(backend(filters=filters), backend(weight=3, port=8500)), "m", "m-2", 20)
    assert [(one["name"], one["port"], one["weight"], "filters" in one) for one in found] == [
        ("m", 8501, 80, True),
        ("m-2-g", 8501, 20, True),
        ("m", 8500, 240, False),
        ("m-2-g", 8500, 60, False),
    ]


def test_the_shares_are_the_smallest_and_the_largest_of_all_rules_that_lead_to_the_model() -> None:
    rules = (
        rule(backend("m", 80), backend("m-2-g", 20)),
        rule(backend("m", 90), backend("m-2-g", 10), backend("other", 900)),
        rule(backend("other")),
        rule(backend(), name="labels"),
        rule(backend(weight=0)),
    )
    route = Route(rules, Acceptance.YES)
    assert shares(route.rules, "m", "m-2") == (10, 20)
    assert shares((), "m", "m-2") == (0, 0)
    assert led_to(route, "m") == {"m-2"}


# --- What Gateways say ----------------------------------------------------------------------------------------


def an_object(*parents: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = {"namespace": "team", "name": "m", "generation": 3, "resourceVersion": "7"}
    return {
        "metadata": metadata,
        "spec": {"parentRefs": [GATEWAY], "rules": []} | spec,
        "status": {"parents": list(parents)},
    }


def says(gateway: dict[str, Any] | None = None, generation: int = 3, **conditions: str) -> dict[str, Any]:
    told = {"Accepted": "True", "ResolvedRefs": "True"} | conditions
    found = [
        {"type": kind, "status": value, "reason": "Why", "message": "what", "observedGeneration": generation}
        for kind, value in told.items()
    ]
    return {"parentRef": gateway or GATEWAY, "controllerName": "c", "conditions": found}


@pytest.mark.parametrize(
    ("parents", "acceptance", "words"),
    [
        ([says()], Acceptance.YES, ""),
        ([], Acceptance.UNKNOWN, "Gateway infra/public has not looked at it: is there such a Gateway"),
        ([says({"name": "public"})], Acceptance.UNKNOWN, "has not looked at it"),
        ([says(GATEWAY | {"sectionName": "https"})], Acceptance.UNKNOWN, "has not looked at it"),
        ([says(generation=2)], Acceptance.UNKNOWN, "since it was changed"),
        ([says(Accepted="False")], Acceptance.NO, "Gateway infra/public says Accepted=False, Why: what"),
        ([says(ResolvedRefs="False")], Acceptance.NO, "says ResolvedRefs=False"),
        ([says({"group": HTTP_ROUTE.group, "kind": "Gateway", **GATEWAY})], Acceptance.YES, ""),
    ],
)
def test_a_route_is_accepted_when_its_gateway_has_seen_it_as_it_is(
    parents: list[dict[str, Any]], acceptance: Acceptance, words: str
) -> None:
    route = read_route(an_object(*parents))
    assert route.acceptance is acceptance
    assert words in route.words


def test_all_gateways_have_to_accept_it() -> None:
    two = [GATEWAY, {"name": "inner"}]
    assert read_route(an_object(says(), parentRefs=two)).acceptance is Acceptance.UNKNOWN
    assert read_route(an_object(says(), says({"name": "inner"}), parentRefs=two)).acceptance is Acceptance.YES
    refused = read_route(an_object(says({"name": "inner"}, Accepted="False"), parentRefs=two))
    assert refused.acceptance is Acceptance.NO
    assert refused.words.startswith("Gateway team/inner says")


def test_who_has_looked_last_is_asked_of_two_controllers_of_a_gateway() -> None:
    for parents in ([says(generation=2), says()], [says(), says(generation=2)]):
        assert read_route(an_object(*parents)).acceptance is Acceptance.YES
    refused = read_route(an_object(says(generation=2), says(Accepted="False")))
    assert refused.acceptance is Acceptance.NO
    nothing = read_route(an_object({"parentRef": GATEWAY, "controllerName": "old"}, says()))
    assert nothing.acceptance is Acceptance.YES


# --- The object -----------------------------------------------------------------------------------------------


def test_a_route_of_its_own_paths_to_the_service() -> None:
    observation = routed().obj()
    route = route_of(observation, Decision("m-1"))
    assert route["spec"]["parentRefs"] == [{"group": HTTP_ROUTE.group, "kind": "Gateway", **GATEWAY}]
    assert "hostnames" not in route["spec"]
    assert "resourceVersion" not in route["metadata"]
    labels, predictions = route["spec"]["rules"]
    assert labels["matches"] == [
        {"path": {"type": "Exact", "value": path}, "method": "POST"}
        for path in ("/v1/models/m/feedback", "/v2/models/m/feedback")
    ]
    assert {one["path"]["value"] for one in predictions["matches"]} == {
        *("/v1/models/m:predict", "/v1/models/m:classify", "/v1/models/m:regress", "/v1/models/m", "/v2/models/m"),
    }
    assert predictions["backendRefs"] == labels["backendRefs"] == [backend()]


def test_on_a_host_of_its_own_all_comes_and_grpc_too() -> None:
    hosts = {"parentRefs": [GATEWAY | {"sectionName": "https"}], "hostnames": ["m.example.org"]}
    observation = routed().spec(route=hosts).obj()
    route = route_of(observation, decided(routed().spec(route=hosts)))
    assert route["spec"]["hostnames"] == ["m.example.org"]
    assert route["spec"]["parentRefs"][0]["sectionName"] == "https"
    rules = {one["name"]: one for one in route["spec"]["rules"]}
    assert rules["predictions"]["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert weights(rules["grpc"]["backendRefs"]) == {"m": 95, "m-2-g": 5}
    assert {one["port"] for one in rules["grpc"]["backendRefs"]} == {8500}
    assert rules["grpc-labels"]["backendRefs"] == [backend(port=8500)]


def test_labels_go_to_the_revision_that_serves_and_to_their_port() -> None:
    assert rules_of(routed().obj(), decided(routed()))["labels"]["backendRefs"] == [backend()]
    apart = routed().spec(serving={"feedbackPort": 9000})
    assert rules_of(apart.obj(), decided(apart))["labels"]["backendRefs"] == [backend(port=9000)]
    seen = Route(tuple(rules_of(apart.obj(), decided(apart)).values()), Acceptance.YES)
    back = routed(route=seen)
    assert rules_of(back.obj(), decided(back))["labels"]["backendRefs"] == [backend()], "the port was taken away again"


def test_a_candidate_that_is_not_ready_gets_nothing() -> None:
    for builder in (routed().ready("m-2", 0), routed().having(selected="m-3")):
        assert rules_of(builder.obj(), decided(routed()))["predictions"]["backendRefs"] == [backend()]


def test_what_others_add_to_the_route_is_left_alone() -> None:
    """They add rules, and filters to rules of the operator's; only where requests for the model go is its own."""
    ours = [dict(one) for one in route_of(routed().obj(), Decision("m-1"))["spec"]["rules"]]
    filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "a", "value": "b"}]}}]
    ours[1] |= {"filters": filters, "timeouts": {"request": "3s"}, "matches": []}
    theirs = rule(backend("shop"), matches=[{"path": {"type": "PathPrefix", "value": "/shop"}}], filters=filters)
    also = rule(backend(weight=200), backend("shop", 50), matches=[{"headers": [{"name": "x", "value": "y"}]}])
    builder = routed(route=Route((theirs, *ours, also), Acceptance.YES, version="11"))
    route = route_of(builder.obj(), decided(builder))
    assert route["metadata"]["resourceVersion"] == "11"
    first, _, predictions, last = route["spec"]["rules"]
    assert first == theirs
    assert (predictions["filters"], predictions["timeouts"]) == (filters, {"request": "3s"})
    assert predictions["matches"] != []
    assert last == also | {"backendRefs": [backend(weight=190), backend("m-2-g", 10), backend("shop", 50)]}
    settled = replace(builder, rest=builder.rest | {"route": Route(tuple(route["spec"]["rules"]), Acceptance.YES)})
    after = route_of(settled.obj(), Decision("m-1"))["spec"]["rules"]
    assert after == [theirs, ours[0], ours[1] | {"matches": predictions["matches"]}, also]


def test_each_revision_that_runs_has_a_service_for_gateways() -> None:
    builder = routed()
    made = {f"{one['kind']}/{one['metadata']['name']}": one for one in desired(builder.obj(), decided(builder), KEYS)}
    assert {"Service/m-1-g", "Service/m-2-g", "HTTPRoute/m"} <= made.keys()
    assert list(made).index("HTTPRoute/m") > list(made).index("Service/m")
    service = made["Service/m-2-g"]["spec"]
    assert (service["type"], service["selector"]["modelops.dev/revision"]) == ("ClusterIP", "m-2")
    assert {port["port"] for port in service["ports"]} == {8501, 8500}
    plain = builder.spec(route=None)
    assert not [name for name in (one["metadata"]["name"] for one in desired(plain.obj(), decided(plain), KEYS))
                if name.endswith("-g")]  # fmt: skip


# --- What the pods do meanwhile -------------------------------------------------------------------------------


def test_pods_pass_no_share_on_where_a_gateway_divides_the_requests() -> None:
    orders = rotation(routed().obj(), decided(routed()), {})
    assert {order.passing for order in (*orders.answer, *orders.forward)} == {ANSWERS_ITSELF}


def test_pods_go_on_sending_copies() -> None:
    shadow = routed().spec(rollout={"strategy": "Shadow", "hold": {"labels": 10}})
    orders = rotation(shadow.obj(), decided(shadow), {})
    assert {order.passing for order in orders.forward} == {Passing("m-2.team.svc:8501", 1.0, copy=True)}
    assert rules_of(shadow.obj(), decided(shadow))["predictions"]["backendRefs"] == [backend()]


# --- Steps ----------------------------------------------------------------------------------------------------


def test_a_step_counts_from_when_gateways_have_its_share() -> None:
    waiting = routed(route=sends(0)).remembers(rollout=at(1, None))
    rollout = decided(waiting, m_2=healthy(190, 10)).rollout
    assert rollout is not None
    assert (rollout.step, rollout.reached_since, rollout.labels_before) == (1, None, 0)
    begun = decided(routed(route=sends(5)).remembers(rollout=at(1, None)), m_2=healthy(190, 10)).rollout
    assert begun is not None
    assert (begun.step, begun.reached_since, begun.labels_before) == (1, ago(), 200)
    over = decided(routed(route=sends(5)).remembers(rollout=begun), m_2=healthy(290, 10)).rollout
    assert over is not None
    assert (over.step, over.weight, over.reached_since) == (2, 50, None)


@pytest.mark.parametrize("route", [None, sends(5), sends(50, acceptance=Acceptance.UNKNOWN), sends(49)])
def test_a_step_does_not_end_while_gateways_do_not_have_its_share(route: Route | None) -> None:
    late = decided(routed(route=route).remembers(rollout=at(2, 40)), m_2=healthy())
    assert (late.serving, late.weight) == ("m-1", 50)
    assert decided(routed(route=sends(50)).remembers(rollout=at(2, 40)), m_2=healthy()).serving == "m-2"


@pytest.mark.parametrize(("weights_of_mine", "reached"), [((95, 5), 5), ((0, 1), 100), ((1, 0), 0), ((94, 6), 6)])
def test_a_weight_is_reached_when_each_rule_has_it(weights_of_mine: tuple[int, int], reached: int) -> None:
    model, candidate = weights_of_mine
    mine = rule(backend(weight=model), backend("m-2-g", candidate), backend("other"), name="mine")
    builder = routed(route=Route((*sends(5).rules, mine), Acceptance.YES)).remembers(rollout=at(1, None))
    rollout = summarise(builder.obj(), {}, decided(builder)).rollout
    assert rollout is not None
    assert (rollout.reached, rollout.reached_since is not None) == (reached, reached == 5)


@pytest.mark.parametrize("kind", [Situation.NO_TRAFFIC, Situation.NO_LABELS])
@pytest.mark.parametrize(("minutes", "is_told"), [(None, False), (59, False), (60, True)])
def test_a_silence_counts_from_when_gateways_have_the_share(
    kind: Situation, minutes: int | None, *, is_told: bool
) -> None:
    long = {"noTraffic": {"after": "1h"}, "noLabels": {"after": "1h"}}
    activity = Activity(predictions=14, labels=0, predicted=ago(minutes=119), unlabelled=ago(minutes=118))
    refused = sends(5, acceptance=Acceptance.NO) if minutes is None else sends(5)
    builder = routed(route=refused).spec(policies=long).remembers(rollout=at(1, minutes))
    builder = builder.candidate("m-2", activity=activity).ready("m-2")
    predictions = 7 if kind is Situation.NO_TRAFFIC else 9
    read = {pod.uid: a_sample(pod.uid, predictions=predictions) for pod in builder.pods if pod.revision == "m-2"}
    found = decide(builder.having(samples=read).obj(), {"m-1": healthy(), "m-2": inconclusive(0, 0)}).situations
    assert [(one.situation, one.since) for one in found] == ([(kind, ago(hours=1))] if is_told else [])


def test_a_user_promotes_whatever_gateways_say() -> None:
    assert decided(routed(asked=Asked(promote="m-2")).remembers(rollout=at(1, None))).serving == "m-2"


def test_without_a_share_no_gateway_is_waited_for() -> None:
    beside = routed().spec(rollout={"strategy": "BlueGreen", "hold": {"duration": "30m"}})
    held = at(1, None, weight=0).model_copy(update={"strategy": Strategy.BLUE_GREEN})
    assert decided(beside.remembers(rollout=held), m_2=healthy()).serving == "m-2"


# --- Leaving --------------------------------------------------------------------------------------------------


def test_a_candidate_that_is_taken_back_goes_on_passing_on_what_gateways_still_send() -> None:
    builder = routed(route=sends(5)).remembers(rollout=at(1))
    decision = decided(builder, m_1=healthy(), m_2=degraded())
    assert decision.rejection
    assert (decision.candidate, decision.lingering) == (None, {"m-2"})
    orders = rotation(builder.obj(), decision, {})
    assert {(one.pod.revision, one.passing.to) for one in orders.forward} == {("m-2", "m-1.team.svc:8501")}
    status = summarise(builder.obj(), {"m-2": degraded()}, decision)
    (left,) = [one for one in status.revisions if one.name == "m-2"]
    assert (left.phase, left.serving_until) == (RevisionPhase.REJECTED, ago())
    later = replace(builder, status=status).having(route=sends(0))
    assert decided(later).lingering == {"m-2"}, "for a while after its route has changed"


def test_a_candidate_that_another_one_replaces_lingers_too() -> None:
    builder = routed(route=sends(5)).remembers(rollout=at(1)).asks_for("m-3").starting("m-3")
    decision = decided(builder)
    assert (decision.candidate, decision.lingering, decision.rollout) == ("m-3", {"m-2"}, None)
    assert rules_of(builder.obj(), decision)["predictions"]["backendRefs"] == [backend()]
    (left,) = [one for one in summarise(builder.obj(), {}, decision).revisions if one.name == "m-2"]
    assert left.serving_until == ago()


def test_a_revision_lingers_as_long_as_the_route_leads_to_it() -> None:
    """Its route could not be written, or somebody else has written an old one again."""
    builder = routed(route=sends(5)).asks_for("m-1").rejected("m-2").ready("m-2")
    assert decided(builder).lingering == {"m-2"}
    gone = an_observation(route={"parentRefs": [GATEWAY]}).serving("m-1").ready("m-1").having(route=sends(5))
    assert decided(gone).lingering == frozenset(), "nothing is known of it"


def test_on_a_switch_the_time_is_that_of_the_revision_that_served() -> None:
    builder = routed(route=sends(50)).remembers(rollout=at(2, 40))
    decision = decided(builder, m_2=healthy())
    status = summarise(builder.obj(), {"m-2": healthy()}, decision)
    until = {one.name: one.serving_until for one in status.revisions}
    assert (decision.serving, until) == ("m-2", {"m-1": ago(), "m-2": None})


# --- What is told ---------------------------------------------------------------------------------------------


def told(builder: ObservationBuilder, problem: Problem | None = None) -> dict[ConditionType, tuple[Any, ...]]:
    decision = decided(builder)
    status = summarise(builder.obj(), {}, decision, None, {HTTP_ROUTE: problem} if problem else {})
    return {one.type: (one.status, one.reason, one.message) for one in status.conditions}


@pytest.mark.parametrize(
    ("builder", "status", "reason", "word", "ready"),
    [
        (routed(route=sends(5)), "True", Reason.ROUTE_ACCEPTED, "5% of them to m-2", Reason.ROLLING_OUT),
        (routed(), "Unknown", Reason.ROUTE_NOT_SEEN, "is made when", Reason.ROLLING_OUT),
        (
            routed(route=sends(5, acceptance=Acceptance.UNKNOWN, words="no word")),
            *("Unknown", Reason.ROUTE_NOT_SEEN, "no word", Reason.ROLLING_OUT),
        ),
        (
            routed(route=sends(5, acceptance=Acceptance.NO, words="NotAllowed")),
            *("False", Reason.ROUTE_NOT_ACCEPTED, "NotAllowed", Reason.ROUTE_NOT_ACCEPTED),
        ),
        (
            routed(route=beside(30, 5)),
            *("False", Reason.WEIGHT_NOT_EXACT, "gets 3% in place of 5%", Reason.WEIGHT_NOT_EXACT),
        ),
        (
            routed(route=beside(1, 5)),
            *("False", Reason.WEIGHT_NOT_EXACT, "gets 0% in place of 5%", Reason.WEIGHT_NOT_EXACT),
        ),
        (
            replace(routed(), rest={"selected": "m-1", "knows": frozenset(OPTIONAL) - {HTTP_ROUTE}}),
            *("False", Reason.NO_HTTP_ROUTE_KIND, "install the Gateway API", Reason.NO_HTTP_ROUTE_KIND),
        ),
    ],
)
def test_why_requests_may_not_come_is_told_and_what_a_rollout_waits_for(
    builder: ObservationBuilder, status: str, reason: Reason, word: str, ready: Reason
) -> None:
    found = told(builder.remembers(rollout=at(1)))
    assert found[ConditionType.ROUTED][:2] == (ConditionStatus(status), reason)
    assert word in found[ConditionType.ROUTED][2]
    assert found[ConditionType.READY][1] is ready
    assert (ConditionType.STALLED in found) is (ready is not Reason.ROLLING_OUT)
    assert found[ConditionType.AVAILABLE][0] is ConditionStatus.TRUE


def test_a_weight_that_is_not_written_yet_is_not_said_to_be_impossible() -> None:
    for builder in (routed(route=sends(0)), routed(route=sends(0)).ready("m-2", 0), routed(route=sends(3))):
        assert told(builder.remembers(rollout=at(1)))[ConditionType.ROUTED][1] is Reason.ROUTE_ACCEPTED


def test_a_route_that_is_refused_stalls_nothing_that_serves() -> None:
    problem = Problem(Reason.APPLY_REFUSED, "the cluster refuses HTTPRoute m")
    found = told(routed().asks_for("m-1"), problem)
    assert found[ConditionType.ROUTED][1:] == (Reason.APPLY_REFUSED, problem.message)
    assert found[ConditionType.READY][0] is ConditionStatus.TRUE
    assert ConditionType.STALLED not in found
    assert ConditionType.ROUTED not in told(routed().spec(route=None))


def test_the_share_that_is_reached_is_what_gateways_say() -> None:
    for route, share_of_it in ((sends(5), 5), (sends(5, acceptance=Acceptance.UNKNOWN), None)):
        builder = routed(route=route).remembers(rollout=at(1))
        rollout = summarise(builder.obj(), {}, decided(builder)).rollout
        assert rollout is not None
        assert rollout.reached == share_of_it


def test_what_is_written_is_plain_json() -> None:
    wanted = Wanted.parse({"parentRefs": [GATEWAY], "hostnames": ["*.example.org"]})
    assert json.dumps(build_http_route(routed().obj(), Decision("m-1"), wanted))
