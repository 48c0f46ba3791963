"""Asks servers with TensorFlow Serving's own stubs: `python -m tests.clients.tensorflow_serving PORT REST_PORT HOST…`.

Runs in the environment of development, which has `tensorflow-serving-api`: an environment of its own would hold the
same 2 GB of TensorFlow again. The hosts are those of servers with the models half_plus_two, half_plus_three and `m`, in
this order. Prints what came back as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import grpc
import requests
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

SECONDS = 20


def example(**features: float) -> Any:
    return tf.train.Example(
        features=tf.train.Features(
            feature={name: tf.train.Feature(float_list=tf.train.FloatList(value=[x])) for name, x in features.items()}
        )
    )


def predict(name: str, tensor: Any, key: str = "x", **spec: Any) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    request.inputs[key].CopyFrom(tensor)
    return request


def refused(call: Any) -> list[str]:
    try:
        call()
    except grpc.RpcError as error:
        return [error.code().name, error.details()]
    return ["answered"]


def over_grpc(two: str, three: str, text: str) -> dict[str, Any]:
    ask = {
        name: prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(address))
        for name, address in (("half_plus_two", two), ("half_plus_three", three), ("m", text))
    }
    floats = tf.make_tensor_proto([1.0, 2.0, 5.0])
    answer = ask["half_plus_two"].Predict(predict("half_plus_two", floats), SECONDS)
    texts = predict("m", tf.make_tensor_proto(["很好", "坏"]), "text")
    text_answer, text_call = ask["m"].Predict.with_call(texts, SECONDS)
    regression = regression_pb2.RegressionRequest()
    regression.model_spec.name = "half_plus_three"
    regression.model_spec.signature_name = "tensorflow/serving/regress"
    regression.input.example_list.examples.extend([example(x=1.0), example(x=2.0)])
    classification = classification_pb2.ClassificationRequest()
    classification.model_spec.name = "half_plus_two"
    classification.model_spec.signature_name = "classify_x_to_names"
    with_context = classification.input.example_list_with_context
    with_context.context.CopyFrom(example(x=1.0))
    with_context.examples.extend([example(), example(x=2.0)])
    several = inference_pb2.MultiInferenceRequest()
    several.input.example_list.examples.append(example(x=1.0))
    for method, signature in (("regress", "regress_x_to_y"), ("classify", "classify_x_to_names")):
        task = several.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "half_plus_two", signature
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "half_plus_two"
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "half_plus_two"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    ask["half_plus_two"].GetModelMetadata(metadata, SECONDS).metadata["signature_def"].Unpack(signatures)
    statuses = model_service_pb2_grpc.ModelServiceStub(grpc.insecure_channel(two))
    return {
        "predict": tf.make_ndarray(answer.outputs["y"]).tolist(),
        "spec": MessageToDict(answer.model_spec, preserving_proto_field_name=True),
        "text": tf.make_ndarray(text_answer.outputs["output_0"]).tolist(),
        "trailing": sorted(key for key, _ in text_call.trailing_metadata() if key.startswith("prediction")),
        "regress": [r.value for r in ask["half_plus_three"].Regress(regression, SECONDS).result.regressions],
        "classify": [
            [[c.label, c.score] for c in each.classes]
            for each in ask["half_plus_two"].Classify(classification, SECONDS).result.classifications
        ],
        "several": [
            result.WhichOneof("result") for result in ask["half_plus_two"].MultiInference(several, SECONDS).results
        ],
        "signatures": {name: one.method_name for name, one in signatures.signature_def.items()},
        "status": MessageToDict(statuses.GetModelStatus(status, SECONDS), preserving_proto_field_name=True),
        "refused": [
            refused(lambda: ask["half_plus_two"].Predict(predict("half", floats), SECONDS)),
            refused(lambda: ask["half_plus_two"].Predict(predict("half_plus_two", floats, version=9), SECONDS)),
            refused(lambda: ask["half_plus_two"].Predict(predict("half_plus_two", floats, label="z"), SECONDS)),
            refused(lambda: ask["half_plus_two"].Predict(predict("half_plus_two", floats, "z"), SECONDS)),
        ],
    }


def over_rest(two: str) -> dict[str, Any]:
    """As the guides of TensorFlow Serving do."""
    url = f"http://{two}/v1/models/half_plus_two"
    session = requests.Session()
    return {
        "predict": session.post(f"{url}:predict", json={"instances": [1.0, 2.0, 5.0]}, timeout=SECONDS).json(),
        "status": session.get(url, timeout=SECONDS).json(),
        "metadata": session.get(f"{url}/metadata", timeout=SECONDS).json()["model_spec"],
    }


def main(port: str, rest_port: str, *hosts: str) -> None:
    answers = {"grpc": over_grpc(*(f"{host}:{port}" for host in hosts)), "rest": over_rest(f"{hosts[0]}:{rest_port}")}
    print(json.dumps(answers, default=lambda value: value.decode()))


if __name__ == "__main__":
    main(*sys.argv[1:])
