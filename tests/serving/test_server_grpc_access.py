"""gRPC with TLS, certificates of clients and bearer tokens; calls that pods pass on with them; labels elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import time
from typing import TYPE_CHECKING, Any

import grpc
import model_server.runtime  # noqa: F401  # Before TensorFlow's messages.
import pytest
from grpc_health.v1 import health_pb2
from model_server import grpc_server
from model_server.contract import Env, Metric
from model_server.http.access import Access
from model_server.listening import bind
from model_server.pods import PodClient
from model_server.protocols import feedback_pb2
from model_server.rotation import Passing
from model_server.settings import Place, serve_settings
from tensorflow_serving.apis import predict_pb2

from tests.serving.certificates import authority, issued
from tests.serving.in_process import serving_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from model_server.parts import ServerParts

    from tests.serving.certificates import Pair

NAME = "m.default.svc"
PORT = 18500
_addresses = (f"127.{249 - os.getpid() % 100}.8.{low}" for low in itertools.count(1))
PREDICT = f"/{grpc_server.PREDICTION}/Predict"
CODES = grpc.StatusCode


@contextlib.asynccontextmanager
async def pod(folder: Path, revision: str = "r1", **environment: str) -> AsyncIterator[ServerParts]:
    """The gRPC port of a pod, on an address of its own."""
    address = next(_addresses)
    given = {Env.REVISION: revision, Env.POD_IP: address, Env.POD_UID: f"uid-{address}", **environment}
    place = Place(host=address, grpc_port=PORT)
    settings = serve_settings({Env.MODEL_NAME: "m", **given}, place)
    client = PodClient(Access(settings.tls_dir, settings.tokens_file))
    parts = serving_parts(folder, client, given, place)
    async with contextlib.aclosing(client), grpc_server.listen(parts, bind(address, PORT)):
        yield parts
        parts.copier.close()


def half() -> bytes:
    request = predict_pb2.PredictRequest(model_spec={"name": "m"})
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].float_val.append(1.0)
    message: bytes = request.SerializeToString()
    return message


async def ask(
    parts: ServerParts,
    path: str = PREDICT,
    message: bytes | None = None,
    *,
    credentials: Any = None,
    token: str | None = None,
) -> tuple[Any, dict[str, str]]:
    """One call on a connection of its own: its code, and what came with it."""
    target = f"{parts.settings.place.host}:{PORT}"
    options = (("grpc.ssl_target_name_override", NAME),)
    channel = (
        grpc.aio.insecure_channel(target)
        if credentials is None
        else grpc.aio.secure_channel(target, credentials, options=options)
    )
    async with channel:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        call = channel.unary_unary(path)(half() if message is None else message, timeout=10, metadata=metadata)
        code = await call.code()
        return code, {str(name): str(value) for name, value in await call.trailing_metadata()}


def trusting(ca: Pair, own: Path | None = None) -> Any:
    if own is None:
        return grpc.ssl_channel_credentials(ca.pem)
    return grpc.ssl_channel_credentials(ca.pem, (own / "tls.key").read_bytes(), (own / "tls.crt").read_bytes())


async def test_clients_that_know_the_authority_are_answered(tmp_path: Path) -> None:
    ca = authority()
    folder = issued(ca, NAME).write(tmp_path / "tls")
    async with pod(tmp_path / "p", MODEL_TLS_DIR=str(folder)) as parts:
        assert (await ask(parts, credentials=trusting(ca)))[0] is CODES.OK
        assert (await ask(parts, credentials=trusting(authority("another"))))[0] is CODES.UNAVAILABLE
        assert (await ask(parts))[0] is CODES.UNAVAILABLE
        other = authority("later")
        issued(other, NAME).write(tmp_path / "tls")
        await parts.access.refresh()
        assert (await ask(parts, credentials=trusting(other)))[0] is CODES.OK


async def test_where_there_is_an_authority_clients_show_a_certificate(tmp_path: Path) -> None:
    ca = authority()
    folder = issued(ca, NAME).write(tmp_path / "tls", ca)
    ours, theirs = issued(ca).write(tmp_path / "ours"), issued(authority("another")).write(tmp_path / "theirs")
    async with pod(tmp_path / "p", MODEL_TLS_DIR=str(folder)) as parts:
        assert (await ask(parts, credentials=trusting(ca, ours)))[0] is CODES.OK
        for own in (None, theirs):
            assert (await ask(parts, credentials=trusting(ca, own)))[0] is CODES.UNAVAILABLE


async def test_bearer_tokens_let_in_and_health_needs_none(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("first\nsecond\n")
    async with pod(tmp_path / "p", MODEL_TOKENS_FILE=str(file)) as parts:
        assert (await ask(parts, token="second"))[0] is CODES.OK
        for token in (None, "third"):
            assert (await ask(parts, token=token))[0] is CODES.UNAUTHENTICATED
        message = health_pb2.HealthCheckRequest().SerializeToString()
        assert (await ask(parts, f"/{grpc_server.HEALTH}/Check", message))[0] is CODES.OK


@pytest.mark.parametrize("shows_authority", [True, False])
async def test_pods_pass_calls_on_with_their_certificate(tmp_path: Path, *, shows_authority: bool) -> None:
    ca = authority()
    folder = str(issued(ca, NAME).write(tmp_path / "tls", ca if shows_authority else None))
    own = issued(ca).write(tmp_path / "own")
    tokens = tmp_path / "tokens"
    tokens.write_text("a token")
    environment = {"MODEL_TLS_DIR": folder, "MODEL_TOKENS_FILE": str(tokens)}
    async with (
        pod(tmp_path / "bad", "bad", **environment) as bad,
        pod(tmp_path / "good", "good", **environment) as good,
    ):
        bad.state.rotate(Passing(f"{good.settings.place.host}:8501"))
        code, metadata = await ask(bad, credentials=trusting(ca, own), token="a token")
        assert (code, metadata["model-revision"]) == (CODES.OK, "good")
        bad.state.rotate(Passing(f"{good.settings.place.host}:8501", copy=True))
        deadline = time.monotonic() + 20
        while f'{Metric.COPIED}{{outcome="answered"}} 0.0' in bad.page.expose("")[0].decode():
            assert time.monotonic() < deadline  # On a busy machine the first one may be too late.
            code, metadata = await ask(bad, credentials=trusting(ca, own), token="a token")
            assert (code, metadata["model-revision"]) == (CODES.OK, "bad")
            await asyncio.sleep(0.5)


async def test_labels_that_have_a_port_of_their_own_are_not_taken_here(tmp_path: Path) -> None:
    message = feedback_pb2.SendRequest(model="m", labels=[feedback_pb2.Label(id="x", number=1)]).SerializeToString()
    path = f"/{grpc_server.FEEDBACK}/Send"
    async with pod(tmp_path / "p", MODEL_FEEDBACK_PORT="8503") as parts:
        assert (await ask(parts, path, message))[0] is CODES.UNIMPLEMENTED
    async with pod(tmp_path / "q") as parts:
        assert (await ask(parts, path, message))[0] is CODES.OK


async def test_all_questions_to_models_are_counted_as_predictions(tmp_path: Path) -> None:
    questions = [f"/{grpc_server.PREDICTION}/{name}" for name in ("Predict", "Classify", "Regress", "MultiInference")]
    async with pod(tmp_path) as parts:
        for path in (*questions, f"/{grpc_server.INFERENCE}/ModelInfer"):
            await ask(parts, path, b"")  # They are refused, and that is what alerts look for.
    page = parts.page.expose("")[0].decode()
    counted = re.findall(r'model_request_duration_seconds_count{code="4..",method="([a-z]+)"} ([0-9]+)', page)

    assert {method for method, _ in counted} == {"predict"}
    assert sum(int(number) for _, number in counted) == 5
