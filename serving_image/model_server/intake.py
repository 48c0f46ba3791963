"""Takes labels: checks their ids, counts those of this pod, and passes the others to the pods that count them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from model_server import contract
from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected
from model_server.feedback import Label, Result
from model_server.label_store import Claim, StoreUnavailable
from model_server.ledger import HORIZON_SECONDS
from model_server.logs import warning
from model_server.passing import Passed
from model_server.pods import Lost, Unreachable, host_port
from model_server.prediction_id import read
from model_server.protocols.feedback_rest import read_results, write_request
from model_server.routing import Place, Self, heir, route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from model_server.book import Book
    from model_server.feedback import Score, Scorer
    from model_server.label_store import LabelStore
    from model_server.metrics import Metrics
    from model_server.passing import Seal
    from model_server.pods import Answer, PodClient
    from model_server.prediction_id import Address, KeyRing, Prediction

PASS_ON_SECONDS: Final = 5.0
"""How long another pod may take to count labels."""
LABELS_AT_ONCE: Final = 50
CLAIM_SLACK_SECONDS: Final = 3600
"""For which a claim outlives the time in which its label could count: clocks differ."""


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


class _Scored(NamedTuple):
    """A label that is to be counted here."""

    number: int
    prediction: Prediction
    label: object
    score: Score


class Listener(Protocol):
    """Is told of labels."""

    def __call__(self, prediction: Prediction, label: object, *, is_right: bool) -> None:
        """Take note of a label that was counted here."""


@dataclass(slots=True)
class _Todo:
    """The labels of a request by who counts them."""

    mine: list[_Scored] = field(default_factory=list)
    next_door: dict[bytes, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By the fingerprints of other revisions in this process."""
    elsewhere: dict[Address, list[tuple[int, Prediction]]] = field(default_factory=lambda: defaultdict(list))
    orphans: list[_Orphan] = field(default_factory=list)


