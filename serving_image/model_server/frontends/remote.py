"""A front end's side: the model, the labels and the metrics of the first process, as if they were here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from model_server.errors import RequestError, Unavailable
from model_server.frontends import packing
from model_server.running import Promise
from model_server.telling import INTERNAL
from model_server.traces import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.dataplane.question import Answer, Question
    from model_server.dataplane.servable import Catalog
    from model_server.feedback import Label, Result
    from model_server.frontends.link import Link, Message
    from model_server.passing import Copied, Forwarded, Passed
    from model_server.shadows import Witnessed
    from model_server.tensors import Signature
    from model_server.traces import Trace

_QUESTIONS: Final = frozenset({"ask", "labels"})
"""Kinds of messages that are answered."""


class Asking:
    """What is asked of the first process and not answered yet."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, Promise[Any]] = {}
        self._number = 0
        self.link: Link | None = None
        """None as long as there is nobody to ask, and when there is nobody any more."""

    async def ask(self, kind: str, *content: Any) -> Any:
        """Ask, and return the answer. Raises `RequestError`. The other process gives up, too, what is cancelled."""
        if self.link is None:
            raise _ending()
        self._number += 1
        number = self._number
        waiting: Promise[Any] = Promise(loop=self._loop)
        self._waiting[number] = waiting
        self.link.send(kind, number, *content)
        try:
            return await waiting
        except asyncio.CancelledError:
            if self.link is not None:
                self.link.send("cancel", number)
            raise
        finally:
            del self._waiting[number]

    def answered(self, number: int, answer: packing.Packed) -> None:
        """Take an answer."""
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.keep(answer)

    def failed(self, number: int, error: packing.Packed) -> None:
        """Take the news that there is none."""
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.fail(packing.unpack_error(error))

    def unsent(self, message: Message) -> None:
        """Take the news that a question cannot be written."""
        kind, *content = message
        if kind in _QUESTIONS:
            self.failed(content[0], packing.pack_error(RequestError(INTERNAL)))

    def lost(self) -> None:
        """Give all up: the other process has gone."""
        self.link = None
        for waiting in list(self._waiting.values()):
            if not waiting.done():
                waiting.fail(_ending())


class RemoteVersion:
    """The version that is served: a `Servable`."""

    def __init__(
        self, model: str, version: int, revision: str, signatures: Mapping[str, Signature], to: Asking
    ) -> None:
        self.model = model
        self.version = version
        self.revision = revision
        self.signatures = signatures
        self.no_ids: str | None = None
        """Why this model's predictions get no ids any more."""
        self._to = to

    async def ask(self, question: Question) -> Answer:
        """Answer. Raises `RequestError`; a cancelled call leaves the queue."""
        trace = current.get()
        with trace.stage("call model"):
            packed = await self._to.ask("ask", packing.pack_question(question))
        answer = packing.unpack_answer(packed)
        trace.note_instances(answer.rows)
        return answer


class RemoteLabels:
    """Where labels go: a `Labels`."""

    def __init__(self, to: Asking) -> None:
        self._to = to

    async def take(self, labels: Sequence[Label], passed: Passed | None) -> list[Result]:
        """Have labels counted."""
        packed = packing.pack_labels(labels), None if passed is None else passed.value
        return packing.unpack_results(await self._to.ask("labels", *packed))


class RemoteMetrics:
    """What is known of requests is told to the first process, which Prometheus asks."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def observe_request(self, method: str, code: int, seconds: float, trace: Trace) -> None:
        """Note one answered request."""
        self._link.send("observed", str(method), code, seconds, trace.id if trace.is_sampled else None)

    def count_forwarded(self, outcome: Forwarded) -> None:
        """Count a request that was passed on."""
        self._link.send("forwarded", outcome.value)

    def count_copied(self, outcome: Copied, number: int) -> None:
        """Count copies of requests."""
        self._link.send("copied", outcome.value, number)


class RemoteWitness:
    """A `Witness`: the first process is told of copies, as labels are counted there."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def expect(self, token: str) -> None:
        """Note that a copy is sent of the request that has this prediction id here."""
        self._link.send("expect", token)

    def settle(self, token: str, witnessed: Witnessed | None) -> None:
        """Note the answer to it, or that there is none."""
        self._link.send("settle", token, None if witnessed is None else tuple(witnessed))


class RemoteContent:
    """What is served, found by name."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog


def _ending() -> Unavailable:
    return Unavailable("the server ends: try again")
