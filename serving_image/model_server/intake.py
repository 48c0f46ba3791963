"""Takes labels: checks their ids, counts those of this pod, and passes the others to the pods that count them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from model_server import contract
from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected
from model_server.feedback import read_label, score
from model_server.logs import warning
from model_server.passing import Passed
from model_server.pods import Lost, Unreachable, host_port
from model_server.prediction_id import read
from model_server.protocols.feedback_rest import Label, Result, read_results, write_request
from model_server.routing import Place, Self, heir, route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from model_server.book import Book
    from model_server.metrics import Metrics
    from model_server.passing import Seal
    from model_server.pods import Answer, PodClient
    from model_server.prediction_id import Address, Key, Prediction

PASS_ON_SECONDS: Final = 5.0
"""How long another pod may take to count labels."""


@dataclass(frozen=True, slots=True)
class Others:
    """How to reach other pods."""

    client: PodClient
    path: str
    """Of feedback, on every pod of the model."""
    port: int
    seal: Seal
    """Tells them that it is a pod that asks."""
    siblings: Callable[[], Awaitable[set[Address]]]
    """Looks up the pods of this revision; raises OSError when that fails."""


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A label whose pod has not counted it."""

    number: int
    prediction: Prediction
    surely: bool
    """Whether that pod is gone, and does not only fail to answer."""


