"""Labels read from Prometheus: from real ones that scrape, and from one that answers as a broken one would."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from modeldeployment_operator.adapters import prometheus as module
from modeldeployment_operator.adapters import prometheus_api
from modeldeployment_operator.adapters.keys import KeyRing
from modeldeployment_operator.adapters.labels import Labels
from modeldeployment_operator.adapters.pods import Pods
from modeldeployment_operator.adapters.prometheus import NOT_SET, SHORTEST_INTERVAL, Prometheus
from modeldeployment_operator.adapters.prometheus_api import Address
from modeldeployment_operator.adapters.queries import Queries
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.observation import Key, Observation
from modeldeployment_operator.core.schedule import patience
from prometheus_client import CollectorRegistry

from tests.support.clock import Clock
from tests.support.observations import a_sample, an_observation
from tests.support.prometheus_answers import a_pods_series, a_target, an_answer

ACCURACY = {"minimum": 0.9, "source": "Prometheus", "sampleInterval": "1s"}
MODEL = an_observation(accuracy=ACCURACY).serving("m-1").ready("m-1", 1, of=1).obj()
GOOD = an_answer(*a_pods_series(a_target(), {100.0: (5, 1)}))
NO_QUERIES = Queries(None, Clock(), float)
READ = ({"m-1-pod-0": a_sample("m-1-pod-0", 5, 1, started="2026-01-02T11:00:00.123456+00:00")}, None)


def named(name: str) -> Observation:
    return replace(MODEL, key=Key("team", name))


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    query: str


@dataclass
class Fake:
    """Answers as it is told, and remembers what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes | Callable[[Request], bytes] = GOOD
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event = field(default_factory=threading.Event)
    """Nothing is answered before it is set."""
    asked: list[Request] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def use_tls(self, certificate: Path) -> None:
        """Speak TLS from now on."""
        assert self.server is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")


def self_signed(path: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that vouches for itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.name)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def fake() -> Iterator[Fake]:
    told = Fake()
    told.hold.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            request = Request(self.path, dict(self.headers.items()), parse_qs(form)["query"][0])
            told.asked.append(request)
            told.hold.wait()
            body = told.body(request) if callable(told.body) else told.body
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    told.server = server
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    told.hold.set()
    server.shutdown()
    server.server_close()


@dataclass
class Reader:
    """The operator's side, with a clock that the test moves."""

    prometheus: Prometheus
    clock: Clock
    durations: list[float]

    async def read(self, observation: Observation = MODEL, *, after: float = SHORTEST_INTERVAL) -> Any:
        """Read once more, after so many seconds."""
        self.clock.seconds += after
        self.prometheus.wish(observation)
        return await self.prometheus.sample(observation)

    async def refresh(self) -> None:
        """Have it ask anew for all that is wished for."""
        self.clock.seconds += 1000
        await self.prometheus.sample(named("whoever-is-first"))

    async def problem(self, observation: Observation = MODEL) -> str:
        """Read once more; return what is wrong."""
        samples, problem = await self.read(observation)
        assert samples == {}
        assert isinstance(problem, str)
        return problem


@pytest.fixture
async def reading() -> AsyncIterator[Callable[..., Reader]]:
    made: list[Prometheus] = []

    def make(url: str | None, **files: Path) -> Reader:
        clock, durations = Clock(), list[float]()
        made.append(Prometheus(Address(url, **files) if url else None, clock, durations.append))
        return Reader(made[-1], clock, durations)

    yield make
    for prometheus in made:
        await prometheus.close()


Reading = Callable[..., Reader]

# What is asked, and how often


async def test_it_is_asked_as_its_api_wants(fake: Fake, reading: Reading) -> None:
    reader = reading(f"{fake.url}/prometheus")

    assert await reader.read() == READ
    assert [request.path for request in fake.asked] == ["/prometheus/api/v1/query"]
    assert 'model=~"m"' in fake.asked[0].query
    assert "Authorization" not in fake.asked[0].headers
    assert len(reader.durations) == 1


