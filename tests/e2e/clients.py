"""Clients of a model on this machine: single requests, and steady traffic as in the demo.

The machine reaches the cluster addresses of Services just as pods do, through kube-proxy's rules on the node.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import grpc
from model_server.protocols import open_inference_pb2 as messages

from tests.demo.records import OK, Kind
from tests.demo.traffic import PREDICTION_ID_HEADER, REVISION_HEADER, Plan, Traffic, read_examples
from tests.demo.workspace import CLASSES, HTTP_PORT

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.demo.records import Record

SECONDS = 10.0
TEXT = "这本书写得真好，我一口气读完了"


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    body: dict[str, Any]
    revision: str
    prediction_id: str


@dataclass(frozen=True)
class Client:
    """Sends single requests to one model, each on a new connection."""

    host: str
    model: str
    port: int = HTTP_PORT

    @property
    def path(self) -> str:
        """Path of the model."""
        return f"/v1/models/{self.model}"

    @property
    def url(self) -> str:
        """URL of the model."""
        return f"http://{self.host}:{self.port}{self.path}"

    def predict(self, seconds: float = SECONDS) -> Answer:
        """Ask for one prediction."""
        return self._post(f"{self.path}:predict", {"instances": [TEXT]}, seconds)

    def is_answered(self) -> bool:
        """Whether a prediction is answered. Waits little: without rules on the node an address is silent."""
        try:
            return self.predict(seconds=1).status == OK
        except OSError:
            return False

    def label(self, prediction_id: str, label: str = CLASSES[0]) -> Answer:
        """Send one label."""
        return self._post(f"{self.path}/feedback", {"id": prediction_id, "label": label})

    def _post(self, path: str, document: dict[str, Any], seconds: float = SECONDS) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            connection.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
            response = connection.getresponse()
            headers = response.headers
            revision, prediction_id = headers.get(REVISION_HEADER, ""), headers.get(PREDICTION_ID_HEADER, "")
            return Answer(response.status, json.loads(response.read()), revision, prediction_id)
        finally:
            connection.close()


def infer(channel: grpc.Channel, model: str, **options: Any) -> list[float]:
    """Ask for one prediction by gRPC and the Open Inference Protocol; `options` are those of a call."""
    method = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=messages.ModelInferRequest.SerializeToString,
        response_deserializer=messages.ModelInferResponse.FromString,
    )
    request = messages.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="text", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(TEXT.encode())
    answer = method(request, timeout=SECONDS, **options)
    if answer.raw_output_contents:
        return list(struct.unpack("<f", answer.raw_output_contents[0]))
    return list(answer.outputs[0].contents.fp32_contents)


class Clients:
    """The demo's traffic, in a thread of this process."""

    def __init__(self, client: Client, holdout: Path, *, each: int = 4, pause: float = 0.5) -> None:
        self._plan = Plan(client.url, CLASSES, clients=each, pause=pause)
        self._examples = read_examples(holdout)
        self._records: list[Record] = []
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="clients", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def records(self) -> list[Record]:
        """What was seen so far."""
        return self._records.copy()

    def failed(self) -> list[Record]:
        """Return the requests that did not get what they asked for."""
        return [record for record in self.records if record.failed]

    def labels(self, revision: str) -> int:
        """Return how many labels of a revision's predictions were taken."""
        return sum(one.kind is Kind.LABEL and one.revision == revision and not one.failed for one in self.records)

    def predictions(self, revision: str) -> int:
        """Return how many predictions a revision computed."""
        return sum(one.kind is Kind.PREDICTION and one.revision == revision for one in self.records)

    def end(self) -> list[Record]:
        """Stop after the labels that are due; return all records. Repeating it is harmless."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(3 * SECONDS)
        return self.records

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(Traffic(self._plan, self._examples, self._records.append).run(self._stopping))
