"""Which pods are told to answer themselves, and which to pass requests on."""

from __future__ import annotations

from dataclasses import replace

from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.status import RolloutStatus
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.passing import ANSWERS_ITSELF, Passing
from modeldeployment_operator.core.traffic import Order, may_move, reached, rotation

from tests.support.observations import ObservationBuilder, a_pod, ago, an_observation

OLD, NEW, NEXT = a_pod("m-1"), a_pod("m-2"), a_pod("m-3")
TARGET = Passing("m-2.team.svc:8501")
SERVES = Decision("m-2", candidate="m-3", standby="m-1", standby_runs=True)
SWITCHES = Decision("m-2", standby="m-1", standby_runs=True, switched=True)
PODS: ObservationBuilder = replace(an_observation(), pods=(OLD, NEW, NEXT))
RIGHT = {OLD.uid: TARGET, NEW.uid: ANSWERS_ITSELF, NEXT.uid: ANSWERS_ITSELF}


def test_whoever_does_not_serve_passes_requests_on() -> None:
    orders = rotation(PODS.obj(), SERVES, {})

    assert orders.forward == (Order(OLD, TARGET),)


def test_who_knows_is_not_told_again() -> None:
    orders = rotation(PODS.obj(), SERVES, RIGHT)

    assert (orders.answer, orders.forward) == ((), ())


def test_who_takes_the_traffic_is_told_unless_it_is_known_to_answer() -> None:
    assert rotation(PODS.obj(), SWITCHES, {}).answer == (Order(NEW, ANSWERS_ITSELF),)
    assert rotation(PODS.obj(), SWITCHES, RIGHT).answer == ()
    assert rotation(PODS.obj(), SERVES, RIGHT | {NEW.uid: Passing("m-1.team.svc:8501")}).answer == (
        Order(NEW, ANSWERS_ITSELF),
    )


def test_a_candidate_that_was_taken_back_before_answers_itself_again() -> None:
    assert rotation(PODS.obj(), SERVES, RIGHT | {NEXT.uid: TARGET}).answer == (Order(NEXT, ANSWERS_ITSELF),)


def test_another_target_is_another_order() -> None:
    orders = rotation(PODS.obj(), SERVES, RIGHT | {OLD.uid: Passing("m-3.team.svc:8501")})

    assert orders.forward == (Order(OLD, TARGET),)


def test_a_pod_that_is_not_known_is_told() -> None:
    """Its order failed, or its container started anew."""
    assert rotation(PODS.obj(), SERVES, {OLD.uid: TARGET, NEXT.uid: ANSWERS_ITSELF}).answer == (
        Order(NEW, ANSWERS_ITSELF),
    )
    assert rotation(PODS.obj(), SERVES, {NEW.uid: ANSWERS_ITSELF, NEXT.uid: ANSWERS_ITSELF}).forward == (
        Order(OLD, TARGET),
    )


def test_the_traffic_moves_when_a_pod_is_known_to_answer() -> None:
    """A pod of the last good revision that still passes requests on would send them back to the bad one."""
    selecting = PODS.having(selected="m-1")
    assert not may_move(selecting.obj(), SWITCHES, {})
    assert not may_move(selecting.obj(), SWITCHES, {NEW.uid: Passing("m-1.team.svc:8501")})
    assert may_move(selecting.obj(), SWITCHES, {NEW.uid: ANSWERS_ITSELF})
    assert may_move(PODS.having(selected="m-2").obj(), SWITCHES, {}), "it is there already"
    assert may_move(replace(selecting, pods=(OLD,)).obj(), SWITCHES, {}), "it is scaled to nothing"


def test_a_pod_that_cannot_listen_is_not_told() -> None:
    deaf = (a_pod("m-1", ip=None), a_pod("m-1", 1, running=False))

    assert rotation(replace(PODS, pods=deaf).obj(), SERVES, {}).forward == ()


def test_a_pod_that_is_not_ready_is_told_all_the_same() -> None:
    leaving = a_pod("m-1", ready=False)

    assert rotation(replace(PODS, pods=(leaving,)).obj(), SERVES, {}).forward == (Order(leaving, TARGET),)


def test_a_pod_that_passes_a_share_on_or_sends_copies_is_not_one_that_answers_itself() -> None:
    for passing in (Passing("m-3.team.svc:8501", 0.1), Passing("m-3.team.svc:8501", 1.0, copy=True)):
        assert rotation(PODS.obj(), SERVES, RIGHT | {NEW.uid: passing}).answer == (Order(NEW, ANSWERS_ITSELF),)


def test_before_anything_serves_there_are_no_orders() -> None:
    orders = rotation(PODS.obj(), Decision(None, candidate="m-1"), {})

    assert (orders.answer, orders.forward) == ((), ())


CANARY = Decision(
    "m-2",
    candidate="m-3",
    rollout=RolloutStatus(revision="m-3", strategy=Strategy.CANARY, since=ago(), weight=5),
)
SHARE = Passing("m-3.team.svc:8501", 0.05)
TWO: ObservationBuilder = replace(an_observation().having(selected="m-2"), pods=(NEW, NEXT))


def test_the_candidate_answers_before_it_is_passed_its_share() -> None:
    orders = rotation(TWO.obj(), CANARY, {})

    assert orders.answer == (Order(NEXT, ANSWERS_ITSELF),)
    assert orders.forward == (Order(NEW, SHARE),)


def test_no_share_for_a_candidate_without_a_pod_that_is_ready() -> None:
    starting = replace(TWO, pods=(NEW, replace(NEXT, ready=False)))

    assert rotation(starting.obj(), CANARY, {NEW.uid: SHARE}).answer == (Order(NEW, ANSWERS_ITSELF),)


def test_no_share_while_the_traffic_moves() -> None:
    """Who takes the traffic back must be known to answer itself before anything else."""
    assert rotation(TWO.having(selected="m-1").obj(), CANARY, {}).answer == (
        Order(NEW, ANSWERS_ITSELF),
        Order(NEXT, ANSWERS_ITSELF),
    )


def test_a_candidate_that_is_given_up_gets_nothing_before_it_passes_on_what_it_gets() -> None:
    orders = rotation(TWO.obj(), Decision("m-2"), {NEW.uid: SHARE, NEXT.uid: ANSWERS_ITSELF})

    assert orders.answer == (Order(NEW, ANSWERS_ITSELF),)
    assert orders.forward == (Order(NEXT, TARGET),)


def test_copies() -> None:
    rollout = RolloutStatus(revision="m-3", strategy=Strategy.SHADOW, since=ago(), copies=True)
    orders = rotation(TWO.obj(), replace(CANARY, rollout=rollout), {})

    assert orders.forward == (Order(NEW, Passing("m-3.team.svc:8501", 1.0, copy=True)),)


def test_the_share_that_is_reached_is_what_the_pods_say() -> None:
    other = a_pod("m-2", 1)
    both = replace(TWO, pods=(NEW, other, NEXT))

    assert reached(both.obj(), CANARY) is None
    assert reached(both.having(told={NEW.uid: SHARE}).obj(), CANARY) is None
    assert reached(both.having(told={NEW.uid: SHARE, other.uid: ANSWERS_ITSELF}).obj(), CANARY) == 2
    assert reached(both.having(told={NEW.uid: SHARE, other.uid: SHARE}).obj(), CANARY) == 5
    assert reached(both.having(told={NEW.uid: SHARE, other.uid: SHARE}).obj(), SERVES) is None
