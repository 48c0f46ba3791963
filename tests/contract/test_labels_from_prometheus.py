"""A pod's labels are the same to the operator whether it asks the pod or a Prometheus that scrapes it."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.book import Book
from model_server.collectors import BookCollector
from model_server.feedback import Cell, Outcome, Score, score
from modeldeployment_operator.adapters.pods import _parse_counts
from modeldeployment_operator.core.observation import Sample, StoredRevision
from modeldeployment_operator.core.promql import read_answers
from modeldeployment_operator.core.samples import samples_of
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.observations import a_template, an_observation
from tests.support.prometheus_answers import a_series, a_target, an_answer

CLASSES = st.sampled_from([None, ["ham", "spam"], ["none", "some"], ["1", "0"]])
LABELS = st.lists(st.tuples(st.sampled_from([0, 1, None]), st.integers(0, 1)), max_size=30)


@settings(deadline=None)  # Busy machines are slow, and that is no fault.
@given(CLASSES, LABELS, st.sampled_from(["accuracy", "precision", "recall", "f1"]))
def test_both_ways_lead_to_the_same_counts(
    names: list[str] | None, labels: list[tuple[int | None, int]], metric: str
) -> None:
    accuracy = {"minimum": 0.9, "metric": metric}
    samples, asked = both_ways(accuracy, names, [score(predicted, actual, 2) for predicted, actual in labels], 2)

    if metric == "accuracy":
        asked = replace(asked, true_positive=0, false_positive=0, false_negative=0)
    assert samples == {asked.pod_uid: replace(asked, classes={}, predictions=None)}


@settings(deadline=None)
@given(
    st.sampled_from([None, ["ham", "spam", "eggs"], ["none", "some", "0"]]),
    st.lists(st.tuples(st.sampled_from([0, 1, 2, None]), st.integers(0, 2)), max_size=30),
    st.integers(0, 2),
)
def test_both_ways_lead_to_the_same_counts_of_one_class_of_three(
    names: list[str] | None, labels: list[tuple[int | None, int]], number: int
) -> None:
    positive = names[number] if names else str(number)
    accuracy = {"minimum": 0.9, "metric": "f1", "positiveClass": positive}
    samples, asked = both_ways(accuracy, names, [score(predicted, actual, 3) for predicted, actual in labels], 3)

    (sample,) = samples.values()
    predicted = [(one, actual) for one, actual in labels if number in {one, actual}]
    right = sum(one == actual for one, actual in predicted)
    claimed = sum(one == number for one, _ in predicted) - right
    missed = sum(actual == number for _, actual in predicted) - right
    assert sample.classes == {positive: (right, claimed, missed)}
    assert asked.classes.get(positive, (0, 0, 0)) == (right, claimed, missed)


def both_ways(
    accuracy: dict[str, Any], names: list[str] | None, scores: list[tuple[Outcome, Cell | None]], classes: int
) -> tuple[dict[str, Sample], Sample]:
    """Return what Prometheus and what the pod itself says of these labels."""
    model = {"model": {"uri": "https://models/m-1.keras", "labels": names}}
    builder = an_observation(accuracy=accuracy, **model).serving("m-1").ready("m-1", 1, of=1)
    observation = replace(builder, stored={"m-1": StoredRevision(1, a_template("m-1", labels=names))}).obj()
    (pod,) = observation.pods
    with tempfile.TemporaryDirectory() as folder:
        book = Book(Path(folder), revision="m-1", pod_uid=pod.uid, clock=lambda: 1_767_351_600.5)
    for one in scores:
        book.tally.add(Score(*one))
    collector = BookCollector(book, Counter(), pod.uid, names)
    collector.classes = classes
    registry = CollectorRegistry()
    registry.register(collector)
    series = [
        a_series(sample.name, {100.0: sample.value}, sample.labels | a_target(pod.name))
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    ]
    samples, problem = samples_of(observation, read_answers([an_answer(*series)]))
    assert problem is None
    return samples, _parse_counts(pod, json.dumps(book.counts(names=names or ())).encode())
