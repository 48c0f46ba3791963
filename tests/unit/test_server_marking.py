"""What is remembered of answers: classes and values, the best of them, slices, and audits."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.classes import predicted_classes, predicted_values
from model_server.contract import Env, FeedbackRejection
from model_server.dataplane.question import Question
from model_server.errors import LabelRejected, NotAClassifier, StartError
from model_server.feedback import MAX_ERROR, UNITS, Outcome, Scorer
from model_server.label_options import Counted, LabelOptions, Task, read_label_options
from model_server.marking import Marker
from model_server.prediction_id import MAX_TOKEN_CHARS, Classes, Issuer, Prediction, Values, read

from tests.support.label_pods import KEYS, NOW

if TYPE_CHECKING:
    from collections.abc import Mapping

FINITE = st.floats(width=32, allow_nan=False)


def issuer(audit_fraction: float = 0.0, nonce: bytes = b"n" * 6) -> Issuer:
    return Issuer(KEYS, b"f" * 8, b"pod!", None, lambda: NOW, lambda _: nonce, audit_fraction)


def marked(options: LabelOptions, outputs: Any, inputs: Mapping[str, Any] | None = None, **parameters: object) -> str:
    marker = Marker(issuer(), options, named=False)
    question = Question("serving_default", inputs or {}, parameters=parameters)
    token, _ = marker.mark(question, marker.look("serving_default", {"y": np.asarray(outputs)}))
    assert token is not None
    return token


def predictions(token: str, count: int) -> list[Prediction]:
    return [read(f"{token}.{index}", KEYS) for index in range(count)]


@st.composite
def ranked(draw: st.DrawFn) -> Classes:
    count, top = draw(st.integers(3, 40)), draw(st.integers(1, 3))
    rows = draw(st.lists(st.lists(st.integers(0, count - 1), min_size=top, max_size=top, unique=True), min_size=1))
    rows = [draw(st.sampled_from([row, []])) for row in rows]
    return Classes(count, [row[0] if row else None for row in rows], rows)


@settings(deadline=None)
@given(ranked(), st.none() | st.lists(st.sampled_from(["a", "好", "other", "x" * 32]), min_size=1))
def test_an_id_gives_back_the_best_classes_and_slices(classes: Classes, names: list[str] | None) -> None:
    slices = None if names is None else [names[index % len(names)] for index in range(len(classes.predicted))]
    token, _ = issuer().issue(classes, slices)
    assert token is not None
    assert classes.best is not None
    seen = predictions(token, len(classes.predicted))
    assert [(one.predicted, one.best, one.slice) for one in seen] == [
        (predicted, tuple(best), None if slices is None else slices[index])
        for index, (predicted, best) in enumerate(zip(classes.predicted, classes.best, strict=True))
    ]


@settings(deadline=None)
@given(st.lists(FINITE | st.sampled_from([math.inf, -math.inf]), min_size=1, max_size=500))
def test_an_id_gives_back_values(values: list[float]) -> None:
    token, _ = issuer().issue(Values(values))
    assert token is not None
    assert [one.value for one in predictions(token, len(values))] == values


def test_values_of_many_instances_take_half_the_room_if_that_does_not_matter() -> None:
    many = np.linspace(0, 10, 1000, dtype=np.float32)
    found = predicted_values({"y": many}, tolerance=1.0)
    token, _ = issuer().issue(found)
    assert token is not None
    assert len(token) <= MAX_TOKEN_CHARS
    assert read(f"{token}.999", KEYS).value == 10
    assert issuer().issue(predicted_values({"y": many}, tolerance=0.001)).token is None
    assert issuer().issue(predicted_values({"y": many * 1e30}, tolerance=1.0)).token is None
    first, _ = issuer().issue(found.part(0, 550))
    assert first is not None
    assert predictions(first, 550)[501].value == many[501]
    assert "kkkk" not in repr(KEYS.signing)


@pytest.mark.parametrize(
    "outputs", [{"y": np.zeros((2, 2))}, {"y": np.array(["x"])}, {"a": np.zeros(1), "b": np.zeros(1)}]
)
def test_what_is_not_one_number_an_instance_is_no_value(outputs: dict[str, Any]) -> None:
    with pytest.raises(NotAClassifier, match="one number"):
        predicted_values(outputs, 1.0)


@pytest.mark.parametrize("rows", [1, 70])
def test_few_and_many_rows_are_looked_at_alike(rows: int) -> None:
    scores = np.random.default_rng(7).random((rows, 12)).astype(np.float32)
    scores[:, 3] = scores[:, 5] = 2  # The first of two that are equal comes first.
    scores[rows // 2, 1] = np.nan
    found = predicted_classes({"y": scores}, named=True, top=4)
    assert found is not None
    assert found.best is not None
    for row, predicted, best in zip(scores, found.predicted, found.best, strict=True):
        wanted = [] if np.isnan(row).any() else sorted(range(12), key=lambda c: (-row[c], c))[:4]
        assert (predicted, best) == (wanted[0] if wanted else None, wanted)


def test_of_few_classes_all_would_be_among_the_best() -> None:
    found = predicted_classes({"y": np.array([[0.2, 0.8]])}, named=False, top=2)
    assert found is not None
    assert found.best is None


def score(options: LabelOptions, token: str, label: object) -> Any:
    return Scorer(tolerance=options.tolerance).score(read(token, KEYS), label)


def test_a_label_may_be_among_the_best_and_wrong() -> None:
    token = marked(LabelOptions(top=2), [[0.5, 0.3, 0.2]])
    found = [score(LabelOptions(), token, label) for label in (0, 1, 2)]
    assert [(one.is_right, one.among_best) for one in found] == [(True, True), (False, True), (False, False)]


@pytest.mark.parametrize(
    ("predicted", "label", "outcome", "error"),
    [
        (10.0, 10, Outcome.CORRECT, 0),
        (10.0, 12, Outcome.CORRECT, UNITS),
        (10.0, 7.5, Outcome.WRONG, UNITS * 5 // 4),
        (math.nan, 10, Outcome.WRONG, MAX_ERROR),
        (math.inf, 10, Outcome.WRONG, MAX_ERROR),
        (1e38, -1e300, Outcome.WRONG, MAX_ERROR),
    ],
)
def test_values_are_right_within_the_tolerance(predicted: float, label: float, outcome: Outcome, error: int) -> None:
    options = LabelOptions(task=Task.REGRESSION, tolerance=2.0)
    found = score(options, marked(options, [[predicted]]), label)
    assert (found.outcome, found.error, found.cell) == (outcome, error, None)


@pytest.mark.parametrize("label", [True, "1", None, math.nan, math.inf, 10**400, [1]])
def test_a_label_of_a_value_is_a_finite_number(label: object) -> None:
    options = LabelOptions(task=Task.REGRESSION, tolerance=2.0)
    with pytest.raises(LabelRejected, match="finite number") as caught:
        score(options, marked(options, [1.0]), label)
    assert caught.value.reason is FeedbackRejection.MALFORMED


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("de", "de"),
        (b"de", "de"),
        (7, "7"),
        (True, "true"),
        (1.5, "other"),
        ("", "other"),
        ("x" * 33, "other"),
        (None, "other"),
        ("a\nb", "other"),
    ],
)
def test_a_slice_is_named_by_a_parameter(value: object, name: str) -> None:
    token = marked(LabelOptions(slice_field="language"), [[0.2], [0.8]], language=value)
    assert [one.slice for one in predictions(token, 2)] == [name, name]


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (np.array([b"de", b"fr", b"it"], object), ["de", "fr", "other"]),
        (np.array([[b"de"], [b"de"], [b"\xff"]], object), ["de", "de", "other"]),
        (np.array([b"de", b"fr"], object), ["other"] * 3),
        (np.array(b"de", object), ["other"] * 3),
        (None, ["other"] * 3),
    ],
)
def test_slices_are_named_by_an_input(column: Any, names: list[str]) -> None:
    options = LabelOptions(slice_field="language", slices=frozenset({"de", "fr"}))
    token = marked(options, [0.1, 0.2, 0.3], {} if column is None else {"language": column})
    assert [one.slice for one in predictions(token, 3)] == names


def test_an_id_has_room_for_so_many_slices() -> None:
    token, _ = issuer().issue(Classes(2, [1] * 20), [f"s{number}" for number in range(20)])
    assert token is not None
    assert [one.slice for one in predictions(token, 20)] == [f"s{n}" if n < 15 else "other" for n in range(20)]


def test_other_signatures_and_models_that_do_not_fit_get_no_ids() -> None:
    marker = Marker(issuer(), LabelOptions(task=Task.REGRESSION, tolerance=1.0), named=False)
    assert marker.look("train", {"y": np.zeros(1)}) is None
    assert marker.look("serving_default", {"y": np.zeros((1, 2))}) is None
    assert marker.no_ids is not None
    assert (
        marker.mark(Question("serving_default", {}), marker.look("serving_default", {"y": np.zeros(1)})).token is None
    )


def test_a_share_of_the_requests_is_audited() -> None:
    found = []
    for number in range(2000):
        nonce = hashlib.blake2b(number.to_bytes(8), digest_size=6).digest()
        token, audited = issuer(0.25, nonce).issue(Classes(2, [1]))
        assert token is not None
        assert read(token, KEYS).audited is audited
        found.append(audited)
    assert 400 < sum(found) < 600
    assert not issuer(0.0, b"\0" * 6).issue(Classes(2, [1])).audited
    assert issuer(1.0, b"\xff" * 6).issue(Classes(2, [1])).audited


def test_without_settings_all_is_off() -> None:
    assert read_label_options({}) == LabelOptions()


def test_all_of_it_can_be_set() -> None:
    environment = {
        Env.TASK: "classification",
        Env.TOP_K: "5",
        Env.LABEL_MATURITY: "3600",
        Env.AUDIT_FRACTION: "0.1",
        Env.LABELS_COUNTED: "audited",
        Env.SLICE_FIELD: "language",
        Env.SLICES: '["de", "fr"]',
        Env.LABEL_STORE: "valkeys://user:pass@host:6380/1",
        Env.POD_UID: "uid",
    }
    assert read_label_options(environment) == LabelOptions(
        top=5,
        maturity=3600,
        audit_fraction=0.1,
        counted=Counted.AUDITED,
        slice_field="language",
        slices=frozenset({"de", "fr"}),
        store="rediss://user:pass@host:6380/1",
    )
    regression = {Env.TASK: "regression", Env.REGRESSION_TOLERANCE: "2.5"}
    assert read_label_options(regression) == LabelOptions(task=Task.REGRESSION, tolerance=2.5)


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({Env.TASK: "ranking"}, "not one of classification, regression"),
        ({Env.TASK: "regression"}, "MODEL_REGRESSION_TOLERANCE is not set"),
        ({Env.REGRESSION_TOLERANCE: "1"}, "is for MODEL_TASK=regression"),
        ({Env.TASK: "regression", Env.REGRESSION_TOLERANCE: "0"}, "no number over 0"),
        ({Env.TASK: "regression", Env.REGRESSION_TOLERANCE: "nan"}, "no number over 0"),
        ({Env.TASK: "regression", Env.REGRESSION_TOLERANCE: "1", Env.TOP_K: "5"}, "is for classes"),
        ({Env.TASK: "regression", Env.REGRESSION_TOLERANCE: "1", Env.MODEL_LABELS: '["a"]'}, "is for classes"),
        ({Env.TOP_K: "1"}, "from 2 to 20"),
        ({Env.TOP_K: "²"}, "from 2 to 20"),
        ({Env.LABEL_MATURITY: "-1"}, "15 days"),
        ({Env.LABEL_MATURITY: "2592000"}, "15 days"),
        ({Env.AUDIT_FRACTION: "1.1"}, "share from 0 to 1"),
        ({Env.LABELS_COUNTED: "some"}, "not one of all, audited"),
        ({Env.LABELS_COUNTED: "audited"}, "nothing is audited"),
        ({Env.SLICES: '["a"]'}, "name it in MODEL_SLICE_FIELD"),
        ({Env.SLICE_FIELD: "x", Env.SLICES: "a"}, "JSON list"),
        ({Env.SLICE_FIELD: "x", Env.SLICES: '["a", ""]'}, "JSON list"),
        ({Env.SLICE_FIELD: "x", Env.SLICES: str([str(n) for n in range(21)]).replace("'", '"')}, "at most 20"),
        ({Env.LABEL_STORE: "redis://host"}, "needs POD_UID"),
        ({Env.LABEL_STORE: "http://host", Env.POD_UID: "uid"}, "no URL like redis://"),
        ({Env.LABEL_STORE: "redis:///0", Env.POD_UID: "uid"}, "no URL like redis://"),
        ({Env.LABEL_STORE: "redis://:secret@host:x", Env.POD_UID: "uid"}, "no URL like redis://"),
    ],
)
def test_settings_that_cannot_be_end_the_start(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(StartError, match=problem) as caught:
        read_label_options(environment)
    assert "secret" not in str(caught.value)
