"""The Kubernetes API in plain dictionaries.

`kubernetes.aio` brings configuration, credentials and TLS; its typed models are left out, as they cost twice the CPU
(DESIGN.md). A request ends after ten seconds: the client's own limit is five minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from kubernetes.aio import client, config
from kubernetes.aio.client import rest
from kubernetes.aio.config.config_exception import ConfigException
from pydantic_core import from_json

from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.errors import (
    ApiError,
    ConflictError,
    LeaseLostError,
    NamespaceTerminatingError,
    NotFoundError,
    RefusedError,
    TooManyRequestsError,
)
from modeldeployment_operator.core.kinds import Kind, kind_of
from modeldeployment_operator.core.names import MANAGER

Body = dict[str, Any]

_LIMIT: Final = aiohttp.ClientTimeout(total=10.0)
_WATCH_SECONDS: Final = (240, 360)
"""For so long, at random, the API server is to keep a watch open: those of many kinds do not all end at once."""
_WATCH_LIMIT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=90.0)
"""A watch that tells nothing for longer hangs: bookmarks come about every minute."""
_PATIENCE_SECONDS: Final = 30.0
"""So long a request may wait in all if the API server has too much to do."""
_LEADERS: Final = frozenset({"patch", "delete"})
"""What only the replica that leads does."""
_APPLY: Final = "application/apply-patch+yaml"
_JSON: Final = "application/json"
_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}
_ERRORS: Final[Mapping[int, type[ApiError]]] = {
    400: RefusedError,
    403: RefusedError,
    404: NotFoundError,
    409: ConflictError,
    413: RefusedError,
    422: RefusedError,
}


@dataclass(frozen=True)
class _Call:
    """A request in the words of the API server's own: what a right is given for is what it is counted by."""

    verb: str
    resource: str
    path: str

    @property
    def method(self) -> str:
        return _METHODS[self.verb]

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


def _call(
    verb: str, kind: Kind, namespace: str | None = None, name: str | None = None, subresource: str | None = None
) -> _Call:
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    return _Call(verb, resource, kind.path(namespace, name, subresource))


@dataclass(frozen=True)
class Change:
    """What a watch tells of: an object that came, changed or went; a bookmark has only a resourceVersion."""

    type: str
    body: Body
    version: int
    """The resourceVersion up to which everything is known now."""

    @property
    def is_bookmark(self) -> bool:
        """Whether nothing has happened up to this resourceVersion."""
        return self.type == "BOOKMARK"

    @property
    def deleted(self) -> bool:
        """Whether the object went, or lost what it is selected by."""
        return self.type == "DELETED"


async def connect(watches: int = 0) -> client.ApiClient:
    """Return a client with the credentials of the pod, or else of the user's kubeconfig.

    Each of its `watches` keeps a connection to itself; the others are for everything else.
    """
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except ConfigException:
        await config.load_kube_config(client_configuration=configuration)
    configuration.connection_pool_maxsize += watches
    # Where there is no proxy none is looked for, which would cost each request two looks at the disk.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    return client.ApiClient(configuration)


