"""Four metrics, judged as shares of labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.api.status import Verdict
from modeldeployment_operator.core.criteria import Stream
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.judgement import Judged, judge_revision
from modeldeployment_operator.core.metrics import share_of, value_of
from modeldeployment_operator.core.observation import Sample

from tests.support.observations import a_revision, a_sample

SAMPLE = a_sample("a", 85, 15, true_positive=30, false_positive=10, false_negative=5)


def judged(metric: str, minimum: float, sample: Sample) -> Judged:
    accuracy = Accuracy.parse({"metric": metric, "minimum": minimum})
    return judge_revision(accuracy, a_revision("m-1"), [sample], {sample.pod_uid})


@pytest.mark.parametrize(
    ("metric", "counts", "value"),
    [
        ("accuracy", (85, 15), 0.85),
        ("precision", (30, 10), 30 / (30 + 10)),
        ("recall", (30, 5), 30 / (30 + 5)),
        ("f1", (30, 15), 2 * 30 / (2 * 30 + 10 + 5)),
    ],
)
def test_a_metric_is_judged_on_its_own_labels_and_scale(metric: str, counts: tuple[int, int], value: float) -> None:
    result = judged(metric, 0.5, SAMPLE)
    low, high = result.interval

    assert Stream(AccuracyMetric(metric)).of(SAMPLE) == counts
    assert result.labels == sum(counts)
    assert result.estimate == pytest.approx(value)
    assert 0 < low < value < high < 1
    assert result.verdict is Verdict.HEALTHY


def test_f1_is_judged_at_the_share_that_it_stands_for() -> None:
    result = judged("f1", 0.8, a_sample("a", true_positive=40, false_positive=20, false_negative=20))

    assert result.log_e == pytest.approx(Evidence.start(0.8 / (2 - 0.8)).observe(40, 40).log_e)


@given(st.sampled_from(AccuracyMetric), st.floats(0.001, 0.999))
def test_a_share_and_its_value_stand_for_each_other(metric: AccuracyMetric, value: float) -> None:
    assert 0 < share_of(metric, value) < 1
    assert value_of(metric, share_of(metric, value)) == pytest.approx(value)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.floats(0.01, 0.99))
def test_f1_lies_above_a_value_exactly_when_its_share_does(tp: int, fp: int, fn: int, value: float) -> None:
    if tp + fp + fn:
        share = tp / (tp + fp + fn)
        f1 = 2 * tp / (2 * tp + fp + fn)

        assert value_of(AccuracyMetric.F1, share) == pytest.approx(f1)
        if abs(f1 - value) > 1e-9:
            assert (share >= share_of(AccuracyMetric.F1, value)) == (f1 >= value)