async def test_an_answer_is_shared(fake: Fake, reading: Reading) -> None:
    reader, models = reading(fake.url), [named(f"m{number}") for number in range(20)]
    for model in models:
        reader.prometheus.wish(model)

    await asyncio.gather(*(reader.read(model, after=0) for model in models))
    await asyncio.gather(*(reader.read(model, after=0) for model in models))
    assert len(fake.asked) == 1
    await reader.read(models[3])
    assert len(fake.asked) == 2


async def test_it_is_asked_for_many_in_parts(fake: Fake, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODELS_A_QUERY", 3)
    reader = reading(fake.url)
    for number in range(7):
        reader.prometheus.wish(named(f"m{number}"))

    await reader.refresh()

    assert [request.query.count("|m") - 1 for request in fake.asked] == [2, 2, 0]


async def test_what_is_gone_is_not_asked_for(fake: Fake, reading: Reading) -> None:
    reader = reading(fake.url)
    reader.prometheus.wish(named("gone"))
    reader.prometheus.forget(Key("team", "gone"))
    await reader.read()

    assert "gone" not in fake.asked[0].query


async def test_the_token_is_the_one_of_the_file(fake: Fake, reading: Reading, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    reader = reading(fake.url, token_file=token)
    await reader.read()
    token.write_text("second\n")
    await reader.read()
    assert [request.headers["Authorization"] for request in fake.asked] == ["Bearer first", "Bearer second"]

    token.unlink()
    assert "No such file" in await reader.problem()
    assert len(fake.asked) == 2


async def test_it_is_trusted_by_the_certificates_of_the_file(fake: Fake, reading: Reading, tmp_path: Path) -> None:
    its_own, trusted = self_signed(tmp_path / "its-own"), tmp_path / "trusted"
    fake.use_tls(its_own)
    assert "certificate verify failed" in await reading(fake.url).problem()

    self_signed(trusted)
    reader = reading(fake.url, ca_file=trusted)
    assert "certificate verify failed" in await reader.problem()
    assert fake.asked == []
    trusted.write_bytes(its_own.read_bytes())
    assert await reader.read() == READ, "the file is read anew"


@pytest.mark.parametrize("text", ["no certificates", ""])
async def test_a_file_of_certificates_that_is_none_is_told(
    fake: Fake, reading: Reading, tmp_path: Path, text: str
) -> None:
    """An empty one, of a ConfigMap that is not filled yet, does not make the system's certificates trusted."""
    certificates = tmp_path / "ca.pem"
    certificates.write_text(text)

    assert "it cannot be asked" in await reading(fake.url, ca_file=certificates).problem()
    assert fake.asked == []


# What goes wrong


async def test_none_is_set(reading: Reading) -> None:
    reader = reading(None)

    assert await reader.problem() == NOT_SET
    assert not reader.prometheus.is_set


async def test_it_is_not_there(fake: Fake, reading: Reading) -> None:
    problem = await reading("http://127.0.0.1:9").problem()

    assert "Prometheus at http://127.0.0.1:9: it cannot be asked" in problem
    assert "PROMETHEUS_URL" in problem


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b'{"status":"error","error":"no space left"}', "it answers 500 Internal Server Error: no space left"),
        (503, b"<html>Bad</html>", "it answers 503 Service Unavailable: <html>Bad</html>"),
        (401, b"", "PROMETHEUS_TOKEN_FILE"),
        (404, b"[]", "it answers 404 Not Found: []"),
        (302, b"", "it answers 302 Found"),
        (422, b'{"error":"would load too many samples"}', "too many samples"),
        (200, b"<html>Log in</html>", "not in the form of Prometheus"),
        (200, b"\x1f\x8b\x08", "not in the form of Prometheus"),
        (200, an_answer(warnings=["store a is down"]), "store a is down"),
        (200, an_answer(), "Prometheus has no model_labels_total"),
    ],
)
async def test_a_wrong_answer_is_told(fake: Fake, reading: Reading, status: int, body: bytes, words: str) -> None:
    fake.status, fake.body = status, body
    fake.headers = {"Location": fake.url} if status == 302 else {}
    reader = reading(fake.url)

    assert words in await reader.problem()
    assert len(fake.asked) == 1

    fake.status, fake.body = 200, GOOD
    assert await reader.read() == READ, "and it goes on when it is back"


