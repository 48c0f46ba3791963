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
from model_server.pods import Lost, Unreachable, host_port
from model_server.prediction_id import read
from model_server.protocols.feedback_rest import Label, Result, read_results, write_request
from model_server.routing import Place, Self, heir, route

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from model_server.book import Book
    from model_server.pods import PodClient
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
    name: str
    """Of this pod, for them."""
    siblings: Callable[[], Awaitable[set[Address]]]
    """Looks up the pods of this revision."""


class Intake:
    """Counts labels. Each label of a request gets its own result, in order."""

    def __init__(  # Wired in one place.
        self,
        this: Self,
        keys: Mapping[int, Key],
        names: Sequence[str] | None,
        book: Book,
        rejected: Counter[FeedbackRejection],
        others: Others,
    ) -> None:
        self._this = this
        self._keys = keys
        self._names = names
        self._book = book
        self._rejected = rejected
        self._others = others

    async def take(self, labels: Sequence[Label], *, forwarded: bool) -> list[Result]:
        """Count labels, here or where they belong."""
        results: list[Result] = [None] * len(labels)
        elsewhere: dict[Address, list[tuple[int, Prediction]]] = defaultdict(list)
        for number, label in enumerate(labels):
            try:
                prediction = self._read(label)
                place = route(prediction, self._this, forwarded=forwarded)
                if place is Place.HERE:
                    self._count(prediction, label)
                elif place is Place.NOWHERE:
                    raise _foreign()
                else:
                    elsewhere[place].append((number, prediction))
            except LabelRejected as rejection:
                results[number] = self._note(rejection)
        if elsewhere:
            await self._pass_on(labels, elsewhere, results)
        return results

    def _read(self, label: Label) -> Prediction:
        if not isinstance(label.id, str):
            raise LabelRejected(FeedbackRejection.MALFORMED, "an id is a text")
        return read(label.id, self._keys)

    def _count(self, prediction: Prediction, label: Label) -> None:
        truth = read_label(label.label, prediction.classes, self._names)
        try:
            self._book.count_label(prediction, score(prediction.predicted, truth, prediction.classes))
        except OSError as error:
            warning("a label could not be written", reason=str(error))
            raise _unavailable("this pod cannot write the label to its volume") from error

    async def _pass_on(
        self, labels: Sequence[Label], elsewhere: Mapping[Address, list[tuple[int, Prediction]]], results: list[Result]
    ) -> None:
        """Ask the pods that made the predictions, then the heirs of those that are gone."""
        asked = await asyncio.gather(
            *(self._ask(address, [labels[number] for number, _ in group]) for address, group in elsewhere.items())
        )
        orphans: list[tuple[int, Prediction]] = []
        for group, answers in zip(elsewhere.values(), asked, strict=True):
            for index, (number, prediction) in enumerate(group):
                answer = answers[index] if answers is not None else _foreign()
                if _is_foreign(answer) and prediction.fingerprint == self._this.fingerprint:
                    orphans.append((number, prediction))
                else:
                    results[number] = answer
                    if answers is None and answer is not None:
                        self._note(answer)
        if orphans:
            await self._inherit(labels, orphans, results)

    async def _inherit(
        self, labels: Sequence[Label], orphans: Iterable[tuple[int, Prediction]], results: list[Result]
    ) -> None:
        """Give labels of pods that do not answer to their heirs, unless those pods still exist."""
        siblings = await self._others.siblings()
        candidates = siblings | ({self._this.address} if self._this.address else set())
        by_heir: dict[Address | None, list[int]] = defaultdict(list)
        for number, prediction in orphans:
            if prediction.address in siblings:
                results[number] = self._note(_unavailable("the pod that made the prediction does not answer just now"))
                continue
            chosen = heir(prediction.digest, candidates) if candidates else None
            if chosen not in (None, self._this.address):
                by_heir[chosen].append(number)
                continue
            try:
                self._count(prediction, labels[number])
            except LabelRejected as rejection:
                results[number] = self._note(rejection)
        for address, numbers in by_heir.items():
            answers = await self._ask(address, [labels[number] for number in numbers]) if address else None
            for index, number in enumerate(numbers):
                gone = _unavailable("the pod that counts labels of lost pods does not answer just now")
                results[number] = self._note(gone) if answers is None else answers[index]

    async def _ask(self, address: Address, labels: Sequence[Label]) -> list[Result] | None:
        """Have another pod count labels; None if there is no such pod."""
        try:
            answer = await self._others.client.send(
                "POST",
                host_port(address, self._others.port),
                self._others.path,
                headers={contract.FORWARDED_HEADER: self._others.name, "Content-Type": "application/json"},
                body=write_request(labels),
                seconds=PASS_ON_SECONDS,
            )
            return read_results(answer.body, len(labels)) if answer.status == 200 else [_foreign()] * len(labels)
        except Unreachable:
            return None
        except (Lost, ValueError) as error:
            warning("labels were passed on and not answered", pod=str(address), reason=str(error))
            message = "the pod that made the prediction did not answer in time"
            return [self._note(_unavailable(message)) for _ in labels]

    def _note(self, rejection: LabelRejected) -> LabelRejected:
        """Count a rejection in the metrics. Another pod's rejections are in the metrics of that pod."""
        self._rejected[rejection.reason] += 1
        return rejection


def _is_foreign(result: Result) -> bool:
    return result is not None and result.reason is FeedbackRejection.FOREIGN


def _foreign() -> LabelRejected:
    return LabelRejected(
        FeedbackRejection.FOREIGN, "the prediction is of another model, or of a revision that no longer runs"
    )


def _unavailable(why: str) -> LabelRejected:
    return LabelRejected(FeedbackRejection.UNAVAILABLE, f"{why}: send the label again")
