"""Classification and regression on the data plane."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from model_server import contract
from model_server.endpoints.call import answer_response
from model_server.http.routes import Route
from model_server.protocols.examples import Task, read_examples, write_results
from model_server.protocols.tensorflow_rest import Method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.endpoints.call import Call
    from model_server.http.messages import Response


def routes(limit: int) -> Iterator[Route[Call]]:
    """Tell what is answered; `limit` is that of the bodies of predictions."""
    for place in ("", "/versions/{version}", "/labels/{label}"):
        for task in Task:
            path = f"{contract.MODEL_PATH_TEMPLATE}{place}:{task}"
            yield Route("POST", path, Method.PREDICT, limit, partial(_answer, task))


async def _answer(task: Task, call: Call) -> Response:
    servable = call.parts.catalog.find(call.model, call.version, call.label)
    asked = read_examples(task, call.body, servable.signatures)
    answer = await servable.ask(asked.question())
    return answer_response(write_results(asked, answer.outputs), answer)
