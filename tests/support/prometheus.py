"""What Prometheus and Alertmanager tell over HTTP, as far as tests ask."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECONDS = 10.0
Labels = dict[str, str]


class PrometheusError(Exception):
    """It could not be reached, or refused a query; the message has its own words."""


@dataclass(frozen=True)
class Sample:
    """One series at one time."""

    labels: Labels
    value: float
    time: float
    """Unix time, in seconds."""

    @property
    def name(self) -> str:
        """Name of the metric; empty where an operation took it away."""
        return self.labels.get("__name__", "")


@dataclass(frozen=True)
class Series:
    """One series over time."""

    labels: Labels
    points: tuple[tuple[float, float], ...]
    """Unix time in seconds and value."""


@dataclass(frozen=True)
class Target:
    """What is scraped."""

    job: str
    labels: Labels
    url: str
    health: str
    """`up`, `down`, or `unknown` before the first scrape."""
    error: str


@dataclass(frozen=True)
class Rule:
    """A rule as Prometheus has loaded it."""

    name: str
    kind: str
    """`alerting` or `recording`."""
    query: str
    health: str
    """`ok`, `err`, or `unknown` before the first evaluation."""
    error: str
    labels: Labels


@dataclass(frozen=True)
class Alert:
    """An alert, of Prometheus (`pending`, `firing`) or of Alertmanager (`active`, `suppressed`, `unprocessed`)."""

    labels: Labels
    annotations: dict[str, str]
    state: str
    since: datetime

    @property
    def name(self) -> str:
        """Name of the rule it comes from."""
        return self.labels["alertname"]

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether it carries all of these labels."""
        return labels.items() <= self.labels.items()


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server, by its URL without a slash at the end."""

    url: str

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Evaluate an expression at one time (now), a vector or a scalar."""
        arguments = {"query": expression} | ({} if at is None else {"time": repr(at)})
        data = self._ask("query", arguments)
        if data["resultType"] == "scalar":
            return [_sample({"metric": {}, "value": data["result"]})]
        return [_sample(one) for one in data["result"]]

    def value(self, expression: str) -> float | None:
        """Evaluate an expression that has one series, or none; then return None."""
        found = self.query(expression)
        if len(found) > 1:
            raise PrometheusError(f"{expression} has {len(found)} series: {[one.labels for one in found]}")
        return found[0].value if found else None

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate an expression at each step of a time."""
        arguments = {"query": expression, "start": repr(start), "end": repr(end), "step": repr(step)}
        return [
            Series(one["metric"], tuple((float(time), float(value)) for time, value in one["values"]))
            for one in self._ask("query_range", arguments)["result"]
        ]

    def targets(self) -> list[Target]:
        """Return what is scraped now."""
        return [
            Target(one["scrapePool"], one["labels"], one["scrapeUrl"], one["health"], one["lastError"])
            for one in self._ask("targets", {"state": "active"})["activeTargets"]
        ]

    def rules(self) -> list[Rule]:
        """Return the rules of all groups."""
        groups = self._ask("rules", {})["groups"]
        return [
            Rule(
                one["name"],
                one["type"],
                one["query"],
                one["health"],
                one.get("lastError", ""),
                one.get("labels", {}),
            )
            for group in groups
            for one in group["rules"]
        ]

    def alerts(self) -> list[Alert]:
        """Return the alerts that are pending or firing."""
        return [_alert(one, one["state"], one["activeAt"]) for one in self._ask("alerts", {})["alerts"]]

    def is_ready(self) -> bool:
        """Whether it answers queries."""
        return _answers(f"{self.url}/-/ready")

    def _ask(self, what: str, arguments: Mapping[str, str]) -> Any:
        return _get(f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(arguments)}")["data"]


@dataclass(frozen=True)
class Alertmanager:
    """An Alertmanager, by its URL without a slash at the end."""

    url: str

    def alerts(self) -> list[Alert]:
        """Return the alerts that are not resolved."""
        found: Iterable[dict[str, Any]] = _get(f"{self.url}/api/v2/alerts")
        return [_alert(one, one["status"]["state"], one["startsAt"]) for one in found]

    def is_ready(self) -> bool:
        """Whether it takes alerts."""
        return _answers(f"{self.url}/-/ready")


def _sample(document: Mapping[str, Any]) -> Sample:
    time, value = document["value"]
    return Sample(document["metric"], float(value), float(time))


def _alert(document: Mapping[str, Any], state: str, since: str) -> Alert:
    seconds = since.split(".")[0].removesuffix("Z")  # Nanoseconds are more than Python reads.
    return Alert(
        document["labels"], document["annotations"], state, datetime.fromisoformat(seconds).replace(tzinfo=UTC)
    )


def _get(url: str) -> Any:
    try:
        with _open(url) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise PrometheusError(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise PrometheusError(f"{url} does not answer: {error}") from error


def _answers(url: str) -> bool:
    try:
        with _open(url) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _open(url: str) -> Any:
    """Never through a proxy: what tests ask is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=SECONDS)
