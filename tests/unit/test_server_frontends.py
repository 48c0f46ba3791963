"""What goes between the first process and its front ends."""

from __future__ import annotations

import asyncio
import marshal
import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from model_server import errors
from model_server.contract import FeedbackRejection
from model_server.dataplane.question import Answer, Question
from model_server.errors import InvalidArgument, LabelRejected, RequestError, Unavailable
from model_server.feedback import Label
from model_server.frontends import packing
from model_server.frontends.link import Link
from model_server.frontends.remote import Asking
from model_server.http.limits import IN_FLIGHT_BYTES, Bodies, HttpError
from model_server.http.server import HttpServer
from model_server.http2.server import Listening
from model_server.listening import Connections, Door, bind
from model_server.passing import Passed
from model_server.tensors import NUMPY_TYPES, Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.tensors import Array

NUMBERS = st.sampled_from(sorted({np.dtype(kind).str for kind in NUMPY_TYPES.values()})).flatmap(
    lambda kind: arrays.arrays(np.dtype(kind), arrays.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4))
)
TEXTS = arrays.arrays(
    np.dtype(object), arrays.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3), elements=st.binary()
)
INPUTS = st.dictionaries(st.text(), NUMBERS | TEXTS, max_size=3)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


def passed_on(packed: Any) -> Any:
    """What comes out at the other end of a link."""
    return marshal.loads(marshal.dumps(packed))


def alike(one: dict[str, Array], other: dict[str, Array]) -> bool:
    """Whether arrays are the same, to the last bit."""
    return list(one) == list(other) and all(
        array.dtype == other[name].dtype
        and array.shape == other[name].shape
        and (array.tolist() == other[name].tolist() if array.dtype == object else _bits(array) == _bits(other[name]))
        for name, array in one.items()
    )


def _bits(array: Array) -> bytes:
    return array.tobytes()


@given(st.text(), INPUTS, st.lists(st.text()), st.none() | st.floats(allow_nan=False), st.dictionaries(st.text(), JSON))
def test_questions_arrive_as_they_were(
    signature: str, inputs: dict[str, Array], outputs: list[str], deadline: float | None, parameters: dict[str, object]
) -> None:
    asked = Question(signature, inputs, tuple(outputs), deadline, parameters)
    arrived = packing.unpack_question(passed_on(packing.pack_question(asked)))
    assert alike(dict(asked.inputs), dict(arrived.inputs))
    for name in ("signature", "outputs", "deadline", "parameters"):
        assert getattr(asked, name) == getattr(arrived, name)


@given(INPUTS, st.integers(0, 99), st.none() | st.text(), st.booleans())
def test_answers_arrive_as_they_were(outputs: dict[str, Array], rows: int, identity: str | None, audited: bool) -> None:
    arrived = packing.unpack_answer(passed_on(packing.pack_answer(Answer(outputs, rows, identity, audited))))
    assert alike(outputs, dict(arrived.outputs))
    assert (arrived.rows, arrived.prediction_id, arrived.audited) == (rows, identity, audited)


def test_outputs_that_are_parts_of_others_arrive() -> None:
    whole = np.arange(12, dtype=np.float32).reshape(4, 3)
    for part in (whole[1:3], whole[:, 1], whole.T):
        arrived = packing.unpack_answer(passed_on(packing.pack_answer(Answer({"y": part}, 2, None))))
        assert np.array_equal(arrived.outputs["y"], part)


@given(st.lists(st.tuples(JSON, JSON)))
def test_labels_arrive_as_they_were(labels: list[tuple[object, object]]) -> None:
    sent = [Label(*one) for one in labels]
    assert packing.unpack_labels(passed_on(packing.pack_labels(sent))) == sent


def test_results_arrive_as_they_were() -> None:
    sent = [None, LabelRejected(FeedbackRejection.DUPLICATE, "it has one")]
    first, second = packing.unpack_results(passed_on(packing.pack_results(sent)))
    assert first is None
    assert second is not None
    assert (second.reason, second.message) == (FeedbackRejection.DUPLICATE, "it has one")


