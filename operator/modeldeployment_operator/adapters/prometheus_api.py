"""How Prometheus is asked: its HTTP API, with a token and certificates from files that may change at any time."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from modeldeployment_operator.core.errors import PrometheusError

TIMEOUT_SECONDS: Final = 5.0
LONGEST_ANSWER: Final = 16 * 1024 * 1024
"""Bytes. 200 ModelDeployments of ten pods each, scraped by two replicas of Prometheus, come to less."""


@dataclass(frozen=True)
class Address:
    """Where Prometheus is, and how to ask it."""

    url: str
    """Its API is at `URL/api/v1`; Thanos, Mimir and others have a path in it."""
    token_file: Path | None = None
    ca_file: Path | None = None


class UnreachableError(PrometheusError):
    """It would not answer for another ModelDeployment either."""


class RefusedQueryError(UnreachableError):
    """It takes the query for none."""


class TooLongError(PrometheusError):
    """It has more to say than is read."""


class PrometheusApi:
    """Asks one Prometheus."""

    def __init__(self, address: Address) -> None:
        self.url = address.url
        self._address = address
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS), trust_env=False, auto_decompress=False
        )
        self._credentials = _Credentials()

    async def close(self) -> None:
        """End what is on its way."""
        await self._session.close()

    async def query(self, text: str) -> bytes:
        """Return the answer to an instant query."""
        url, data = f"{self.url}/api/v1/query", {"query": text, "timeout": f"{TIMEOUT_SECONDS:g}s"}
        try:
            headers, context = self._credentials.read(self._address)
            async with self._session.post(
                url, data=data, headers=headers, ssl=context, allow_redirects=False
            ) as response:
                body = await _read(response)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise UnreachableError(
                f"it cannot be asked ({str(error) or type(error).__name__}): see that it runs, that PROMETHEUS_URL of "
                "the operator is right, and that no NetworkPolicy stands between"
            ) from error
        if response.status == 422:  # "query processing would load too many samples", and limits of Mimir and Thanos
            raise TooLongError(f"it refuses so long an answer: {_reason(body)}")
        if response.status == 400:
            raise RefusedQueryError(f"it refuses the query: {_reason(body)}")
        if response.status != 200:
            hint = ": see PROMETHEUS_TOKEN_FILE of the operator" if response.status in {401, 403} else ""
            raise UnreachableError(f"it answers {response.status} {response.reason}{hint}: {_reason(body)}")
        return body


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
            raise TooLongError(f"the answer is longer than {LONGEST_ANSWER >> 20} MiB: too many series")
    return bytes(data)


def _reason(body: bytes) -> str:
    """Return what an answer that is none gives as its reason."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:100].decode(errors="replace")
