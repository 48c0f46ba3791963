"""What one pod has counted: predictions, labels by outcome, and which predictions have their label."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from model_server import journal
from model_server.contract import Counts, StartFailure
from model_server.errors import StartError
from model_server.feedback import Outcome, Tally
from model_server.journal import Head, Journal, JournalError, Record
from model_server.ledger import Ledger
from model_server.logs import warning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_server.prediction_id import Prediction


class Book:
    """Counts that survive the container but not the pod. Used from one thread only."""

    def __init__(self, folder: Path, *, revision: str, pod_uid: str, clock: Callable[[], float]) -> None:
        self._revision = revision
        self._pod_uid = pod_uid
        self._clock = clock
        self._owner = f"{pod_uid} {revision}"
        self.tally = Tally()
        self._started = datetime.fromtimestamp(clock(), UTC).isoformat()
        self._ledger = Ledger()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(folder)
            self._replay(folder)
            self._rewrite()
        except OSError as error:
            raise StartError(
                StartFailure.BAD_SETTINGS,
                f"{folder} cannot be written ({error.strerror}): is the volume mounted there?",
            ) from error

    def count_predictions(self, count: int) -> None:
        """Count answers to instances."""
        self._journal.predictions += count

    def check(self, prediction: Prediction) -> None:
        """Raise `LabelRejected` if this prediction's label cannot be counted (again)."""
        self._ledger.check(prediction.digest, prediction.issued, self._clock())

    def count_label(self, prediction: Prediction, outcome: Outcome) -> None:
        """Count a label, once it is on the volume. Raises `LabelRejected` or OSError."""
        self.check(prediction)
        self._journal.append(Record(prediction.issued, prediction.digest, outcome))
        self._ledger.add(prediction.digest, prediction.issued, self._clock())
        self.tally = self.tally.add(outcome)
        if self._journal.is_long:
            try:
                self._rewrite()
            except OSError as error:  # The label is counted, and is in the long file.
                warning("the file of labels could not be written anew", reason=str(error))

    @property
    def predictions(self) -> int:
        """How many instances were answered."""
        return self._journal.predictions

    def counts(self, forward_to: str | None) -> Counts:
        """Everything, for the operator."""
        return Counts(
            revision=self._revision,
            pod_uid=self._pod_uid,
            started=self._started,
            correct=self.tally.correct,
            wrong=self.tally.wrong,
            true_positive=self.tally.of(Outcome.TRUE_POSITIVE),
            false_positive=self.tally.of(Outcome.FALSE_POSITIVE),
            true_negative=self.tally.of(Outcome.TRUE_NEGATIVE),
            false_negative=self.tally.of(Outcome.FALSE_NEGATIVE),
            predictions=self._journal.predictions,
            forward_to=forward_to,
        )

    def _replay(self, folder: Path) -> None:
        try:
            self._take_over(folder)
        except JournalError as error:
            warning("counting begins again", reason=str(error))
            self._journal.predictions = 0
            # What was counted is unknown, so that older predictions could count twice: none of them counts again.
            self._ledger = Ledger(floor=int(self._clock()) + 1)

    def _take_over(self, folder: Path) -> None:
        found = journal.read(folder)
        if found is None or found[0].owner != self._owner:
            self._journal.predictions = 0
            return
        head, records = found
        ledger, outcomes, now = Ledger(floor=head.floor), Counter(Tally.from_json(head.tally).by_outcome), self._clock()
        for issued, digest, outcome in records:
            ledger.add(digest, issued, now)
            if outcome is not None:
                outcomes[outcome] += 1
        self._started, self._ledger, self.tally = head.started, ledger, Tally(outcomes)

    def _rewrite(self) -> None:
        head = Head(self._owner, self._started, self._ledger.floor, self.tally.to_json())
        self._journal.rewrite(head, self._ledger.entries())
