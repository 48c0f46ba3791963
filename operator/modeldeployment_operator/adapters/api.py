"""The Kubernetes API in plain dictionaries.

`kubernetes.aio` brings configuration, credentials and TLS; its typed models are left out, as they cost twice the CPU
(DESIGN.md). A request ends after ten seconds: the client's own limit is five minutes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.errors import (
    ApiError,
    ConflictError,
    LeaseLostError,
    NamespaceTerminatingError,
    NotFoundError,
    RefusedError,
)
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.names import MANAGER

Body = dict[str, Any]

_TIMEOUT_SECONDS: Final = 10.0
_PAGE: Final = 500
_APPLY: Final = "application/apply-patch+yaml"
_JSON: Final = "application/json"
_ERRORS: Final[Mapping[int, type[ApiError]]] = {
    400: RefusedError,
    403: RefusedError,
    404: NotFoundError,
    409: ConflictError,
    413: RefusedError,
    422: RefusedError,
}


async def connect() -> client.ApiClient:
    """Return a client with the credentials of the pod, or else of the user's kubeconfig."""
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except ConfigException:
        await config.load_kube_config(client_configuration=configuration)
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

    async def get(self, path: str) -> Body:
        """Return what lies at a path; NotFoundError if there is nothing."""
        return await self._request("GET", path)

    async def list(self, kind: Kind, namespace: str | None, selector: str | None) -> tuple[list[Body], int]:
        """Return all objects of a kind, in one namespace or everywhere, and the resourceVersion of the list."""
        items: list[Body] = []
        query: dict[str, str | int] = {"limit": _PAGE} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._request("GET", kind.path(namespace), query=query)
            items += page["items"]
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return items, int(metadata["resourceVersion"])
            query = query | {"continue": metadata["continue"]}

    async def apply(self, kind: Kind, manifest: Body, subresource: str | None = None) -> Body:
        """Apply an object server-side, as the owner of all its fields, and return what it is then.

        With a resourceVersion in its metadata, ConflictError if the object is at another.
        """
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], subresource)
        query = {"fieldManager": MANAGER, "force": "true"}
        self._check_may_write()
        return await self._request("PATCH", path, query=query, body=manifest, content_type=_APPLY)

    async def create(self, kind: Kind, namespace: str, manifest: Body) -> Body:
        """Create an object; ConflictError if it is there already. Whoever is first has made it: no leader is needed."""
        return await self._request("POST", kind.path(namespace), query={"fieldManager": MANAGER}, body=manifest)

    async def replace(self, kind: Kind, body: Body) -> Body:
        """Replace an object; ConflictError if it is at another resourceVersion than the one in its metadata."""
        metadata = body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        return await self._request("PUT", path, query={"fieldManager": MANAGER}, body=body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete an object and what belongs to it, unless it is gone or another has taken its name."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        self._check_may_write()
        try:
            await self._request("DELETE", kind.path(namespace, name), body=body)
        except (NotFoundError, ConflictError):
            return

    async def serves(self, kind: Kind) -> bool:
        """Return whether the cluster knows a kind."""
        try:
            resources = await self.get(f"/apis/{kind.group}/{kind.version}")
        except NotFoundError:
            return False
        return any(resource["name"] == kind.plural for resource in resources["resources"])

    def _check_may_write(self) -> None:
        if not self.may_write():
            raise LeaseLostError("another replica may lead by now: this one writes nothing more")

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Body | None = None,
        content_type: str = _JSON,
    ) -> Body:
        headers = {"Accept": _JSON, "Content-Type": content_type, "User-Agent": MANAGER}
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        started, code = time.monotonic(), "error"
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            response = await self._client.call_api(method, url, headers, body, _request_timeout=_TIMEOUT_SECONDS)
            data = await response.read()
            code = str(response.status)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiError(0, str(error) or type(error).__name__, f"{method} {path}") from error
        finally:
            self._telemetry.api_request_seconds.labels(method, code).observe(time.monotonic() - started)
        if response.status < HTTPStatus.INTERNAL_SERVER_ERROR and response.status != HTTPStatus.UNAUTHORIZED:
            self._heard = time.monotonic()
        if response.status >= 400:
            raise _error(response.status, data, response.reason, f"{method} {path}")
        try:
            document: Body = json.loads(data)
        except ValueError as error:
            raise ApiError(response.status, "the answer is not JSON: is there a proxy?", f"{method} {path}") from error
        return document


def _error(code: int, data: bytes, reason: str, request: str) -> ApiError:
    """Return the error that a metav1.Status tells of."""
    try:
        status = json.loads(data)
        message = str(status["message"])
        causes = [cause.get("reason") for cause in status.get("details", {}).get("causes", ())]
    except (ValueError, TypeError, KeyError, AttributeError):
        message, causes = data.decode(errors="replace")[:200] or reason, []
    kind = NamespaceTerminatingError if "NamespaceTerminating" in causes else _ERRORS.get(code, ApiError)
    return kind(code, message, request)
