"""Talks to other pods: a pooled HTTP client, and the names of siblings."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

import aiohttp

from model_server import traces
from model_server.http.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from model_server.prediction_id import Address
    from model_server.traces import Headers

CONNECT_SECONDS: Final = 1.0
"""Within one cluster a connection takes a millisecond."""


class Unreachable(Exception):  # noqa: N818  # A fact about the other pod.
    """No connection came about: the other pod has seen nothing of the request."""


class Lost(Exception):  # noqa: N818  # A fact about the other pod.
    """The request may have arrived; its answer has not."""


class TimedOut(Lost):
    """The other pod is there, but takes too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Its body is as it came, compressed or not."""

    status: int
    headers: Headers
    body: bytes


class PodClient:
    """Sends requests to other pods over connections that are kept open."""

    def __init__(self, access: Access | None = None) -> None:
        self.access = access or Access()
        """What this pod shows to others, and what it wants to see of them."""
        self._session: aiohttp.ClientSession | None = None

    async def send(  # The parts of an HTTP request.
        self, method: str, address: str, path: str, *, headers: Mapping[str, str] | Headers, body: bytes, seconds: float
    ) -> Answer:
        """Send a request to HOST:PORT. Raises `Unreachable` or `Lost`, which may be `TimedOut`."""
        identity = self.access.identity
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            with traces.current.get().call(method, address, path) as call:
                async with self._open().request(
                    method,
                    f"{'http' if identity is None else 'https'}://{address}{path}",
                    headers=call.headers(self._authorized(headers)),
                    data=body or None,
                    timeout=timeout,
                    allow_redirects=False,
                    ssl=True if identity is None else identity.client,
                    server_hostname=None if identity is None else identity.name,
                ) as response:
                    call.answered(response.status)
                    return Answer(response.status, list(response.headers.items()), await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise Unreachable(str(error)) from error
        except TimeoutError as error:
            raise TimedOut(f"no answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(str(error) or type(error).__name__) from error

    def _authorized(self, headers: Mapping[str, str] | Headers) -> Mapping[str, str] | Headers:
        """Add a bearer token, where clients need one and this request is not a client's that has its own."""
        authorization = self.access.authorization
        pairs = headers if isinstance(headers, list) else list(headers.items())
        if authorization is None or any(name.lower() == "authorization" for name, _ in pairs):
            return headers
        return [*pairs, ("Authorization", authorization)]

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def addresses_of(host: str) -> set[Address]:
    """Look up a headless Service: the addresses of its pods. Empty if there are none.

    Raises OSError if that cannot be found out just now.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}:
            return set()
        raise
    return {ip_address(entry[4][0]) for entry in found}


def host_port(address: Address, port: int) -> str:
    """Write an address as URLs have it."""
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"


_HOP_BY_HOP: Final = frozenset(
    {
        *(
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "te",
            "trailer",
            "transfer-encoding",
        ),
        *("upgrade", "content-length", "date", "expect", "host", "server"),
    }
)


def end_to_end(headers: Iterable[tuple[str, str]]) -> Headers:
    """Leave out the headers that are for one connection only, or that a server writes itself."""
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
