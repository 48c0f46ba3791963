"""What fetching the model took, for Prometheus: told by the init container meanwhile, and then by the server."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from model_server import logs
from model_server.contract import FETCH_REPORT_FILE, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric as Family


class Fetching(Protocol):
    """How far it has got, or how far it got."""

    @property
    def done(self) -> int:
        """Bytes from the source."""

    @property
    def cached(self) -> int:
        """Bytes from the cache."""

    @property
    def expected(self) -> int | None:
        """Bytes from both; None if no server says it."""

    @property
    def seconds(self) -> float:
        """Since the start."""


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What the init container leaves for the server."""

    done: int
    cached: int
    expected: int | None
    seconds: float


def write_report(fetching: Fetching, folder: Path) -> None:
    """Leave a report. Raises OSError."""
    report = FetchReport(fetching.done, fetching.cached, fetching.expected, fetching.seconds)
    (folder / FETCH_REPORT_FILE).write_text(json.dumps(asdict(report)), encoding="utf-8")


def read_report(folder: Path) -> FetchReport | None:
    """Read the report, if there is one: a server may run without an init container."""
    try:
        return FetchReport(**json.loads((folder / FETCH_REPORT_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class FetchCollector(Collector):
    """Looks at it when Prometheus asks."""

    def __init__(self, fetching: Fetching | None) -> None:
        self._fetching = fetching

    def collect(self) -> Iterator[Family]:
        """Tell what is known."""
        now = self._fetching
        if now is None:
            return
        yield GaugeMetricFamily(Metric.FETCH_BYTES, "Bytes of the model that came from its source.", now.done)
        yield GaugeMetricFamily(Metric.FETCH_CACHED_BYTES, "Bytes of the model that came from the cache.", now.cached)
        if now.expected is not None:
            yield GaugeMetricFamily(Metric.FETCH_EXPECTED_BYTES, "Bytes that its source says it has.", now.expected)
        yield GaugeMetricFamily(Metric.FETCH_SECONDS, "What fetching the model took, or takes so far.", now.seconds)


def serve(fetching: Fetching, host: str, port: int) -> None:
    """Answer Prometheus in threads of this process until it ends. That it cannot listen is logged, and no more."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FetchCollector(fetching))
    for address in (host,) if host else ("::", "0.0.0.0"):  # noqa: S104  # As the server does; the first one of both kinds.
        try:
            start_http_server(port, address, registry)
        except OSError as error:
            problem = error
        else:
            return
    logs.warning("nobody can see the progress", port=port, error=str(problem))
