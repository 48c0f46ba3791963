"""Asks the components whether they work, and the API server for objects, without a client library."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.cluster.errors import ClusterError

if TYPE_CHECKING:
    from tests.cluster.state import Cluster

SECONDS = 5
APPLY_SECONDS = 60
"""A kind of some hundred kilobytes takes a busy machine seconds."""
FIELD_MANAGER = "tests.cluster"


def answers(url: str) -> bool:
    """Whether the URL answers 200. Health checks are public, and some components sign their own certificates."""
    trust_any = ssl._create_unverified_context()
    try:
        with _opener(trust_any).open(url, timeout=SECONDS) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def get(cluster: Cluster, path: str) -> dict[str, Any] | None:
    """The object at this path of the API, as the administrator sees it; None if there is none (yet)."""
    try:
        return _ask(cluster, urllib.request.Request(cluster.server + path))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise _refused(error, path) from error


def apply(cluster: Cluster, path: str, wanted: dict[str, Any] | bytes) -> None:
    """Create the object, given as such or as YAML, or bring it to what is wanted (server-side apply)."""
    request = urllib.request.Request(
        f"{cluster.server}{path}?fieldManager={FIELD_MANAGER}&force=true",
        method="PATCH",
        data=wanted if isinstance(wanted, bytes) else json.dumps(wanted).encode(),
        headers={"Content-Type": "application/apply-patch+yaml"},
    )
    try:
        _ask(cluster, request, APPLY_SECONDS)
    except urllib.error.HTTPError as error:
        raise _refused(error, path) from error


def _ask(cluster: Cluster, request: urllib.request.Request, seconds: float = SECONDS) -> dict[str, Any]:
    pki = cluster.paths.pki
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    with _opener(context).open(request, timeout=seconds) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def _opener(context: ssl.SSLContext) -> urllib.request.OpenerDirector:
    """Never through a proxy: the cluster is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


def _refused(error: urllib.error.HTTPError, path: str) -> ClusterError:
    return ClusterError(f"The API server answered {error.code} for {path}: {error.read().decode(errors='replace')}")
