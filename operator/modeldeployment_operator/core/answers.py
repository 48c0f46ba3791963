"""Answers of Prometheus' API, as far as all queries have them in common."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modeldeployment_operator.core.errors import PrometheusError
from modeldeployment_operator.core.tallies import Series


@contextmanager
def in_form() -> Iterator[None]:
    """Raise PrometheusError if what is read within is not as Prometheus answers."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PrometheusError(f"the answer is not in the form of Prometheus: {type(error).__name__} {error}") from error


def matrix(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the series of an answer with raw samples."""
    yield from _result(body, "matrix")


def samples(body: bytes) -> list[Series]:
    """Return the series of such an answer; PrometheusError if it is none."""
    with in_form():
        return [_series(one) for one in matrix(body)]


def scalar(body: bytes) -> float:
    """Return the one number of an answer; PrometheusError if it is none."""
    with in_form():
        return float(_result(body, "scalar")[1])


def gauge(body: bytes) -> float:
    """Return the one number that a user's expression gives; PrometheusError if it is none."""
    with in_form():
        kind = json.loads(body, parse_constant=_refuse).get("data", {}).get("resultType")
        values = [_result(body, "scalar")] if kind == "scalar" else [one["value"] for one in _result(body, "vector")]
        if len(values) != 1:
            raise PrometheusError(f"query.gauge gives {len(values)} numbers, and has to give one for the revision")
        value = float(values[0][1])
        if not math.isfinite(value):
            raise PrometheusError(f"query.gauge is {value}, which is no number")
        return value


def _series(document: dict[str, Any]) -> Series:
    if "values" not in document:
        raise PrometheusError("the answer has a histogram, which counts no labels: select raw counters")
    values = {float(time): float(text) for time, text in document["values"]}
    return Series(frozenset(dict(document["metric"]).items()), values)


def _result(body: bytes, kind: str) -> Any:
    answer = json.loads(body, parse_constant=_refuse)
    if answer["status"] != "success":
        raise PrometheusError(f"the answer is an error: {answer.get('error')}")
    if answer.get("warnings") or answer.get("isPartial"):
        raise PrometheusError(f"the answer may lack something: {answer.get('warnings') or 'it is partial'}")
    if answer["data"]["resultType"] != kind:
        raise PrometheusError(f"the answer is of type {answer['data']['resultType']!r}, not {kind!r}")
    return answer["data"]["result"]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
