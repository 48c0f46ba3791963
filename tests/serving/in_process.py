"""Calls what answers the model server's ports without a network, with a made-up model instead of TensorFlow."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from model_server.contract import Env
from model_server.errors import RequestError
from model_server.http.messages import Head, Peer, Request, Response
from model_server.one import One
from model_server.pods import PodClient
from model_server.prediction_id import Key, KeyRing
from model_server.server import assemble
from model_server.settings import Place, Secrets, serve_settings
from model_server.state import Phase
from model_server.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_server.http.messages import Handler
    from model_server.parts import ServerParts
    from model_server.tensors import Model

TOKEN = "token"


class Half:
    """A model that answers 0.5 to everything."""

    def __init__(self) -> None:
        x, y = (TensorSpec(name, "DT_FLOAT", (None,)) for name in "xy")
        self.signatures: Mapping[str, Signature] = {"serving_default": Signature({"x": x}, {"y": y})}
        self.batchable = frozenset({"serving_default"})
        self.quick: Mapping[str, int] = {}

    def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
        return {"y": np.full_like(inputs["x"], 0.5)}

    def close(self) -> None:
        """It holds nothing."""


def serving_parts(
    state_dir: Path,
    client: PodClient | None = None,
    environment: Mapping[str, str] | None = None,
    place: Place | None = None,
) -> ServerParts:
    """The parts of a server for model `m`, revision `r1`, that has loaded its model."""
    pod: dict[str, str] = {Env.MODEL_NAME: "m", Env.REVISION: "r1", Env.POD_UID: "uid", Env.POD_IP: "10.0.0.1"}
    settings = serve_settings({**pod, **(environment or {})}, replace(place or Place(), state_dir=state_dir))
    parts = assemble(settings, Secrets(KeyRing(Key.from_secret(b"k" * 32)), TOKEN.encode()), client or PodClient())
    begin(parts, Half(), load_seconds=0.5)
    return parts


def begin(parts: ServerParts, model: Model, threads: int = 1, *, load_seconds: float = 0) -> None:
    """Have it answer with this model from now on."""
    assert isinstance(parts.content, One)
    parts.content.begin(model, threads, load_seconds=load_seconds)
    parts.state.phase = Phase.SERVING


async def call(
    app: Handler, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One request, whose body is bytes or becomes JSON; its status, headers with names in lower case, and body."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    response = await answer(app, a_head(method, path, headers), content)
    names = {name.lower(): value for name, value in response.headers}
    names |= {"content-type": response.content_type} | ({"connection": "close"} if response.close else {})
    return response.status, names, response.body


def a_head(method: str, path: str, headers: dict[str, str] | None = None) -> Head:
    """A request without its body."""
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    path, _, query = path.partition("?")
    return Head(method, path, query, raw, Peer(""), time.perf_counter())


async def answer(app: Handler, head: Head, body: bytes) -> Response:
    """What a connection does with a request."""
    try:
        app.limit(head)
    except RequestError as error:
        return app.refuse(head, error)
    response = app.answer(Request(head, body))
    return response if isinstance(response, Response) else await response
