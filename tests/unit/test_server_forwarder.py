"""Requests pass to the revision that serves, and back to this pod when that cannot be reached."""

from __future__ import annotations

import math
from typing import Any

import pytest
from model_server import contract
from model_server.errors import DeadlineExceeded, InvalidArgument
from model_server.forwarder import REST_SECONDS, Forwarder
from model_server.passing import Passed, Seal
from model_server.pods import Answer, Lost, PodClient, TimedOut, Unreachable, end_to_end
from model_server.prediction_id import Key, KeyRing
from model_server.rotation import ANSWERS_ALL, Passing, read_rotation, write_rotation
from model_server.state import ROTATION_FILE, State

TARGET = "serving:8501"
SEAL = Seal("10.0.0.1", KeyRing(Key.from_secret(b"k" * 32)))


class Script(PodClient):
    """Answers, or raises, as it was told."""

    def __init__(self, *script: Answer | Exception) -> None:
        super().__init__()
        self.script = list(script)
        self.headers: Any = None

    async def send(self, *_: Any, headers: Any, **__: Any) -> Answer:
        self.headers = headers
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


OK = Answer(200, [], b"{}")
HEADERS = [("Host", "x"), ("X-A", "b"), ("Connection", "close"), ("model-forwarded-by", "forged")]


async def forward(client: Script, clock: Any = lambda: 0.0, forwarder: Forwarder | None = None) -> Answer | None:
    forwarder = forwarder or Forwarder(client, SEAL, clock)
    return await forwarder.forward(TARGET, "POST", "/", HEADERS, b"{}")


async def test_only_headers_for_the_end_are_passed_on() -> None:
    client = Script(OK)
    assert await forward(client) == OK
    assert client.headers == [("X-A", "b"), (contract.FORWARDED_HEADER, SEAL.mark(Passed.REQUEST, b"{}"))]
    assert end_to_end([("Transfer-Encoding", "chunked"), ("Content-Type", "a")]) == [("Content-Type", "a")]


async def test_a_kept_connection_that_was_closed_is_no_failure() -> None:
    assert await forward(Script(Lost("closed"), OK)) == OK


@pytest.mark.parametrize("script", [(TimedOut("60 s"), OK), (Lost("closed"), TimedOut("60 s"), OK)])
async def test_a_slow_answer_is_not_replaced_by_that_of_the_rejected_model(script: tuple[Any, ...]) -> None:
    client = Script(*script)
    forwarder = Forwarder(client, SEAL, lambda: 0.0)
    with pytest.raises(DeadlineExceeded):
        await forward(client, forwarder=forwarder)
    assert client.script == [OK]  # It was not sent again.
    assert await forward(client, forwarder=forwarder) == OK  # The next request goes there at once.


async def test_what_is_lost_twice_is_answered_here_and_the_next_is_passed_on() -> None:
    client = Script(Lost("closed"), Lost("closed"), OK)
    forwarder = Forwarder(client, SEAL, lambda: 0.0)
    assert await forward(client, forwarder=forwarder) is None
    assert await forward(client, forwarder=forwarder) == OK


def test_only_pods_can_mark_and_a_mark_is_for_one_thing() -> None:
    mark = SEAL.mark(Passed.LABELS, b"body")
    assert mark.startswith("10.0.0.1.")
    everything = tuple(Passed)
    assert SEAL.read(mark, everything, b"body") is Passed.LABELS
    assert SEAL.read(mark, (Passed.REQUEST, Passed.INHERITED), b"body") is None
    assert SEAL.read(mark, everything, b"another") is None
    other = Seal("10.0.0.1", KeyRing(Key.from_secret(b"x" * 32)))
    for value in (None, "", "10.0.0.1", "10.0.0.1.", "x.ä", other.mark(Passed.LABELS, b"body")):
        assert SEAL.read(value, everything, b"body") is None


