"""Two revisions' predictions of one request are compared: without labels, and with the first label of each."""

from __future__ import annotations

import os
from collections import Counter
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest
from model_server import journal, shadows
from model_server.book import Book
from model_server.feedback import Label, Outcome, Paired, PairOutcome, Score, Scorer, Tally, compare
from model_server.journal import LABELS_FILE, MAX_REVISIONS
from model_server.label_options import Counted, LabelOptions
from model_server.ledger import HORIZON_SECONDS
from model_server.prediction_id import (
    Classes,
    Issuer,
    Key,
    KeyRing,
    Values,
    fingerprint,
    pod_mark,
    read,
    read_whole,
    request_of,
)
from model_server.shadows import Shadows, Witnessed

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_790_000_000.0
KEYS = KeyRing(Key.from_secret(b"k" * 32))
THERE = IPv4Address("10.0.0.2")
WON, LOST, TIED = PairOutcome.WON, PairOutcome.LOST, PairOutcome.TIED


class Pods:
    """A pod with its shadow: what both predict, and the labels that come to the first."""

    def __init__(
        self, folder: Path, options: LabelOptions | None = None, capacity: int = shadows.CAPACITY_BYTES
    ) -> None:
        self.now = NOW
        self.sent: list[tuple[Any, Label]] = []
        self.agreed: Counter[tuple[str, str]] = Counter()
        self.book = Book(
            folder, revision="r1", pod_uid="uid", clock=lambda: self.now, options=options or LabelOptions()
        )
        self.scorer = Scorer(tolerance=0.5)
        own = fingerprint("m", "r1")
        self.shadows = Shadows("m", own, KEYS, self.scorer, self.book, self, self, capacity)

    def send(self, address: Any, label: Label) -> None:
        self.sent.append((address, label))

    def count_agreement(self, revision: str, *, same: int, different: int) -> None:
        self.agreed += Counter({(revision, "same"): same, (revision, "different"): different})

    def issue(self, predicted: Classes | Values, revision: str = "r1", keys: KeyRing = KEYS, audit: float = 0.0) -> str:
        address = IPv4Address("10.0.0.1") if revision == "r1" else THERE
        clock = lambda: self.now  # noqa: E731
        issuer = Issuer(keys, fingerprint("m", revision), pod_mark(revision), address, clock, os.urandom, audit)
        return str(issuer.issue(predicted).token)

    def label(self, identity: str, truth: object) -> None:
        """What `Intake` does with a label that it counts."""
        prediction = read(identity, KEYS)
        score = self.scorer.score(prediction, truth)
        self.book.count_label(prediction, score)
        self.shadows.labelled(prediction, truth, is_right=score.is_right)

    def shadowed(self, here: Classes | Values, there: Classes | Values) -> tuple[str, str]:
        mine, theirs = self.issue(here), self.issue(there, "r2")
        self.shadows.expect(mine)
        self.shadows.settle(mine, Witnessed(theirs, "r2"))
        return mine, theirs

    @property
    def pairs(self) -> dict[str, int]:
        return {f"{name} {outcome}": count for (name, outcome), count in sorted(self.book.tally.pairs.items())}


def two(*predicted: int) -> Classes:
    return Classes(2, predicted)


@pytest.fixture
def pods(tmp_path: Path) -> Pods:
    return Pods(tmp_path)


def test_who_won() -> None:
    assert compare(here=True, there=True) is compare(here=False, there=False) is TIED
    assert compare(here=True, there=False) is LOST
    assert compare(here=False, there=True) is WON


def test_a_label_says_which_of_the_two_was_right_and_goes_to_the_other_too(pods: Pods) -> None:
    mine, theirs = pods.shadowed(two(0, 1, 0, 1), two(0, 0, 1, 1))
    assert pods.agreed == {("r2", "same"): 2, ("r2", "different"): 2}
    for index, truth in ((1, 1), (2, 1), (3, 0)):
        pods.label(f"{mine}.{index}", truth)
    assert pods.pairs == {"r2 lost": 1, "r2 tied": 1, "r2 won": 1}
    assert pods.sent == [(THERE, Label(f"{theirs}.{index}", truth)) for index, truth in ((1, 1), (2, 1), (3, 0))]
    assert pods.book.counts()["pairs"] == [{"revision": "r2", "won": 1, "lost": 1, "tied": 1}]