class Intake:
    """Counts the labels of one revision. Each label of a request gets its own result, in order.

    `here` are the intakes of all revisions that this process serves, by their fingerprints: a label that came to one of
    them and belongs to another is counted there.
    """

    def __init__(  # Wired in one place.
        self,
        this: Self,
        keys: KeyRing,
        scorer: Scorer,
        book: Book,
        metrics: Metrics,
        others: Others,
        store: LabelStore | None = None,
        here: Mapping[bytes, Intake] | None = None,
        counted: Listener | None = None,
    ) -> None:
        self._this = this
        self._keys = keys
        self._scorer = scorer
        self._book = book
        self._metrics = metrics
        self._others = others
        self._store = store
        self._here = here if here is not None else {}
        self._counted = counted
        """Told of each label that was counted."""
        self._claiming: set[bytes] = set()
        """Digests for which the store is being asked."""

    async def take(self, labels: Sequence[Label], passed: Passed | None) -> list[Result]:
        """Count labels, here or where they belong. `passed`: what they are if another pod has sent them."""
        results: list[Result] = [None] * len(labels)
        todo = _Todo()
        for number, label in enumerate(labels):
            await _let_others_go_on(number)
            try:
                self._sort(number, label, passed, todo)
            except LabelRejected as rejection:
                results[number] = self._note(rejection)
        await self._count_all(todo.mine, results)
        for fingerprint, numbers in todo.next_door.items():
            answers = await self._here[fingerprint].take([labels[number] for number in numbers], passed)
            for number, answer in zip(numbers, answers, strict=True):
                results[number] = answer
        orphans = todo.orphans
        if todo.elsewhere:
            orphans += await self._pass_on(labels, todo.elsewhere, results)
        if orphans:
            await self._inherit(labels, orphans, results)
        return results

    def _sort(self, number: int, label: Label, passed: Passed | None, todo: _Todo) -> None:
        """Find out who counts a label. Raises `LabelRejected` if nobody does."""
        prediction = self._read(label)
        if prediction.fingerprint != self._this.fingerprint and prediction.fingerprint in self._here:
            todo.next_door[prediction.fingerprint].append(number)
            return
        place = route(prediction, self._this, passed)
        if place is Place.HERE:
            todo.mine.append(_Scored(number, prediction, label.label, self._scorer.score(prediction, label.label)))
        elif place is Place.NOWHERE:
            raise _foreign()
        elif place is Place.LOST:
            todo.orphans.append(_Orphan(number, prediction, surely=True))
        else:
            todo.elsewhere[place].append((number, prediction))

    def _read(self, label: Label) -> Prediction:
        if not isinstance(label.id, str):
            raise LabelRejected(FeedbackRejection.MALFORMED, "an id is a text")
        return read(label.id, self._keys)

    async def _count_all(self, scored: Sequence[_Scored], results: list[Result]) -> None:
        """Count labels here, those alone that the store leaves to this pod if there is one."""
        if self._store is not None:
            scored = await self._claim(self._store, scored, results)
        for done, one in enumerate(scored):
            await _let_others_go_on(done)
            try:
                self._count(one)
            except LabelRejected as rejection:
                results[one.number] = self._note(rejection)

    async def _claim(self, store: LabelStore, scored: Sequence[_Scored], results: list[Result]) -> list[_Scored]:
        """Ask the store; returns what this pod is to count. What is known without asking is not asked for."""
        asked: list[_Scored] = []
        claims: dict[bytes, Claim] = {}
        now = self._book.now()
        for one in scored:
            digest = one.prediction.digest
            try:
                self._book.check(one.prediction)
                if digest in self._claiming:
                    raise _unavailable("another label of this prediction is being counted")
            except LabelRejected as rejection:
                results[one.number] = self._note(rejection)
                continue
            left = one.prediction.issued + HORIZON_SECONDS + CLAIM_SLACK_SECONDS - now
            claims[digest] = Claim(digest, int(left))
            asked.append(one)
        if not asked:
            return []
        self._claiming |= claims.keys()
        try:
            answers = dict(zip(claims, await store.claim(list(claims.values())), strict=True))
        except StoreUnavailable as error:
            warning("the store of labels does not answer", reason=str(error))
            for one in asked:
                results[one.number] = self._note(_unavailable("the store that all replicas ask does not answer"))
            return []
        finally:
            self._claiming -= claims.keys()
        for one in asked:
            if not answers[one.prediction.digest]:
                results[one.number] = self._note(_duplicate())
        return [one for one in asked if answers[one.prediction.digest]]

    def _count(self, one: _Scored) -> None:
        try:
            delay = self._book.count_label(one.prediction, one.score)
        except OSError as error:
            warning("a label could not be written", reason=str(error))
            raise _unavailable("this pod cannot write the label to its volume") from error
        self._metrics.observe_label(delay)
        if self._counted is not None:
            self._counted(one.prediction, one.label, is_right=one.score.is_right)

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
        """Give labels of pods that are gone to their heirs; with a store, whoever has them may count them."""
        if self._store is not None:
            await self._adopt(labels, orphans, results)
            return
        try:
            siblings = await self._others.siblings()
        except OSError as error:
            warning("the pods of this revision cannot be looked up", reason=str(error))
            for orphan in orphans:
                results[orphan.number] = self._note(_unavailable("the pods that may count it cannot be looked up"))
            return
        candidates = siblings | ({self._this.address} if self._this.address else set())
        own: list[_Orphan] = []
        by_heir: dict[Address, list[int]] = defaultdict(list)
        for orphan in orphans:
            prediction, number = orphan.prediction, orphan.number
            if prediction.address in siblings and not orphan.surely:
                results[number] = self._note(_unavailable("the pod that made the prediction does not answer just now"))
                continue
            chosen = heir(prediction.digest, candidates) if candidates else None
            if chosen is not None and chosen != self._this.address:
                by_heir[chosen].append(number)
            else:
                own.append(orphan)
        await self._adopt(labels, own, results)
        for address, numbers in by_heir.items():
            answers = await self._ask(address, [labels[number] for number in numbers], Passed.INHERITED)
            for index, number in enumerate(numbers):
                if answers is None or _is_foreign(answers[index]):
                    gone = _unavailable("the pod that counts labels of lost pods does not answer just now")
                    results[number] = self._note(gone)
                else:
                    results[number] = answers[index]

    async def _adopt(self, labels: Sequence[Label], orphans: Sequence[_Orphan], results: list[Result]) -> None:
        """Count labels of other pods here."""
        scored: list[_Scored] = []
        for orphan in orphans:
            label = labels[orphan.number].label
            try:
                score = self._scorer.score(orphan.prediction, label)
            except LabelRejected as rejection:
                results[orphan.number] = self._note(rejection)
            else:
                scored.append(_Scored(orphan.number, orphan.prediction, label, score))
        await self._count_all(scored, results)

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


async def _let_others_go_on(done: int) -> None:
    """Give way after some labels: a thousand take 15 ms, and predictions are waiting."""
    if done % LABELS_AT_ONCE == LABELS_AT_ONCE - 1:
        await asyncio.sleep(0)


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


def _duplicate() -> LabelRejected:
    return LabelRejected(FeedbackRejection.DUPLICATE, "this prediction has its label; the first one stands")


def _unavailable(why: str) -> LabelRejected:
    return LabelRejected(FeedbackRejection.UNAVAILABLE, f"{why}: send the label again")