class Api:
    """The requests that the operator makes."""

    def __init__(self, api_client: client.ApiClient, telemetry: Telemetry) -> None:
        self._client = api_client
        self._telemetry = telemetry
        self._heard: float | None = None
        self.may_write: Callable[[], bool] = lambda: True
        """Asked before each write but those of Leases: of several replicas only the one that leads may write."""

    @property
    def silence(self) -> timedelta | None:
        """Time since the API server last answered; None if it never did."""
        return None if self._heard is None else timedelta(seconds=time.monotonic() - self._heard)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Body:
        """Return an object; NotFoundError if there is none."""
        return await self._request(_call("get", kind, namespace, name))

    async def touch(self) -> None:
        """Ask for a sign of life."""
        await self._request(_Call("get", "version", "/version"))

    async def pages(
        self, kind: Kind, namespace: str | None, selector: str | None, size: int
    ) -> AsyncIterator[tuple[Sequence[Body], int]]:
        """Yield all objects of a kind page by page, each with the resourceVersion of the list.

        With a `size` of 0, all of it is one page. ApiError with status 410 if the next page is not known any more.
        """
        query: dict[str, str | int] = {"limit": size} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._request(_call("list", kind, namespace), query=query)
            metadata = page["metadata"]
            yield page["items"], int(metadata["resourceVersion"])
            if not metadata.get("continue"):
                return
            query = query | {"continue": metadata["continue"]}

    async def watch(
        self, kind: Kind, namespace: str | None, selector: str | None, version: int
    ) -> AsyncGenerator[Change]:
        """Yield what happens to objects of a kind after a resourceVersion, until the API server ends the watch.

        Raises ApiError if it breaks or hangs, with status 410 if what happened since then is not known any more.
        """
        query: dict[str, str | int] = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": random.randint(*_WATCH_SECONDS),  # noqa: S311 - spreads load.
        }
        call = _call("watch", kind, namespace)
        response = await self._send(call, query | ({"labelSelector": selector} if selector else {}), limit=_WATCH_LIMIT)
        with contextlib.closing(response.response), _no_answer(call):
            if response.status >= 400:
                raise _error(response.status, await response.read(), response.reason, call)
            async for line in response.response.content:
                yield _change(line, call)

    async def apply(self, kind: Kind, manifest: Body, subresource: str | None = None, *, force: bool = True) -> Body:
        """Apply an object server-side, as the owner of all its fields, and return what it is then.

        With a resourceVersion in its metadata, ConflictError if the object is at another; without `force`, also if a
        field is somebody else's and has another value.
        """
        metadata = manifest["metadata"]
        query = {"fieldManager": MANAGER, "force": str(force).lower()}
        call = _call("patch", kind, metadata["namespace"], metadata["name"], subresource)
        self._check_may_write()
        return await self._request(call, query, manifest, _APPLY)

    async def create(self, kind: Kind, namespace: str, manifest: Body) -> Body:
        """Create an object; ConflictError if it is there already. Whoever is first has made it: no leader is needed."""
        return await self._request(_call("create", kind, namespace), {"fieldManager": MANAGER}, manifest)

    async def record(self, manifest: Body) -> None:
        """Create an object that is never changed; nothing is done if it is there already."""
        kind, namespace = kind_of(manifest), manifest["metadata"]["namespace"]
        self._check_may_write()
        with contextlib.suppress(ConflictError):
            await self.create(kind, namespace, manifest)

    async def replace(self, kind: Kind, body: Body) -> Body:
        """Replace an object; ConflictError if it is at another resourceVersion than the one in its metadata."""
        metadata = body["metadata"]
        call = _call("update", kind, metadata["namespace"], metadata["name"])
        return await self._request(call, {"fieldManager": MANAGER}, body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete an object and what belongs to it, unless it is gone or another has taken its name."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        self._check_may_write()
        try:
            await self._request(_call("delete", kind, namespace, name), body=body)
        except (NotFoundError, ConflictError):
            return

    async def served(self, kinds: Collection[Kind]) -> set[Kind]:
        """Return those of some kinds that the cluster knows."""
        found = set()
        for group, version in sorted({(kind.group, kind.version) for kind in kinds}):
            try:
                page = await self._request(_Call("get", "discovery", f"/apis/{group}/{version}"))
            except NotFoundError:
                continue
            found |= {(group, version, resource["name"]) for resource in page["resources"]}
        return {kind for kind in kinds if (kind.group, kind.version, kind.plural) in found}

    def _check_may_write(self) -> None:
        if not self.may_write():
            raise LeaseLostError("another replica may lead by now: this one writes nothing more")

    async def _request(
        self,
        call: _Call,
        query: Mapping[str, str | int] | None = None,
        body: Body | None = None,
        content_type: str = _JSON,
    ) -> Body:
        """Make a request, again if the API server asks for patience; return the answer."""
        patience = _PATIENCE_SECONDS
        while True:
            try:
                return await self._request_once(call, query, body, content_type)
            except TooManyRequestsError as error:
                patience -= error.wait
                if patience < 0:
                    raise
                await asyncio.sleep(error.wait * random.uniform(1.0, 1.25))  # noqa: S311 - spreads load.
            if call.verb in _LEADERS:
                self._check_may_write()

    async def _request_once(
        self, call: _Call, query: Mapping[str, str | int] | None, body: Body | None, content_type: str
    ) -> Body:
        response = await self._send(call, query, body, content_type)
        data = await response.read()  # Which it is already.
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            reason = _error(response.status, data, response.reason, call).message
            raise TooManyRequestsError(response.status, reason, str(call), _wait(response))
        if response.status >= 400:
            raise _error(response.status, data, response.reason, call)
        try:
            document: Body = from_json(data)  # Half the time of the standard library's, and each key is there once.
        except ValueError as error:
            raise ApiError(response.status, "the answer is not JSON: is there a proxy?", str(call)) from error
        return document

    async def _send(
        self,
        call: _Call,
        query: Mapping[str, str | int] | None = None,
        body: Body | None = None,
        content_type: str = _JSON,
        limit: aiohttp.ClientTimeout = _LIMIT,
    ) -> rest.RESTResponse:
        """Make a request; return its answer, read if it has an end."""
        headers = {"Accept": _JSON, "Content-Type": content_type, "User-Agent": MANAGER}
        url = self._client.configuration.host + call.path + (f"?{urlencode(query)}" if query else "")
        started, code = time.monotonic(), "error"
        try:
            with _no_answer(call):
                await self._client.update_params_for_auth(headers, [], ["BearerToken"], call.path, call.method, body)
                response = await self._client.call_api(call.method, url, headers, body, _request_timeout=limit)
                if limit.total:
                    await response.read()
            code = str(response.status)
        finally:
            self._telemetry.api_requests.labels(call.verb, call.resource, code).inc()
            self._telemetry.api_request_seconds.labels(call.verb).observe(time.monotonic() - started)
        self._note_answer(response.status)
        return response

    def _note_answer(self, status: int) -> None:
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.UNAUTHORIZED:
            self._heard = time.monotonic()


@contextlib.contextmanager
def _no_answer(call: _Call) -> Iterator[None]:
    """Raise ApiError for what goes wrong on the way."""
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, HttpProcessingError, OSError) as error:
        raise ApiError(0, str(error) or type(error).__name__, str(call)) from error


def _wait(response: rest.RESTResponse) -> float:
    """Return the seconds to wait that an answer asks for; a time of day instead is not what an API server says."""
    text = response.headers.get("Retry-After", "")
    return max(1.0, float(text)) if text.isdecimal() else 1.0


def _change(line: bytes, call: _Call) -> Change:
    try:
        event = from_json(line)
        body = event["object"]
        if event["type"] == "ERROR":
            raise _error(int(body.get("code", 0)), json.dumps(body).encode(), "", call)
        return Change(event["type"], body, int(body["metadata"]["resourceVersion"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ApiError(0, "what the watch tells is no event: is there a proxy?", str(call)) from error


def _error(code: int, data: bytes, reason: str, call: _Call) -> ApiError:
    """Return the error that a metav1.Status tells of."""
    try:
        status = json.loads(data)
        message = str(status["message"])
        causes = [cause.get("reason") for cause in status.get("details", {}).get("causes", ())]
    except (ValueError, TypeError, KeyError, AttributeError):
        message, causes = data.decode(errors="replace").strip()[:200] or reason, []
    kind = NamespaceTerminatingError if "NamespaceTerminating" in causes else _ERRORS.get(code, ApiError)
    return kind(code, message, str(call))
