"""Asks two servers with NVIDIA's client: `python triton.py (http|grpc) TYPES TEXT`. Prints what came back as JSON.

Runs in an environment of its own (`triton.txt`). TYPES and TEXT are HOST:PORT of servers with the models `types` and
`m`, which takes texts.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import ml_dtypes
import numpy as np
from tritonclient import grpc, http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

VALUES = {
    "BOOL": np.array([[True, False], [False, True]]),
    "BYTES": np.array([["好".encode(), b"a"], [b"", b"b" * 300]], object),
    "FP16": np.array([[0.5, -1], [65504, 0]], np.float16),
    "FP32": np.array([[0.2, -1], [3e38, 0]], np.float32),
    "FP64": np.array([[0.2, -1], [1e300, 0]], np.float64),
} | {
    f"{kind}INT{bits}": np.array([[np.iinfo(t).max, np.iinfo(t).min], [1, 0]], t)
    for kind in ("", "U")
    for bits, t in ((bits, np.dtype(f"{kind.lower()}int{bits}").type) for bits in (8, 16, 32, 64))
}
BFLOAT16 = np.array([[0.5, -1], [256, 0]], ml_dtypes.bfloat16)
NAMES = {"BOOL": "bool", "BYTES": "string", "FP16": "float16", "FP32": "float32", "FP64": "float64"}


def name(datatype: str) -> str:
    return NAMES.get(datatype, datatype.lower())


def asked(module: Any, **how: Any) -> list[Any]:
    inputs = []
    for datatype, values in VALUES.items():
        inputs.append(module.InferInput(name(datatype), list(values.shape), datatype))
        inputs[-1].set_data_from_numpy(values, **how)
    inputs.append(module.InferInput("bfloat16", [2, 2], "BF16"))
    inputs[-1].set_data_from_numpy(BFLOAT16)
    return inputs


def encoded(values: Any) -> Any:
    """Of JSON, the client makes BYTES texts."""
    texts = values.dtype == object and isinstance(values[0, 0], str)
    return np.vectorize(str.encode, otypes=[object])(values) if texts else values


def wrong(result: Any) -> list[str]:
    """Types that did not come back as they were sent."""
    differ = [t for t, v in VALUES.items() if not np.array_equal(encoded(result.as_numpy(f"{name(t)}_out")), v)]
    bfloat16 = result.as_numpy("bfloat16_out")
    return differ + ["BF16"] * (not np.array_equal(bfloat16, BFLOAT16))


def refused(ask: Any) -> str:
    try:
        ask()
    except InferenceServerException as error:
        return f"{error.status()}: {error.message()}"
    return "answered"


def over_http(types_address: str, address: str) -> dict[str, Any]:
    types, client = http.InferenceServerClient(types_address), http.InferenceServerClient(address)
    all_outputs = [f"{name(datatype)}_out" for datatype in [*VALUES]]

    def ask(*, binary_in: bool, binary_out: bool, **packed: Any) -> list[str]:
        outputs = [http.InferRequestedOutput(each, binary_data=binary_out) for each in all_outputs]
        outputs.append(http.InferRequestedOutput("bfloat16_out", binary_data=True))  # It reads no other.
        return wrong(types.infer("types", asked(http, binary_data=binary_in), outputs=outputs, **packed))

    text = http.InferInput("text", [2], "BYTES")
    text.set_data_from_numpy(np.array(["很好".encode(), "坏".encode()], object))
    answer = client.infer("m", [text], request_id="7", parameters={"region": "eu"})
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready("m"),
        "other_ready": client.is_model_ready("other"),
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("m"),
        "default": wrong(types.infer("types", asked(http))),
        "binary": ask(binary_in=True, binary_out=True),
        "json": ask(binary_in=False, binary_out=False),
        "json_in": ask(binary_in=False, binary_out=True),
        "gzip_in": ask(binary_in=True, binary_out=False, request_compression_algorithm="gzip"),
        "gzip": ask(
            binary_in=True,
            binary_out=True,
            request_compression_algorithm="gzip",
            response_compression_algorithm="gzip",
        ),
        "text": answer.as_numpy("output_0").tolist(),
        "answer": {key: value for key, value in answer.get_response().items() if key != "outputs"},
        "refused": [
            refused(lambda: client.infer("other", [text])),
            refused(lambda: client.infer("m", asked(http)[:1])),
            refused(lambda: client.infer("m", [text], model_version="99")),
        ],
    }


def over_grpc(types_address: str, address: str) -> dict[str, Any]:
    types, client = grpc.InferenceServerClient(types_address), grpc.InferenceServerClient(address)
    text = grpc.InferInput("text", [2], "BYTES")
    text.set_data_from_numpy(np.array(["很好".encode(), "坏".encode()], object))
    answer = client.infer("m", [text], request_id="7", parameters={"region": "eu"})
    said = client.get_model_metadata("m", as_json=True)
    parameters = answer.get_response(as_json=True).get("parameters", {})
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready("m"),
        "server": client.get_server_metadata(as_json=True),
        "model": said,
        "default": wrong(types.infer("types", asked(grpc))),
        "text": answer.as_numpy("output_0").tolist(),
        "answer": {"id": answer.get_response().id, "parameters": parameters},
        "gzip": wrong(types.infer("types", asked(grpc), compression_algorithm="gzip")),
        "refused": [
            refused(lambda: client.infer("other", [text])),
            refused(lambda: client.infer("m", asked(grpc)[:1])),
            refused(lambda: client.infer("m", [text], model_version="99")),
        ],
    }


if __name__ == "__main__":
    assert all(np_to_triton_dtype(values.dtype) == datatype for datatype, values in VALUES.items())
    print(json.dumps({"http": over_http, "grpc": over_grpc}[sys.argv[1]](*sys.argv[2:])))
