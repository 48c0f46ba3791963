"""What the page of metrics says, and when it says nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from model_server.book import Book
from model_server.busy import Busy
from model_server.contract import Metric
from model_server.feedback import Scorer
from model_server.metrics import Metrics, Several
from model_server.passing import Forwarded
from model_server.prediction_id import Prediction
from model_server.traces import NO_TRACE
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOW = 1_790_000_000.0


class Threads:
    """Threads that wait for something to do."""

    def __init__(self, threads: int = 1) -> None:
        self.busy = Busy(lambda: NOW)
        self.threads = threads
        self.waiting = 0


class Pod:
    """Counts labels, and has a page of metrics."""

    def __init__(self, folder: Path, names: Sequence[str] | None = None) -> None:
        self.book = Book(folder, revision="r1", pod_uid="uid", clock=lambda: NOW)
        self.metrics = Metrics(self.book, "uid", names)

    def label(self, classes: int, *cells: tuple[int, int | None]) -> None:
        for number, (actual, predicted) in enumerate(cells, start=self.book.tally.size):
            prediction = Prediction(b"f" * 8, int(NOW), b"pod!", None, classes, predicted, number.to_bytes(16))
            self.metrics.observe_label(self.book.count_label(prediction, Scorer().score(prediction, actual)))

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """By the values of their labels."""
        text = self.metrics.expose("")[0].decode()
        found = [one for family in text_string_to_metric_families(text) for one in family.samples if one.name == name]
        return {tuple(one.labels.values()): one.value for one in found}


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_two_classes_have_all_four_cells_from_the_start(tmp_path: Path) -> None:
    named = Pod(tmp_path, ["bad", "good"])
    names = ("bad", "good")
    assert named.samples(Metric.CONFUSION) == dict.fromkeys([(a, p) for a in names for p in names], 0)
    named.label(2, (1, 1), (1, 1), (0, 1))
    assert named.samples(Metric.CONFUSION) == {
        ("bad", "bad"): 0,
        ("bad", "good"): 1,
        ("good", "bad"): 0,
        ("good", "good"): 2,
    }


def test_without_names_the_shape_of_the_model_tells_that_there_are_two_classes(pod: Pod) -> None:
    assert pod.samples(Metric.CONFUSION) == {}
    pod.metrics.watch(Threads(), 0.5, 2)
    assert pod.samples(Metric.CONFUSION) == {("0", "0"): 0, ("0", "1"): 0, ("1", "0"): 0, ("1", "1"): 0}


def test_names_tell_that_there_are_two_classes_if_the_shape_of_the_model_does_not(tmp_path: Path) -> None:
    named = Pod(tmp_path, ["bad", "good"])
    named.metrics.watch(Threads(), 0.5, None)
    assert len(named.samples(Metric.CONFUSION)) == 4


def test_of_more_classes_those_cells_are_told_that_occurred(pod: Pod) -> None:
    pod.label(20, (19, 3), (19, 3), (0, 0))
    assert pod.samples(Metric.CONFUSION) == {("19", "3"): 2, ("0", "0"): 1}


def test_of_very_many_classes_no_cell_is_told(pod: Pod) -> None:
    pod.label(21, (19, 3), (0, 0))
    assert pod.samples(Metric.CONFUSION) == {}
    assert pod.samples(Metric.LABELS) == {("correct",): 1, ("wrong",): 1}


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (None, ("1", "none")),
        (["a", "b"], ("b", "none")),
        (["a", "none"], ("none", "(none)")),
        (["(none)", "none"], ("none", "((none))")),
    ],
)
def test_a_prediction_of_no_class_is_no_class_by_any_name(
    tmp_path: Path, names: Sequence[str] | None, shown: tuple[str, str]
) -> None:
    pod = Pod(tmp_path, names)
    pod.label(2, (1, None), (1, 1))
    assert pod.samples(Metric.CONFUSION)[shown] == 1
    assert pod.samples(Metric.LABELS) == {("correct",): 1, ("wrong",): 1}


def test_names_of_classes_may_be_anything(tmp_path: Path) -> None:
    pod = Pod(tmp_path, ['a"\n\\{}', "好"])
    pod.label(2, (0, 1))
    assert pod.samples(Metric.CONFUSION)['a"\n\\{}', "好"] == 1


def test_what_is_not_known_yet_is_not_told(pod: Pod) -> None:
    of_the_model = (Metric.BUSY_SECONDS, Metric.THREADS, Metric.WAITING, Metric.LOAD_SECONDS)
    unknown = (Metric.ACCURACY, Metric.PRECISION, Metric.RECALL, Metric.F1, *of_the_model)
    assert {name: pod.samples(name) for name in unknown} == {name: {} for name in unknown}
    pod.metrics.watch(Threads(3), 0.5, 2)
    assert [pod.samples(name)[()] for name in of_the_model] == [0, 3, 0, 0.5]


def test_there_are_no_series_of_when_counters_were_made(pod: Pod) -> None:
    pod.label(2, (1, 1))
    pod.metrics.count_forwarded(Forwarded.ANSWERED)
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        assert b"_created" not in pod.metrics.expose(accept)[0]


@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_who_asks_for_a_version_that_is_none_gets_the_usual_format(pod: Pod, kind: str) -> None:
    assert pod.metrics.expose(f"{kind}; version=latest")[1].startswith("text/plain; version=0.0.4")


def test_the_delay_of_a_label_goes_up_to_where_labels_end(pod: Pod) -> None:
    pod.label(2, (1, 1))
    buckets = pod.samples(f"{Metric.LABEL_DELAY}_bucket")
    bounds = [float(bound) for (bound,) in buckets]
    assert (bounds[0], bounds[-2:]) == (1, [30 * 86400, math.inf])
    assert set(buckets.values()) == {1}


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_several_models_have_each_metric_once_and_their_own_lines(tmp_path: Path, accept: str) -> None:
    several = Several(Pod(tmp_path / "none").metrics)
    pods = {(name, version): Pod(tmp_path / f"{name}{version}") for name, version in (("a", 1), ("a", 2), ("b", 1))}
    for (name, version), pod in pods.items():
        several.add(name, version, pod.metrics)
        pod.label(2, *[(1, 1)] * version)
        pod.metrics.observe_request("predict", 200, 0.01, NO_TRACE)
    several.remove("b", 1)
    text, _ = several.expose(accept)
    read = read_openmetrics if "openmetrics" in accept else text_string_to_metric_families
    families = list(read(text.decode()))
    assert len({family.name for family in families}) == len(families)
    found = {
        (one.labels["model"], one.labels["version"]): one.value
        for family in families
        for one in family.samples
        if one.name == Metric.LABELS and one.labels["outcome"] == "correct"
    }
    assert found == {("", ""): 0, ("a", "1"): 1, ("a", "2"): 2}
    assert [one.labels for family in families for one in family.samples if one.name == "process_open_fds"] == [{}]


def test_busy_threads_are_counted_while_they_are() -> None:
    now = [100.0]
    busy = Busy(lambda: now[0])
    with busy:
        now[0] += 2
        with busy:
            now[0] += 1
            assert busy.seconds == 4
    now[0] += 10
    assert busy.seconds == 4
