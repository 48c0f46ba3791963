"""One version of a model, loaded: a `Servable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.dataplane.batcher import Batcher, Called
from model_server.dataplane.question import Answer
from model_server.errors import InvalidArgument
from model_server.tensors import is_regular
from model_server.traces import NO_TRACE, current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.dataplane.batch_settings import BatchSettings
    from model_server.dataplane.question import Question
    from model_server.labelling import Labelling
    from model_server.tensors import Array, Model, Signature


class LoadedVersion:
    """Answers questions, many at a time, and gives each answer its id."""

    def __init__(
        self,
        model: str,
        version: int,
        revision: str,
        loaded: Model,
        labelling: Labelling,
        batching: BatchSettings,
        threads: int,
    ) -> None:
        self.model = model
        self.version = version
        self.revision = revision
        self._loaded = loaded
        self._book = labelling.book
        self._metrics = labelling.metrics
        self._marker = labelling.marker
        self.batcher = Batcher(
            self._call,
            loaded.batchable,
            batching,
            batching.num_batch_threads or threads,
            labelling.metrics.observe_batch,
            loaded.quick,
        )

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be called, by name."""
        return self._loaded.signatures

    @property
    def no_ids(self) -> str | None:
        """Why this model's predictions get no ids any more."""
        return self._marker.no_ids

    async def ask(self, question: Question) -> Answer:
        """Answer. Raises `RequestError`; a cancelled call leaves the queue."""
        trace = current.get()
        together = is_regular(question.inputs, self._loaded.signatures[question.signature])
        if trace is NO_TRACE:
            share = await self.batcher.ask(question, together=together)
        else:
            with trace.stage("call model"):
                share = await self.batcher.ask(question, together=together)
            trace.note_instances(share.rows)
        token, audited = self._marker.mark(question, share.predicted)
        self._book.count_predictions(share.rows, with_id=token is not None, audited=audited)
        outputs = _wanted(share.outputs, question.outputs) if question.outputs else share.outputs
        return Answer(outputs, share.rows, token, audited)

    async def close(self) -> None:
        """Give its memory back, once all that was asked is answered."""
        await self.batcher.close()
        self._metrics.unwatch()
        self._loaded.close()

    def _call(self, signature: str, inputs: Mapping[str, Array]) -> Called:
        outputs = self._loaded.predict(signature, inputs)
        return Called(outputs, self._marker.look(signature, outputs))


def _wanted(outputs: Mapping[str, Array], names: tuple[str, ...]) -> Mapping[str, Array]:
    unknown = [name for name in names if name not in outputs]
    if unknown:
        raise InvalidArgument(f"the model has no output {', '.join(unknown)}; it has {', '.join(outputs)}")
    return {name: outputs[name] for name in names}
