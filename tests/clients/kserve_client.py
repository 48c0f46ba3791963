"""Asks a server with KServe's clients: `python kserve_client.py HTTP GRPC`. Prints what came back as JSON.

Runs in an environment of its own (`kserve.txt`). HTTP and GRPC are HOST:PORT of a server with the model `m` for
texts.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput

TEXTS = np.array(["很好".encode(), "坏".encode()], object)


def request(*, binary: bool) -> InferRequest:
    tensor = InferInput("text", [2], "BYTES")
    tensor.set_data_from_numpy(TEXTS if binary else np.array(["很好", "坏"], object), binary_data=binary)
    output = RequestedOutput("output_0", parameters={"binary_data": binary})
    return InferRequest("m", [tensor], request_id="7", request_outputs=[output])


def told(response: Any) -> dict[str, Any]:
    return {
        "id": response.id,
        "version": response.model_version,
        "output": response.outputs[0].as_numpy().tolist(),
        "parameters": sorted(response.parameters or {}),
    }


async def failed(asking: Any) -> str:
    try:
        await asking
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "answered"


async def over_http(address: str) -> dict[str, Any]:
    url = f"http://{address}"
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as client:
        first = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, "m"),
            "binary": told(await client.infer(url, request(binary=True), model_name="m")),
            "json": told(await client.infer(url, request(binary=False), model_name="m")),
            "v1": await first.infer(url, {"instances": ["很好", "坏"]}, model_name="m"),
            "refused": await failed(client.infer(url, request(binary=True), model_name="other")),
        }


async def over_grpc(address: str) -> dict[str, Any]:
    async with InferenceGRPCClient(address) as client:
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model_ready": await client.is_model_ready("m"),
            "binary": told(await client.infer(request(binary=True))),
            "json": told(await client.infer(request(binary=False))),
        }


async def main(http: str, grpc: str) -> None:
    print(json.dumps({"http": await over_http(http), "grpc": await over_grpc(grpc)}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