def test_a_label_that_comes_before_the_answer_to_the_copy_counts_when_that_comes(pods: Pods) -> None:
    mine, lost = pods.issue(two(1)), pods.issue(two(1))
    for token in (mine, lost):
        pods.shadows.expect(token)
        pods.label(token, 1)
    assert (pods.pairs, pods.sent) == ({}, [])
    theirs = pods.issue(two(0), "r2")
    pods.shadows.settle(mine, Witnessed(theirs, "r2"))
    pods.shadows.settle(lost, None)  # No answer came.
    assert pods.pairs == {"r2 lost": 1}
    assert pods.sent == [(THERE, Label(f"{theirs}.0", 1))]
    assert len(pods.shadows) == 0  # It has its label, and cannot have another.


def test_labels_of_requests_without_a_copy_make_no_pair(pods: Pods) -> None:
    pods.label(pods.issue(two(1)), 1)
    assert (pods.pairs, pods.sent, pods.book.tally.correct) == ({}, [], 1)


def test_what_is_no_prediction_of_another_revision_is_left_out(pods: Pods) -> None:
    others = KeyRing(Key.from_secret(b"x" * 32))
    for theirs, revision in (
        (pods.issue(two(0)), "r1"),  # This revision answers its own copies.
        (pods.issue(two(0), "r2"), "r3"),  # Its name is not what it signs.
        (pods.issue(two(0), "r2", others), "r2"),
        (pods.issue(two(0, 0), "r2"), "r2"),
        ("x", "r2"),
    ):
        mine = pods.issue(two(1))
        pods.shadows.expect(mine)
        pods.shadows.settle(mine, Witnessed(theirs, revision))
        pods.label(mine, 1)
    elsewhere = pods.issue(two(1), "r2")
    pods.shadows.settle(elsewhere, Witnessed(pods.issue(two(1), "r3"), "r3"))
    assert (pods.pairs, pods.sent, pods.agreed, len(pods.shadows)) == ({}, [], {}, 0)


def test_of_other_classes_nothing_is_said_but_the_label_is_passed_on(pods: Pods) -> None:
    mine, theirs = pods.shadowed(two(1), Classes(3, [1]))
    pods.label(mine, 1)
    assert pods.pairs == {}
    assert pods.agreed == {("r2", "different"): 1}
    assert pods.sent == [(THERE, Label(f"{theirs}.0", 1))]


def test_values_are_right_within_the_tolerance(pods: Pods) -> None:
    mine, _ = pods.shadowed(Values([1.0, 1.0, float("nan")]), Values([1.4, 2.0, 1.0]))
    assert pods.agreed == {("r2", "same"): 1, ("r2", "different"): 2}
    for index, truth in enumerate((1.6, 1.0, 1.0)):
        pods.label(f"{mine}.{index}", truth)
    assert pods.pairs == {"r2 lost": 1, "r2 won": 2}


def test_memory_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    one = len(Pods(tmp_path / "size").issue(two(0), "r2")) + 250
    pods = Pods(tmp_path / "pods", capacity=3 * one)
    tokens = [pods.shadowed(two(0), two(1))[0] for _ in range(5)]
    assert len(pods.shadows) == 3
    for token in tokens:
        pods.label(token, 0)
    assert pods.pairs == {"r2 lost": 3}
    awaited = [pods.issue(two(1)) for _ in range(shadows.MOST_AWAITED + 1)]
    for token in awaited:
        pods.shadows.expect(token)
    pods.label(awaited[0], 1)
    pods.shadows.settle(awaited[0], Witnessed(pods.issue(two(1), "r2"), "r2"))
    assert pods.pairs == {"r2 lost": 3}  # That it had a copy was forgotten when its label came.


def test_who_is_too_old_for_labels_is_forgotten(pods: Pods) -> None:
    pods.shadowed(two(0), two(1))
    pods.now += HORIZON_SECONDS + 1
    pods.shadowed(two(0), two(1))
    assert len(pods.shadows) == 1


def test_a_whole_token_is_what_its_instances_are(pods: Pods) -> None:
    token = pods.issue(two(1, 0))
    whole = read_whole(token, KEYS)
    assert (whole.count, whole.issued, whole.fingerprint) == (2, int(NOW), fingerprint("m", "r1"))
    assert [whole.prediction(index) for index in range(2)] == [read(f"{token}.{index}", KEYS) for index in range(2)]
    assert whole.request == request_of(token) == read(token, KEYS).request


