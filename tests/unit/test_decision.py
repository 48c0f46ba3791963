"""What is decided: first deployments, promotions, rollbacks, and what holds each of them back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from modeldeployment_operator.api.status import CriterionKind, Rejection, RevisionPhase, Verdict
from modeldeployment_operator.core.decision import (
    LINGER,
    Decision,
    decide,
    lingers_until,
)
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Asked, StoredRevision
from modeldeployment_operator.core.rejection import latched_rejection
from modeldeployment_operator.core.standing import probation_ends
from modeldeployment_operator.core.status import recover

from tests.support.observations import (
    NOW,
    ObservationBuilder,
    a_rejection,
    a_revision,
    a_template,
    ago,
    an_observation,
    degraded,
    healthy,
    inconclusive,
)

NEW = an_observation()
SERVES = NEW.serving("m-1").ready("m-1")
"""m-1 serves, and is all that was ever asked for."""
SUCCESSOR = SERVES.asks_for("m-2")
"""m-1 serves, and m-2 is asked for."""
PROBATION = NEW.standby("m-1").ready("m-1").serving("m-2").ready("m-2").asks_for("m-2")
"""m-2 took over from m-1 an hour ago, and m-1 stands by."""
RELEASED = PROBATION.serving("m-2", serving_since=ago(days=2))
"""m-2 has outlasted its probation: m-1 need not run any more."""
ROLLED_BACK = NEW.rejected("m-2").serving("m-1").ready("m-1").asks_for("m-2")
"""m-1 serves, because m-2 was taken back."""
BAD = {"m-2": degraded()}

CASES: dict[str, tuple[ObservationBuilder, dict[str, Judged], Decision]] = {
    # First deployment
    "the first revision is started": (NEW, {}, Decision(None, candidate="m-1")),
    "the first revision waits for all its pods": (NEW.ready("m-1", 1), {}, Decision(None, candidate="m-1")),
    "the first revision serves when all are ready": (NEW.ready("m-1"), {}, Decision("m-1", switched=True)),
    "a first revision that is replaced before it was ready": (
        NEW.candidate("m-1").starting("m-1").asks_for("m-2"),
        {},
        Decision(None, candidate="m-2"),
    ),
    "nothing is started while paused": (NEW.paused(), {}, Decision(None)),
    "what was started before the pause goes on starting": (
        NEW.candidate("m-1").starting("m-1").paused(),
        {},
        Decision(None, candidate="m-1"),
    ),
    "a rejected revision is not the first": (NEW.rejected("m-1").ready("m-1"), {}, Decision(None)),
    "no pods, no wait": (
        NEW.spec(replicas=0).ready("m-1", 0, of=0),
        {},
        Decision("m-1", switched=True),
    ),
    # Promotion
    "all is as it should be": (SERVES, {"m-1": healthy()}, Decision("m-1")),
    "a candidate is started": (SUCCESSOR, {}, Decision("m-1", candidate="m-2")),
    "a candidate waits for all its pods": (SUCCESSOR.ready("m-2", 1), {}, Decision("m-1", candidate="m-2")),
    "a candidate waits until its Deployment has settled": (
        SUCCESSOR.ready("m-2", settled=False),
        {},
        Decision("m-1", candidate="m-2"),
    ),
    "a candidate waits for as many pods as are asked for now": (
        SUCCESSOR.spec(replicas=3).ready("m-2"),
        {},
        Decision("m-1", candidate="m-2"),
    ),
    "a candidate takes over": (
        SUCCESSOR.ready("m-2"),
        {},
        Decision("m-2", standby="m-1", standby_runs=True, lingering=frozenset({"m-1"}), switched=True),
    ),
    "without a judgement no standby is kept running": (
        SUCCESSOR.spec(accuracy=None).ready("m-2"),
        {},
        Decision("m-2", standby="m-1", lingering=frozenset({"m-1"}), switched=True),
    ),
    "without rollback no standby is kept running": (
        SUCCESSOR.spec(policies={"degraded": {"action": "Alert"}}).ready("m-2"),
        {},
        Decision("m-2", standby="m-1", lingering=frozenset({"m-1"}), switched=True),
    ),
    "no promotion while paused": (SUCCESSOR.ready("m-2").paused(), {}, Decision("m-1")),
    "a candidate from before the pause is kept, and not promoted": (
        SUCCESSOR.candidate("m-2").ready("m-2").paused(),
        {},
        Decision("m-1", candidate="m-2"),
    ),
    "pods that go away take no traffic away": (SERVES.ready("m-1", 0), {}, Decision("m-1")),
    "scaled to zero, it still is the one that serves": (
        SERVES.spec(replicas=0).ready("m-1", 0, of=0),
        {},
        Decision("m-1"),
    ),
    # Probation
    "on probation the standby runs": (PROBATION, {}, Decision("m-2", standby="m-1", standby_runs=True)),
    "after probation it is remembered only": (RELEASED, {}, Decision("m-2", standby="m-1")),
    "at the very end of probation it is released": (
        PROBATION.serving("m-2", serving_since=ago(days=1)),
        {},
        Decision("m-2", standby="m-1"),
    ),
    "the user goes back to the standby": (
        PROBATION.asks_for("m-1"),
        {"m-2": inconclusive()},
        Decision("m-1", lingering=frozenset({"m-2"}), switched=True),
    ),
    "the user goes back to the standby from a good revision": (
        PROBATION.asks_for("m-1"),
        {"m-2": healthy()},
        Decision("m-1", standby="m-2", standby_runs=True, lingering=frozenset({"m-2"}), switched=True),
    ),
    "the user goes back to a standby that was released": (
        RELEASED.asks_for("m-1").starting("m-1"),
        {},
        Decision("m-2", candidate="m-1", standby="m-1"),
    ),
    # Lingering
    "who gave the traffic away lingers": (
        SERVES.revision("m-0", RevisionPhase.RETIRED, serving_until=ago(seconds=89)),
        {},
        Decision("m-1", lingering=frozenset({"m-0"})),
    ),
    "and then stops": (
        SERVES.revision("m-0", RevisionPhase.RETIRED, serving_until=ago(seconds=90)),
        {},
        Decision("m-1"),
    ),
    "who has the traffic again does not linger": (
        SERVES.serving("m-1", serving_until=ago(seconds=5)),
        {},
        Decision("m-1"),
    ),
    "what is not stored cannot linger": (
        SERVES.remembers(
            revisions=[*SERVES.status.revisions, a_revision("m-0", serving_until=ago(seconds=5))],
        ),
        {},
        Decision("m-1"),
    ),
    # No rollback
    "inconclusive is no reason": (
        PROBATION,
        {"m-2": inconclusive()},
        Decision("m-2", standby="m-1", standby_runs=True),
    ),
    "unavailable is no reason": (
        PROBATION,
        {"m-2": replace(inconclusive(), verdict=Verdict.UNAVAILABLE)},
        Decision("m-2", standby="m-1", standby_runs=True),
    ),
    "rollback disabled": (
        PROBATION.spec(policies={"degraded": {"action": "Alert"}}),
        BAD,
        Decision("m-2", standby="m-1"),
    ),
    "rollback paused": (PROBATION.paused(), BAD, Decision("m-2", standby="m-1", standby_runs=True)),
    "no target": (SERVES, {"m-1": degraded()}, Decision("m-1")),
    "a target that was rejected": (PROBATION.rejected("m-1"), BAD, Decision("m-2")),
    "a target whose record is gone": (
        NEW.serving("m-2").ready("m-2").asks_for("m-2").remembers(standby_revision="m-1"),
        BAD,
        Decision("m-2"),
    ),
    "both fell: the world has changed": (PROBATION, BAD | {"m-1": degraded()}, Decision("m-2")),
    "a degraded standby is none": (PROBATION, {"m-1": degraded()}, Decision("m-2")),
    "a standby that was released is started again": (
        RELEASED.ready("m-1", 0, of=0),
        BAD,
        Decision("m-2", standby="m-1", standby_runs=True, returning=True),
    ),
    "a standby that has lost its pods is waited for": (
        PROBATION.ready("m-1", 0),
        BAD,
        Decision("m-2", standby="m-1", standby_runs=True, returning=True),
    ),
    "a standby that was scaled to zero is waited for": (
        PROBATION.spec(replicas=0).ready("m-1", 0, of=0),
        BAD,
        Decision("m-2", standby="m-1", standby_runs=True, returning=True),
    ),
    "a ready candidate need not wait for a standby that does not come back": (
        RELEASED.starting("m-1").asks_for("m-3").ready("m-3"),
        BAD,
        Decision("m-3", standby="m-1", standby_runs=True, lingering=frozenset({"m-2"}), switched=True),
    ),
    # After a rollback
    "a rejected revision stays out": (ROLLED_BACK.ready("m-2"), {}, Decision("m-1")),
    "a retry starts it once more": (ROLLED_BACK.having(asked=Asked(retry="1")), {}, Decision("m-1", candidate="m-2")),
    "a retry that was answered already does not": (
        NEW.rejected("m-2", retry="1").serving("m-1").ready("m-1").asks_for("m-2").having(asked=Asked(retry="1")),
        {},
        Decision("m-1"),
    ),
    "a retry while paused waits": (ROLLED_BACK.having(asked=Asked(retry="1")).paused(), {}, Decision("m-1")),
    "a retry that is taken back during a pause": (
        ROLLED_BACK.remembers(candidate_revision="m-2").paused(),
        {},
        Decision("m-1"),
    ),
    "another revision is another matter": (ROLLED_BACK.asks_for("m-3"), {}, Decision("m-1", candidate="m-3")),
    # Lost status
    "the Service tells who serves": (
        NEW.knows("m-1", "m-2").ready("m-1").having(selected="m-1").asks_for("m-2"),
        {},
        Decision("m-1", candidate="m-2"),
    ),
    "a Service that selects nothing known tells nothing": (
        NEW.having(selected="m-0"),
        {},
        Decision(None, candidate="m-1"),
    ),
    "the status goes before the Service": (SERVES.knows("m-0").having(selected="m-0"), {}, Decision("m-1")),
    "a record that was deleted, of the revision that serves and is asked for, is made anew and is no switch": (
        NEW.remembers(serving_revision="m-1", revisions=SERVES.status.revisions).unrecorded("m-1"),
        {},
        Decision("m-1"),
    ),
}


@pytest.mark.parametrize(("builder", "judged", "expected"), CASES.values(), ids=CASES)
def test_decide(builder: ObservationBuilder, judged: dict[str, Judged], expected: Decision) -> None:
    assert replace(decide(builder.obj(), judged), situations=()) == expected


def test_a_degraded_revision_gives_the_traffic_back() -> None:
    decision = decide(PROBATION.having(asked=Asked(retry="7")).obj(), BAD)

    assert (decision.serving, decision.switched) == ("m-1", True)
    assert decision.candidate is None
    assert decision.standby is None, "the last good one serves, and there is none behind it"
    assert decision.lingering == {"m-2"}
    assert decision.running == {"m-1", "m-2"}
    rejection = decision.rejection
    assert rejection is not None
    low, high = degraded().interval
    assert rejection == Rejection(
        revision="m-2",
        model_uri="https://models/m-2.keras",
        time="2026-01-02T12:00:00.000Z",
        criterion=CriterionKind.MINIMUM,
        metric="accuracy",
        level="0.9000",
        estimate="0.7000",
        lower=f"{low:.4f}",
        upper=f"{high:.4f}",
        labels=100,
        wrong=30,
        log_e="6.000",
        alpha="0.01",
        serving_since=ago(hours=1),
        rolled_back_to="m-1",
        retry="7",
    )


def test_a_rollback_starts_what_is_asked_for_by_now() -> None:
    decision = decide(PROBATION.asks_for("m-3").obj(), BAD)

    assert (decision.serving, decision.candidate) == ("m-1", "m-3")


def test_the_user_reverts_to_the_standby_when_the_revision_is_proven_worse() -> None:
    decision = decide(PROBATION.asks_for("m-1").obj(), BAD)

    assert decision.serving == "m-1"
    assert decision.rejection is not None


@pytest.mark.parametrize(
    ("replicas", "ready", "enough"),
    [
        (1, 0, False),
        (1, 1, True),
        (2, 1, False),
        (3, 2, False),
        (4, 2, False),
        (4, 3, True),
        (8, 6, True),
        (8, 5, False),
    ],
)
def test_a_quarter_of_the_pods_may_be_missing_to_take_the_traffic_back(replicas: int, ready: int, enough: bool) -> None:
    decision = decide(PROBATION.spec(replicas=replicas).ready("m-1", ready, of=replicas).obj(), BAD)

    assert decision.serving == ("m-1" if enough else "m-2")
    assert decision.returning is not enough


THREE = PROBATION.asks_for("m-3").ready("m-3")
LATE = THREE.serving("m-2", serving_since=ago(days=2))


@pytest.mark.parametrize(
    ("builder", "judged", "last_good"),
    [
        pytest.param(THREE, {"m-2": inconclusive()}, "m-1", id="unproven: what was before it stays"),
        pytest.param(THREE, {"m-2": healthy()}, "m-2", id="proven by its labels"),
        pytest.param(
            THREE,
            {"m-2": replace(healthy(), verdict=Verdict.UNAVAILABLE, before=Verdict.HEALTHY)},
            "m-2",
            id="proven by its labels before they could not be read",
        ),
        pytest.param(LATE, {}, "m-2", id="proven by outlasting its probation"),
        pytest.param(
            LATE.spec(policies={"degraded": {"action": "Alert"}}), BAD, "m-1", id="worse, whatever else it is"
        ),
        pytest.param(
            SERVES.asks_for("m-3").ready("m-3"), {"m-1": inconclusive()}, "m-1", id="unproven, but there is no other"
        ),
        pytest.param(SERVES.asks_for("m-3").ready("m-3"), {"m-1": degraded()}, None, id="worse, and there is no other"),
        pytest.param(
            PROBATION.asks_for("m-1").spec(policies={"degraded": {"action": "Alert"}}),
            BAD,
            None,
            id="back to the standby itself",
        ),
    ],
)
def test_the_last_good_revision(builder: ObservationBuilder, judged: dict[str, Judged], last_good: str | None) -> None:
    decision = decide(builder.obj(), judged)

    assert decision.switched
    assert decision.standby == last_good


def test_a_revision_that_gave_way_twice_in_a_minute_leaves_both_lingering() -> None:
    builder = SERVES.revision("m-0", RevisionPhase.RETIRED, serving_until=ago(seconds=30)).asks_for("m-2").ready("m-2")

    assert decide(builder.obj(), {}).lingering == {"m-0", "m-1"}


def test_a_latch_holds_for_what_is_not_asked_for_whatever_the_retry_says() -> None:
    """The annotation asks for another try of what the spec asks for, and of nothing else."""
    observation = ROLLED_BACK.rejected("m-3").having(asked=Asked(retry="1")).obj()

    assert latched_rejection(observation, "m-2") is None
    assert latched_rejection(observation, "m-3") is not None
    assert latched_rejection(observation, "m-1") is None


def test_a_rejection_is_recovered_from_its_record() -> None:
    stored = {"m-2": StoredRevision(2, a_template("m-2"), a_rejection("m-2"))}
    builder = NEW.ready("m-1").ready("m-2").asks_for("m-2").having(selected="m-1")
    lost = builder.obj()
    status = recover(lost.status, lost.stored | stored)
    observation = builder.remembers(rejections=status.rejections).obj()

    assert decide(observation, {}) == Decision("m-1")
    assert recover(status, stored) is status, "nothing is lost a second time"


def test_times() -> None:
    observation = PROBATION.obj()

    assert probation_ends(observation) == NOW + timedelta(hours=23)
    assert probation_ends(NEW.obj()) is None
    assert lingers_until(a_revision("m-1")) is None
    assert lingers_until(a_revision("m-1", serving_until=ago(seconds=0))) == NOW + LINGER
