"""Answers as Prometheus gives them to a query for raw samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

STARTED = "2026-01-02T11:00:00.123456+00:00"


def a_series(name: str, values: Mapping[float, object], labels: Mapping[str, str]) -> dict[str, Any]:
    """One series; its values by time."""
    return {"metric": {"__name__": name, **labels}, "values": [[time, str(value)] for time, value in values.items()]}


def a_target(pod: str = "m-1-pod-0", **labels: str) -> dict[str, str]:
    """Labels that a ServiceMonitor gives the lines of a pod."""
    usual = {"namespace": "team", "pod": pod, "model": "m", "revision": pod.rpartition("-pod-")[0]}
    return usual | {"job": "m", "instance": "10.0.0.1:8502", "endpoint": "admin"} | labels


def a_pods_series(
    target: dict[str, str],
    counts: Mapping[float, tuple[object, object]],
    *,
    started: str = STARTED,
    uid: str | None = None,
    cells: Mapping[tuple[str, str], object] | None = None,
) -> list[dict[str, Any]]:
    """All series of a pod that was scraped at these times, with its labels (correct, wrong) at each of them."""
    info = target | {"pod_uid": uid or target["pod"], "started": started}
    series = [
        a_series(
            "model_labels_total", {time: both[0] for time, both in counts.items()}, target | {"outcome": "correct"}
        ),
        a_series("model_labels_total", {time: both[1] for time, both in counts.items()}, target | {"outcome": "wrong"}),
        a_series("model_counting_info", dict.fromkeys(counts, 1), info),
    ]
    for (actual, predicted), value in (cells or {}).items():
        by_class = target | {"actual": actual, "predicted": predicted}
        series.append(a_series("model_confusion_total", dict.fromkeys(counts, value), by_class))
    return series


def an_answer(*series: dict[str, Any], **changed: Any) -> bytes:
    """The whole answer."""
    data = {"resultType": "matrix", "result": list(series)}
    return json.dumps({"status": "success", "data": data} | changed).encode()
