"""One trained model, in every format and from every kind of place, gives the same answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]  # It has no types of its own.
import grpc
import pytest
from model_server.contract import GRPC_PORT
from moto.server import ThreadedMotoServer

from tests.demo.workspace import CLASSES
from tests.e2e import model_formats
from tests.e2e.clients import infer
from tests.e2e.deployments import ModelDeployment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.stage import Stage

# The first test to run brings the cluster up, which may take minutes.
pytestmark = pytest.mark.timeout(1800)

BUCKET, KEY = "models", "news/1.keras"
CLAIM = "models"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
TOLERANCE = 1e-4


@pytest.fixture
def namespace(stage: Stage) -> Iterator[str]:
    with stage.namespace() as name:
        yield name


@pytest.fixture
def formats(stage: Stage) -> Path:
    """A folder with the good model as .h5 and as a SavedModel."""
    return model_formats.folder_of(stage.models["good"])


@pytest.fixture
def claim(stage: Stage, namespace: str, formats: Path) -> Iterator[str]:
    """A PersistentVolumeClaim in the namespace, with a folder of this machine behind it."""
    volume = f"{namespace}-models"
    size = {"storage": "1Gi"}
    common = {"storageClassName": "", "accessModes": ["ReadOnlyMany"]}
    spec = {**common, "capacity": size, "hostPath": {"path": str(formats), "type": "Directory"}}
    request = {**common, "volumeName": volume, "resources": {"requests": size}}
    stage.kubectl.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM, "namespace": namespace},
            "spec": request,
        },
    )
    yield CLAIM
    stage.kubectl.run("delete", "persistentvolume", volume, "--wait=false")


@pytest.fixture
def bucket(stage: Stage) -> Iterator[list[dict[str, str]]]:
    """An S3 server on this machine with the good model in a bucket; what pods need in their environment for it."""
    server = ThreadedMotoServer(stage.cluster.host_address, 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    names = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **names)
    client.create_bucket(Bucket=BUCKET)
    client.upload_file(str(stage.models["good"].file), BUCKET, KEY)
    client.close()
    environment = {"AWS_ENDPOINT_URL": endpoint, **CREDENTIALS}
    yield [{"name": name, "value": value} for name, value in environment.items()]
    server.stop()


def _over_grpc(model: ModelDeployment) -> list[float]:
    """Ask the same of the Service's port for gRPC, by the Open Inference Protocol."""
    client = model.client()
    with grpc.insecure_channel(f"{client.host}:{GRPC_PORT}") as channel:
        return infer(channel, client.model)


def test_every_format_and_place_gives_the_same_answers(
    stage: Stage, namespace: str, formats: Path, claim: str, bucket: list[dict[str, str]]
) -> None:
    h5 = stage.store(formats / model_formats.H5, "news/1.h5")
    specs: dict[str, dict[str, Any]] = {
        "keras-http": {"model": {"uri": stage.uris["good"], "digest": stage.models["good"].digest}},
        "h5-http": {"model": {"uri": h5, "format": "h5"}},
        "saved-model-pvc": {"model": {"uri": f"pvc://{claim}/{model_formats.SAVED_MODEL}", "format": "saved_model"}},
        "keras-s3": {
            "model": {"uri": f"s3://{BUCKET}/{KEY}", "env": bucket},
            "serving": {"batching": {"maxBatchSize": 8, "allowedBatchSizes": [4, 8]}},
        },
    }
    models = [ModelDeployment(stage, namespace, name) for name in specs]
    for model in models:
        spec = specs[model.name]
        spec["model"]["labels"] = list(CLASSES)
        model.apply(model.document(**spec))
    answers = {}
    for model in models:
        model.wait_ready()
        answer = model.client().predict()
        assert answer.status == 200, (model.name, answer)
        assert model.client().label(answer.prediction_id).status == 200
        answers[model.name] = answer.body["predictions"]
        assert _over_grpc(model) == pytest.approx(answer.body["predictions"][0], abs=TOLERANCE)
    print(json.dumps(answers))
    first = answers["keras-http"]
    for name, predictions in answers.items():
        assert predictions[0] == pytest.approx(first[0], abs=TOLERANCE), name
