"""A Prometheus: what it has of the labels of one model, as raw samples, never as `rate()` or `increase()`."""

from __future__ import annotations

import json
import math
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.cli.counts import Count, Recording
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.core.criteria import Stream
from modeldeployment_operator.core.errors import PrometheusError
from modeldeployment_operator.core.observation import Key, Sample
from modeldeployment_operator.core.passing import ANSWERS_ITSELF
from modeldeployment_operator.core.promql import Scrape, Target, Wish, queries, read_answers

_PAGE: Final = 2 * 3600
"""Seconds that are asked for at a time: ten pods scraped every 15 s come to a few MB."""
_TIMEOUT: Final = 60.0
_NUMBERS: Final = ("0", "1")
"""Names of two classes that were given none."""


@dataclass(frozen=True)
class Server:
    """Where it is, and how to ask it."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None

    def record(
        self, key: Key, metric: AccuracyMetric, classes: Sequence[str] | None, span: timedelta, now: datetime
    ) -> Recording:
        """Return what it has of a model over some time until now."""
        by_class = metric is not AccuracyMetric.ACCURACY
        texts = queries([Wish(key, by_class, float(_PAGE))])
        counts: dict[tuple[datetime, str, str, str], Count] = {}
        unusable = 0
        for page in range(math.ceil(span.total_seconds() / _PAGE)):
            at = now - timedelta(seconds=page * _PAGE)
            for targets in self._ask(texts, at).values():
                for target in targets:
                    read, left_out = counts_of(key, target, metric, classes or _NUMBERS)
                    unusable += left_out
                    counts |= {
                        (one.time, one.pod, one.started, one.revision): one for one in read if one.time > now - span
                    }
        ordered = sorted(counts.values(), key=lambda one: (one.time, one.pod))
        if not ordered:
            raise CommandError(
                Exit.NOT_FOUND,
                f"Prometheus at {self.url} has no labels of {key} in the last {span}: see that it scrapes the pods, "
                "gives them the labels namespace, pod, model and revision, and keeps its data so long",
            )
        runs = {(one.pod, one.started) for one in ordered}
        return Recording(tuple(ordered), restarts=len(runs) - len({one.pod for one in ordered}), unusable=unusable)

    def _ask(self, texts: Sequence[str], at: datetime) -> dict[tuple[str, str], list[Target]]:
        try:
            return dict(read_answers([self._query(text, at) for text in texts]))
        except PrometheusError as error:
            raise CommandError(Exit.FAILED, f"Prometheus at {self.url}: {error}") from None

    def _query(self, text: str, at: datetime) -> bytes:
        """Return the answer to an instant query at some time."""
        data = urllib.parse.urlencode({"query": text, "time": f"{at.timestamp():.3f}"}).encode()
        headers = {"Accept": "application/json"}
        try:
            if self.token_file:
                headers["Authorization"] = f"Bearer {self.token_file.read_text(encoding='utf-8').strip()}"
            trusted = ssl.create_default_context(cafile=str(self.ca_file)) if self.ca_file else None
            if not self.url.startswith(("http://", "https://")):
                raise ValueError("it is no http:// or https:// URL")  # noqa: TRY301 - told as the others are.
            request = urllib.request.Request(f"{self.url.rstrip('/')}/api/v1/query", data, headers)  # noqa: S310
            with urllib.request.urlopen(request, timeout=_TIMEOUT, context=trusted) as response:  # noqa: S310
                body: bytes = response.read()
                return body
        except urllib.error.HTTPError as error:
            message = f"Prometheus at {self.url} answers {error.code} {error.reason}: {_reason(error.read())}"
            code = Exit.NO_RIGHTS if error.code in {401, 403} else Exit.FAILED
            raise CommandError(code, message) from None
        except (OSError, ValueError) as error:
            raise CommandError(Exit.UNREACHABLE, f"Prometheus at {self.url} cannot be asked: {error}") from None


def counts_of(key: Key, target: Target, metric: AccuracyMetric, classes: Sequence[str]) -> tuple[list[Count], int]:
    """Return what a target says of a model, and how many of its scrapes are not whole."""
    if target.model != key.name or target.fault:
        return [], len(target.scrapes) if target.fault else 0
    found, unusable = [], 0
    for time, scrape in sorted(target.scrapes.items()):
        sample = _sample(target, scrape, classes, by_class=metric is not AccuracyMetric.ACCURACY)
        if sample is None:
            unusable += 1
            continue
        right, wrong = Stream(metric).of(sample)
        at = datetime.fromtimestamp(time, UTC)
        found.append(Count(at, target.revision, sample.pod_uid, sample.started, right, wrong))
    return found, unusable


def _sample(target: Target, scrape: Scrape, classes: Sequence[str], *, by_class: bool) -> Sample | None:
    """Return the counts of a scrape; None if it is not whole."""
    correct, wrong = scrape.counts.get(("correct",)), scrape.counts.get(("wrong",))
    cells = {own: number for own, number in scrape.counts.items() if len(own) == 2}
    if len(scrape.runs) != 1 or correct is None or wrong is None or (by_class and (len(classes) != 2 or not cells)):
        return None
    negative, positive = classes if by_class else _NUMBERS
    (uid, started), missed = scrape.runs[0], {own: number for own, number in cells.items() if own[0] != own[1]}
    return Sample(
        pod_uid=uid,
        revision=target.revision,
        started=started,
        correct=correct,
        wrong=wrong,
        true_positive=cells.get((positive, positive), 0),
        false_positive=sum(number for (actual, _), number in missed.items() if actual == negative),
        false_negative=sum(number for (actual, _), number in missed.items() if actual == positive),
        passing=ANSWERS_ITSELF,
    )


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:100].decode(errors="replace")
