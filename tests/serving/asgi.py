"""Calls the model server's applications without a network, with a made-up model instead of TensorFlow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from model_server.contract import Env
from model_server.pods import PodClient
from model_server.prediction_id import Key, KeyRing
from model_server.server import assemble
from model_server.settings import Place, Secrets, serve_settings
from model_server.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_server.app import Parts
    from starlette.types import ASGIApp, Message

TOKEN = "token"


class Half:
    """A model that answers 0.5 to everything."""

    def __init__(self) -> None:
        x, y = (TensorSpec(name, "DT_FLOAT", (None,)) for name in "xy")
        self.signatures: Mapping[str, Signature] = {"serving_default": Signature({"x": x}, {"y": y})}
        self.batchable = frozenset({"serving_default"})

    def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
        return {"y": np.full_like(inputs["x"], 0.5)}

    def close(self) -> None:
        """It holds nothing."""


def serving_parts(
    state_dir: Path, client: PodClient | None = None, environment: Mapping[str, str] | None = None
) -> Parts:
    """The parts of a server for model `m`, revision `r1`, that has loaded its model."""
    pod: dict[str, str] = {Env.MODEL_NAME: "m", Env.REVISION: "r1", Env.POD_UID: "uid", Env.POD_IP: "10.0.0.1"}
    settings = serve_settings({**pod, **(environment or {})}, Place(state_dir=state_dir))
    parts = assemble(settings, Secrets(KeyRing(Key.from_secret(b"k" * 32)), TOKEN.encode()), client or PodClient())
    parts.begin(Half(), 1, load_seconds=0.5)
    return parts


async def call(
    app: ASGIApp, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One request: `body` becomes JSON, or is a list of chunks of which None is the end of the connection."""
    chunks = body if isinstance(body, list) else [b"" if body is None else json.dumps(body).encode()]
    sent: list[Message] = []
    waiting = list(chunks)

    async def receive() -> Message:
        chunk = waiting.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": raw, "http_version": "1.1"}
    await app(scope, receive, send)
    if not sent:
        return 0, {}, b""
    names = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], names, b"".join(message.get("body", b"") for message in sent[1:])
