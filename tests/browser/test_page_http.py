"""The page as bytes: its headers, what it answers and what it refuses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientResponse, ClientSession
from modeldeployment_operator.core.observation import Key

from tests.browser.site import NAME, Site
from tests.support import fleets

MODEL = "models/team/news"
FILES = {"static/fleet.css": "text/css", "static/fleet.js": "text/javascript", "static/icon.svg": "image/svg+xml"}


class Client:
    """Asks a site, by any name and method."""

    def __init__(self, site: Site, session: ClientSession) -> None:
        self.site = site
        self._session = session

    async def ask(self, path: str, method: str = "GET", **headers: str) -> ClientResponse:
        response = await self._session.request(
            method, f"http://127.0.0.1:{self.site.port}/{path}", headers=headers, allow_redirects=False
        )
        await response.read()
        return response


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    site = Site()
    site.knows(Key("team", "news"), fleets.rolled_back("news"))
    runner = await site.serve()
    async with ClientSession(auto_decompress=True) as session:
        yield Client(site, session)
    await runner.cleanup()


@pytest.mark.parametrize("path", ["", "?state=ready&page=7", MODEL])
async def test_pages_are_html(client: Client, path: str) -> None:
    response = await client.ask(path)

    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert (await response.text()).startswith("<!doctype html>")


async def test_models_are_told_apart(client: Client) -> None:
    """The page is updated element by element, and one that has another's id would be taken for it."""
    for key in (Key("a", "b-c"), Key("a-b", "c"), Key("a", "b.c")):
        client.site.knows(key, fleets.healthy(key.name))
    ids = re.findall(r' id="([^"]+)"', await (await client.ask("")).text())

    assert len([one for one in ids if one.startswith("row-")]) == 4
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", FILES)
async def test_what_a_page_needs_comes_with_it(client: Client, path: str) -> None:
    response = await client.ask(path)

    assert (response.status, response.content_type) == (200, FILES[path])


@pytest.mark.parametrize(
    ("path", "method", "host"),
    [("", "GET", None), (MODEL, "GET", None), ("x", "GET", None), ("", "POST", None), ("", "GET", "evil.example")],
)
async def test_every_answer_is_closed_to_other_sites(client: Client, path: str, method: str, host: str | None) -> None:
    headers = (await client.ask(path, method, **({"Host": host} if host else {}))).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))

    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in headers
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["", MODEL, "static/fleet.js"])
async def test_nothing_can_be_changed(client: Client, path: str, method: str) -> None:
    response = await client.ask(path, method)

    assert response.status == 405
    assert response.headers["Allow"] == "GET,HEAD"


async def test_head_is_a_look_without_a_body(client: Client) -> None:
    response = await client.ask("", "HEAD")

    assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "localhost:8090", "127.0.0.1:8090", "[::1]:8090", "10.0.0.7", NAME]
)
async def test_names_that_lead_here(client: Client, host: str) -> None:
    assert (await client.ask("", Host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8090", f"x.{NAME}", "127.0.0.1.evil.example", "[", "@"],
)
@pytest.mark.parametrize("path", ["", MODEL, "static/fleet.js"])
async def test_names_that_somebody_else_leads_here_by(client: Client, path: str, host: str) -> None:
    response = await client.ask(path, Host=host)

    assert response.status == 421
    assert "add the name to FLEET_PAGE_NAMES" in await response.text()


@pytest.mark.parametrize("path", ["models/team/other", "models/other/news", "models/team/%3Cscript%3E"])
async def test_a_model_that_is_not_there(client: Client, path: str) -> None:
    response = await client.ask(path)

    assert response.status == 404
    assert "There is no ModelDeployment" in await response.text()
    assert "<script>" not in await response.text()


@pytest.mark.parametrize("path", ["static/", "static/../adapters/page.py", "templates/base.html", "metrics", "models"])
async def test_nothing_else_is_served(client: Client, path: str) -> None:
    assert (await client.ask(path)).status == 404


@pytest.mark.parametrize("path", ["", MODEL])
async def test_what_a_spec_holds_is_not_told(client: Client, path: str) -> None:
    assert "sesame" in str(fleets.body("news", fleets.rolled_back("news"))["spec"])
    assert "sesame" not in await (await client.ask(path)).text()


async def test_secrets_of_uris_are_not_told(client: Client) -> None:
    status = fleets.rolled_back("news")
    uri = "https://user:password@store/news.keras?X-Amz-Signature=abc"
    revisions = [revision.model_copy(update={"model_uri": uri}) for revision in status.revisions]
    client.site.knows(Key("team", "news"), status.model_copy(update={"revisions": revisions}))
    text = await (await client.ask(MODEL)).text()

    assert "https://store/news.keras" in text
    assert "password" not in text
    assert "Signature" not in text


async def test_reloads_are_answered_from_memory_for_a_moment(client: Client) -> None:
    await client.ask("")
    client.site.knows(Key("team", "spam"), fleets.healthy("spam"))
    soon = await (await client.ask("")).text()
    await asyncio.sleep(1.1)
    later = await (await client.ask("")).text()

    assert "spam" not in soon
    assert "spam" in later


async def test_pages_are_packed_for_who_can_read_that(client: Client) -> None:
    assert (await client.ask("", **{"Accept-Encoding": "gzip"})).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in (await client.ask("", **{"Accept-Encoding": "identity"})).headers


async def test_the_operator_that_still_looks_says_so(client: Client) -> None:
    client.site.forgets(Key("team", "news"))
    client.site.synced, client.site.silence = False, None
    text = await (await client.ask("")).text()

    assert "The operator is still looking" in text
    assert "Not heard from the cluster yet" in text
