"""Keeps what was counted over a restart of the container, in the pod's own volume.

Two files, written without a buffer, so that nothing that was answered is lost when the process is killed:

    labels       one line of JSON (`Head`), then a record of 21 bytes for each label
                     4   time of the prediction's issue, seconds since 1970
                    16   the prediction's digest
                     1   its outcome, or `-`: already in the tally of the head
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
from typing import TYPE_CHECKING, Final, NamedTuple

from model_server.feedback import Outcome, Tally
from model_server.ledger import CAPACITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LABELS_FILE: Final = "labels"
PREDICTIONS_FILE: Final = "predictions"
COMPACT_AFTER: Final = 2 * CAPACITY
"""Records after which the file is written anew."""
_RECORD: Final = struct.Struct(">I16sc")
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
    tally: dict[str, int]


class Record(NamedTuple):  # Quicker to make than a dataclass: there may be millions to read at the start.
    """One label. `outcome` is None if the tally of the head has it already."""

    issued: int
    digest: bytes
    outcome: Outcome | None


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
    except (ValueError, TypeError) as error:
        raise JournalError(f"{folder / LABELS_FILE} is damaged: {error}") from error
    return head, _records(memoryview(body)[: len(body) // _RECORD.size * _RECORD.size])


def _records(body: memoryview) -> Iterator[Record]:
    for issued, digest, letter in _RECORD.iter_unpack(body):
        if letter not in _OUTCOMES:
            raise JournalError(f"a record is damaged: {letter!r} is no outcome")
        yield Record(issued, digest, _OUTCOMES[letter])


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
                file.writelines(_RECORD.pack(issued, digest, _REMEMBERED) for issued, digest in remembered)
            labels = os.open(fresh, os.O_WRONLY | os.O_APPEND)
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self.close()
        self._labels, self._records, self._long = labels, 0, COMPACT_AFTER

    def append(self, record: Record) -> None:
        """Write one label. Raises OSError, and then has written nothing that `read` would find."""
        letter = _REMEMBERED if record.outcome is None else record.outcome.encode()
        content = _RECORD.pack(record.issued, record.digest, letter)
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
