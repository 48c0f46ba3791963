"""The operator's own page: all models at a glance, for teams without dashboards. Read only.

It listens on the pod's loopback, which `kubectl port-forward` reaches, and whoever may forward ports of the operator's
pod may do more than look. So it has no login. A page of another site cannot read it either: names that lead to it by
DNS are refused, and nothing may frame it or run in it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from modeldeployment_operator.adapters.fleet import Fleet
from modeldeployment_operator.adapters.templates import Templates
from modeldeployment_operator.core.fleet import Model
from modeldeployment_operator.core.freshness import Freshness
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.overview import Query

_log = logging.getLogger(__name__)

_STATIC: Final = Path(__file__).parents[1] / "static"
_TYPES: Final[Mapping[str, str]] = {
    "fleet.css": "text/css",
    "fleet.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'self'; "
    "style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_KEPT_SECONDS: Final = 1.0
"""For so long an answer is given again: reloads cost no more than that, however many come."""
_KEPT_ANSWERS: Final = 32
_THREADED_BYTES: Final = 16384
"""More than this is compressed in a thread."""

Render = Callable[[list[Model]], tuple[HTTPStatus, str]]


async def serve(
    fleet: Fleet, freshness: Callable[[], Freshness], host: str, port: int, names: Iterable[str] = ()
) -> web.AppRunner:
    """Start listening; the runner's `cleanup` stops it.

    `names` are those that the page may be called by, beside `localhost` and addresses.
    """
    page = _Page(fleet, freshness)
    app = web.Application(middlewares=[_guard(frozenset({"localhost", *(name.lower() for name in names)}))])
    app.router.add_get("/", page.fleet)
    app.router.add_get("/models/{namespace}/{name}", page.model)
    for name, content_type in _TYPES.items():
        app.router.add_get(f"/static/{name}", _file((_STATIC / name).read_bytes(), content_type))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


@dataclass(frozen=True)
class _Answer:
    made: float
    status: HTTPStatus
    html: str


class _Page:
    """Answers are made in a thread, one at a time, and kept for a moment: looking must not slow the operator down."""

    def __init__(self, fleet: Fleet, freshness: Callable[[], Freshness]) -> None:
        self._fleet = fleet
        self._freshness = freshness
        self._templates = Templates()
        self._answers: OrderedDict[Query | Key, _Answer] = OrderedDict()
        self._lock = asyncio.Lock()

    async def fleet(self, request: web.Request) -> web.StreamResponse:
        """Show all models, or those that were asked for."""
        query = Query.of(request.query)
        return await self._answer(query, lambda models: self._templates.fleet(models, query, self._freshness()))

    async def model(self, request: web.Request) -> web.StreamResponse:
        """Show one model."""
        key = Key(request.match_info["namespace"], request.match_info["name"])
        return await self._answer(key, lambda models: self._templates.model(models, key, self._freshness()))

    async def _answer(self, question: Query | Key, render: Render) -> web.StreamResponse:
        async with self._lock:
            answer = self._answers.get(question)
            if answer is None or time.monotonic() - answer.made >= _KEPT_SECONDS:
                models = await self._fleet.models()
                status, html = await asyncio.to_thread(render, models)
                answer = self._answers[question] = _Answer(time.monotonic(), status, html)
                if len(self._answers) > _KEPT_ANSWERS:
                    self._answers.popitem(last=False)
        response = web.Response(
            text=answer.html, status=answer.status, content_type="text/html", zlib_executor_size=_THREADED_BYTES
        )
        response.enable_compression()
        return response


def _file(content: bytes, content_type: str) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type=content_type, charset="utf-8")

    return answer


def _guard(names: frozenset[str]) -> Middleware:
    """Refuse names that somebody else's DNS leads here by, and put the headers on every answer, errors too."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse
        try:
            if _is_known(request.headers.get("Host", ""), names):
                response = await handler(request)
            else:
                response = web.Response(
                    status=HTTPStatus.MISDIRECTED_REQUEST,
                    text="This page is not served by that name. Open it as localhost, or add the name to "
                    "FLEET_PAGE_NAMES.\n",
                )
        except web.HTTPException as error:
            response = web.Response(status=error.status, text=f"{error.status} {error.reason}\n")
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
        except Exception:
            _log.exception("the page %s could not be made", request.path)
            response = web.Response(
                status=HTTPStatus.INTERNAL_SERVER_ERROR, text="The page could not be made: see the operator's log.\n"
            )
        response.headers.update(_HEADERS)
        return response

    return guard


def _is_known(host: str, names: frozenset[str]) -> bool:
    """Return whether a Host header names this page: by an address, which no DNS can lead here, or by a known name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name not in names:
            ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
