"""How an optional kind is watched, by a server that does what a real one does seldom, or to order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client
from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.discovery import Discovery
from modeldeployment_operator.adapters.reflector import Reflector
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core import names
from modeldeployment_operator.core.errors import NotFoundError
from modeldeployment_operator.core.kinds import MODEL_DEPLOYMENT, PROMETHEUS_RULE, SERVICE_MONITOR
from modeldeployment_operator.core.observation import Key
from prometheus_client import CollectorRegistry

KEY = Key("team", "m")
EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}


def a_rule(version: int, uid: str = "u", name: str = "m") -> dict[str, Any]:
    owners = [{"uid": "owner", "controller": True}]
    metadata = {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata | {"labels": names.common_labels("m"), "ownerReferences": owners}, "spec": {}}


def event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": body}


def bookmark(version: int) -> dict[str, Any]:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


@dataclass
class Server:
    """Answers lists with what there is, and each watch with the next script."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    version: int = 10
    page: int = 100
    list_status: int = 200
    kinds: set[str] = field(default_factory=lambda: {PROMETHEUS_RULE.plural, SERVICE_MONITOR.plural})
    watches: list[list[dict[str, Any]]] = field(default_factory=list)
    """What is sent on each; the last one stays open, and so do those for which there is none."""
    ends_at_once: bool = False
    """A watch that has no script ends at once."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The queries of lists and watches."""

    @property
    def lists(self) -> int:
        return sum("watch" not in query and "continue" not in query for query in self.asked)

    @property
    def watched_from(self) -> list[int]:
        return [int(query["resourceVersion"]) for query in self.asked if "watch" in query]

    async def resources(self, _: web.Request) -> web.Response:
        if not self.kinds:
            return web.json_response({"message": "not found"}, status=404)
        return web.json_response({"resources": [{"name": name} for name in sorted(self.kinds)]})

    async def objects(self, request: web.Request) -> web.StreamResponse:
        plural = request.match_info["plural"]
        self.asked.append(dict(request.query))
        if plural not in self.kinds or self.list_status != 200:
            return web.json_response({"message": "no"}, status=404 if plural not in self.kinds else self.list_status)
        if "watch" in request.query:
            return await self.watch(request)
        start = int(request.query.get("continue", "0"))
        rules = self.rules if plural == PROMETHEUS_RULE.plural else []
        end = start + min(self.page, int(request.query["limit"]))
        more = {"continue": str(end)} if end < len(rules) else {}
        metadata = {"resourceVersion": str(self.version), **more}
        return web.json_response({"metadata": metadata, "items": rules[start:end]})

    async def watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        scripted = bool(self.watches)
        for one in self.watches.pop(0) if scripted else ():
            await response.write(json.dumps(one).encode() + b"\n")
        if (not scripted and not self.ends_at_once) or (scripted and not self.watches):
            await asyncio.Event().wait()
        return response


@dataclass
class Stage:
    server: Server
    api: Api
    cache: Cache
    telemetry: Telemetry
    woken: list[Key]

    def reflector(self) -> Reflector:
        return Reflector(self.api, self.cache, self.woken.append, self.telemetry, PROMETHEUS_RULE, None)

    def discovery(self, *namespaces: str) -> Discovery:
        return Discovery(self.api, self.cache, self.woken.append, self.telemetry, namespaces)

    def versions(self) -> dict[str, int]:
        return {child.name: child.version for child in self.cache.children(KEY)}

    def restarts(self) -> float:
        labels = {"resource": PROMETHEUS_RULE.plural}
        return self.telemetry.registry.get_sample_value("modeldeployment_watch_restarts_total", labels) or 0


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    server = Server()
    app = web.Application()
    app.router.add_get("/apis/{group}/{version}", server.resources)
    app.router.add_get("/apis/{group}/{version}/{plural}", server.objects)
    app.router.add_get("/apis/{group}/{version}/namespaces/{namespace}/{plural}", server.objects)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    telemetry = Telemetry(CollectorRegistry())
    api = Api(client.ApiClient(client.Configuration(host=f"http://{host}:{port}")), telemetry)
    yield Stage(server, api, Cache(), telemetry, [])
    await api.close()
    await runner.cleanup()