async def test_it_answers_itself_and_tries_again_later() -> None:
    now = [0.0]
    client = Script(Unreachable("refused"), OK)
    forwarder = Forwarder(client, SEAL, lambda: now[0])
    assert await forward(client, forwarder=forwarder) is None
    assert await forward(client, forwarder=forwarder) is None
    assert client.script == [OK]
    now[0] = REST_SECONDS
    assert await forward(client, forwarder=forwarder) == OK


@pytest.mark.parametrize("target", ["news:8501", "10.0.0.1:1", "[fd00::1]:8501", "a.b.svc.cluster.local:65535", None])
def test_targets(target: str | None) -> None:
    assert read_rotation({"forward_to": target}) == Passing(target)


@pytest.mark.parametrize(
    ("more", "passing"),
    [
        ({"share": 1}, Passing(TARGET)),
        ({"share": 0.05}, Passing(TARGET, 0.05)),
        ({"share": 0.05, "copy": False}, Passing(TARGET, 0.05)),
        ({"copy": True}, Passing(TARGET, 1.0, copy=True)),
        ({"share": 0.5, "copy": True}, Passing(TARGET, 0.5, copy=True)),
    ],
)
def test_shares_and_copies(more: dict[str, Any], passing: Passing) -> None:
    document = {"forward_to": TARGET, **more}
    assert read_rotation(document) == passing
    assert write_rotation(passing) == {"share": 1, "copy": False} | document
    assert read_rotation(write_rotation(passing)) == passing


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "a rotation is"),
        ([], "a rotation is"),
        ({"share": 1}, "a rotation is"),
        ({"forward_to": TARGET, "weight": 1}, "a rotation is"),
        ({"forward_to": "news"}, "HOST:PORT"),
        ({"forward_to": "u@h:1"}, "HOST:PORT"),
        ({"forward_to": "h:1/p"}, "HOST:PORT"),
        ({"forward_to": 1}, "HOST:PORT"),
        ({"forward_to": TARGET, "copy": 1}, "copy is"),
        *(({"forward_to": TARGET, "share": share}, "share is") for share in (0, -0.1, 1.1, math.nan, "1", True, None)),
        ({"forward_to": None, "share": 0.5}, "without forward_to"),
        ({"forward_to": None, "copy": True}, "without forward_to"),
    ],
)
def test_what_is_no_rotation(document: Any, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        read_rotation(document)


def test_who_gets_a_request_and_who_a_copy() -> None:
    left, part, shadowed = Passing(TARGET), Passing(TARGET, 0.25), Passing(TARGET, 0.25, copy=True)
    least_and_most = (0.0, math.nextafter(1.0, 0.0))
    assert [left.answerer(chance) for chance in least_and_most] == [TARGET, TARGET]
    assert [part.answerer(chance) for chance in (0.0, 0.2499, 0.25, 0.9)] == [TARGET, TARGET, None, None]
    assert [shadowed.witness(chance) for chance in (0.0, 0.2499, 0.25, 0.9)] == [TARGET, TARGET, None, None]
    assert [one.witness(0.0) for one in (ANSWERS_ALL, left, part)] == [None] * 3
    assert [one.answerer(0.0) for one in (ANSWERS_ALL, shadowed)] == [None] * 2
    assert [one.has_left for one in (ANSWERS_ALL, left, part, shadowed)] == [False, True, False, False]


@pytest.mark.parametrize("passing", [Passing(TARGET), Passing(TARGET, 0.1), Passing(TARGET, 0.1, copy=True)])
def test_a_rotation_outlives_the_container(tmp_path: Any, passing: Passing) -> None:
    state = State(tmp_path)
    assert not state.is_leaving
    state.rotate(passing)
    assert state.is_leaving == passing.has_left
    assert State(tmp_path).passing == passing
    state.rotate(ANSWERS_ALL)
    assert State(tmp_path).passing == ANSWERS_ALL
    (tmp_path / ROTATION_FILE).write_text("?")
    assert State(tmp_path).passing == ANSWERS_ALL


def test_a_rotation_that_cannot_be_written_is_in_force(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    state = State(tmp_path / "none")
    state.rotate(Passing(TARGET))
    assert state.passing == Passing(TARGET)
    assert "could not be written" in caplog.text
