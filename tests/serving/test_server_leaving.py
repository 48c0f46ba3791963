"""Pods leave without a failed request: by rotation, and by SIGTERM."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from model_server import contract

from tests.serving.load import Clients

if TYPE_CHECKING:
    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer


async def test_clients_that_never_hang_up_are_moved(pair: tuple[ModelServer, ModelServer]) -> None:
    bad, good = pair
    async with Clients(lambda: bad.host_port) as report:  # The Service's selector has not moved yet.
        await asyncio.sleep(1)
        assert report.revisions["good"] == 0
        await asyncio.to_thread(bad.rotate, good.host_port)
        rotated = time.monotonic()
        await asyncio.sleep(2)
    assert not report.failures
    assert report.revisions["bad"] > 20
    assert report.revisions["good"] > 20
    assert report.last_seen["bad"] - rotated < 1
    assert bad.counts()["rotation"]["forward_to"] == good.host_port
    assert good.counts()["predictions"] == report.revisions["good"]


def test_a_pod_that_left_counts_its_labels(pair: tuple[ModelServer, ModelServer]) -> None:
    bad, good = pair
    bad.rotate(None)
    old = bad.predict(["好", "好"]).token
    bad.rotate(good.host_port)
    counts = bad.counts()
    reply = bad.predict(["好"])
    assert (reply.revision, reply.headers["connection"]) == ("good", "close")
    assert bad.counts()["predictions"] == counts["predictions"]
    assert bad.feedback(f"{old}.0", 1).status == good.feedback(f"{old}.1", 1).status == 200
    assert bad.feedback(reply.token, 1).status == 200
    assert bad.counts()["correct"] == counts["correct"] + 2
    assert good.counts()["correct"] == 1


def test_what_was_forwarded_is_answered_here(pair: tuple[ModelServer, ModelServer]) -> None:
    bad, good = pair
    bad.rotate(good.host_port)
    good.rotate(bad.host_port)  # A circle, which no operator makes.
    try:
        assert bad.predict(["好"]).revision == "good"
        assert good.predict(["好"]).revision == "bad"
        # A client cannot pretend that a pod has passed it on.
        assert bad.predict(["好"], **{contract.FORWARDED_HEADER: "another"}).revision == "good"
    finally:
        good.rotate(None)


def test_errors_of_the_other_revision_are_its_answers(pair: tuple[ModelServer, ModelServer]) -> None:
    bad, good = pair
    bad.rotate(good.host_port)
    reply = bad.predict([1])
    assert (reply.status, reply.revision) == (400, "good")
    assert bad.get("/metadata").revision == "good"


async def test_it_answers_itself_while_the_target_is_away(pair: tuple[ModelServer, ModelServer]) -> None:
    bad, _ = pair
    bad.rotate("127.0.0.1:9")
    async with Clients(lambda: bad.host_port, count=4) as report:
        await asyncio.sleep(1)
    assert not report.failures
    assert set(report.revisions) == {"bad"}


async def test_a_target_that_dies_fails_no_request(start: StartServer) -> None:
    bad, good = (start("text.keras", revision=revision, wait=False) for revision in ("bad", "good"))
    bad.wait_until_ready()
    good.wait_until_ready()
    bad.rotate(good.host_port)
    async with Clients(lambda: bad.host_port) as report:
        await asyncio.sleep(1)
        await asyncio.to_thread(good.kill)
        await asyncio.sleep(1)
    assert not report.failures
    assert report.revisions["good"] > 10
    assert report.revisions["bad"] > 10
    bad.kill()
    bad.start()
    bad.wait_until_ready()
    assert bad.counts()["rotation"]["forward_to"] == good.host_port  # A restart does not bring a bad revision back.


async def test_sigterm_under_load_fails_no_request(start: StartServer) -> None:
    leaving, staying = (start("text.keras", revision=revision, wait=False) for revision in ("leaving", "staying"))
    leaving.wait_until_ready()
    staying.wait_until_ready()
    endpoints = [leaving.host_port]
    async with Clients(lambda: endpoints[0]) as report:
        await asyncio.sleep(1)
        leaving.terminate()
        await asyncio.sleep(0.5)
        assert not await asyncio.to_thread(leaving.is_ready)
        endpoints[:] = [staying.host_port]  # Services learn of it late.
        assert await asyncio.to_thread(leaving.wait, 20) == 0
        await asyncio.sleep(0.5)
    assert not report.failures
    assert report.revisions["leaving"] > 20
    assert report.revisions["staying"] > 20


def test_sigterm_lets_a_running_request_finish(start: StartServer) -> None:
    server = start("slow", MODEL_DRAIN_SECONDS="0")

    async def scenario() -> int:
        running = asyncio.create_task(asyncio.to_thread(server.predict, [1.0]))
        await asyncio.sleep(0.05)
        assert not running.done()
        server.terminate()
        return (await running).status

    assert asyncio.run(scenario()) == 200
    assert server.wait(20) == 0
