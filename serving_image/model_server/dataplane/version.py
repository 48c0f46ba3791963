"""One version of a model, loaded: a `Servable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.classes import predicted_classes
from model_server.dataplane.batcher import Batcher, Called
from model_server.dataplane.question import Answer
from model_server.errors import InvalidArgument, NotAClassifier
from model_server.logs import warning
from model_server.tensors import DEFAULT_SIGNATURE
from model_server.traces import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.book import Book
    from model_server.dataplane.batch_settings import BatchSettings
    from model_server.dataplane.question import Question
    from model_server.metrics import Metrics
    from model_server.prediction_id import Classes, Issuer
    from model_server.tensors import Array, Model, Signature


class Counted:
    """What is noted of predictions: where they are counted, and what makes their ids."""

    __slots__ = ("book", "issuer", "metrics", "named")

    def __init__(self, book: Book, metrics: Metrics, issuer: Issuer, *, named: bool) -> None:
        self.book = book
        self.metrics = metrics
        self.issuer = issuer
        self.named = named
        """Whether the user has named the classes, and said thereby that the outputs are classes."""


class LoadedVersion:
    """Answers questions, many at a time, and gives each answer its id."""

    def __init__(
        self,
        model: str,
        version: int,
        revision: str,
        loaded: Model,
        counted: Counted,
        batching: BatchSettings,
        threads: int,
    ) -> None:
        self.model = model
        self.version = version
        self.revision = revision
        self.no_ids: str | None = None
        """Why this model's predictions get no ids any more."""
        self._loaded = loaded
        self._counted = counted
        self.batcher = Batcher(
            self._call,
            loaded.batchable,
            batching,
            batching.num_batch_threads or threads,
            counted.metrics.observe_batch,
        )

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be called, by name."""
        return self._loaded.signatures

    async def ask(self, question: Question) -> Answer:
        """Answer. Raises `RequestError`; a cancelled call leaves the queue."""
        trace = current.get()
        with trace.stage("call model"):
            share = await self.batcher.ask(question)
        token = self._counted.issuer.issue(share.classes) if share.classes is not None else None
        self._counted.book.count_predictions(share.rows)
        trace.note_instances(share.rows)
        return Answer(_wanted(share.outputs, question.outputs), share.rows, token)

    def close(self) -> None:
        """Give its memory back. Nothing may be under way."""
        self.batcher.close()
        self._loaded.close()

    def _call(self, signature: str, inputs: Mapping[str, Array]) -> Called:
        outputs = self._loaded.predict(signature, inputs)
        return Called(outputs, self._classes(signature, outputs))

    def _classes(self, signature: str, outputs: Mapping[str, Array]) -> Classes | None:
        """Find the classes, until the model has shown that it has none: then labels would measure nothing."""
        if signature != DEFAULT_SIGNATURE or self.no_ids is not None:
            return None
        try:
            return predicted_classes(outputs, named=self._counted.named)
        except NotAClassifier as error:
            self.no_ids = str(error)
            warning("predictions get no ids any more", reason=str(error))
            return None


def _wanted(outputs: Mapping[str, Array], names: tuple[str, ...]) -> Mapping[str, Array]:
    if not names:
        return outputs
    unknown = [name for name in names if name not in outputs]
    if unknown:
        raise InvalidArgument(f"the model has no output {', '.join(unknown)}; it has {', '.join(outputs)}")
    return {name: outputs[name] for name in names}
