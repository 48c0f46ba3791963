"""SavedModels run as TensorFlow itself runs them, in a process that has but the part of it that does this."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def trials(engine_models: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.serving.engine_trials", str(engine_models)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_answers_are_those_of_tensorflow_to_the_last_bit(trials: dict[str, Any], engine_models: Path) -> None:
    assert trials["plain"]["outputs"] == {"output_0": json.loads((engine_models / "plain.json").read_text())}
    assert trials["plain"]["inputs"] == {"x": ["DT_FLOAT", [None, 2]]}


def test_keras_and_the_tracing_compiler_are_not_imported(trials: dict[str, Any]) -> None:
    assert trials["modules"] == []


@pytest.mark.parametrize(
    ("model", "batchable"),
    [
        ("plain", ["serve", "serving_default"]),
        ("embedding", ["serve", "serving_default"]),
        ("scaled", []),
        ("ragged", []),
        ("counter", ["serving_default"]),
    ],
)
def test_rows_go_together_where_they_may(trials: dict[str, Any], model: str, batchable: list[str]) -> None:
    assert trials[model]["batchable"] == batchable


def test_a_model_that_looks_at_all_rows_answers_as_it_would_alone(trials: dict[str, Any]) -> None:
    assert trials["scaled"]["outputs"] == {"y": [0.25, 1.0]}


def test_what_takes_rows_of_any_size_is_never_called_by_the_event_loop(trials: dict[str, Any]) -> None:
    assert [trials[model]["quick"] for model in ("plain", "series", "table")] == [True, False, False]


def test_what_a_model_refuses_is_told_in_its_words(trials: dict[str, Any]) -> None:
    assert trials["out of range"].startswith("InvalidArgument: ")
    assert "[1] = 7 is not in [0, 4)" in trials["out of range"]
    assert trials["wrong type"].startswith("InvalidArgument: ")


def test_ragged_inputs_are_values_and_lengths(trials: dict[str, Any]) -> None:
    assert trials["ragged"]["outputs"] == {"y": [1.0, 6.0]}


def test_tables_are_filled_from_assets_when_that_is_allowed(trials: dict[str, Any]) -> None:
    assert trials["table"]["outputs"] == {"y": [2, -1]}


def test_bfloat16_goes_in_and_out_as_float32(trials: dict[str, Any]) -> None:
    assert trials["coarse"]["outputs"] == {"y": [2.0]}
    assert trials["coarse"]["dtypes"] == {"y": "float32"}


def test_variables_stay_for_the_life_of_a_model(trials: dict[str, Any]) -> None:
    assert trials["counter"]["outputs"] == {"y": [1.0]}
    assert (trials["count"]["outputs"], trials["count"]["again"]) == ({"y": [2.0]}, {"y": [3.0]})


def test_damaged_records_of_requests_are_no_reason_not_to_serve(trials: dict[str, Any]) -> None:
    assert (trials["cut records"], trials["no requests"]) == ([0.5], [0.5])


def test_nothing_stays_of_a_version_that_is_closed(trials: dict[str, Any]) -> None:
    assert trials["graph stays"] is False


def test_each_model_has_threads_of_its_own_that_its_calls_are_spread_over(trials: dict[str, Any]) -> None:
    assert trials["spread"]["more"] == [1, 5]


def test_answers_are_alike_however_many_threads_make_them(trials: dict[str, Any]) -> None:
    assert trials["spread"]["same"] is True


def test_a_small_model_gets_one_thread_and_a_larger_one_what_is_faster(trials: dict[str, Any]) -> None:
    assert trials["chosen"]["plain"] == {"threads": 1, "answer": [[1, 3]]}
    assert trials["chosen"]["wide"]["threads"] in (1, 4)  # Which of them depends on the machine.
    assert trials["chosen"]["wide"]["answer"] == [[1, 4]]


def test_the_size_of_a_model_is_that_of_its_variables(trials: dict[str, Any]) -> None:
    assert trials["size"] >= 3 * 4 * 1024 * 1024
