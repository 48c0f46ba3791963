"""A model whose pods speak TLS to clients with certificates and tokens, and take labels on a port of their own."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from model_server.contract import GRPC_PORT

from tests.demo.traffic import PREDICTION_ID_HEADER, REVISION_HEADER
from tests.demo.workspace import CLASSES, HTTP_PORT
from tests.e2e.clients import TEXT, infer
from tests.e2e.waiting import wait_until
from tests.serving.certificates import authority, issued

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.deployments import ModelDeployment

# The first test to run brings the cluster up, which may take minutes.
pytestmark = pytest.mark.timeout(1800)

FEEDBACK_PORT = 8600
TOKEN = "clients' token"
MOST_LABELS = 400


@dataclass(frozen=True)
class SecureClient:
    """Speaks TLS to the Service of a model."""

    host: str
    name: str
    context: ssl.SSLContext
    headers: dict[str, str]

    def post(self, path: str, document: dict[str, Any], port: int = HTTP_PORT) -> tuple[int, dict[str, str], Any]:
        connection = _Connection(self.host, port, self.name, self.context)
        try:
            connection.request("POST", f"/v1/models/{self.name}{path}", json.dumps(document), self.headers)
            response = connection.getresponse()
            return response.status, dict(response.headers), json.loads(response.read())
        finally:
            connection.close()

    def predict(self) -> tuple[int, dict[str, str], Any]:
        return self.post(":predict", {"instances": [TEXT]})

    def label(self, identity: str, label: str, port: int = FEEDBACK_PORT) -> int:
        return self.post("/feedback", {"id": identity, "label": label}, port)[0]


class _Connection(http.client.HTTPSConnection):
    """To an address, as it is known by another name."""

    def __init__(self, host: str, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=10, context=context)
        self._name, self._context_ = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._context_.wrap_socket(self.sock, server_hostname=self._name)


@pytest.fixture
def secrets(model: ModelDeployment, tmp_path: Path) -> Path:
    """A folder with a certificate for the model and its clients; Secrets with it, and with a token."""
    ca = authority()
    folder = issued(ca, model.name).write(tmp_path / "tls", ca)
    files = {file.name: base64.b64encode(file.read_bytes()).decode() for file in folder.iterdir()}
    token = base64.b64encode(f"{TOKEN}\n".encode()).decode()
    model.stage.kubectl.apply(
        _secret(model, "certificate", "kubernetes.io/tls", files), _secret(model, "tokens", "Opaque", {"tokens": token})
    )
    return folder


def _secret(model: ModelDeployment, name: str, kind: str, data: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": model.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data}


def test_labels_judge_a_model_that_speaks_tls(model: ModelDeployment, secrets: Path) -> None:
    serving = {
        "tls": {"secretName": "certificate"},
        "tokens": {"name": "tokens", "key": "tokens"},
        "feedbackPort": FEEDBACK_PORT,
        "env": [{"name": "MODEL_FRONTEND_PROCESSES", "value": "1"}],
    }
    model.apply(model.document(serving=serving, replicas=2))
    model.wait_for_condition("Ready", "True", "Serving")
    good = model.serving()

    context = ssl.create_default_context(cafile=secrets / "ca.crt")
    host = model.client().host
    stranger = SecureClient(host, model.name, context, {"Authorization": f"Bearer {TOKEN}"})
    with pytest.raises((ssl.SSLError, ConnectionError)):  # It has no certificate.
        stranger.predict()
    context.load_cert_chain(secrets / "tls.crt", secrets / "tls.key")
    assert SecureClient(host, model.name, context, {}).predict()[0] == 401
    client = SecureClient(host, model.name, context, stranger.headers)
    with pytest.raises((OSError, http.client.HTTPException)):  # It speaks no TLS.
        model.client().predict()

    code, headers, answer = client.predict()
    assert (code, headers[REVISION_HEADER]) == (200, good)
    assert over_grpc(model, host, secrets) == pytest.approx(answer["predictions"][0], abs=1e-4)
    identity = headers[PREDICTION_ID_HEADER]
    assert client.label(identity, CLASSES[0], HTTP_PORT) == 404
    assert [client.label(identity, CLASSES[0]) for _ in range(4)] == [200, 409, 409, 409]  # Whichever pod is asked.

    model.apply(model.document("spoilt", serving=serving, replicas=2))
    model.wait(lambda status: status.get("servingRevision") not in {"", good}, "the new revision serves")
    sent = send_wrong_labels(model, client, good)
    assert sent < MOST_LABELS
    # The status tells what was decided; the pods follow within a moment.
    wait_until(lambda: client.predict()[1].get(REVISION_HEADER) == good, "the good revision answers", seconds=20)


def send_wrong_labels(model: ModelDeployment, client: SecureClient, until: str) -> int:
    """Label predictions as the other class until a revision serves again; returns how many labels that took."""
    for number in range(MOST_LABELS):
        if model.serving() == until:
            return number
        code, headers, answer = client.predict()
        assert code == 200
        predicted = answer["predictions"][0][0] >= 0.5
        assert client.label(headers[PREDICTION_ID_HEADER], CLASSES[0 if predicted else 1]) == 200
    return MOST_LABELS


def over_grpc(model: ModelDeployment, host: str, secrets: Path) -> list[float]:
    """Ask by gRPC with the client's certificate and token."""
    files = [(secrets / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt")]
    credentials = grpc.ssl_channel_credentials(*files)
    options = (("grpc.ssl_target_name_override", model.name),)
    with grpc.secure_channel(f"{host}:{GRPC_PORT}", credentials, options) as channel:
        return infer(channel, model.name, metadata=(("authorization", f"Bearer {TOKEN}"),))
