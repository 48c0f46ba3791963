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

    from model_server.feedback import Score
    from model_server.prediction_id import Prediction


class Book:
    """Counts that survive the container but not the pod. Used from one thread only."""

    def __init__(self, folder: Path, *, revision: str, pod_uid: str, clock: Callable[[], float]) -> None:
        self._revision = revision
        self._pod_uid = pod_uid
        self._clock = clock
        self._owner = f"{pod_uid} {revision}"
        self.tally = Tally()
        self.started = datetime.fromtimestamp(clock(), UTC).isoformat()
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

    def count_label(self, prediction: Prediction, score: Score) -> float:
        """Count a label, once it is on the volume; returns how many seconds after its prediction it came.

        These are up to one too many, as an id has whole seconds, and 0 if the clock of the pod that made the prediction
        is ahead. Raises `LabelRejected` if it cannot be counted (again), or OSError.
        """
        now = self._clock()
        self._ledger.check(prediction.digest, prediction.issued, now)
        self._journal.append(Record(prediction.issued, prediction.digest, score))
        self._ledger.add(prediction.digest, prediction.issued, now)
        self.tally = self.tally.add(score)
        if self._journal.is_long:
            try:
                self._rewrite()
            except OSError as error:  # The label is counted, and is in the long file.
                warning("the file of labels could not be written anew", reason=str(error))
        return max(0.0, now - prediction.issued)

    @property
    def predictions(self) -> int:
        """How many instances were answered."""
        return self._journal.predictions

    def counts(self, forward_to: str | None) -> Counts:
        """Everything, for the operator."""
        return Counts(
            revision=self._revision,
            pod_uid=self._pod_uid,
            started=self.started,
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
        ledger, tally, now = Ledger(floor=head.floor), Tally.from_json(head.tally), self._clock()
        scores: Counter[Score] = Counter()
        for issued, digest, score in records:
            ledger.add(digest, issued, now)
            if score is not None:
                scores[score] += 1
        for score, count in scores.items():
            tally = tally.add(score, count)
        self.started, self._ledger, self.tally = head.started, ledger, tally

    def _rewrite(self) -> None:
        head = Head(self._owner, self.started, self._ledger.floor, self.tally.to_json())
        self._journal.rewrite(head, self._ledger.entries())
