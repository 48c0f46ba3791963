"""TLS, certificates of clients, bearer tokens, the port of labels: real clients, and pods that pass things on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from model_server import contract
from model_server.contract import Env, Metric
from model_server.errors import StartError
from model_server.http.access import Access
from model_server.http.tls import read_identity
from model_server.pods import PodClient
from model_server.ports import answering
from model_server.rotation import Passing
from model_server.settings import Place, serve_settings

from tests.serving.certificates import authority, issued
from tests.serving.in_process import TOKEN, serving_parts
from tests.serving.model_servers import ADMIN_PORT, HTTP_PORT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from model_server.parts import Parts

    from tests.serving.certificates import Pair

MODEL = "/v1/models/m"
BODY = {"instances": [1]}
NAME = "m.default.svc"
_addresses = (f"127.{250 - os.getpid() % 100}.7.{low}" for low in itertools.count(1))


@pytest.fixture(scope="module")
def ca() -> Pair:
    return authority()


@pytest.fixture(scope="module")
def leaf(ca: Pair) -> Pair:
    return issued(ca, NAME)


@contextlib.asynccontextmanager
async def pod(folder: Path, revision: str = "r1", **environment: str) -> AsyncIterator[Parts]:
    """All HTTP ports of a pod, on an address of its own."""
    address = next(_addresses)
    place = Place(host=address, http_port=HTTP_PORT, admin_port=ADMIN_PORT)
    given = {Env.REVISION: revision, Env.POD_IP: address, Env.POD_UID: f"uid-{address}", **environment}
    pod: dict[str, str] = {Env.MODEL_NAME: "m", **given}
    settings = serve_settings(pod, place)
    client = PodClient(Access(settings.tls_dir, settings.tokens_file))
    parts = serving_parts(folder, client, given, place)
    async with contextlib.aclosing(client), answering(parts, TOKEN.encode()):
        yield parts
        parts.copier.close()
    await asyncio.sleep(0.1)  # Clients say farewell over TLS after they have closed.


def trusting(*pairs: Pair, own: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata="".join(pair.pem.decode() for pair in pairs))
    if own is not None:
        context.load_cert_chain(own / "tls.crt", own / "tls.key")
    return context


def url(parts: Parts, path: str, port: int | None = None) -> str:
    scheme = "http" if parts.access.identity is None else "https"
    return f"{scheme}://{parts.settings.place.host}:{port or parts.settings.place.http_port}{path}"


async def ask(
    parts: Parts, path: str, body: object = None, tls: ssl.SSLContext | None = None, **options: Any
) -> tuple[int, dict[str, str]]:
    """One request on a connection of its own."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            "GET" if body is None else "POST",
            url(parts, path, options.pop("port", None)),
            json=body,
            ssl=True if tls is None else tls,
            server_hostname=None if tls is None else NAME,
            **options,
        ) as response,
    ):
        await response.read()
        return response.status, {name.lower(): value for name, value in response.headers.items()}


async def test_clients_that_know_the_authority_are_answered(tmp_path: Path, ca: Pair, leaf: Pair) -> None:
    async with pod(tmp_path / "p", MODEL_TLS_DIR=str(leaf.write(tmp_path / "tls"))) as parts:
        assert (await ask(parts, MODEL + ":predict", BODY, trusting(ca)))[0] == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ask(parts, MODEL, tls=trusting(authority("another")))
        plain = url(parts, MODEL).replace("https", "http")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(plain)
            # The admin port is for probes, which have no certificates.
            admin = f"http://{parts.settings.place.host}:{parts.settings.place.admin_port}{contract.READY_PATH}"
            assert (await session.get(admin)).status == 200


async def test_where_there_is_an_authority_clients_show_a_certificate(tmp_path: Path, ca: Pair, leaf: Pair) -> None:
    folder = leaf.write(tmp_path / "tls", ca)
    async with pod(tmp_path / "p", MODEL_TLS_DIR=str(folder)) as parts:
        ours = issued(ca).write(tmp_path / "ours")
        theirs = issued(authority("another")).write(tmp_path / "theirs")
        late = issued(ca, days=-1).write(tmp_path / "late")
        assert (await ask(parts, MODEL + ":predict", BODY, trusting(ca, own=ours)))[0] == 200
        for own in (None, theirs, late):
            with pytest.raises(aiohttp.ClientError):
                await ask(parts, MODEL, tls=trusting(ca, own=own))
        assert (await ask(parts, MODEL, tls=trusting(ca, own=ours)))[0] == 200


