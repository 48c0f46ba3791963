"""Rows are put together and taken apart; settings of it are read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from model_server.dataplane import batch
from model_server.dataplane.batch_settings import BatchSettings, read_batch_settings
from model_server.errors import InvalidArgument, StartError
from model_server.independence import made_up, rows_are_independent
from model_server.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from model_server.tensors import Array


def spec(name: str, *shape: int | None, dtype: str = "DT_FLOAT") -> TensorSpec:
    return TensorSpec(name, dtype, shape)


def texts(*values: bytes) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_rows_go_together_and_apart_again() -> None:
    requests = [{"x": np.full((n, 2), n, np.float32), "t": texts(*[b"t%d" % n] * n)} for n in (1, 3, 2)]
    joined = batch.join(requests, 6)
    assert joined["x"].dtype == np.float32
    assert joined["t"].tolist() == [b"t1", b"t3", b"t3", b"t3", b"t2", b"t2"]
    for request, part in zip(requests, batch.split(joined, [1, 3, 2]), strict=True):
        assert all(np.array_equal(part[name], array) for name, array in request.items())


def test_a_call_is_filled_up_with_the_first_row() -> None:
    joined = batch.join([{"x": np.array([[1.0], [2.0]])}, {"x": np.array([[3.0]])}], 5)
    assert joined["x"].ravel().tolist() == [1, 2, 3, 1, 1]


def test_shorter_rows_are_filled_up_with_zeros_and_empty_texts() -> None:
    joined = batch.join([{"x": np.array([[1, 2, 3]])}, {"x": np.array([[4]])}], 2)
    assert joined["x"].tolist() == [[1, 2, 3], [4, 0, 0]]
    words = [texts(b"a", b"b").reshape(1, 2), texts(b"c").reshape(1, 1)]
    assert batch.join([{"x": word} for word in words], 2)["x"].tolist() == [[b"a", b"b"], [b"c", b""]]


def test_a_request_alone_is_not_copied() -> None:
    array = np.zeros((2, 3))
    assert batch.join([{"x": array}], 2)["x"] is array


@pytest.mark.parametrize(
    ("inputs", "outputs", "can"),
    [
        ([spec("x", None, 2)], [spec("y", None)], True),
        ([spec("x", None, 2)], [spec("y")], False),
        ([spec("x", 1, 2)], [spec("y", None)], False),
        ([spec("x", None), TensorSpec("z", "DT_FLOAT", None)], [spec("y", None)], False),
        ([], [spec("y", None)], False),
    ],
)
def test_what_can_be_put_together(inputs: list[TensorSpec], outputs: list[TensorSpec], *, can: bool) -> None:
    assert batch.can_batch(Signature({s.name: s for s in inputs}, {s.name: s for s in outputs})) is can


def test_inputs_that_disagree_have_no_rows() -> None:
    assert batch.rows_of({"x": np.zeros((2, 1)), "y": np.zeros(2)}) == 2
    assert batch.rows_of({"x": np.zeros((2, 1)), "y": np.zeros(3)}) is None
    assert batch.rows_of({"x": np.zeros((2, 1)), "y": np.zeros(())}) is None


def test_settings_have_defaults_and_names_of_tensorflow_serving() -> None:
    assert read_batch_settings("") == BatchSettings()
    given = {"max_batch_size": 8, "batch_timeout_micros": 500, "allowed_batch_sizes": [2, 8], "num_batch_threads": 3}
    settings = read_batch_settings(json.dumps({**given, "max_enqueued_batches": 2, "pad_variable_length_inputs": True}))
    assert settings.most_rows_waiting == 16
    assert [settings.filled(rows) for rows in (1, 2, 3, 8, 9)] == [2, 2, 8, 8, 9]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([], "no JSON object"),
        ({"max_batch": 3}, "'max_batch', which is none of max_batch_size"),
        ({"max_batch_size": 0}, "max_batch_size = 0"),
        ({"max_batch_size": True}, "max_batch_size = True"),
        ({"batch_timeout_micros": 2_000_000}, "batch_timeout_micros = 2000000"),
        ({"allowed_batch_sizes": 8}, "not a list"),
        ({"max_batch_size": 8, "allowed_batch_sizes": [8, 4]}, "do not rise"),
        ({"max_batch_size": 8, "allowed_batch_sizes": [2, 4]}, "which is the last"),
        ({"pad_variable_length_inputs": 1}, "not true or false"),
    ],
)
def test_settings_that_are_wrong_are_told(given: Any, complaint: str) -> None:
    with pytest.raises(StartError, match=complaint):
        read_batch_settings(json.dumps(given))


class Numbers:
    """A model that is a function of one array."""

    batchable = frozenset({"f"})
    quick: dict[str, int] = {}  # noqa: RUF012

    def __init__(self, function: Any, *shape: int | None) -> None:
        self.function = function
        self.signatures = {"f": Signature({"x": spec("x", *shape)}, {"y": spec("y", None)})}

    def predict(self, signature_name: str, inputs: dict[str, Array]) -> dict[str, Array]:
        return {"y": self.function(inputs["x"])}

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "independent"),
    [
        (lambda x: x.sum(axis=1), True),
        (lambda x: x.sum(axis=1) / x.max(), False),
        (lambda x: x.sum(axis=1) - x.mean(), False),
        (lambda x: x.sum(), False),
        (lambda x: np.full(len(x), np.nan), True),
    ],
)
def test_rows_that_look_at_each_other_are_found(function: Any, *, independent: bool) -> None:
    assert rows_are_independent(Numbers(function, None, None), "f", 3) is independent


def test_what_refuses_made_up_rows_is_believed() -> None:
    def refuse(_: Array) -> Array:
        raise InvalidArgument("no picture")

    assert rows_are_independent(Numbers(refuse, None), "f", 1)


def test_made_up_rows_have_the_form_of_the_signature() -> None:
    signature = Signature({"x": spec("x", None, 4, None), "t": spec("t", None, dtype="DT_STRING")}, {})
    made = made_up(signature, 3, 8)
    assert made["x"].shape == (3, 4, 8)
    assert made["t"].tolist() == [b""] * 3
