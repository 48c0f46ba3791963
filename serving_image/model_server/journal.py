"""Keeps what was counted over a restart of the container, in the pod's own volume.

Two files, written without a buffer, so that nothing that was answered is lost when the process is killed:

    labels       one line of JSON (`Head`), then a record of 33 bytes for each label
                     4   time of the prediction's issue, seconds since 1970
                    16   the prediction's digest
                     1   its outcome, or `-`: in the head already
                     1   the class that the label gave + 1, or 0: no cell of the confusion matrix is counted
                     1   the class that was predicted + 1, or 0: none
                     1   bit 0 audited; bit 1 the best classes are known; bit 2 the label is one of them
                     1   slice: 0 none, 1 other, else the number of its name + 2
                     8   error of a predicted value + 1, or 0: classes were predicted
                 A slice's name comes before its first label, in records with `s` for the outcome, the slice, and
                 16 bytes of the name in place of the digest. So comes the name of a revision that gets copies of
                 requests, with `r`; a record with `v` is a pair of predictions of which one is such a revision's, with
                 its number in place of the slice's, and `W`, `L` or `T` for the class: it won, lost or tied
    predictions  3 numbers of 8 bytes, little-endian: predictions made, those with ids, those that are audited

A file that does not end with a whole record was cut in the act of writing; the label in question was never
acknowledged. The files need not survive the loss of the node, because the volume does not.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from model_server.feedback import MAX_CLASSES, Cell, Outcome, Paired, PairOutcome, Score, Tally
from model_server.ledger import CAPACITY
from model_server.prediction_id import OTHER_SLICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

VERSION: Final = 2
LABELS_FILE: Final = "labels"
PREDICTIONS_FILE: Final = "predictions"
COMPACT_AFTER: Final = 2 * CAPACITY
"""Records after which the file is written anew."""
_RECORD: Final = struct.Struct(">I16s13s")
_SCORE: Final = struct.Struct(">cBBBBQ")
_NUMBERS: Final = struct.Struct("<QQQ")
_REMEMBERED: Final = _SCORE.pack(b"-", 0, 0, 0, 0, 0)
_NAME: Final = b"s"
_REVISION: Final = b"r"
_PAIR: Final = b"v"
MAX_REVISIONS: Final = 255
"""That can be told apart among those that got copies."""
_PAIR_LETTERS: Final = {PairOutcome.WON: ord("W"), PairOutcome.LOST: ord("L"), PairOutcome.TIED: ord("T")}
_PAIR_OUTCOMES: Final = {letter: outcome for outcome, letter in _PAIR_LETTERS.items()}
_AUDITED, _BEST_KNOWN, _AMONG_BEST = 1, 2, 4
_OUTCOMES: Final = {one.encode(): one for one in Outcome}
_KNOWN_SCORES: Final = 100_000
"""That are kept while a file is read, as most of them are equal."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of the file of labels."""

    owner: str
    """Whose counts these are: pod and revision."""
    started: str
    floor: int
    tally: dict[str, Any]
    """As `Tally.to_json` writes it."""
    waiting: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Tallies of labels that do not count yet, by when their predictions were made."""
    slices: list[str] = field(default_factory=list)
    """Names, by their numbers."""
    revisions: list[str] = field(default_factory=list)
    """Those that get copies, by their numbers, from 1 on."""
    version: int = VERSION


class Record(NamedTuple):  # Quicker to make than a dataclass: there may be millions to read at the start.
    """One label. `score` is None if the head has it already."""

    issued: int
    digest: bytes
    said: Score | Paired | None
    """None: it is in the head."""


class Predictions(NamedTuple):
    """How many there were."""

    made: int = 0
    with_id: int = 0
    audited: int = 0


class JournalError(Exception):
    """The files cannot be read or written."""


def read(folder: Path) -> tuple[Head, Iterator[Record]] | None:
    """Read what a former run of this container has left; None if there is nothing.

    Raises `JournalError`; so does the iterator, if it comes to a record that is none.
    """
    try:
        content = (folder / LABELS_FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"{folder / LABELS_FILE}: {error.strerror}") from error
    line, newline, body = content.partition(b"\n")
    try:
        if not newline:
            raise ValueError("no line end")  # noqa: TRY301  # One handler for all that can be wrong.
        head = Head(**json.loads(line))
        _check(head)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise JournalError(f"{folder / LABELS_FILE} is damaged: {error}") from error
    return head, _records(memoryview(body)[: len(body) // _RECORD.size * _RECORD.size], head)


def _check(head: Head) -> None:
    """Raise an error of any kind if this is no head of this version."""
    if head.version != VERSION:
        raise ValueError(f"its version is {head.version}, not {VERSION}")
    for begin, tally in (("0", head.tally), *head.waiting.items()):
        int(begin)
        Tally.from_json(tally)
    for name in (*head.slices, *head.revisions):
        name.encode()


def _records(body: memoryview, head: Head) -> Iterator[Record]:
    names = {number: name.encode() for number, name in enumerate(head.slices, start=2)}
    names[1] = OTHER_SLICE.encode()
    revisions = {number: name.encode() for number, name in enumerate(head.revisions, start=1)}
    known: dict[bytes, Score | Paired | None] = {_REMEMBERED: None}
    for issued, digest, packed in _RECORD.iter_unpack(body):
        if packed in known:
            yield Record(issued, digest, known[packed])
        elif packed[:1] in (_NAME, _REVISION):
            number, among = packed[4], names if packed[:1] == _NAME else revisions
            among[number] = among.get(number, b"") + digest.rstrip(b"\0")
        else:
            said = _unpack_pair(packed, revisions) if packed[:1] == _PAIR else _unpack(packed, names)
            if len(known) < _KNOWN_SCORES:
                known[packed] = said
            yield Record(issued, digest, said)


def _unpack(packed: bytes, names: dict[int, bytes]) -> Score:
    letter, actual, predicted, flags, slice_number, error = _SCORE.unpack(packed)
    if letter not in _OUTCOMES:
        raise JournalError(f"a record is damaged: {letter!r} is no outcome")
    if max(actual, predicted) > MAX_CLASSES:
        raise JournalError(f"a record is damaged: there is no class {max(actual, predicted) - 1}")
    if slice_number and slice_number not in names:
        raise JournalError(f"a record is damaged: there is no slice {slice_number}")
    return Score(
        _OUTCOMES[letter],
        Cell(actual - 1, predicted - 1 if predicted else None) if actual else None,
        bool(flags & _AMONG_BEST) if flags & _BEST_KNOWN else None,
        error - 1 if error else None,
        names[slice_number].decode(errors="replace") if slice_number else None,
        bool(flags & _AUDITED),
    )


def _unpack_pair(packed: bytes, revisions: dict[int, bytes]) -> Paired:
    _, outcome, _, flags, number, _ = _SCORE.unpack(packed)
    if outcome not in _PAIR_OUTCOMES or number not in revisions:
        raise JournalError(f"a record is damaged: a pair of revision {number} with the outcome {outcome}")
    return Paired(revisions[number].decode(errors="replace"), _PAIR_OUTCOMES[outcome], bool(flags & _AUDITED))


def _pack(score: Score, slice_number: int) -> bytes:
    actual, predicted = (0, None) if score.cell is None else (score.cell.actual + 1, score.cell.predicted)
    flags = _AUDITED if score.audited else 0
    if score.among_best is not None:
        flags |= _BEST_KNOWN | (_AMONG_BEST if score.among_best else 0)
    return _SCORE.pack(
        score.outcome.encode(),
        actual,
        0 if predicted is None else predicted + 1,
        flags,
        slice_number,
        0 if score.error is None else score.error + 1,
    )


class Journal:
    """The files, open for writing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._labels = -1
        self._records = 0
        self._long = COMPACT_AFTER
        self._slices: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        with (folder / PREDICTIONS_FILE).open("a+b") as file:
            file.truncate(_NUMBERS.size)
            os.posix_fallocate(file.fileno(), 0, _NUMBERS.size)  # To write into a page without room would be SIGBUS.
            self._numbers = mmap.mmap(file.fileno(), _NUMBERS.size)
        self._predictions = Predictions(*_NUMBERS.unpack_from(self._numbers))

    @property
    def predictions(self) -> Predictions:
        """How many predictions were made."""
        return self._predictions

    @predictions.setter
    def predictions(self, counts: Predictions) -> None:
        _NUMBERS.pack_into(self._numbers, 0, *counts)
        self._predictions = counts

    @property
    def is_long(self) -> bool:
        """Whether it is time to `rewrite`."""
        return self._records >= self._long

    def rewrite(self, head: Head, remembered: Iterable[tuple[int, bytes]]) -> None:
        """Replace the file of labels by a short one. Raises OSError, and then goes on with the long one for a while."""
        path, fresh = self._folder / LABELS_FILE, self._folder / f"{LABELS_FILE}.new"
        self._long = self._records + COMPACT_AFTER // 2
        try:
            with fresh.open("wb") as file:
                file.write(json.dumps(asdict(head)).encode() + b"\n")
                file.writelines(_RECORD.pack(issued, digest, _REMEMBERED) for issued, digest in remembered)
            labels = os.open(fresh, os.O_WRONLY | os.O_APPEND)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self.close()
        self._labels, self._records, self._long = labels, 0, COMPACT_AFTER
        self._slices = {OTHER_SLICE: 1, **{name: number for number, name in enumerate(head.slices, start=2)}}
        self._revisions = {name: number for number, name in enumerate(head.revisions, start=1)}

    def append(self, issued: int, digest: bytes, score: Score) -> None:
        """Write one label. Raises OSError, and then has written nothing that `read` would find."""
        number = 0 if score.slice is None else self._number(score.slice, _NAME, self._slices)
        self._write(_RECORD.pack(issued, digest, _pack(score, number)))
        self._records += 1

    def append_pair(self, issued: int, digest: bytes, paired: Paired) -> None:
        """Write one pair, of which there are `MAX_REVISIONS` revisions at most. Raises OSError as `append` does."""
        number = self._number(paired.revision, _REVISION, self._revisions)
        flags = _AUDITED if paired.audited else 0
        packed = _SCORE.pack(_PAIR, _PAIR_LETTERS[paired.outcome], 0, flags, number, 0)
        self._write(_RECORD.pack(issued, digest, packed))
        self._records += 1

    def _number(self, name: str, letter: bytes, known: dict[str, int]) -> int:
        """Return the number of a slice or revision, which is written first if it is new."""
        number = known.get(name)
        if number is None:
            number, encoded = len(known) + 1, name.encode()
            pieces = [encoded[start : start + 16] for start in range(0, len(encoded), 16)]
            told = _SCORE.pack(letter, 0, 0, 0, number, 0)
            self._write(b"".join(_RECORD.pack(0, piece, told) for piece in pieces))
            known[name] = number
        return number

    def _write(self, content: bytes) -> None:
        size = os.fstat(self._labels).st_size
        if os.write(self._labels, content) != len(content):
            os.ftruncate(self._labels, size)
            raise OSError("the volume for the state is full")

    def close(self) -> None:
        """Close the file of labels."""
        if self._labels >= 0:
            os.close(self._labels)
            self._labels = -1