async def test_one_that_hangs_holds_nobody_up(fake: Fake, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    reader = reading(fake.url)
    fake.hold.clear()

    assert await reader.problem() == "Prometheus has not answered yet"
    fake.hold.set()
    monkeypatch.setattr(module, "_PATIENCE", 5.0)
    assert await reader.read(after=0) == READ
    fake.hold.clear()
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    assert await reader.read() == READ, "what it said last is what is known"
    assert len(fake.asked) == 2


async def test_one_that_does_not_answer_in_time_is_told(
    fake: Fake, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.hold.clear()
    monkeypatch.setattr(prometheus_api, "TIMEOUT_SECONDS", 0.1)

    assert "it cannot be asked" in await reading(fake.url).problem()


async def test_one_model_with_too_much_to_say_harms_no_other(
    fake: Fake, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus_api, "LONGEST_ANSWER", 10_000)
    fake.body = lambda request: GOOD + (b" " * 20_000 if "loud" in request.query else b"")
    reader, models = reading(fake.url), [named("a"), named("b"), named("loud"), named("z")]
    for model in models:
        reader.prometheus.wish(model)
    await reader.refresh()

    assert "too many series" in await reader.problem(models[2])
    for other in (models[0], models[1], models[3]):
        _, problem = await reader.read(other, after=0)
        assert "too many series" not in str(problem)
    fake.asked.clear()
    await reader.refresh()
    assert len(fake.asked) == 2, "from then on it is asked for by itself"
    fake.body = GOOD
    await reader.refresh()
    fake.asked.clear()
    await reader.refresh()
    assert len(fake.asked) == 1, "until it has no more to say than others"


async def test_too_much_of_everything_ends(fake: Fake, reading: Reading) -> None:
    fake.status, fake.body = 422, json.dumps({"error": "too many samples"}).encode()
    reader = reading(fake.url)
    for number in range(150):
        reader.prometheus.wish(named(f"m{number}"))
    await reader.refresh()

    assert "too many samples" in await reader.problem(named("m7"))
    assert len(fake.asked) < 100


# What the operator makes of it


async def test_readings_that_fail_are_counted_and_told_when_they_go_on(fake: Fake, reading: Reading) -> None:
    reader, telemetry, pods = reading(fake.url), Telemetry(CollectorRegistry()), Pods()
    labels = Labels(
        pods,
        reader.prometheus,
        NO_QUERIES,
        KeyRing(b"root"),
        telemetry,
        now=lambda: MODEL.now,
        monotonic=reader.clock,
    )
    fake.status = 500

    failed = await labels.read(MODEL, None)
    between = await labels.read(MODEL, reader.clock())
    reader.clock.seconds += patience(MODEL).total_seconds()
    told = await labels.read(MODEL, None)
    fake.status = 200
    reader.clock.seconds += SHORTEST_INTERVAL
    back = await labels.read(MODEL, None)
    await pods.close()

    assert (failed.samples, failed.silent) == ({}, frozenset())
    assert "it answers 500" in str(failed.silence)
    assert (between.samples, between.silence) == (None, failed.silence), "it was not time"
    assert (told.samples, told.silent) == ({}, {"m-1"})
    assert (back.samples, back.silence, back.silent) == (*READ, frozenset())
    failures = telemetry.registry.get_sample_value("modeldeployment_sample_failures_total", {"source": "Prometheus"})
    assert failures == 2


async def test_without_an_address_it_is_told_at_once(reading: Reading) -> None:
    reader, telemetry, pods = reading(None), Telemetry(CollectorRegistry()), Pods()
    labels = Labels(
        pods,
        reader.prometheus,
        NO_QUERIES,
        KeyRing(b"root"),
        telemetry,
        now=lambda: MODEL.now,
        monotonic=reader.clock,
    )

    assert (await labels.read(MODEL, None)).silent == {"m-1"}
    await pods.close()
