"""Compares this revision with one that gets copies of its requests.

The answer to a copy has an id of its own, in which stands what that revision predicted. It is kept with the id of this
pod's answer until the label comes: that tells which of the two was right, and is passed to the other pod, too, as the
label of its own prediction. Clients know nothing of all this.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from model_server.errors import LabelRejected
from model_server.feedback import Label, Paired, compare
from model_server.ledger import HORIZON_SECONDS
from model_server.logs import warning
from model_server.prediction_id import fingerprint, read, read_whole, request_of

if TYPE_CHECKING:
    from model_server.book import Book
    from model_server.feedback import Scorer
    from model_server.prediction_id import Address, KeyRing, Prediction

CAPACITY_BYTES: Final = 32 * 2**20
"""Of the ids that are kept: 100,000 requests of one instance each."""
_ENTRY_BYTES: Final = 250
"""That an entry takes beside its id."""
MOST_AWAITED: Final = 1024
"""Copies that are under way, in all processes. What is beyond is lost, and pairs with it."""
MOST_EARLY: Final = 1024
"""Labels of a request that came before the answer to its copy."""
MOST_COMPARED: Final = 100
"""Instances of a request whose predictions are compared before there are labels."""


class Witnessed(NamedTuple):
    """The answer to a copy."""

    token: str
    """That pod's prediction id."""
    revision: str


class Witness(Protocol):
    """Who is told of copies, in whatever process they are sent."""

    def expect(self, token: str) -> None:
        """Note that a copy is sent of the request that has this prediction id here."""

    def settle(self, token: str, witnessed: Witnessed | None) -> None:
        """Note the answer to it, or that there is none."""


class LabelSender(Protocol):
    """Passes labels on."""

    def send(self, address: Address, label: Label) -> None:
        """Have the pod of this address count a label, some time."""


class Agreements(Protocol):
    """Where it is counted how often both revisions predict the same."""

    def count_agreement(self, revision: str, *, same: int, different: int) -> None:
        """Count instances."""


class _Kept(NamedTuple):
    token: str
    revision: str
    issued: int
    instances: int

    @property
    def size(self) -> int:
        return len(self.token) + _ENTRY_BYTES


class Shadows:
    """A `Witness`. What it forgets, by age or for want of room, costs pairs and makes none wrong."""

    def __init__(  # Wired in one place.
        self,
        model: str,
        own: bytes,
        keys: KeyRing,
        scorer: Scorer,
        book: Book,
        sender: LabelSender,
        agreements: Agreements,
        capacity: int = CAPACITY_BYTES,
    ) -> None:
        self._model = model
        self._own = own
        self._keys = keys
        self._scorer = scorer
        self._book = book
        self._sender = sender
        self._agreements = agreements
        self._capacity = capacity
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        """By the request, the oldest first."""
        self._size = 0
        self._awaited: OrderedDict[bytes, list[tuple[Prediction, object, bool]]] = OrderedDict()
        """Requests whose copies are under way, with the labels that have come already and what they said here."""

    def __len__(self) -> int:
        return len(self._kept)

    def expect(self, token: str) -> None:
        """Note that a copy is sent of the request that has this prediction id here."""
        self._awaited[request_of(token)] = []
        if len(self._awaited) > MOST_AWAITED:  # Of a process that has ended before it could tell.
            self._awaited.popitem(last=False)

    def settle(self, token: str, witnessed: Witnessed | None) -> None:
        """Note the answer to it, or that there is none."""
        early = self._awaited.pop(request_of(token), None)
        if witnessed is None:
            return
        try:
            kept = self._compare(token, witnessed)
        except LabelRejected as error:
            warning("the answer to a copy is no prediction of that revision", reason=str(error))
            return
        if kept is None:
            return
        self._keep(request_of(token), kept)
        for prediction, label, is_right in early or ():
            self.labelled(prediction, label, is_right=is_right)

    def labelled(self, prediction: Prediction, label: object, *, is_right: bool) -> None:
        """Take note of a label that was counted for a prediction of this pod: the first and only one."""
        kept = self._kept.get(prediction.request)
        if kept is None:
            early = self._awaited.get(prediction.request)
            if early is not None and len(early) < MOST_EARLY:
                early.append((prediction, label, is_right))
            return
        if kept.instances == 1:
            self._forget(prediction.request)
        identity = f"{kept.token}.{prediction.index}"
        try:
            other = read(identity, self._keys)
            self._pair(prediction, other, kept.revision, label, is_right=is_right)
        except LabelRejected:  # Its key is not used any more, or it has other classes than the label names.
            return
        if other.address is not None:
            self._sender.send(other.address, Label(identity, label))

    def _compare(self, token: str, witnessed: Witnessed) -> _Kept | None:
        """Count how often both predict the same. None if they are not two revisions. Raises `LabelRejected`."""
        here, there = read_whole(token, self._keys), read_whole(witnessed.token, self._keys)
        is_other = there.fingerprint == fingerprint(self._model, witnessed.revision) != self._own
        if here.fingerprint != self._own or not is_other or here.count != there.count:
            return None
        compared = min(here.count, MOST_COMPARED)
        same = sum(self._scorer.agree(here.prediction(index), there.prediction(index)) for index in range(compared))
        self._agreements.count_agreement(witnessed.revision, same=same, different=compared - same)
        return _Kept(witnessed.token, witnessed.revision, there.issued, there.count)

    def _pair(self, prediction: Prediction, other: Prediction, revision: str, label: object, *, is_right: bool) -> None:
        """Count which of the two was right. Of other classes, or values for classes, nothing can be said."""
        if (other.classes, other.value is None) != (prediction.classes, prediction.value is None):
            return
        there = self._scorer.score(other, label).is_right
        try:
            self._book.count_pair(prediction, Paired(revision, compare(here=is_right, there=there), prediction.audited))
        except OSError as error:
            warning("a pair could not be written", reason=str(error))

    def _keep(self, request: bytes, kept: _Kept) -> None:
        self._forget(request)
        self._kept[request] = kept
        self._size += kept.size
        too_old = self._book.now() - HORIZON_SECONDS
        while self._kept:
            oldest, first = next(iter(self._kept.items()))
            if self._size <= self._capacity and first.issued >= too_old:
                break
            self._forget(oldest)

    def _forget(self, request: bytes) -> None:
        kept = self._kept.pop(request, None)
        if kept is not None:
            self._size -= kept.size
