"""TensorFlow Serving's services over gRPC: PredictionService and ModelService.

Imported when it is first needed, and by the thread that loads the model: its messages take TensorFlow's along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.errors import Unimplemented
from model_server.protocols import tensorflow_grpc as messages
from model_server.protocols.examples import Task
from model_server.protocols.usual_messages import Forms
from model_server.rpc.answers import note

if TYPE_CHECKING:
    from model_server.dataplane.question import Question
    from model_server.dataplane.servable import Catalog, Servable
    from model_server.rpc.calls import Call


class TensorFlowServing:
    """The methods of both services."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._forms = Forms(messages.PredictRequest.FromString, messages.numbers_of)

    async def predict(self, call: Call) -> bytes:
        """PredictionService/Predict."""
        form = self._forms.find(call.message)
        servable = None if form is None else self._catalog.find(*form.model)
        if form is not None and servable is not None and servable.signatures is form.signatures:
            question = form.question(call.message, call.deadline)
        else:
            servable, question = self._read_predict(call)
        answer = await servable.ask(question)
        note(call, servable, answer)
        return messages.write_predict(question, answer, servable)

    def _read_predict(self, call: Call) -> tuple[Servable, Question]:
        request = messages.parse(messages.PredictRequest, call.message)
        place = messages.place(request.model_spec)
        servable = self._catalog.find(*place)
        question = messages.read_predict(request, servable, call.deadline)
        size = sum(array.nbytes for array in question.inputs.values())
        if size > len(call.message):  # A few elements may stand for many.
            call.hold(size)
        self._forms.learn(call.message, request, question, place, servable.signatures)
        return servable, question

    async def classify(self, call: Call) -> bytes:
        """PredictionService/Classify."""
        return await self._examples(call, Task.CLASSIFY, messages.ClassificationRequest)

    async def regress(self, call: Call) -> bytes:
        """PredictionService/Regress."""
        return await self._examples(call, Task.REGRESS, messages.RegressionRequest)

    async def _examples(self, call: Call, task: Task, kind: object) -> bytes:
        request = messages.parse(kind, call.message)
        servable = messages.find(request.model_spec, self._catalog.find)
        question = messages.read_examples(task, request, servable, call.deadline)
        answer = await servable.ask(question)
        note(call, servable, answer)
        return messages.write_examples(task, question, answer, servable)

    async def multi_inference(self, call: Call) -> bytes:
        """PredictionService/MultiInference. Its answer has no one prediction, and so no id."""
        request = messages.parse(messages.MultiInferenceRequest, call.message)
        questions = messages.read_multi_inference(request, call.deadline)
        servable = messages.find(request.tasks[0].model_spec, self._catalog.find)
        asked = questions(servable)
        answers = [(task, question, await servable.ask(question)) for task, question in asked]
        return messages.write_multi_inference(answers, servable)

    async def metadata(self, call: Call) -> bytes:
        """PredictionService/GetModelMetadata."""
        request = messages.parse(messages.GetModelMetadataRequest, call.message)
        messages.read_metadata_fields(request)
        return messages.write_metadata(messages.find(request.model_spec, self._catalog.find))

    async def status(self, call: Call) -> bytes:
        """ModelService/GetModelStatus."""
        request = messages.parse(messages.GetModelStatusRequest, call.message)
        return messages.write_status(messages.find(request.model_spec, self._catalog.states))

    async def reload(self, call: Call) -> bytes:
        """ModelService/HandleReloadConfigRequest."""
        raise Unimplemented("which models this server has is said in its settings, and nobody else may change it")