async def test_bearer_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("first\n\n second \n")
    async with pod(tmp_path / "p", MODEL_TOKENS_FILE=str(file)) as parts:

        async def status(header: str | None) -> int:
            code, headers = await ask(parts, MODEL, headers={"Authorization": header} if header else {})
            assert ("www-authenticate" in headers) is (code == 401)
            return code

        cases = {"Bearer first": 200, "bearer  second": 200, "Bearer third": 401, "Basic first": 401, "first": 401}
        assert {header: await status(header) for header in cases} == cases
        assert await status(None) == 401
        assert (await ask(parts, "/nowhere"))[0] == 401  # Who may not ask learns nothing.
        file.write_text("third\n")
        await parts.access.refresh()
        assert [await status(f"Bearer {token}") for token in ("third", "first")] == [200, 401]
        file.write_text("")
        with pytest.raises(StartError, match="has no token"):
            await parts.access.refresh()
        assert await status("Bearer third") == 200


async def test_certificates_change_without_a_broken_connection(tmp_path: Path, ca: Pair, leaf: Pair) -> None:
    folder = leaf.write(tmp_path / "tls")
    fresh = issued(ca, NAME)
    async with pod(tmp_path / "p", MODEL_TLS_DIR=str(folder)) as parts, aiohttp.ClientSession() as session:

        async def kept() -> int:
            response = await session.get(url(parts, MODEL), ssl=context, server_hostname=NAME)
            await response.read()
            assert response.connection is None or not response.connection.closed
            return response.status

        def shown() -> Any:
            connected = socket.create_connection((parts.settings.place.host, parts.settings.place.http_port))
            with connected, context.wrap_socket(connected, server_hostname=NAME) as tls:
                return tls.getpeercert(binary_form=True)

        context = trusting(ca)
        assert await kept() == 200
        assert len(session._connector._conns) == 1  # type: ignore[union-attr]
        assert await asyncio.to_thread(shown) == leaf.der
        (folder / "tls.crt").write_bytes(fresh.pem)  # The other half is not there yet.
        with pytest.raises(StartError, match="no certificate with its key"):
            await parts.access.refresh()
        assert await asyncio.to_thread(shown) == leaf.der
        fresh.write(folder)
        await parts.access.refresh()
        assert await asyncio.to_thread(shown) == fresh.der
        (before,) = (protocol.transport for protocol, _ in next(iter(session._connector._conns.values())))  # type: ignore[union-attr]
        assert await kept() == 200
        (after,) = (protocol.transport for protocol, _ in next(iter(session._connector._conns.values())))  # type: ignore[union-attr]
        assert after is before  # The connection of before.


async def test_a_certificate_that_a_port_could_not_take_is_tried_again(tmp_path: Path, ca: Pair, leaf: Pair) -> None:
    leaf.write(tmp_path)
    access, tried = Access(tmp_path), []

    async def renew() -> None:
        tried.append(access.identity and access.identity.content[0])
        if len(tried) == 1:
            raise OSError("too many open files")

    access.changed.append(renew)
    other = issued(ca, "other.default.svc")
    other.write(tmp_path)
    with pytest.raises(OSError, match="too many"):
        await access.refresh()
    await access.refresh()
    await access.refresh()

    assert len(tried) == 2
    assert access.identity is not None
    assert access.identity.name == "other.default.svc"


