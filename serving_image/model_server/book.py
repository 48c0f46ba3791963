"""What one pod has counted of one revision: predictions, labels, and which predictions have their label."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from model_server import journal
from model_server.contract import ClassCounts, Counts, Pairs, SliceCounts, StartFailure
from model_server.errors import StartError
from model_server.feedback import Outcome, Paired, PairOutcome, Tally
from model_server.journal import MAX_REVISIONS, Head, Journal, JournalError, Predictions
from model_server.label_options import MAX_SLICES, Counted, LabelOptions
from model_server.ledger import Ledger
from model_server.logs import warning
from model_server.prediction_id import OTHER_SLICE
from model_server.rotation import ANSWERS_ALL, Passing, write_rotation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model_server.feedback import Score
    from model_server.prediction_id import Prediction

_STEPS: Final = 1000
"""Into which the time for which labels wait is divided: so many tallies there are at most, and a few more."""
_NO_OPTIONS: Final = LabelOptions()


class Book:
    """Counts that survive the container but not the pod. Used from one thread only.

    A label is remembered as soon as it comes, so that no second one counts. Where labels have to mature, it waits with
    those of other predictions of about that time until all of these predictions are old enough.
    """

    def __init__(
        self,
        folder: Path,
        *,
        revision: str,
        pod_uid: str,
        clock: Callable[[], float],
        options: LabelOptions = _NO_OPTIONS,
    ) -> None:
        self._revision = revision
        self._pod_uid = pod_uid
        self._clock = clock
        self._options = options
        self._owner = f"{pod_uid} {revision}"
        self._tally = Tally()
        self._waiting: dict[int, Tally] = {}
        """By when the predictions were made, in steps."""
        self._step = max(1, math.ceil(options.maturity / _STEPS))
        """Seconds."""
        self._next_ripe = math.inf
        self._slices: dict[str, None] = {}
        """The names of slices, in the order in which they came."""
        self._revisions: dict[str, None] = {}
        """Those that got copies of requests, likewise."""
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

    def count_predictions(self, count: int, *, with_id: bool = False, audited: bool = False) -> None:
        """Count answers to instances."""
        made, identified, picked = self._journal.predictions
        self._journal.predictions = Predictions(
            made + count, identified + count * with_id, picked + count * (with_id and audited)
        )

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def check(self, prediction: Prediction) -> None:
        """Raise `LabelRejected` as expired or duplicate if no label of this prediction can be counted here."""
        self._ledger.check(prediction.digest, prediction.issued, self._clock())

    def count_label(self, prediction: Prediction, score: Score) -> float:
        """Count a label, once it is on the volume; returns how many seconds after its prediction it came.

        These are up to one too many, as an id has whole seconds, and 0 if the clock of the pod that made the prediction
        is ahead. Raises `LabelRejected` if it cannot be counted (again), or OSError.
        """
        now = self._clock()
        self._ledger.check(prediction.digest, prediction.issued, now)
        score = self._with_known_slice(score)
        self._journal.append(prediction.issued, prediction.digest, score)
        self._ledger.add(prediction.digest, prediction.issued, now)
        self._put(prediction.issued, score, 1, now)
        if self._journal.is_long:
            try:
                self._rewrite()
            except OSError as error:  # The label is counted, and is in the long file.
                warning("the file of labels could not be written anew", reason=str(error))
        return max(0.0, now - prediction.issued)

    def count_pair(self, prediction: Prediction, paired: Paired) -> None:
        """Count what a label that was counted said of this prediction and another revision's. Raises OSError."""
        if paired.revision not in self._revisions:
            if len(self._revisions) == MAX_REVISIONS:
                return
            self._revisions[paired.revision] = None
        self._journal.append_pair(prediction.issued, prediction.digest, paired)
        self._put(prediction.issued, paired, 1, self._clock())

    @property
    def tally(self) -> Tally:
        """All labels that count by now."""
        now = self._clock()
        if now >= self._next_ripe:
            for begin in [begin for begin in self._waiting if self._ripe_at(begin) <= now]:
                self._tally.merge(self._waiting.pop(begin))
            self._next_ripe = min(map(self._ripe_at, self._waiting), default=math.inf)
        return self._tally

    @property
    def waiting(self) -> int:
        """How many labels do not count yet, because their predictions are too young."""
        self.tally  # noqa: B018  # What is ripe by now waits no more.
        return sum(tally.size for tally in self._waiting.values())

    @property
    def predictions(self) -> Predictions:
        """How many instances were answered."""
        return self._journal.predictions

    def counts(self, passing: Passing = ANSWERS_ALL, names: Sequence[str] = ()) -> Counts:
        """Everything, for the operator; `names` are those of the classes."""
        tally = self.tally
        return Counts(
            revision=self._revision,
            pod_uid=self._pod_uid,
            started=self.started,
            correct=tally.correct,
            wrong=tally.wrong,
            true_positive=tally.of(Outcome.TRUE_POSITIVE),
            false_positive=tally.of(Outcome.FALSE_POSITIVE),
            true_negative=tally.of(Outcome.TRUE_NEGATIVE),
            false_negative=tally.of(Outcome.FALSE_NEGATIVE),
            predictions=self._journal.predictions.made,
            rotation=write_rotation(passing),
            classes=[
                ClassCounts(
                    name=names[number] if number < len(names) else str(number),
                    true_positive=right,
                    false_positive=claimed,
                    false_negative=missed,
                )
                for number, (right, claimed, missed) in tally.against_all_others().items()
            ],
            slices=[
                SliceCounts(name=name, correct=tally.by_slice[name, True], wrong=tally.by_slice[name, False])
                for name in dict.fromkeys(name for name, _ in tally.by_slice)
            ],
            pairs=[
                Pairs(
                    revision=name,
                    won=tally.pairs[name, PairOutcome.WON],
                    lost=tally.pairs[name, PairOutcome.LOST],
                    tied=tally.pairs[name, PairOutcome.TIED],
                )
                for name in dict.fromkeys(name for name, _ in tally.pairs)
            ],
        )

    def _begin(self, issued: int) -> int:
        """When the step began in which a prediction was made."""
        return issued // self._step * self._step

    def _ripe_at(self, begin: int) -> float:
        return begin + self._step + self._options.maturity

    def _put(self, issued: int, said: Score | Paired, count: int, now: float) -> None:
        """Add to what counts, or to what waits."""
        tally, begin = self._tally, self._begin(issued)
        if self._options.maturity and self._ripe_at(begin) > now:
            tally = self._waiting.setdefault(begin, Tally())
            self._next_ripe = min(self._next_ripe, self._ripe_at(begin))
        is_judged = said.audited or self._options.counted is not Counted.AUDITED
        if isinstance(said, Paired):
            if is_judged:
                tally.add_pair(said, count)
        elif is_judged:
            tally.add(said, count)
        else:
            tally.unjudged += count

    def _with_known_slice(self, score: Score) -> Score:
        """Put what is one slice too many with the others."""
        name = score.slice
        if name is None or name == OTHER_SLICE or name in self._slices:
            return score
        if len(self._slices) == MAX_SLICES:
            return score._replace(slice=OTHER_SLICE)
        self._slices[name] = None
        return score

    def _replay(self, folder: Path) -> None:
        try:
            self._take_over(folder)
        except JournalError as error:
            warning("counting begins again", reason=str(error))
            self._journal.predictions = Predictions()
            self._tally, self._waiting, self._slices, self._revisions = Tally(), {}, {}, {}
            # What was counted is unknown, so that older predictions could count twice: none of them counts again.
            self._ledger = Ledger(floor=int(self._clock()) + 1)

    def _take_over(self, folder: Path) -> None:
        found = journal.read(folder)
        if found is None or found[0].owner != self._owner:
            self._journal.predictions = Predictions()
            return
        head, records = found
        ledger, now = Ledger(floor=head.floor), self._clock()
        counted: Counter[tuple[int, Score | Paired]] = Counter()
        for issued, digest, said in records:
            ledger.add(digest, issued, now)
            if said is not None:
                counted[self._begin(issued) if self._options.maturity else 0, said] += 1
        self._tally = Tally.from_json(head.tally)
        self._waiting = {int(begin): Tally.from_json(tally) for begin, tally in head.waiting.items()}
        self._next_ripe = min(map(self._ripe_at, self._waiting), default=math.inf)
        self._slices, self._revisions = dict.fromkeys(head.slices), dict.fromkeys(head.revisions)
        for (begin, said), count in counted.items():
            if isinstance(said, Paired):
                self._revisions[said.revision] = None
                self._put(begin, said, count, now)
            else:
                self._put(begin, self._with_known_slice(said), count, now)
        self.started, self._ledger = head.started, ledger

    def _rewrite(self) -> None:
        waiting = {str(begin): tally.to_json() for begin, tally in self._waiting.items()}
        head = Head(
            self._owner,
            self.started,
            self._ledger.floor,
            self._tally.to_json(),
            waiting,
            list(self._slices),
            list(self._revisions),
        )
        self._journal.rewrite(head, self._ledger.entries())
