"""HTTP for getting files: redirects that take no credentials along, errors told apart by what helps against them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from model_server.sources.limits import CHUNK_BYTES
from model_server.sources.parts import Interrupted, bad_uri, failed
from model_server.wording import shown_uri, without_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Self


_CONNECT_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 60.0
_MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_WORTH_ANOTHER_TRY: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class Access:
    """What is sent so that a server lets us in."""

    def __init__(self, header: str | None = None) -> None:
        self.header = header
        """The value of Authorization, or None."""

    async def renew(self, challenge: str) -> bool:
        """Get another one after the answer 401; returns whether there is one. Raises `Interrupted`, `StartError`."""
        del challenge
        return False


class Client:
    """One pool of connections. Use it as a context."""

    def __init__(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            trust_env=False,  # It would mix what .netrc says with what is to be sent. Proxies: below.
            auto_decompress=False,
            read_bufsize=CHUNK_BYTES,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "model-server"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str], authorization: str | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask; gives the answer, whatever its code is, but no redirect. Raises `Interrupted`, `StartError`.

        The authorization is sent to the host of the URL alone: not to another one that it leads to.
        """
        try:
            target = URL(url, encoded=True)
            for _ in range(_MAX_REDIRECTS + 1):
                secret = {"Authorization": authorization} if authorization and target.origin() == _origin(url) else {}
                async with self._session.get(
                    target, headers={**headers, **secret}, allow_redirects=False, proxy=_proxy(target)
                ) as response:
                    if response.status not in _REDIRECTS or "Location" not in response.headers:
                        yield response
                        return
                    target = _follow(target, response.headers["Location"])
        except (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError) as error:
            raise _problem(error, url) from error
        except ValueError as error:
            raise bad_uri(f"{shown_uri(url)} is no URL that can be asked: {error}") from error
        raise failed(f"{shown_uri(url)}: more than {_MAX_REDIRECTS} redirects (TooManyRedirects)")


def check_status(response: aiohttp.ClientResponse, uri: str, hint: str = "") -> None:
    """Tell what helps against an answer that is none. Raises `Interrupted` for what passes, else `StartError`."""
    if response.status < 400:
        return
    said = f"the server answered {response.status} {response.reason or ''}".rstrip()
    if response.status >= 500 or response.status in _WORTH_ANOTHER_TRY:
        raise Interrupted(f"{shown_uri(uri)}: {said}", _seconds(response.headers.get("Retry-After", "")))
    more = f". {hint}" if hint and response.status in {401, 403, 404} else ""
    raise failed(f"{shown_uri(uri)}: {said}{more}")


def _follow(now: URL, location: str) -> URL:
    then = now.join(URL(location, encoded=True))
    if then.scheme not in {"http", "https"}:
        raise failed(f"{shown_uri(str(now))} leads to {then.scheme}:, which is not followed")
    if now.scheme == "https" and then.scheme == "http":
        raise failed(f"{shown_uri(str(now))} leads from https to http, which anybody on the way may alter")
    return then


def _proxy(target: URL) -> str | None:
    """Return the proxy that the environment names, if it does."""
    if proxy_bypass(target.authority):
        return None
    return getproxies().get(target.scheme)


def _origin(url: str) -> URL:
    return URL(url, encoded=True).origin()


def _seconds(text: str) -> float:
    """Read Retry-After: seconds, or a date."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, date.timestamp() - time.time())


def _problem(error: Exception, url: str) -> Exception:
    where = shown_uri(url)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return failed(f"{where}: the server's certificate is not trusted: {_text(error)}")
    if isinstance(error, aiohttp.InvalidURL):
        return bad_uri(f"{where} is no URL that can be asked")
    cause = getattr(error, "os_error", error)
    if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
        return failed(f"{where}: there is no host of that name ({cause.strerror})")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return Interrupted(f"{where}: no answer within {_SILENCE_SECONDS:g} s")
    return Interrupted(f"{where}: {type(error).__name__}: {_text(error)}")


def _text(error: Exception) -> str:
    return without_secrets(str(error))[:300]
