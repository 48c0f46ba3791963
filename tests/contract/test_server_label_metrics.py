"""The metrics of options for labels are those of operator/METRICS.md, and what is judged follows the options."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
from model_server.contract import Metric
from model_server.label_options import Counted, LabelOptions, Task
from model_server.prediction_id import Classes, Values
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.support import metrics_page
from tests.support.label_pods import NOW, Network, Pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from prometheus_client.metrics_core import Metric as Family

ADDRESS = IPv4Address("10.0.0.1")
FORMATS: dict[str, Callable[[str], Iterable[Family]]] = {
    "text/plain": read_text,
    "application/openmetrics-text; version=1.0.0": read_openmetrics,
}
ALL_OF_CLASSES = LabelOptions(top=2, maturity=100, audit_fraction=1, counted=Counted.AUDITED, slice_field="x")
REGRESSION = LabelOptions(task=Task.REGRESSION, tolerance=2.0)


def samples(pod: Pod, name: str) -> dict[tuple[str, ...], float]:
    """By the values of their labels, which come in the order of their names."""
    families = read_text(pod.metrics.expose("")[0].decode())
    return {tuple(one.labels.values()): one.value for family in families for one in family.samples if one.name == name}


@pytest.mark.parametrize("accept", FORMATS)
async def test_options_expose_what_the_page_says_and_nothing_else(tmp_path: Path, accept: str) -> None:
    now = [float(NOW)]
    exposed: dict[str, metrics_page.Family] = {}
    for options in (ALL_OF_CLASSES, REGRESSION):
        pod = Pod(Network(), tmp_path / options.task, ADDRESS, options=options, clock=lambda: now[0])
        pod.metrics.tell_of_frontends(lambda: 1)
        values = Values([1.0]) if options is REGRESSION else Classes(3, [1], [[1, 0]])
        assert await pod.take((pod.issue(values, ["a"] if options is ALL_OF_CLASSES else None), 1)) == ["accepted"]
        now[0] += 200
        page = FORMATS[accept](pod.metrics.expose(accept)[0].decode())
        exposed |= metrics_page.exposed(family for family in page if family.samples)
    usual = metrics_page.described(metrics_page.POD)
    assert {name: family for name, family in exposed.items() if name not in usual} == metrics_page.described(
        metrics_page.POD_OPTIONS
    )


async def test_nothing_of_it_is_told_without_the_options(tmp_path: Path) -> None:
    pod = Pod(Network(), tmp_path, ADDRESS)
    await pod.take((pod.predict(1), 1))
    page = pod.metrics.expose("")[0].decode()
    assert not [name for name in metrics_page.described(metrics_page.POD_OPTIONS) if name in page]


async def test_labels_count_when_their_predictions_are_old_enough(tmp_path: Path) -> None:
    now = [float(NOW)]
    options = LabelOptions(maturity=100, slice_field="x")
    pod = Pod(Network(), tmp_path, ADDRESS, options=options, clock=lambda: now[0])
    token = pod.issue(Classes(2, [1, 1, 1]), ["a", "a", "b"])
    assert await pod.take((f"{token}.0", 0), (f"{token}.2", 1)) == ["accepted", "accepted"]
    assert (pod.book.counts()["wrong"], samples(pod, Metric.LABELS_WAITING)) == (0, {(): 2})
    assert samples(pod, Metric.LABELS) == {("correct",): 0, ("wrong",): 0}
    assert samples(pod, Metric.ACCURACY) == samples(pod, Metric.SLICE_LABELS) == {}
    now[0] += 99
    assert await pod.take((f"{token}.1", 1)) == ["accepted"]
    assert samples(pod, Metric.LABELS_WAITING) == {(): 3}
    now[0] += 2
    counts = pod.book.counts()
    assert (counts["correct"], counts["wrong"], counts["true_positive"], counts["false_positive"]) == (2, 1, 2, 1)
    assert samples(pod, Metric.LABELS_WAITING) == {(): 0}
    assert samples(pod, Metric.SLICE_LABELS) == {
        ("correct", "a"): 1,
        ("wrong", "a"): 1,
        ("correct", "b"): 1,
        ("wrong", "b"): 0,
    }
    assert await pod.take((token, 1)) == ["duplicate"]


@pytest.mark.parametrize("counted", Counted)
async def test_audited_predictions_are_counted_apart_and_alone_if_so_wished(tmp_path: Path, counted: Counted) -> None:
    options = LabelOptions(audit_fraction=0.5, counted=counted)
    pod = Pod(Network(), tmp_path, ADDRESS, options=options)
    audited = 0
    for _ in range(60):
        token, is_audited = pod.issuer.issue(Classes(2, [1]))
        pod.book.count_predictions(1, with_id=True, audited=is_audited)
        audited += is_audited
        assert await pod.take((token, int(is_audited))) == ["accepted"]  # The others are wrong.
    assert 10 < audited < 50
    assert samples(pod, Metric.IDS) == {(): 60}
    assert samples(pod, Metric.AUDITED_PREDICTIONS) == {(): audited}
    assert samples(pod, Metric.AUDITED_LABELS) == {("correct",): audited, ("wrong",): 0}
    counts = pod.book.counts()
    if counted is Counted.ALL:
        assert (counts["correct"], counts["wrong"]) == (audited, 60 - audited)
        assert samples(pod, Metric.UNJUDGED_LABELS) == {}
    else:
        assert (counts["correct"], counts["wrong"]) == (audited, 0)
        assert samples(pod, Metric.UNJUDGED_LABELS) == {(): 60 - audited}


async def test_values_are_judged_by_the_tolerance_and_told_by_their_errors(tmp_path: Path) -> None:
    pod = Pod(Network(), tmp_path, ADDRESS, options=REGRESSION)
    token = pod.issue(Values([1.0, 1.0, 1.0, 1.0]))
    labels = [(f"{token}.{index}", label) for index, label in enumerate((1, 2, 3, 11))]
    assert await pod.take(*labels) == ["accepted"] * 4
    for _ in range(2):  # As it was counted, and as it is read after a restart.
        counts = pod.book.counts()
        assert (counts["correct"], counts["wrong"]) == (3, 1)
        found = {
            name: samples(pod, f"{name}_sum") for name in (Metric.ABSOLUTE_ERROR, Metric.SQUARED_ERROR, Metric.SCORE)
        }
        assert found == {Metric.ABSOLUTE_ERROR: {(): 13}, Metric.SQUARED_ERROR: {(): 105}, Metric.SCORE: {(): 1.5}}
        assert samples(pod, f"{Metric.SCORE}_count") == {(): 4}
        assert samples(pod, Metric.CONFUSION) == {}
        pod = Pod(Network(), tmp_path, ADDRESS, options=REGRESSION)


async def test_the_best_classes_are_counted_besides(tmp_path: Path) -> None:
    pod = Pod(Network(), tmp_path, ADDRESS, options=LabelOptions(top=2))
    token = pod.issue(Classes(5, [3, 3, 3, None], [[3, 0], [3, 0], [3, 0], []]))
    assert (
        await pod.take(*((f"{token}.{index}", label) for index, label in enumerate((3, 0, 1, 1)))) == ["accepted"] * 4
    )
    assert samples(pod, Metric.LABELS) == {("correct",): 1, ("wrong",): 3}
    assert samples(pod, Metric.TOP_K_LABELS) == {("2", "correct"): 2, ("2", "wrong"): 2}


async def test_slices_are_no_more_than_can_be_shown(tmp_path: Path) -> None:
    options = LabelOptions(slice_field="x")
    pod = Pod(Network(), tmp_path, ADDRESS, options=options)
    for _ in range(2):
        for number in range(30):
            assert await pod.take((pod.issue(Classes(2, [1]), [f"slice {number:02}, of many"]), 1)) == ["accepted"]
        pod = Pod(Network(), tmp_path, ADDRESS, options=options)
    found = samples(pod, Metric.SLICE_LABELS)
    assert found.pop(("correct", "other")) == 20
    assert {name: count for (outcome, name), count in found.items() if outcome == "correct"} == {
        f"slice {number:02}, of many": 2 for number in range(20)
    }
