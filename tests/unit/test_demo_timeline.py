"""The demo's figures, promises and sentences, from records and objects made here."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.demo import timeline
from tests.demo.narration import changes
from tests.demo.operator_install import image_fields, overlay
from tests.demo.progress import evidence_in, progress_line
from tests.demo.records import Connections, Kind, Record, read_line, write_line
from tests.demo.target import Target
from tests.demo.timeline import Facts, Goal, Seen

T0 = 1_700_000_000.0
GOOD, BAD = "news-1", "news-2"
SPEC = {"model": {"uri": "http://store/2"}}
REJECTION = {
    "revision": BAD,
    "time": "2023-11-14T22:15:00.250Z",
    "metric": "accuracy",
    "level": "0.9000",
    "estimate": "0.6000",
    "lower": "0.3545",
    "upper": "0.8148",
    "labels": 55,
    "wrong": 22,
    "logE": "14.100",
    "alpha": "0.01",
    "rolledBackTo": GOOD,
}
DECIDED = T0 + 100.25


def prediction(done: float, revision: str, kind: Connections = Connections.FRESH, status: int = 200) -> Record:
    return Record(Kind.PREDICTION, kind, sent=done - 0.01, done=done, status=status, revision=revision, right=True)


def label(done: float, revision: str, *, right: bool = True, status: int = 200) -> Record:
    kind = Connections.FRESH
    return Record(Kind.LABEL, kind, sent=done - 0.01, done=done, status=status, revision=revision, right=right)


def document(**changed: Any) -> dict[str, Any]:
    managed = [
        {"manager": "kubectl-client-side-apply", "fieldsV1": {"f:spec": {"f:model": {}}}},
        {"manager": timeline.MANAGER, "subresource": "status", "fieldsV1": {"f:status": {}}},
    ]
    whole: dict[str, Any] = {
        "metadata": {"generation": 2, "managedFields": managed},
        "spec": SPEC,
        "status": {"servingRevision": GOOD, "rejections": [REJECTION]},
    }
    return whole | changed


RECORDS = [
    prediction(T0 + 20, GOOD),
    prediction(T0 + 21, GOOD, Connections.KEPT),
    prediction(T0 + 90, BAD),
    prediction(T0 + 91, BAD, Connections.KEPT),
    label(T0 + 92, BAD, right=False),
    prediction(DECIDED + 0.2, BAD),
    prediction(DECIDED + 0.5, BAD, Connections.KEPT),
    prediction(DECIDED + 0.4, GOOD),
    prediction(DECIDED + 0.7, GOOD),
    prediction(DECIDED + 0.8, GOOD, Connections.KEPT),
]


def facts(**changed: Any) -> Facts:
    usual = Facts(
        began=T0,
        applied=T0 + 10,
        ready=T0 + 19,
        good=GOOD,
        bad_applied=T0 + 60,
        bad=BAD,
        user_generation=2,
        user_spec=SPEC,
        after=document(),
        records=RECORDS,
        ended=T0 + 120,
        warm=True,
    )
    return dataclasses.replace(usual, **changed)


def broken(case: Facts) -> list[str]:
    return [goal.name for goal in timeline.goals(case) if not goal.met]


def test_a_good_story_keeps_every_promise() -> None:
    assert broken(facts()) == []


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"records": [*RECORDS, prediction(DECIDED + 1, "", status=503)]}, "failed requests"),
        ({"records": [*RECORDS, label(DECIDED + 1, BAD, status=404)]}, "failed requests"),
        ({"records": [*RECORDS, prediction(DECIDED + 1, "", status=0)]}, "failed requests"),
        ({"after": document(metadata={"generation": 3})}, "generation after the rollback"),
        ({"after": document(spec={"model": {"uri": "http://store/1"}})}, "spec after the rollback"),
        ({"ended": T0 + 241}, "seconds in all, warm"),
        ({"ended": T0 + 1501, "warm": False}, "seconds in all, cold"),
    ],
)
def test_a_broken_promise_is_told(changed: dict[str, Any], name: str) -> None:
    assert broken(facts(**changed)) == [name]


SEEN = Seen(
    labels={BAD: 1},
    judged={GOOD: 0},
    alerts=("ModelRolledBack",),
    unanswered=0,
    prometheus="http://p",
    alertmanager="http://a",
)


def test_what_prometheus_saw_is_promised_too() -> None:
    assert broken(facts(seen=SEEN)) == []


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"labels": {BAD: 2}}, "labels by revision in Prometheus"),
        ({"labels": {}}, "labels by revision in Prometheus"),
        ({"judged": {GOOD: 1}}, "labels judged, from the pods and then from Prometheus"),
        ({"alerts": ()}, "alerts"),
        ({"unanswered": 1}, "queries of the dashboards without an answer"),
    ],
)
def test_what_prometheus_did_not_see_is_told(changed: dict[str, Any], name: str) -> None:
    assert broken(facts(seen=dataclasses.replace(SEEN, **changed))) == [name]


def test_a_late_answer_of_the_bad_revision_breaks_the_promise() -> None:
    late = [
        *RECORDS,
        prediction(DECIDED + 3.0, BAD, Connections.KEPT),
        prediction(DECIDED + 3.1, GOOD, Connections.KEPT),
    ]
    assert timeline.seconds_to_safety(facts(records=late)) == pytest.approx(3.0, abs=1e-5)
    assert broken(facts(records=late)) == ["seconds from the deciding sample to the last answer of the bad revision"]


def test_kept_connections_that_never_come_back_break_the_promise() -> None:
    stuck = [record for record in RECORDS if record.done < DECIDED + 0.8]
    assert broken(facts(records=stuck)) == ["answers of the bad, then of the good revision, on kept connections"]


def test_no_rollback_breaks_its_promises() -> None:
    after = document(status={"servingRevision": BAD})
    assert timeline.seconds_to_safety(facts(after=after)) is None
    assert broken(facts(after=after)) == [
        "revision that serves in the end",
        "seconds from the deciding sample to the last answer of the bad revision",
    ]
    assert [moment.name for moment in timeline.moments(facts(after=after))][-1] == "degraded since"


def test_safety_is_told_by_kind_of_connection() -> None:
    assert timeline.seconds_to_safety(facts(), Connections.FRESH) == pytest.approx(0.2, abs=1e-5)
    assert timeline.seconds_to_safety(facts(), Connections.KEPT) == pytest.approx(0.5, abs=1e-5)


def test_safety_is_no_time_at_all_if_the_bad_revision_was_silent() -> None:
    silent = [record for record in RECORDS if record.done < DECIDED or record.revision == GOOD]
    assert timeline.seconds_to_safety(facts(records=silent)) == 0.0


def test_a_spec_field_of_the_operator_is_found() -> None:
    own = {"manager": timeline.MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}, "f:model": {}}}}
    after = document(metadata={"generation": 2, "managedFields": [own]})
    assert timeline.spec_fields_owned_by(timeline.MANAGER, after) == ["spec.replicas", "spec.model"]
    assert broken(facts(after=after)) == ["spec fields that the operator owns"]


def test_the_timeline_is_in_order_and_has_every_moment() -> None:
    moments = timeline.moments(facts())
    assert [moment.name for moment in moments] == [
        "applied",
        "deployed",
        "first prediction",
        "worse model",
        "degraded since",
        "verdict",
        "traffic back",
    ]
    assert moments == sorted(moments, key=lambda moment: moment.time)


def test_the_timeline_reads_well() -> None:
    lines = timeline.render(facts())
    assert lines[1] == "  22:13:39.000  +  19.0 s  deployed          news-1 is Ready, 9.0 s after it was applied"
    assert "accuracy 0.6000 [0.3545, 0.8148] from 55 labels, 22 of them wrong" in lines[-3]
    assert "0.50 s after the deciding sample" in lines[-2]
    assert lines[-1] == "  failed requests: 0  (of 9 predictions and 1 labels)"


def test_promises_read_well() -> None:
    lines = timeline.render_goals([Goal("failed requests", 0, "0", True), Goal("seconds", 9.0, "< 3", False)])
    assert lines == ["  kept    failed requests: 0 (promised: 0)", "  BROKEN  seconds: 9.0 (promised: < 3)"]


def test_the_report_has_the_figures() -> None:
    report = timeline.report(facts(records=[*RECORDS, prediction(DECIDED + 2, "", status=0)]))
    assert report["requests"] == {"prediction": {"sent": 10, "failed": 1}, "label": {"sent": 1, "failed": 0}}
    assert report["answers"] == {GOOD: 5, BAD: 4}
    assert report["seconds_to_safety"] == {"new connections": 0.2, "kept connections": 0.5}
    assert report["latency_seconds"]["max"] == 0.01
    assert report["errors"] == {"prediction 0 ": 1}
    assert [goal["name"] for goal in report["goals"] if not goal["met"]] == ["failed requests"]


def test_quantiles_are_values_that_occurred() -> None:
    assert timeline.latencies([]) == {}
    assert timeline.latencies([4.0, 1.0, 3.0, 2.0]) == {"p50": 2.0, "p90": 4.0, "p99": 4.0, "max": 4.0}


def test_records_survive_their_line() -> None:
    record = label(T0, BAD, right=False)
    numbered = read_line(write_line(7, record))
    assert numbered is not None
    assert (numbered.number, numbered.record) == (7, record)


def test_the_last_line_is_known() -> None:
    numbered = read_line(write_line(8, None))
    assert numbered is not None
    assert (numbered.number, numbered.record) == (8, None)


@pytest.mark.parametrize(
    "line", ["Traceback (most recent call last):", "{}", "[1]", '{"n": 1}', '{"n": 1, "kind": "x"}']
)
def test_other_lines_are_no_records(line: str) -> None:
    assert read_line(line) is None


def test_changes_tell_of_candidate_promotion_and_rollback() -> None:
    nothing: dict[str, Any] = {}
    starting = {"status": {"servingRevision": GOOD, "candidateRevision": BAD}}
    promoted = {"status": {"servingRevision": BAD, "standbyRevision": GOOD}}
    back = {"status": {"servingRevision": GOOD, "rejections": [REJECTION]}}
    assert list(changes(nothing, {"status": {"servingRevision": GOOD}})) == [f"{GOOD} has the traffic"]
    assert next(iter(changes({"status": {"servingRevision": GOOD}}, starting))).startswith(
        f"candidate {BAD} is starting"
    )
    assert list(changes(starting, promoted)) == [f"{BAD} has the traffic; {GOOD} stays warm to take it back"]
    assert list(changes(promoted, back)) == [f"ROLLED BACK: {BAD} gives the traffic back to {GOOD}"]
    assert list(changes(back, back)) == []


def test_conditions_with_one_message_are_told_together() -> None:
    def condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
        return {"type": kind, "status": status, "reason": reason, "message": message}

    before = {"status": {"conditions": [condition("Ready", "True", "Serving", "fine")]}}
    refused = [condition("Ready", "False", "RolledBack", "worse"), condition("Stalled", "True", "RolledBack", "worse")]
    after = {"status": {"conditions": refused}}
    assert list(changes(before, after)) == ["Ready=False (RolledBack), Stalled=True (RolledBack): worse"]
    assert list(changes(after, before)) == ["Stalled no longer holds", "Ready=True (Serving): fine"]


def test_progress_counts_the_labels_of_a_revision() -> None:
    records = [label(T0, BAD), label(T0, BAD, right=False), label(T0, GOOD), label(T0, BAD, status=503)]
    line = progress_line(records, BAD, 0.25)
    assert line == "   2 labels,    1 for the model (0.500); evidence against it: 25% of proof; failed requests: 1"
    assert progress_line(records, None, None).startswith(
        "   3 labels,    2 for the model (0.667); evidence against it: unknown"
    )


def test_evidence_is_read_from_the_metrics() -> None:
    labels = 'model="news-classifier",namespace="demo",revision="news-classifier-1"'
    metrics = f"x 1\nmodeldeployment_evidence_ratio{{{labels}}} 0.86\n"
    assert evidence_in(metrics) == 0.86
    assert evidence_in(metrics.replace("demo", "other")) is None


@pytest.mark.parametrize(
    ("image", "fields"),
    [
        ("localhost/x:dev", {"newName": "localhost/x", "newTag": "dev"}),
        ("example.com:5000/a/x", {"newName": "example.com:5000/a/x", "newTag": "latest"}),
        ("example.com:5000/a/x:v1", {"newName": "example.com:5000/a/x", "newTag": "v1"}),
        ("example.com/x@sha256:ab", {"newName": "example.com/x", "digest": "sha256:ab"}),
    ],
)
def test_images_are_named_as_kustomize_does(image: str, fields: dict[str, str]) -> None:
    assert image_fields(image) == fields


def test_the_overlay_names_both_images() -> None:
    import yaml

    from tests.demo.kubectl import Kubectl

    target = Target(Kubectl(("kubectl",)), "example.com/operator:v1", "example.com/server:v2", "sha256:ab")
    written = yaml.safe_load(overlay("../manifests", target))
    assert written["resources"] == ["../manifests/default"]
    assert written["images"][0]["newTag"] == "v1"
    assert written["configMapGenerator"][0]["literals"] == ["SERVING_IMAGE=example.com/server:v2"]
    annotations = yaml.safe_load(written["patches"][1]["patch"])["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"modelops.dev/demo-image": "sha256:ab"}


def test_the_overlay_has_prometheus_read_the_operator_where_there_is_one() -> None:
    import yaml

    from tests.cluster.monitoring import Installed
    from tests.demo.kubectl import Kubectl

    installed = Installed("http://10.0.0.1:9090", "http://10.0.0.2:9093", "http://prometheus.monitoring.svc:9090")
    target = Target(Kubectl(("kubectl",)), "operator:v1", "server:v2", "sha256:ab", monitoring=installed)
    written = yaml.safe_load(overlay("../manifests", target))
    assert written["components"] == ["../manifests/components/monitoring", "../manifests/components/dashboards"]
    settings = written["configMapGenerator"][0]["literals"]
    assert "PROMETHEUS_URL=http://prometheus.monitoring.svc:9090" in settings
    selected = yaml.safe_load(written["patches"][2]["patch"])
    assert selected == [{"op": "add", "path": "/metadata/labels/release", "value": "kube-prometheus-stack"}]