def test_signatures_arrive_as_they_were() -> None:
    specs = {"x": TensorSpec("x", "DT_FLOAT", (None, 3), "x:0"), "y": TensorSpec("y", "DT_STRING", None)}
    sent = {"serving_default": Signature(specs, specs), "other": Signature({}, specs, "tensorflow/serving/classify")}
    assert packing.unpack_signatures(passed_on(packing.pack_signatures(sent))) == sent


@pytest.mark.parametrize("kind", [one for one in vars(errors).values() if isinstance(one, type)])
def test_errors_arrive_as_they_were(kind: type[Exception]) -> None:
    if issubclass(kind, RequestError):
        arrived = packing.unpack_error(passed_on(packing.pack_error(kind("why"))))
        assert type(arrived) is kind
        assert str(arrived) == "why"


def test_errors_that_are_not_known_arrive_as_what_they_are_at_root() -> None:
    assert type(packing.unpack_error(passed_on(packing.pack_error(HttpError("why"))))) is RequestError


async def until(look: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something is seen."""
    async with asyncio.timeout(seconds):
        while not look():  # noqa: ASYNC110  # What is waited for tells nobody.
            await asyncio.sleep(0.01)


def nothing_unsent(message: Any) -> None:
    raise AssertionError(f"{message} is not sent")


async def linked(taken: list[Any], gone: asyncio.Event, unsent: Any = nothing_unsent) -> tuple[Link, Link]:
    """Both ends; `taken` is what comes to the second, `gone` that the first is closed, `unsent` it cannot write."""
    loop = asyncio.get_running_loop()
    first, second = socket.socketpair()
    one, other = Link(lambda message: None, lambda: None, unsent), Link(taken.append, gone.set, nothing_unsent)
    await loop.create_unix_connection(lambda: one, sock=first)
    await loop.create_unix_connection(lambda: other, sock=second)
    return one, other


async def test_messages_come_in_order_and_whole() -> None:
    taken: list[Any] = []
    gone = asyncio.Event()
    one, other = await linked(taken, gone)
    sent = [("small", number) for number in range(100)] + [("large", b"x" * 5_000_000)] + [("last", None)]
    for message in sent:
        one.send(*message)
    one.close()
    await asyncio.wait_for(gone.wait(), 20)
    assert taken == sent
    other.send("to nobody")
    other.close()


@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), JSON), min_size=1, max_size=4), max_size=4), st.data())
def test_messages_come_however_they_are_cut(frames: list[list[tuple[str, object]]], data: st.DataObject) -> None:
    content = b"".join(len(one).to_bytes(4, "little") + one for one in map(marshal.dumps, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    taken: list[Any] = []

    async def read() -> None:
        link = Link(taken.append, lambda: None, nothing_unsent)
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            link.data_received(content[start:end])

    asyncio.run(read())
    assert taken == [message for frame in frames for message in frame]


async def test_what_cannot_be_written_keeps_no_other_message_from_coming() -> None:
    taken: list[Any] = []
    unsent: list[Any] = []
    gone = asyncio.Event()
    one, other = await linked(taken, gone, unsent.append)
    for message in (("first", 1), ("odd", Passed.LABELS), ("last", 2)):
        one.send(*message)
    one.close()
    await asyncio.wait_for(gone.wait(), 20)
    assert taken == [("first", 1), ("last", 2)]
    assert unsent == [("odd", Passed.LABELS)]
    other.close()


async def test_what_is_not_understood_ends_no_link() -> None:
    taken: list[Any] = []

    def take(message: Any) -> None:
        if message == ("odd",):
            raise KeyError("odd")
        taken.append(message)

    link = Link(take, lambda: None, nothing_unsent)
    frame = marshal.dumps([("first",), ("odd",), ("last",)])
    link.data_received(len(frame).to_bytes(4, "little") + frame)
    assert taken == [("first",), ("last",)]


async def test_a_question_that_cannot_be_written_fails_and_others_are_asked() -> None:
    taken: list[Any] = []
    asking = Asking()
    one, other = await linked(taken, asyncio.Event(), asking.unsent)
    asking.link = one
    odd, usual = (asyncio.ensure_future(asking.ask("ask", content)) for content in (object(), "usual"))
    with pytest.raises(RequestError, match="internal error"):
        await asyncio.wait_for(odd, 20)
    await until(lambda: taken)
    asking.answered(taken[0][1], ("answer",))
    assert await asyncio.wait_for(usual, 20) == ("answer",)
    for link in (one, other):
        link.close()


async def test_nobody_waits_for_one_who_has_gone() -> None:
    one, other = await linked([], asyncio.Event())
    asking = Asking()
    asking.link = one
    waiting, taken_back = (asyncio.ensure_future(asking.ask("ask")) for _ in range(2))
    await asyncio.sleep(0)
    taken_back.cancel()
    asking.lost()
    with pytest.raises(Unavailable, match="ends"):
        await waiting
    with pytest.raises(asyncio.CancelledError):
        await taken_back
    for link in (one, other):
        link.close()


async def test_what_is_asked_of_one_who_is_gone_is_refused_and_what_waits_is_told() -> None:
    one, other = await linked([], asyncio.Event())
    asking = Asking()
    with pytest.raises(Unavailable, match="ends"):
        await asking.ask("ask")
    asking.link = one
    waiting = asyncio.ensure_future(asking.ask("ask"))
    await asyncio.sleep(0)
    asking.failed(1, ("InvalidArgument", "why"))
    with pytest.raises(InvalidArgument, match="why"):
        await waiting
    asking.answered(1, ())  # Too late: nobody waits.
    for link in (one, other):
        link.close()


class Shares:
    """Gives every other connection away."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.asked = 0

    def give(self, port: str, connection: socket.socket) -> bool:
        self.asked += 1
        if self.asked % 2:
            return False
        self.given.append(port)
        return True

    def count(self, here: Any) -> None:
        self.here = here


class Hello(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.write(b"hello")
        transport.close()


async def test_a_door_keeps_what_nobody_else_takes() -> None:
    shares, listener = Shares(), bind("127.0.0.1", 0)
    door, address = Door("http", Hello, listener, shares), listener.getsockname()
    await door.open()
    await door.open()
    said = []
    for _ in range(4):
        reader, writer = await asyncio.open_connection(*address)
        said.append(await reader.read())
        writer.close()
    door.close()
    assert said == [b"hello", b"", b"hello", b""]  # The sockets that were given away are closed by who has them.
    assert shares.given == ["http"] * 2
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


class Keeps(Shares):
    """Gives none away, and notes how many there were when it was asked."""

    def give(self, port: str, connection: socket.socket) -> bool:
        self.given.append(str(self.here()))
        return False


@pytest.mark.parametrize("make", [HttpServer, Listening])
async def test_connections_that_come_at_once_count_before_they_are_answered(make: Any) -> None:
    keeps, listener = Keeps(), bind("127.0.0.1", 0)
    server = make(None, listener, sharing=keeps)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(20)]
    await server.listen()
    await until(lambda: len(keeps.given) == len(clients))
    for client in clients:
        client.close()
    await server.close(0)
    assert keeps.given == [str(number) for number in range(20)]


@pytest.mark.parametrize("processes", [1, 2, 3, 100])
def test_processes_hold_no_more_bodies_together_than_one_does_alone(processes: int) -> None:
    assert Bodies.share(processes, 1).most * processes <= IN_FLIGHT_BYTES
    assert Bodies.share(processes, IN_FLIGHT_BYTES).most == IN_FLIGHT_BYTES


def test_connections_tell_of_each_end_once() -> None:
    ended: list[None] = []
    connections: Connections[int] = Connections(lambda: ended.append(None))
    connections.add(1)
    connections.discard(1)
    connections.discard(1)
    assert len(ended) == 1