async def until(holds: Callable[[], bool], *tasks: asyncio.Task[None]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.02)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_list_page_by_page_and_a_watch_from_there(stage: Stage) -> None:
    stage.server.rules = [a_rule(number, uid=f"u{number}", name=f"m-{number}") for number in range(1, 6)]
    stage.server.page = 2
    stage.server.watches = [[event("ADDED", a_rule(11, "new", "m-6")), event("DELETED", a_rule(12, "u1", "m-1"))]]
    task = asyncio.create_task(stage.reflector().keep())

    await until(lambda: "m-6" in stage.versions() and "m-1" not in stage.versions(), task)

    assert stage.versions() == {"m-2": 2, "m-3": 3, "m-4": 4, "m-5": 5, "m-6": 11}
    assert stage.server.watched_from == [10]
    assert {query["labelSelector"] for query in stage.server.asked} == {names.SELECTOR}
    assert len(stage.woken) == 3, "once for the list, for the one that came then, and for the one that went"
    await ended(task)


async def test_a_watch_goes_on_from_the_last_bookmark(stage: Stage) -> None:
    stage.server.watches = [[event("ADDED", a_rule(11)), bookmark(40)], []]
    task = asyncio.create_task(stage.reflector().keep())

    await until(lambda: len(stage.server.watched_from) == 2, task)

    assert (stage.server.watched_from, stage.server.lists) == ([10, 40], 1)
    await ended(task)


async def test_what_went_while_nothing_was_heard_is_found_by_a_list(stage: Stage) -> None:
    stage.server.rules = [a_rule(1)]
    stage.server.watches = [[EXPIRED], []]
    reflector = stage.reflector()
    await reflector.look()
    assert stage.versions() == {"m": 1}
    stage.server.rules, stage.server.version = [], 50
    task = asyncio.create_task(reflector.keep())

    await until(lambda: len(stage.server.watched_from) == 2, task)

    assert stage.versions() == {}
    assert stage.woken == [KEY, KEY]
    assert (stage.server.watched_from, stage.restarts()) == ([10, 50], 1)
    await ended(task)


async def test_watches_that_end_at_once_are_begun_more_and_more_seldom(stage: Stage) -> None:
    stage.server.ends_at_once = True
    task = asyncio.create_task(stage.reflector().keep())

    await asyncio.sleep(4)

    assert 1 < len(stage.server.watched_from) <= 6
    assert stage.restarts() >= len(stage.server.watched_from) - 1
    await ended(task)


@pytest.mark.parametrize("junk", [{"type": "ADDED"}, {"type": "ERROR", "object": {"code": 500}}, [1]])
async def test_what_is_no_event_breaks_the_watch_and_nothing_else(stage: Stage, junk: Any) -> None:
    stage.server.watches = [[junk], [event("ADDED", a_rule(11))]]
    task = asyncio.create_task(stage.reflector().keep())

    await until(lambda: stage.versions() == {"m": 11}, task)

    await ended(task)


async def test_lists_that_fail_are_tried_again_and_a_missing_kind_is_told(stage: Stage) -> None:
    stage.server.list_status = 503
    task = asyncio.create_task(stage.reflector().keep())
    await until(lambda: stage.server.lists == 2, task)

    stage.server.kinds = set()

    with pytest.raises(NotFoundError):
        await asyncio.wait_for(task, 20)


async def test_a_kind_that_goes_is_forgotten_with_its_objects_and_everybody_looks_again(stage: Stage) -> None:
    spec = {"metadata": {"name": "other", "namespace": "team", "uid": "o", "resourceVersion": "1"}, "spec": {}}
    stage.cache.put(MODEL_DEPLOYMENT, spec)
    stage.server.rules = [a_rule(1)]
    discovery = stage.discovery()
    await discovery.start()
    assert discovery.known == {PROMETHEUS_RULE, SERVICE_MONITOR}
    assert stage.versions() == {"m": 1}
    stage.server.watches = [[EXPIRED], [EXPIRED], []]
    stage.server.kinds = {SERVICE_MONITOR.plural}
    task = asyncio.create_task(discovery.keep())

    await until(lambda: discovery.known == {SERVICE_MONITOR}, task)

    assert stage.versions() == {}
    assert {KEY, Key("team", "other")} <= set(stage.woken)
    await ended(task)


async def test_a_kind_that_may_not_be_listed_is_known_all_the_same(stage: Stage) -> None:
    stage.server.list_status = 403
    discovery = stage.discovery("a", "b")

    await discovery.start()

    assert discovery.known == {PROMETHEUS_RULE, SERVICE_MONITOR}
    assert stage.server.lists == 4, "two kinds in two namespaces"


async def test_an_api_server_that_does_not_answer_holds_nothing_up_for_long(stage: Stage) -> None:
    await stage.api.close()
    broken = Api(client.ApiClient(client.Configuration(host="http://127.0.0.1:1")), stage.telemetry)
    discovery = Discovery(broken, stage.cache, stage.woken.append, stage.telemetry, ())

    async with asyncio.timeout(60):
        await discovery.start()

    assert discovery.known == frozenset()
    await broken.close()
