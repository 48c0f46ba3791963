"""Asks Prometheus for the labels of all ModelDeployments that are judged from it, at once.

An answer is shared: whoever comes while it is new gets it, and whoever comes while one is on its way waits for it, but
not for long. So a thousand ModelDeployments cost a few queries now and then, and a Prometheus that hangs holds nobody
up: until it has answered, what it said last is what is known.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import aiohttp

from modeldeployment_operator.core.errors import PrometheusError
from modeldeployment_operator.core.observation import Key, Observation, Sample
from modeldeployment_operator.core.promql import Targets, Wish, queries, read_answers, wish_of
from modeldeployment_operator.core.samples import samples_of

_log = logging.getLogger(__name__)

NOT_SET: Final = (
    "spec.accuracy.source is Prometheus, but the operator was told of none: set PROMETHEUS_URL among the operator's "
    "settings, or spec.accuracy.source to Pods"
)
TIMEOUT_SECONDS: Final = 5.0
LONGEST_ANSWER: Final = 16 * 1024 * 1024
"""Bytes. 200 ModelDeployments of ten pods each, scraped by two replicas of Prometheus, come to less."""
MODELS_A_QUERY: Final = 200
"""So one answer is not too large for the memory, and reading it does not keep the operator from other work for long."""
SHORTEST_INTERVAL: Final = 2.0
"""Seconds between two rounds of queries."""
_PATIENCE: Final = 1.0
"""Seconds for which a reconcile waits for a round, from its beginning."""
_REST: Final = 9.0
"""Between two rounds passes at least so many times what the last one took."""
_LONGEST_REST: Final = 30.0
_SPLITS: Final = 32
"""Parts of a round that are asked for again in halves."""
_LONGEST_MESSAGE: Final = 300


@dataclass(frozen=True)
class Address:
    """Where Prometheus is, and how to ask it."""

    url: str
    """Its API is at `URL/api/v1`; Thanos, Mimir and others have a path in it."""
    token_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True)
class Round:
    """What came of one round of queries."""

    ended: float
    took: float = 0.0
    targets: Mapping[Key, Targets] = field(default_factory=dict)
    """Of the ModelDeployments that were asked for and for which there was an answer."""
    failures: Mapping[Key, str] = field(default_factory=dict)
    """Of the others."""


class Prometheus:
    """Reads labels from a Prometheus, if there is one."""

    def __init__(
        self, address: Address | None, monotonic: Callable[[], float], observe_seconds: Callable[[float], object]
    ) -> None:
        self._address = address
        self._monotonic = monotonic
        self._observe_seconds = observe_seconds
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS), trust_env=False, auto_decompress=False
        )
        self._credentials = _Credentials()
        self._wishes: dict[Key, Wish] = {}
        self._alone: set[Key] = set()
        self._last = Round(-float("inf"))
        self._running: asyncio.Task[None] | None = None
        self._began = 0.0

    async def close(self) -> None:
        """End what is on its way."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._session.close()

    def wish(self, observation: Observation) -> None:
        """Ask for the labels of this ModelDeployment, too, from the next round on."""
        self._wishes[observation.key] = wish_of(observation.key, observation.spec)

    def forget(self, key: Key) -> None:
        """Ask for its labels no longer."""
        self._wishes.pop(key, None)
        self._alone.discard(key)

    @property
    def is_set(self) -> bool:
        """Whether there is one to be asked."""
        return self._address is not None

    async def sample(
        self, observation: Observation, age: timedelta = timedelta(0)
    ) -> tuple[dict[str, Sample], str | None]:
        """Return the counts of a ModelDeployment's pods by UID, and why those of some of them could not be read.

        What was said longer than `age` ago is asked for anew, as long as Prometheus answers.
        """
        if self._address is None:
            return {}, NOT_SET
        key = observation.key
        if self._running is None and self._is_due(key, age.total_seconds()):
            self._began = self._monotonic()
            self._running = asyncio.create_task(self._ask_all(self._address))
        if self._running is not None:
            patience = self._began + _PATIENCE - self._monotonic()
            await asyncio.wait({self._running}, timeout=max(0.0, patience))
        if key in self._last.targets:
            return samples_of(observation, self._last.targets[key])
        return {}, self._last.failures.get(key, "Prometheus has not answered yet")

    def _is_due(self, key: Key, age: float) -> bool:
        """Return whether the last answer is too old, or not of this ModelDeployment."""
        known = key in self._last.targets or key in self._last.failures
        pause = max(SHORTEST_INTERVAL, min(_REST * self._last.took, _LONGEST_REST), age if known else 0.0)
        return self._monotonic() - self._last.ended >= pause

    async def _ask_all(self, address: Address) -> None:
        """Make one round."""
        targets: dict[Key, Targets] = {}
        failures: dict[Key, str] = {}
        try:
            await self._ask_in_parts(address, targets, failures)
        except Exception:
            _log.exception("an error in the operator itself: what Prometheus says is not taken in")
        finally:
            if failures and not self._last.failures:
                _log.warning("%d ModelDeployments are not judged: %s", len(failures), next(iter(failures.values())))
            now = self._monotonic()
            self._last = Round(now, now - self._began if targets else 0.0, targets, failures)
            self._running = None

    async def _ask_in_parts(self, address: Address, targets: dict[Key, Targets], failures: dict[Key, str]) -> None:
        """Ask for some ModelDeployments at a time; for fewer, if the answer is too long."""
        waiting, too_long = self._parts(), 0
        while waiting:
            some = waiting.popleft()
            keys = [wish.key for wish in some]
            try:
                targets.update(dict.fromkeys(keys, await self._ask(address, queries(some))))
                self._alone.difference_update(keys)
            except _UnreachableError as error:
                keys += [wish.key for others in waiting for wish in others]
                failures.update(dict.fromkeys(keys, str(error)))
                return
            except _TooLongError as error:
                too_long += 1
                if len(some) > 1 and too_long <= _SPLITS:
                    waiting.extendleft([some[len(some) // 2 :], some[: len(some) // 2]])
                else:
                    self._alone.update(keys if len(keys) == 1 else ())
                    failures.update(dict.fromkeys(keys, str(error)))
            except PrometheusError as error:
                failures.update(dict.fromkeys(keys, str(error)))

    def _parts(self) -> deque[list[Wish]]:
        """Return which ModelDeployments are asked for at a time: those with too many series, each by itself."""
        wishes = [self._wishes[key] for key in sorted(self._wishes)]
        alone = [[wish] for wish in wishes if wish.key in self._alone]
        others = [wish for wish in wishes if wish.key not in self._alone]
        return deque([*(others[at : at + MODELS_A_QUERY] for at in range(0, len(others), MODELS_A_QUERY)), *alone])

    async def _ask(self, address: Address, texts: Iterable[str]) -> Targets:
        began = self._monotonic()
        try:
            bodies = [await self._query(address, text) for text in texts]
            return await asyncio.to_thread(read_answers, bodies)
        except PrometheusError as error:
            raise type(error)(f"Prometheus at {address.url}: {str(error)[:_LONGEST_MESSAGE]}") from error
        finally:
            self._observe_seconds(self._monotonic() - began)

    async def _query(self, address: Address, text: str) -> bytes:
        """Return the answer to an instant query."""
        url, data = f"{address.url}/api/v1/query", {"query": text, "timeout": f"{TIMEOUT_SECONDS:g}s"}
        try:
            headers, context = self._credentials.read(address)
            async with self._session.post(
                url, data=data, headers=headers, ssl=context, allow_redirects=False
            ) as response:
                body = await _read(response)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _UnreachableError(
                f"it cannot be asked ({str(error) or type(error).__name__}): see that it runs, that PROMETHEUS_URL of "
                "the operator is right, and that no NetworkPolicy stands between"
            ) from error
        if response.status == 422:  # "query processing would load too many samples", and limits of Mimir and Thanos
            raise _TooLongError(f"it refuses so long an answer: {_reason(body)}")
        if response.status != 200:
            hint = ": see PROMETHEUS_TOKEN_FILE of the operator" if response.status in {401, 403} else ""
            raise _UnreachableError(f"it answers {response.status} {response.reason}{hint}: {_reason(body)}")
        return body


class _UnreachableError(PrometheusError):
    """It would not answer for another ModelDeployment either."""


class _TooLongError(PrometheusError):
    """It has more to say than is read."""


class _Credentials:
    """What the operator shows of itself, and whom it trusts; from files that may change at any time."""

    def __init__(self) -> None:
        self._trusted: tuple[str, ssl.SSLContext] | None = None

    def read(self, address: Address) -> tuple[dict[str, str], ssl.SSLContext | bool]:
        """Return headers and whom to trust. Raises OSError or ValueError if a file is not as it should be."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if address.token_file:
            headers["Authorization"] = f"Bearer {address.token_file.read_text().strip()}"
        if address.ca_file is None:
            return headers, True
        certificates = address.ca_file.read_text()
        if not certificates:  # Python would take it for none that are wanted, and trust those of the system.
            raise ValueError(f"{address.ca_file} is empty")
        if self._trusted is None or self._trusted[0] != certificates:
            self._trusted = certificates, ssl.create_default_context(cadata=certificates)
        return headers, self._trusted[1]


async def _read(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in response.content.iter_any():
        data += part
        if len(data) > LONGEST_ANSWER:
            raise _TooLongError(f"the answer is longer than {LONGEST_ANSWER >> 20} MiB: too many series")
    return bytes(data)


def _reason(body: bytes) -> str:
    """Return what an answer that is none gives as its reason."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:100].decode(errors="replace")
