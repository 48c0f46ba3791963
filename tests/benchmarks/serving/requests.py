"""What is asked of the servers: the same rows in the words of each protocol, in files for the load generator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import model_server.runtime  # noqa: F401  # Lets in what the next lines need of TensorFlow, and no more.
import numpy as np
import numpy.typing as npt
from model_server.protocols import open_inference_pb2
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2

from tests.benchmarks.serving.rows import rows_of

MODEL: Final = "m"
OUTPUT: Final = "output_0"
_INPUTS: Final = {"dense": "features", "text": "text"}
_LENGTH_HEADER: Final = "Inference-Header-Content-Length"
_V2_PATH: Final = f"/v2/models/{MODEL}/infer"


class Protocol(StrEnum):
    """How a server is asked."""

    V1 = "REST v1"
    V2 = "V2 REST JSON"
    V2_BINARY = "V2 REST binary"
    PREDICT = "gRPC Predict"
    INFER = "gRPC ModelInfer"

    @property
    def is_grpc(self) -> bool:
        return self in (Protocol.PREDICT, Protocol.INFER)


@dataclass(frozen=True)
class Request:
    """One request, as the load generator sends it again and again."""

    protocol: Protocol
    path: str
    body: Path
    expected: Path
    """Bytes that are in a right answer."""
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_grpc(self) -> bool:
        return self.protocol.is_grpc


def write_requests(folder: Path, model: str, count: int, answer: npt.NDArray[Any]) -> dict[Protocol, Request]:
    """Write what asks for the predictions of so many rows; `answer` is what they should be."""
    rows = rows_of(model, count)
    binary, header_length = _v2_binary(model, rows)
    bodies = {
        Protocol.V1: json.dumps({"instances": _plain(rows)}).encode(),
        Protocol.V2: json.dumps({"inputs": [_v2_input(model, rows) | {"data": _flat(rows)}]}).encode(),
        Protocol.V2_BINARY: binary,
        Protocol.PREDICT: _predict(model, rows),
        Protocol.INFER: _infer(model, rows),
    }
    paths = {
        Protocol.V1: f"/v1/models/{MODEL}:predict",
        Protocol.V2: _V2_PATH,
        Protocol.V2_BINARY: _V2_PATH,
        Protocol.PREDICT: "/tensorflow.serving.PredictionService/Predict",
        Protocol.INFER: "/inference.GRPCInferenceService/ModelInfer",
    }
    requests = {}
    for protocol, body in bodies.items():
        file = folder / f"{model}-{count}-{protocol.name}"
        file.write_bytes(body)
        expected = file.with_suffix(".expected")
        expected.write_bytes(_digits(answer) if protocol in (Protocol.V1, Protocol.V2) else OUTPUT.encode())
        headers = {_LENGTH_HEADER: str(header_length)} if protocol is Protocol.V2_BINARY else {}
        content_type = "application/octet-stream" if protocol is Protocol.V2_BINARY else "application/json"
        requests[protocol] = Request(protocol, paths[protocol], file, expected, content_type, headers)
    return requests


def read_answer(protocol: Protocol, headers: dict[str, str], body: bytes) -> npt.NDArray[Any]:
    """Read the one output from an answer; flat."""
    if protocol is Protocol.V1:
        return np.asarray(json.loads(body)["predictions"], np.float32).ravel()
    if protocol is Protocol.V2:
        return np.asarray(json.loads(body)["outputs"][0]["data"], np.float32).ravel()
    if protocol is Protocol.V2_BINARY:
        return np.frombuffer(body[int(headers[_LENGTH_HEADER.lower()]) :], np.float32)
    if protocol is Protocol.PREDICT:
        tensor = predict_pb2.PredictResponse.FromString(body).outputs[OUTPUT]
        content = tensor.tensor_content
        return np.frombuffer(content, np.float32) if content else np.asarray(tensor.float_val, np.float32)
    answer = open_inference_pb2.ModelInferResponse.FromString(body)
    if answer.raw_output_contents:
        return np.frombuffer(answer.raw_output_contents[0], np.float32)
    return np.asarray(answer.outputs[0].contents.fp32_contents, np.float32)


def _plain(rows: npt.NDArray[Any]) -> list[Any]:
    return [row.decode() for row in rows] if rows.dtype == object else rows.tolist()


def _flat(rows: npt.NDArray[Any]) -> list[Any]:
    return _plain(rows) if rows.dtype == object else rows.ravel().tolist()


def _digits(answer: npt.NDArray[Any]) -> bytes:
    """Choose the first digits of a number in the answer that rounding cannot change."""
    for value in answer.ravel():
        text = f"{value:.9f}"
        if value > 0.001 and text[6:8] not in ("00", "99"):
            return text[:6].encode()
    raise AssertionError("no number in the answer is safe to look for")


def _v2_input(model: str, rows: npt.NDArray[Any]) -> dict[str, Any]:
    datatype = "BYTES" if rows.dtype == object else "FP32"
    return {"name": _INPUTS[model], "shape": list(rows.shape), "datatype": datatype}


def _raw(rows: npt.NDArray[Any]) -> bytes:
    if rows.dtype == object:
        return b"".join(len(row).to_bytes(4, "little") + row for row in rows)
    return rows.tobytes()


def _v2_binary(model: str, rows: npt.NDArray[Any]) -> tuple[bytes, int]:
    raw = _raw(rows)
    entry = _v2_input(model, rows) | {"parameters": {"binary_data_size": len(raw)}}
    wanted = {"name": OUTPUT, "parameters": {"binary_data": True}}
    header = json.dumps({"inputs": [entry], "outputs": [wanted]}).encode()
    return header + raw, len(header)


def _predict(model: str, rows: npt.NDArray[Any]) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    tensor = request.inputs[_INPUTS[model]]
    for size in rows.shape:
        tensor.tensor_shape.dim.add(size=size)
    if rows.dtype == object:
        tensor.dtype = types_pb2.DT_STRING
        tensor.string_val.extend(rows.tolist())
    else:
        tensor.dtype = types_pb2.DT_FLOAT
        tensor.tensor_content = rows.tobytes()
    content: bytes = request.SerializeToString()
    return content


def _infer(model: str, rows: npt.NDArray[Any]) -> bytes:
    entry = _v2_input(model, rows)
    request = open_inference_pb2.ModelInferRequest(model_name=MODEL, raw_input_contents=[_raw(rows)])
    request.inputs.add(**entry)
    content: bytes = request.SerializeToString()
    return content
