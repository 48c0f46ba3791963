"""The HTTP session that Kopf watches with: what keeps its watches alive, and from becoming a storm.

Kopf begins a watch that was closed at once again at once, thousands of times a second; it gives up at an answer that
says 401 or 404; and it does not say when it had to list anew, where deletions go unseen. Each of its requests goes
through here (DESIGN.md, "Watching and writing").
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from kubernetes.aio import client

from modeldeployment_operator.adapters.api import connect
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.names import MANAGER
from modeldeployment_operator.core.pace import Bucket, Pace

PACE: Final = Pace(burst=6, interval=2.0)
"""Of lists and watches of one kind in one namespace. A healthy watch lasts for half an hour."""


@dataclass
class _Stream:
    """One kind in one namespace, as it is asked for."""

    kind: Kind
    bucket: Bucket
    listed: bool = False
    """Whether it was listed since it was watched last: what was deleted before the list was never told."""
    begun: bool = False


class Streams:
    """What is known of all watches. It outlives each run of Kopf; used by one thread at a time.

    Args:
        kinds: what is watched.
        telemetry: counts what begins anew.
        on_gap: told of a kind of which something may have gone unseen.

    """

    def __init__(self, kinds: Iterable[Kind], telemetry: Telemetry, on_gap: Callable[[Kind], object]) -> None:
        self._kinds = {(kind.path().rpartition("/")[0], kind.plural): kind for kind in kinds}
        self._telemetry = telemetry
        self._on_gap = on_gap
        self._streams: dict[str, _Stream] = {}

    async def open(self) -> tuple[str, aiohttp.ClientSession]:
        """Return the API server's URL and a session for it, with the credentials of the operator's own client."""
        api_client = await connect()
        configuration = api_client.configuration
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=api_client.rest_client.ssl_context),
            headers={"User-Agent": f"{MANAGER}/watch"},
            proxy=configuration.proxy,
            middlewares=(self._authorised(api_client), self._watched),
        )
        return configuration.host, session

    @staticmethod
    def _authorised(api_client: client.ApiClient) -> aiohttp.ClientMiddlewareType:
        """Give each request the token of its moment: it is read anew when the kubelet has renewed it."""

        async def middleware(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            headers: dict[str, str] = {}
            await api_client.update_params_for_auth(headers, [], ["BearerToken"], request.url.path, "GET", None)
            request.headers.update(headers)
            return await handler(request)

        return middleware

    async def _watched(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        stream = self._stream(request.url.path)
        if stream is None:
            return await handler(request)
        watches, continues = request.url.query.get("watch") == "true", "continue" in request.url.query
        if not continues:
            await self._keep_pace(stream)
        response = await self._counted(stream.kind, "watch" if watches else "list", handler(request))
        if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND}:
            # A token that is renewed or a kind that comes back mends it. Kopf repeats what fails like a connection.
            response.close()
            raise aiohttp.ClientConnectionError(f"{response.status} {response.reason}")
        if response.status == HTTPStatus.OK:
            self._note(stream, watches=watches)
        return response

    async def _counted(self, kind: Kind, verb: str, answer: Awaitable[ClientResponse]) -> ClientResponse:
        code = "error"
        try:
            response = await answer
            code = str(response.status)
        finally:
            self._telemetry.api_requests.labels(verb, kind.plural, code).inc()
        return response

    def _stream(self, path: str) -> _Stream | None:
        """Return the stream of a path like /apis/apps/v1[/namespaces/team]/deployments."""
        if path not in self._streams:
            prefix, _, plural = path.rpartition("/")
            kind = self._kinds.get((prefix.partition("/namespaces/")[0], plural))
            if kind is None:
                return None
            self._streams[path] = _Stream(kind, Bucket(PACE))
        return self._streams[path]

    async def _keep_pace(self, stream: _Stream) -> None:
        stream.bucket, wait = stream.bucket.take(time.monotonic())
        if wait > 0:
            self._on_gap(stream.kind)  # A watch that has to be held back tells little: lists do meanwhile.
            await asyncio.sleep(wait)

    def _note(self, stream: _Stream, *, watches: bool) -> None:
        if not watches:
            stream.listed = True
            return
        if stream.listed:
            stream.listed = False
            self._on_gap(stream.kind)
        if stream.begun:
            self._telemetry.watch_restarts.labels(stream.kind.plural).inc()
        stream.begun = True