def test_pairs_outlive_the_container(tmp_path: Path) -> None:
    pods = Pods(tmp_path)
    mine, _ = pods.shadowed(two(0, 1, 1), two(1, 1, 0))
    for index in range(3):
        pods.label(f"{mine}.{index}", 1)
    assert pods.pairs == {"r2 lost": 1, "r2 tied": 1, "r2 won": 1}
    for _ in range(2):  # From the records, then from the head.
        again = Pods(tmp_path)
        assert again.book.counts() == pods.book.counts()
    mine, _ = again.shadowed(two(0), two(1))
    again.label(mine, 1)
    assert Pods(tmp_path).pairs == {"r2 lost": 1, "r2 tied": 1, "r2 won": 2}


def test_pairs_wait_as_their_labels_do(tmp_path: Path) -> None:
    options = LabelOptions(maturity=100)
    pods = Pods(tmp_path, options)
    mine, _ = pods.shadowed(two(0), two(1))
    pods.label(mine, 1)
    assert (pods.pairs, pods.book.waiting) == ({}, 1)
    again = Pods(tmp_path, options)
    assert (again.pairs, again.book.waiting) == ({}, 1)
    for one in (pods, again):
        one.now += 102
        assert (one.pairs, one.book.tally.wrong) == ({"r2 won": 1}, 1)


def test_pairs_of_what_is_not_audited_count_for_nothing_where_labels_do_not(tmp_path: Path) -> None:
    options = LabelOptions(audit_fraction=0.5, counted=Counted.AUDITED)
    pods = Pods(tmp_path, options)
    for audit in (0.0, 1.0):
        mine = pods.issue(two(0), audit=audit)
        pods.shadows.settle(mine, Witnessed(pods.issue(two(1), "r2"), "r2"))
        pods.label(mine, 1)
    assert (pods.pairs, pods.book.tally.unjudged, pods.book.tally.wrong) == ({"r2 won": 1}, 1, 1)
    assert Pods(tmp_path, options).book.tally == pods.book.tally


def test_so_many_revisions_are_told_apart(tmp_path: Path) -> None:
    pods = Pods(tmp_path)
    prediction = read(pods.issue(two(1)), KEYS)
    names = [f"{'long-' * 12}{number}" for number in range(MAX_REVISIONS + 1)]
    for name in names:
        pods.book.count_pair(prediction, Paired(name, TIED))
    assert [one["revision"] for one in pods.book.counts()["pairs"]] == names[:-1]
    assert Pods(tmp_path).book.counts() == pods.book.counts()


@pytest.mark.parametrize(("at", "byte"), [(20, b"v"), (21, b"?"), (24, b"\x09")])
def test_a_damaged_pair_is_none(tmp_path: Path, at: int, byte: bytes) -> None:
    pods = Pods(tmp_path)
    mine, _ = pods.shadowed(two(0), two(1))
    pods.label(mine, 1)
    file = tmp_path / LABELS_FILE
    content = bytearray(file.read_bytes())
    start = len(content) - 33 + at
    assert content[start - at + 20 : start - at + 21] == b"v"
    content[start : start + 1] = byte
    file.write_bytes(content)
    found = journal.read(tmp_path)
    assert found is not None
    if at == 20:  # As it was.
        assert list(found[1])[-1].said == Paired("r2", WON)
        return
    with pytest.raises(journal.JournalError, match="damaged"):
        list(found[1])


def test_what_was_counted_before_there_were_pairs_is_read() -> None:
    tally = Tally()
    tally.add(Score(Outcome.CORRECT, None))
    document = tally.to_json()
    del document["pairs"]
    assert Tally.from_json(document) == tally
    tally.add_pair(Paired("r2", LOST), 3)
    assert Tally.from_json(tally.to_json()) == tally


def test_a_volume_that_is_full_costs_the_pair_and_not_the_label(
    pods: Pods, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mine, theirs = pods.shadowed(two(1), two(0))

    def full(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(pods.book, "count_pair", full)
    pods.label(mine, 1)
    assert (pods.pairs, pods.book.tally.correct) == ({}, 1)
    assert pods.sent == [(THERE, Label(f"{theirs}.0", 1))]
    assert "could not be written" in caplog.text
