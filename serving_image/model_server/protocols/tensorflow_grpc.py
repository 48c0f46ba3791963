"""The messages of TensorFlow Serving's gRPC services: requests to questions, answers to responses. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from model_server import tensorflow_package
from model_server.dataplane.question import Question
from model_server.dataplane.servable import VersionState
from model_server.errors import FailedPrecondition, InvalidArgument, Unimplemented
from model_server.protocols import examples
from model_server.protocols.examples import Task
from model_server.protocols.limits import check_inputs
from model_server.protocols.packed import pack_numbers
from model_server.protocols.tensor_protos import NUMBERS, from_tensor, to_tensor
from model_server.protocols.usual_messages import gap
from model_server.rpc.codes import Code
from model_server.tensors import DEFAULT_SIGNATURE

tensorflow_package.enter()

from tensorflow.core.protobuf import meta_graph_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from model_server.dataplane.question import Answer
    from model_server.dataplane.servable import Servable, VersionStatus
    from model_server.tensors import Signature, TensorSpec

PredictRequest: Final = predict_pb2.PredictRequest
ClassificationRequest: Final = classification_pb2.ClassificationRequest
RegressionRequest: Final = regression_pb2.RegressionRequest
MultiInferenceRequest: Final = inference_pb2.MultiInferenceRequest
GetModelMetadataRequest: Final = get_model_metadata_pb2.GetModelMetadataRequest
GetModelStatusRequest: Final = get_model_status_pb2.GetModelStatusRequest
SIGNATURE_DEF: Final = "signature_def"
TASKS: Final = {f"tensorflow/serving/{task}": task for task in Task}


def parse(kind: Any, message: bytes) -> Any:
    """Read a message of a kind. Raises `InvalidArgument`."""
    try:
        return kind.FromString(message)
    except Exception as error:  # Theirs is of a type that depends on how protobuf was built.
        raise InvalidArgument(f"the message is no {kind.DESCRIPTOR.full_name}") from error


def find(spec: Any, look_up: Callable[[str, int | None, str | None], Any]) -> Any:
    """Look up what a ModelSpec points at. Raises `RequestError`."""
    return look_up(*place(spec))


def place(spec: Any) -> tuple[str, int | None, str | None]:
    """Read the model, version and label of a ModelSpec. Raises `InvalidArgument`."""
    if not spec.name:
        raise InvalidArgument("ModelSpec has no name specified")
    choice = spec.WhichOneof("version_choice")
    version = spec.version.value if choice == "version" else None
    return spec.name, version, spec.version_label if choice == "version_label" else None


def read_signature(spec: Any, signatures: Mapping[str, Signature]) -> tuple[str, Signature]:
    """Find the signature that a ModelSpec names. Raises `FailedPrecondition`."""
    name = spec.signature_name or DEFAULT_SIGNATURE
    signature = signatures.get(name)
    if signature is None:
        raise FailedPrecondition(f'Serving signature key "{name}" not found; there are: {", ".join(signatures)}')
    return name, signature


def read_predict(request: Any, servable: Servable, deadline: float | None = None) -> Question:
    """Understand a PredictRequest. Raises `RequestError`."""
    name, signature = read_signature(request.model_spec, servable.signatures)
    given, specs = request.inputs, signature.inputs
    if len(given) != len(specs) or any(key not in given for key in specs):
        raise InvalidArgument(
            f"input size does not match signature: {len(given)}!={len(specs)}. "
            f"Sent extra: {{{', '.join(sorted(set(given) - set(specs)))}}}. "
            f"Missing but required: {{{', '.join(sorted(set(specs) - set(given)))}}}."
        )
    inputs = {key: from_tensor(given[key], spec) for key, spec in specs.items()}
    check_inputs(inputs, signature)
    return Question(name, inputs, _outputs(request.output_filter, signature), deadline)


def _outputs(wanted: Sequence[str], signature: Signature) -> tuple[str, ...]:
    if not wanted:
        return ()
    for name in wanted:
        if name not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{', '.join(signature.outputs)}}}."
            )
    if len(set(wanted)) < len(wanted):
        raise InvalidArgument("output_filter names an output twice")
    return tuple(wanted)


def numbers_of(request: Any) -> bytes:
    """Return the packed numbers of the one tensor of a PredictRequest; empty if it has others."""
    if len(request.inputs) != 1:
        return b""
    (tensor,) = request.inputs.values()
    content: bytes = tensor.tensor_content
    return content


def write_predict(question: Question, answer: Answer, servable: Servable) -> bytes:
    """Write a PredictResponse."""
    if len(answer.outputs) == 1:
        ((name, array),) = answer.outputs.items()
        dtype = servable.signatures[question.signature].outputs[name].dtype
        numbers = pack_numbers(array, dtype)
        if numbers:
            around = _around(
                servable.model, servable.version, question.signature, name, dtype, array.shape, len(numbers)
            )
            return numbers.join(around)
    return _write_predict(question, answer, servable)


@lru_cache(256)
def _around(
    model: str, version: int, signature: str, name: str, dtype: str, shape: tuple[int, ...], size: int
) -> tuple[bytes, bytes]:
    """Write all but the numbers of a response with one output."""
    response = predict_pb2.PredictResponse()
    _name(response.model_spec, model, version, signature)
    tensor = response.outputs[name]
    tensor.dtype = NUMBERS[dtype]
    for dimension in shape:
        tensor.tensor_shape.dim.add(size=dimension)
    tensor.tensor_content = b"\x00" * size
    zeros = _bytes(response)
    tensor.tensor_content = b"\xff" * size
    return gap(zeros, _bytes(response), size)


def _write_predict(question: Question, answer: Answer, servable: Servable) -> bytes:
    response = predict_pb2.PredictResponse()
    _write_spec(response.model_spec, servable, question.signature)
    specs = servable.signatures[question.signature].outputs
    for name, array in answer.outputs.items():
        to_tensor(array, specs[name].dtype, response.outputs[name])
    return _bytes(response)


def read_examples(task: Task, request: Any, servable: Servable, deadline: float | None = None) -> Question:
    """Understand a ClassificationRequest or RegressionRequest. Raises `RequestError`."""
    return _examples(task, request.model_spec, request.input, servable, deadline)


def _examples(task: Task, spec: Any, given: Any, servable: Servable, deadline: float | None) -> Question:
    name, signature = read_signature(spec, servable.signatures)
    examples.check_signature(task, name, signature)
    if given.WhichOneof("kind") == "example_list_with_context":
        listed, context = given.example_list_with_context, given.example_list_with_context.context.SerializeToString()
    else:
        listed, context = given.example_list, b""
    examples.check_context(len(context), len(listed.examples))
    # One message after the other is both together; what the example says of a feature goes before the context.
    serialized = (context + example.SerializeToString() for example in listed.examples)
    return Question(name, examples.examples_input(serialized, len(listed.examples)), (), deadline)


def write_examples(task: Task, question: Question, answer: Answer, servable: Servable) -> bytes:
    """Write a ClassificationResponse or RegressionResponse. Raises `RequestError`."""
    response: Any = (
        classification_pb2.ClassificationResponse() if task is Task.CLASSIFY else regression_pb2.RegressionResponse()
    )
    _write_spec(response.model_spec, servable, question.signature)
    _write_results(task, question, answer, response.result)
    return _bytes(response)


def _write_results(task: Task, question: Question, answer: Answer, result: Any) -> None:
    rows = len(question.inputs[examples.INPUT])
    if task is Task.REGRESS:
        for value in examples.regressions(answer.outputs, rows).tolist():
            result.regressions.add(value=value)
        return
    for pairs in examples.classifications(answer.outputs, rows):
        classes = result.classifications.add().classes
        for label, score in pairs:
            classes.add(label=label, score=score)


def read_multi_inference(request: Any, deadline: float | None) -> Callable[[Servable], list[tuple[Task, Question]]]:
    """Understand a MultiInferenceRequest, as far as this goes without its model. Raises `InvalidArgument`."""
    tasks = list(request.tasks)
    if not tasks:
        raise InvalidArgument("Inference request has no tasks.")
    first = tasks[0].model_spec
    for task in tasks:
        if task.method_name not in TASKS:
            raise Unimplemented(f"Unsupported signature method_name: {task.method_name}; there are: {', '.join(TASKS)}")
        if (task.model_spec.name, task.model_spec.version) != (first.name, first.version):
            raise InvalidArgument("all tasks of a MultiInferenceRequest are for one version of one model")
    names = [task.model_spec.signature_name for task in tasks]
    if len(set(names)) < len(names):
        raise InvalidArgument(f"Duplicate evaluation of signature: {', '.join(sorted(set(names)))}")

    def questions(servable: Servable) -> list[tuple[Task, Question]]:
        return [
            (
                TASKS[task.method_name],
                _examples(TASKS[task.method_name], task.model_spec, request.input, servable, deadline),
            )
            for task in tasks
        ]

    return questions


def write_multi_inference(answers: Sequence[tuple[Task, Question, Answer]], servable: Servable) -> bytes:
    """Write a MultiInferenceResponse. Raises `RequestError`."""
    response = inference_pb2.MultiInferenceResponse()
    for task, question, answer in answers:
        result = response.results.add()
        _write_spec(result.model_spec, servable, question.signature)
        part = result.classification_result if task is Task.CLASSIFY else result.regression_result
        _write_results(task, question, answer, part)
    return _bytes(response)


def read_metadata_fields(request: Any) -> None:
    """Refuse what this server cannot tell of a model. Raises `InvalidArgument`."""
    if not request.metadata_field:
        raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
    for name in request.metadata_field:
        if name != SIGNATURE_DEF:
            raise InvalidArgument(f"Metadata field {name} is not supported; there is {SIGNATURE_DEF}")


def write_metadata(servable: Servable) -> bytes:
    """Write a GetModelMetadataResponse."""
    definitions = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.signatures.items():
        definition = definitions.signature_def[name]
        definition.method_name = signature.method
        for key, spec in signature.inputs.items():
            _write_info(spec, definition.inputs[key])
        for key, spec in signature.outputs.items():
            _write_info(spec, definition.outputs[key])
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    _write_spec(response.model_spec, servable, "")
    response.metadata[SIGNATURE_DEF].Pack(definitions)
    return _bytes(response)


def _write_info(spec: TensorSpec, info: meta_graph_pb2.TensorInfo) -> None:
    info.name = spec.tensor or spec.name
    info.dtype = NUMBERS[spec.dtype]
    if spec.shape is None:
        info.tensor_shape.unknown_rank = True
        return
    info.tensor_shape.SetInParent()
    for size in spec.shape:
        info.tensor_shape.dim.add(size=-1 if size is None else size)


_STATES: Final = {
    VersionState.START: 10,
    VersionState.LOADING: 20,
    VersionState.AVAILABLE: 30,
    VersionState.UNLOADING: 40,
    VersionState.END: 50,
}


def write_status(states: Sequence[VersionStatus]) -> bytes:
    """Write a GetModelStatusResponse."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for state in states:
        status = response.model_version_status.add(version=state.version, state=_STATES[state.state])
        status.status.error_code = Code.UNKNOWN if state.error else Code.OK
        status.status.error_message = state.error or state.remark
    return _bytes(response)


def _write_spec(spec: Any, servable: Servable, signature: str) -> None:
    _name(spec, servable.model, servable.version, signature)


def _name(spec: Any, model: str, version: int, signature: str) -> None:
    spec.name = model
    spec.version.value = version
    spec.signature_name = signature


def _bytes(message: Any) -> bytes:
    text: bytes = message.SerializeToString()
    return text