@pytest.mark.parametrize("kind", ["authority", "itself", "no name"])
async def test_pods_pass_things_on_to_pods_with_their_secret_alone(tmp_path: Path, ca: Pair, kind: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("a token\n")
    pair = {"authority": issued(ca, NAME), "itself": issued(None, NAME), "no name": issued(None)}[kind]
    secret = pair.write(tmp_path / "tls", ca if kind == "authority" else None)
    other = issued(ca, "another.default.svc") if kind == "authority" else issued(None, NAME)
    others = other.write(tmp_path / "others", ca if kind == "authority" else None)
    both = {"MODEL_TOKENS_FILE": str(tokens)}
    async with (
        pod(tmp_path / "old", "old", MODEL_TLS_DIR=str(secret), **both) as old,
        pod(tmp_path / "new", "new", MODEL_TLS_DIR=str(secret), **both) as new,
        pod(tmp_path / "stranger", "stranger", MODEL_TLS_DIR=str(others), **both) as stranger,
    ):
        for target, by in ((new, "new"), (stranger, "old")):
            old.state.rotate(Passing(f"{target.settings.place.host}:{target.settings.place.http_port}"))
            deadline = time.monotonic() + 20
            while (answer := await predict(old, pair, secret)) != (200, by):
                # A pod on a busy machine may take too long, and is left alone for a second then.
                assert target is new
                assert time.monotonic() < deadline
                await asyncio.sleep(0.5)
            assert answer == (200, by)
        own = await old.forwarder._client.send(
            "GET", f"{new.settings.place.host}:{new.settings.place.http_port}", MODEL, headers={}, body=b"", seconds=5
        )
        assert own.status == 200  # It shows its own token.
        for target, outcome in ((new, "answered"), (stranger, "failed")):
            old.state.rotate(Passing(f"{target.settings.place.host}:{target.settings.place.http_port}", copy=True))
            deadline = time.monotonic() + 20
            while f'{Metric.COPIED}{{outcome="{outcome}"}} 0.0' in old.page.expose("")[0].decode():
                assert time.monotonic() < deadline
                assert await predict(old, pair, secret) == (200, "old")
                await asyncio.sleep(0.5)
            assert stranger.book is not None
            assert stranger.book.predictions.made == 0


async def predict(parts: Parts, pair: Pair, secret: Path) -> tuple[int, str]:
    """Ask; returns the status, and the revision that has answered."""
    context = ssl.create_default_context(cadata=pair.pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    context.load_cert_chain(secret / "tls.crt", secret / "tls.key")
    status, headers = await ask(parts, MODEL + ":predict", BODY, context, headers={"Authorization": "Bearer a token"})
    return status, headers["model-revision"]


async def test_labels_may_have_a_port_of_their_own(tmp_path: Path) -> None:
    port = 18503
    async with pod(tmp_path / "p", MODEL_FEEDBACK_PORT=str(port)) as parts:
        status, headers = await ask(parts, MODEL + ":predict", BODY)
        assert status == 200
        label = {"id": headers["prediction-id"], "label": 1}
        assert (await ask(parts, MODEL + "/feedback", label))[0] == 404
        assert (await ask(parts, MODEL + "/feedback", label, port=port))[0] == 200
        assert (await ask(parts, MODEL + ":predict", BODY, port=port))[0] == 404


@pytest.mark.parametrize(
    ("name", "value"), [("MODEL_FEEDBACK_PORT", "8501"), ("MODEL_FEEDBACK_PORT", "x"), ("MODEL_FEEDBACK_PORT", "70000")]
)
def test_ports_that_are_none(name: str, value: str) -> None:
    with pytest.raises(StartError, match="no port that is free"):
        serve_settings({Env.MODEL_NAME: "m", Env.REVISION: "r", name: value}, Place())


@pytest.mark.parametrize("broken", ["nothing", "no key", "text", "another key"])
def test_what_is_no_certificate_is_told(tmp_path: Path, ca: Pair, leaf: Pair, broken: str) -> None:
    folder = leaf.write(tmp_path / "tls")
    if broken == "nothing":
        (folder / "tls.crt").unlink()
    elif broken == "no key":
        (folder / "tls.key").unlink()
    elif broken == "text":
        (folder / "tls.crt").write_text("text")
    else:
        (folder / "tls.key").write_bytes((issued(ca).write(tmp_path / "other") / "tls.key").read_bytes())
    with pytest.raises(StartError, match=r"is the Secret with it mounted\?|no certificate with its key") as caught:
        read_identity(folder)
    assert str(folder) in caught.value.message


def test_who_cannot_show_its_certificate_to_other_pods_is_warned(
    tmp_path: Path, ca: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_identity(issued(ca, NAME, "10.0.0.1").write(tmp_path / "good", ca)).name == NAME
    assert not caplog.records
    assert read_identity(issued(ca, NAME, days=-1).write(tmp_path / "late", ca)).name is None
    assert "will not trust each other" in caplog.text