class Intake:
    """Counts labels. Each label of a request gets its own result, in order."""

    def __init__(  # Wired in one place.
        self,
        this: Self,
        keys: Mapping[int, Key],
        names: Sequence[str] | None,
        book: Book,
        metrics: Metrics,
        others: Others,
    ) -> None:
        self._this = this
        self._keys = keys
        self._names = names
        self._book = book
        self._metrics = metrics
        self._others = others

    async def take(self, labels: Sequence[Label], passed: Passed | None) -> list[Result]:
        """Count labels, here or where they belong. `passed`: what they are if another pod has sent them."""
        results: list[Result] = [None] * len(labels)
        elsewhere: dict[Address, list[tuple[int, Prediction]]] = defaultdict(list)
        orphans: list[_Orphan] = []
        for number, label in enumerate(labels):
            try:
                prediction = self._read(label)
                place = route(prediction, self._this, passed)
                if place is Place.HERE:
                    self._count(prediction, label)
                elif place is Place.NOWHERE:
                    raise _foreign()
                elif place is Place.LOST:
                    orphans.append(_Orphan(number, prediction, surely=True))
                else:
                    elsewhere[place].append((number, prediction))
            except LabelRejected as rejection:
                results[number] = self._note(rejection)
        if elsewhere:
            orphans += await self._pass_on(labels, elsewhere, results)
        if orphans:
            await self._inherit(labels, orphans, results)
        return results

    def _read(self, label: Label) -> Prediction:
        if not isinstance(label.id, str):
            raise LabelRejected(FeedbackRejection.MALFORMED, "an id is a text")
        return read(label.id, self._keys)

    def _count(self, prediction: Prediction, label: Label) -> None:
        truth = read_label(label.label, prediction.classes, self._names)
        try:
            delay = self._book.count_label(prediction, score(prediction.predicted, truth, prediction.classes))
        except OSError as error:
            warning("a label could not be written", reason=str(error))
            raise _unavailable("this pod cannot write the label to its volume") from error
        self._metrics.observe_label(delay)

    async def _pass_on(
        self, labels: Sequence[Label], elsewhere: Mapping[Address, list[tuple[int, Prediction]]], results: list[Result]
    ) -> list[_Orphan]:
        """Ask the pods that made the predictions; returns what is left for heirs, which only this revision has."""
        asked = await asyncio.gather(
            *(
                self._ask(address, [labels[number] for number, _ in group], Passed.LABELS)
                for address, group in elsewhere.items()
            )
        )
        orphans: list[_Orphan] = []
        for group, answers in zip(elsewhere.values(), asked, strict=True):
            for index, (number, prediction) in enumerate(group):
                answer = answers[index] if answers is not None else _foreign()
                if _is_foreign(answer) and prediction.fingerprint == self._this.fingerprint:
                    orphans.append(_Orphan(number, prediction, surely=answers is not None))
                else:
                    results[number] = answer
                    if answers is None and answer is not None:
                        self._note(answer)
        return orphans

    async def _inherit(self, labels: Sequence[Label], orphans: Sequence[_Orphan], results: list[Result]) -> None:
        """Give labels of pods that are gone to their heirs."""
        try:
            siblings = await self._others.siblings()
        except OSError as error:
            warning("the pods of this revision cannot be looked up", reason=str(error))
            for orphan in orphans:
                results[orphan.number] = self._note(_unavailable("the pods that may count it cannot be looked up"))
            return
        candidates = siblings | ({self._this.address} if self._this.address else set())
        by_heir: dict[Address, list[int]] = defaultdict(list)
        for orphan in orphans:
            prediction, number = orphan.prediction, orphan.number
            if prediction.address in siblings and not orphan.surely:
                results[number] = self._note(_unavailable("the pod that made the prediction does not answer just now"))
                continue
            chosen = heir(prediction.digest, candidates) if candidates else None
            if chosen is not None and chosen != self._this.address:
                by_heir[chosen].append(number)
                continue
            try:
                self._count(prediction, labels[number])
            except LabelRejected as rejection:
                results[number] = self._note(rejection)
        for address, numbers in by_heir.items():
            answers = await self._ask(address, [labels[number] for number in numbers], Passed.INHERITED)
            for index, number in enumerate(numbers):
                if answers is None or _is_foreign(answers[index]):
                    gone = _unavailable("the pod that counts labels of lost pods does not answer just now")
                    results[number] = self._note(gone)
                else:
                    results[number] = answers[index]

    async def _ask(self, address: Address, labels: Sequence[Label], passed: Passed) -> list[Result] | None:
        """Have another pod count labels; None if there is no such pod."""
        body = write_request(labels)
        try:
            answer = await self._others.client.send(
                "POST",
                host_port(address, self._others.port),
                self._others.path,
                headers={
                    contract.FORWARDED_HEADER: self._others.seal.mark(passed, body),
                    "Content-Type": "application/json",
                },
                body=body,
                seconds=PASS_ON_SECONDS,
            )
            return _results(answer, len(labels))
        except Unreachable:
            return None
        except (Lost, ValueError) as error:
            warning("labels were passed on and not answered", pod=str(address), reason=str(error))
            message = "the pod that made the prediction did not answer as it should"
            return [self._note(_unavailable(message)) for _ in labels]

    def _note(self, rejection: LabelRejected) -> LabelRejected:
        """Count a rejection in the metrics. Another pod's rejections are in the metrics of that pod."""
        self._metrics.rejected[rejection.reason] += 1
        return rejection


def _results(answer: Answer, count: int) -> list[Result]:
    """Understand another pod's answer. Raises ValueError.

    Who has the address may be of another model by now: then it knows no such model, or has another key.
    """
    if answer.status == 404:
        return [_foreign() for _ in range(count)]
    if answer.status != 200:
        raise ValueError(f"it answered {answer.status}")
    results = read_results(answer.body, count)
    forged = FeedbackRejection.FORGED
    return [_foreign() if result is not None and result.reason is forged else result for result in results]


def _is_foreign(result: Result) -> bool:
    return result is not None and result.reason is FeedbackRejection.FOREIGN


def _foreign() -> LabelRejected:
    return LabelRejected(
        FeedbackRejection.FOREIGN,
        "the prediction is of another model; or its revision no longer serves, and the pod that made it is gone",
    )


def _unavailable(why: str) -> LabelRejected:
    return LabelRejected(FeedbackRejection.UNAVAILABLE, f"{why}: send the label again")
