"""Counts outlive the container, and no label is lost or counted twice."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest
from model_server import journal
from model_server.book import Book
from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected, StartError
from model_server.feedback import Cell, Outcome, Score
from model_server.journal import LABELS_FILE
from model_server.prediction_id import Prediction
from model_server.rotation import Passing

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_790_000_000.0
TRUE_POSITIVE = Score(Outcome.TRUE_POSITIVE, Cell(1, 1))
FALSE_POSITIVE = Score(Outcome.FALSE_POSITIVE, Cell(0, 1))
TRUE_NEGATIVE = Score(Outcome.TRUE_NEGATIVE, Cell(0, 0))
FALSE_NEGATIVE = Score(Outcome.FALSE_NEGATIVE, Cell(1, None))


def book(folder: Path, *, pod_uid: str = "uid", now: float = NOW) -> Book:
    return Book(folder, revision="r1", pod_uid=pod_uid, clock=lambda: now)


def prediction(number: int, issued: int = int(NOW) - 60) -> Prediction:
    return Prediction(b"f" * 8, issued, b"pod!", None, 2, 1, number.to_bytes(16))


def refusal(counted: Book, number: int) -> FeedbackRejection:
    with pytest.raises(LabelRejected) as caught:
        counted.count_label(prediction(number), TRUE_POSITIVE)
    return caught.value.reason


def test_a_restart_loses_and_repeats_nothing(tmp_path: Path) -> None:
    first = book(tmp_path)
    first.count_predictions(5)
    first.count_label(prediction(1), TRUE_POSITIVE)
    first.count_label(prediction(2), FALSE_NEGATIVE)
    for later in (10, 20, 30):  # Nothing is closed in between, as when the process is killed.
        again = book(tmp_path, now=NOW + later)
        assert again.counts() == first.counts()
        assert refusal(again, 1) is FeedbackRejection.DUPLICATE
    assert again.tally == first.tally
    again.count_label(prediction(3), TRUE_NEGATIVE)
    again.count_predictions(1)
    counts = book(tmp_path, now=NOW + 40).counts(Passing("host:1", 0.05))
    assert counts == {
        "revision": "r1",
        "pod_uid": "uid",
        "started": first.counts()["started"],
        "correct": 2,
        "wrong": 1,
        "true_positive": 1,
        "false_positive": 0,
        "true_negative": 1,
        "false_negative": 1,
        "predictions": 6,
        "rotation": {"forward_to": "host:1", "share": 0.05, "copy": False},
        "classes": [
            {"name": "0", "true_positive": 1, "false_positive": 0, "false_negative": 0},
            {"name": "1", "true_positive": 1, "false_positive": 0, "false_negative": 1},
        ],
        "slices": [],
        "pairs": [],
    }


def test_the_cells_of_the_confusion_matrix_outlive_the_container(tmp_path: Path) -> None:
    first = book(tmp_path)
    cells = [Cell(0, 0), Cell(19, 3), Cell(19, 3), Cell(3, None), None]
    for number, cell in enumerate(cells):
        first.count_label(prediction(number), Score(Outcome.WRONG, cell))
    for _ in range(2):  # From the records, then from the head.
        again = book(tmp_path)
        assert again.tally.by_cell == {Cell(0, 0): 1, Cell(19, 3): 2, Cell(3, None): 1}
        assert again.tally.wrong == len(cells)


def test_how_long_a_label_took_is_never_below_0(tmp_path: Path) -> None:
    counted = book(tmp_path)
    delays = [counted.count_label(prediction(n, int(NOW) - ago), TRUE_POSITIVE) for n, ago in enumerate((90, 0, -5))]
    assert delays == [90, 0, 0]


def test_a_label_cut_in_the_act_of_writing_can_come_again(tmp_path: Path) -> None:
    first = book(tmp_path)
    first.count_label(prediction(1), TRUE_POSITIVE)
    first.count_label(prediction(2), TRUE_POSITIVE)
    file = tmp_path / LABELS_FILE
    os.truncate(file, file.stat().st_size - 1)
    again = book(tmp_path)
    assert again.tally.correct == 1
    again.count_label(prediction(2), TRUE_POSITIVE)
    assert book(tmp_path).tally.correct == 2


def test_another_pod_begins_again(tmp_path: Path) -> None:
    first = book(tmp_path)
    first.count_predictions(1)
    first.count_label(prediction(1), TRUE_POSITIVE)
    other = book(tmp_path, pod_uid="other", now=NOW + 1).counts()
    assert (other["correct"], other["predictions"]) == (0, 0)
    assert other["started"] != first.counts()["started"]


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\0",
        b"{}\n",
        b'{"owner": "uid r1", "started": "then", "floor": 0, "tally": {"P": 1}}\n',
        b'{"owner": "uid r1", "started": "then", "floor": 0, "tally": {}, "version": 1}\n',
    ],
)
def test_a_damaged_file_begins_again_and_takes_no_old_label(tmp_path: Path, content: bytes) -> None:
    first = book(tmp_path)
    first.count_label(prediction(1), TRUE_POSITIVE)
    (tmp_path / LABELS_FILE).write_bytes(content)
    again = book(tmp_path, now=NOW + 1)
    assert again.tally.correct == 0
    assert again.counts()["started"] != first.counts()["started"]
    assert refusal(again, 1) is FeedbackRejection.EXPIRED
    again.count_label(prediction(2, issued=int(NOW) + 3), TRUE_POSITIVE)


def test_a_long_file_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "COMPACT_AFTER", 3)
    counted = book(tmp_path)
    for number in range(8):
        counted.count_label(prediction(number), FALSE_POSITIVE)
    again = book(tmp_path)
    assert again.tally.wrong == 8
    assert {refusal(again, number) for number in range(8)} == {FeedbackRejection.DUPLICATE}


def test_a_file_that_cannot_be_written_anew_is_used_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "COMPACT_AFTER", 10)
    counted = book(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(os, "open", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        for number in range(17):
            counted.count_label(prediction(number), TRUE_POSITIVE)
    assert counted.tally.correct == 17
    assert caplog.text.count("could not be written anew") == 2  # After 10 and 15, not for every label.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels", "predictions"]
    again = book(tmp_path)
    assert again.tally.correct == 17
    assert {refusal(again, number) for number in range(17)} == {FeedbackRejection.DUPLICATE}


def test_the_number_of_predictions_has_its_place_on_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StartError, match="No space left"):
        book(tmp_path)


@pytest.mark.parametrize("damaged", [b"?\2\2\0\0", b"P\x16\2\0\0", b"P\2\xff\0\0", b"P\2\2\0\7"])
def test_a_damaged_record_begins_again(tmp_path: Path, damaged: bytes) -> None:
    first = book(tmp_path)
    first.count_label(prediction(1), TRUE_POSITIVE)
    first.count_label(prediction(2), TRUE_POSITIVE)
    content = (tmp_path / LABELS_FILE).read_bytes()
    (tmp_path / LABELS_FILE).write_bytes(content[:-13] + damaged + bytes(8))
    again = book(tmp_path, now=NOW + 1)
    assert again.tally.correct == 0
    assert refusal(again, 1) is FeedbackRejection.EXPIRED


def test_many_labels_are_read_in_little_time(tmp_path: Path) -> None:
    book(tmp_path)
    count, minutes = 200_000, 40_000
    with (tmp_path / LABELS_FILE).open("ab") as file:
        for number in range(count):
            issued = int(NOW) - 60 * (number % minutes)
            file.write(issued.to_bytes(4) + number.to_bytes(16) + b"P\2\2" + bytes(10))
    began = time.perf_counter()
    again = book(tmp_path)
    assert time.perf_counter() - began < 5  # It takes half a second; looking for the oldest each time took minutes.
    assert again.tally.correct == count


def test_a_full_volume_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = book(tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, content: real(file, content[:7]))
    with pytest.raises(OSError, match="full"):
        counted.count_label(prediction(1), TRUE_POSITIVE)
    monkeypatch.undo()
    assert counted.tally.correct == 0
    counted.count_label(prediction(1), TRUE_POSITIVE)
    assert book(tmp_path).tally.correct == 1


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="is the volume mounted there"):
        book(tmp_path / "file")
