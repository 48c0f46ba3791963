"""Keeps what was counted over a restart of the container, in the pod's own volume.

Two files, written without a buffer, so that nothing that was answered is lost when the process is killed:

    labels       one line of JSON (`Head`), then a record of 23 bytes for each label
                     4   time of the prediction's issue, seconds since 1970
                    16   the prediction's digest
                     1   its outcome, or `-`: already in the tally of the head
                     1   the class that the label gave + 1, or 0: no cell of the confusion matrix is counted
                     1   the class that was predicted + 1, or 0: none
    predictions  8 bytes, little-endian: how many predictions were made

A file that does not end with a whole record was cut in the act of writing; the label in question was never
acknowledged. The files need not survive the loss of the node, because the volume does not.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from model_server.feedback import MAX_CLASSES, Cell, Outcome, Score, Tally
from model_server.ledger import CAPACITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LABELS_FILE: Final = "labels"
PREDICTIONS_FILE: Final = "predictions"
COMPACT_AFTER: Final = 2 * CAPACITY
"""Records after which the file is written anew."""
_RECORD: Final = struct.Struct(">I16scBB")
_NUMBER: Final = struct.Struct("<Q")
_REMEMBERED: Final = b"-"
_OUTCOMES: Final[dict[bytes, Outcome | None]] = {_REMEMBERED: None, **{one.encode(): one for one in Outcome}}


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of the file of labels."""

    owner: str
    """Whose counts these are: pod and revision."""
    started: str
    floor: int
    tally: dict[str, Any]
    """As `Tally.to_json` writes it."""


class Record(NamedTuple):  # Quicker to make than a dataclass: there may be millions to read at the start.
    """One label. `score` is None if the tally of the head has it already."""

    issued: int
    digest: bytes
    score: Score | None


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
        Tally.from_json(head.tally)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise JournalError(f"{folder / LABELS_FILE} is damaged: {error}") from error
    return head, _records(memoryview(body)[: len(body) // _RECORD.size * _RECORD.size])


def _records(body: memoryview) -> Iterator[Record]:
    for issued, digest, letter, actual, predicted in _RECORD.iter_unpack(body):
        if letter not in _OUTCOMES:
            raise JournalError(f"a record is damaged: {letter!r} is no outcome")
        outcome = _OUTCOMES[letter]
        if max(actual, predicted) > MAX_CLASSES:
            raise JournalError(f"a record is damaged: there is no class {max(actual, predicted) - 1}")
        cell = Cell(actual - 1, predicted - 1 if predicted else None) if actual else None
        yield Record(issued, digest, None if outcome is None else Score(outcome, cell))


def _pack(record: Record) -> bytes:
    if record.score is None:
        return _RECORD.pack(record.issued, record.digest, _REMEMBERED, 0, 0)
    letter, cell = record.score.outcome.encode(), record.score.cell
    if cell is None:
        return _RECORD.pack(record.issued, record.digest, letter, 0, 0)
    predicted = 0 if cell.predicted is None else cell.predicted + 1
    return _RECORD.pack(record.issued, record.digest, letter, cell.actual + 1, predicted)


class Journal:
    """The files, open for writing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._labels = -1
        self._records = 0
        self._long = COMPACT_AFTER
        with (folder / PREDICTIONS_FILE).open("a+b") as file:
            file.truncate(_NUMBER.size)
            os.posix_fallocate(file.fileno(), 0, _NUMBER.size)  # To write into a page without room would be SIGBUS.
            self._predictions = mmap.mmap(file.fileno(), _NUMBER.size)

    @property
    def predictions(self) -> int:
        """How many predictions were made."""
        return int(_NUMBER.unpack_from(self._predictions)[0])

    @predictions.setter
    def predictions(self, count: int) -> None:
        _NUMBER.pack_into(self._predictions, 0, count)

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
                file.writelines(_pack(Record(issued, digest, None)) for issued, digest in remembered)
            labels = os.open(fresh, os.O_WRONLY | os.O_APPEND)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self.close()
        self._labels, self._records, self._long = labels, 0, COMPACT_AFTER

    def append(self, record: Record) -> None:
        """Write one label. Raises OSError, and then has written nothing that `read` would find."""
        content = _pack(record)
        size = os.fstat(self._labels).st_size
        if os.write(self._labels, content) != len(content):
            os.ftruncate(self._labels, size)
            raise OSError("the volume for the state is full")
        self._records += 1

    def close(self) -> None:
        """Close the file of labels."""
        if self._labels >= 0:
            os.close(self._labels)
            self._labels = -1
