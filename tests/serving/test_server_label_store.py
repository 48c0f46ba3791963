"""Replicas agree through a real Redis on which predictions have their label."""

from __future__ import annotations

import asyncio
import uuid
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
from model_server.contract import Env
from model_server.label_store import PREFIX, Claim, RedisStore, StoreUnavailable
from model_server.prediction_id import read
from redis.asyncio import Redis

from tests.support.label_pods import KEYS, Network, Pod
from tests.support.redis_process import RedisProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.serving.conftest import StartServer

A, B, C = (IPv4Address(f"10.0.0.{number}") for number in (1, 2, 3))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as process:
        yield process


class Replicas:
    """Pods of one revision, each with its own connection to the store."""

    def __init__(self, redis: RedisProcess, folder: Path) -> None:
        self.network = Network()
        self.network.names = {A, B, C}
        self._redis = redis
        self._folder = folder / uuid.uuid4().hex
        self._stores: list[RedisStore] = []

    def pod(self, address: IPv4Address) -> Pod:
        """A pod; its container, started again, if there was one."""
        uid = f"{self._folder.name}-{address}"
        store = RedisStore(self._redis.url, uid)
        self._stores.append(store)
        return Pod(self.network, self._folder, address, uid=uid, store=store)

    def lose(self, address: IPv4Address) -> None:
        self.network.pods.pop(f"{address}:8501", None)
        self.network.names.discard(address)

    async def close(self) -> None:
        for store in self._stores:
            await store.aclose()


@pytest.fixture
async def replicas(redis: RedisProcess, tmp_path: Path) -> AsyncIterator[Replicas]:
    replicas = Replicas(redis, tmp_path)
    yield replicas
    await replicas.close()


def sums(*pods: Pod) -> tuple[int, int]:
    return sum(pod.book.tally.correct for pod in pods), sum(pod.book.tally.wrong for pod in pods)


async def test_what_a_lost_pod_has_counted_counts_no_more(replicas: Replicas) -> None:
    a, b, c = (replicas.pod(address) for address in (A, B, C))
    tokens = [f"{a.predict(*[1] * 20)}.{index}" for index in range(20)]
    assert await b.take(*((token, 1) for token in tokens[:10])) == ["accepted"] * 10
    assert sums(a) == (10, 0)
    replicas.lose(A)
    assert await c.take(*((token, 0) for token in tokens)) == ["duplicate"] * 10 + ["accepted"] * 10
    assert await b.take(*((token, 0) for token in tokens)) == ["duplicate"] * 20
    assert sums(a, b, c) == (10, 10)


async def test_a_pod_that_is_only_away_keeps_nobody_waiting(replicas: Replicas) -> None:
    a, b = replicas.pod(A), replicas.pod(B)
    token = a.predict(1)
    away = replicas.network.pods.pop(f"{A}:8501")
    assert await b.take((token, 1)) == ["accepted"]
    replicas.network.pods[f"{A}:8501"] = away
    assert await b.take((token, 1)) == ["duplicate"]
    assert await a.take((token, 1)) == ["duplicate"]
    assert (sums(a), sums(b)) == ((0, 0), (1, 0))


async def test_labels_that_meet_everywhere_at_once_count_once(replicas: Replicas) -> None:
    gone, *pods = (replicas.pod(address) for address in (A, B, C))
    tokens = [f"{gone.predict(*[1] * 50)}.{index}" for index in range(50)]
    replicas.lose(A)
    everywhere = [pod.take((token, 1)) for token in tokens for pod in pods for _ in range(2)]
    results = [result for (result,) in await asyncio.gather(*everywhere)]
    assert sums(*pods) == (50, 0)
    assert results.count("accepted") == 50
    assert set(results) <= {"accepted", "duplicate", "unavailable"}


async def test_without_the_store_labels_are_to_be_sent_again(replicas: Replicas, redis: RedisProcess) -> None:
    a = replicas.pod(A)
    tokens = [f"{a.predict(1, 1, 1)}.{index}" for index in range(3)]
    assert await a.take((tokens[0], 1)) == ["accepted"]
    redis.pause(2500)  # It takes the claim, and the answer comes too late.
    assert await a.take((tokens[1], 1)) == ["unavailable"]
    await asyncio.sleep(0.6)
    assert await a.take((tokens[1], 1), (tokens[0], 1)) == ["accepted", "duplicate"]
    redis.stop()
    assert await a.take((tokens[2], 1), (tokens[0], 1), ("x", 1)) == ["unavailable", "duplicate", "malformed"]
    redis.start()
    assert await a.take(*((token, 1) for token in tokens)) == ["duplicate", "duplicate", "accepted"]
    assert sums(a) == (3, 0)


async def test_a_container_that_died_after_its_claim_counts_later(replicas: Replicas, redis: RedisProcess) -> None:
    a, b = replicas.pod(A), replicas.pod(B)
    token = a.predict(1)
    digest = read(token, KEYS).digest
    store = RedisStore(redis.url, a.uid)
    assert await store.claim([Claim(digest, 60)]) == [True]  # And then it was killed.
    await store.aclose()
    a = replicas.pod(A)
    assert await b.take((token, 1)) == ["accepted"]
    assert await b.take((token, 1)) == ["duplicate"]
    assert (sums(a), sums(b)) == ((1, 0), (0, 0))


async def test_claims_end_with_the_time_for_labels(replicas: Replicas, redis: RedisProcess) -> None:
    a = replicas.pod(A)
    token = a.predict(1)
    assert await a.take((token, 1)) == ["accepted"]
    async with Redis.from_url(redis.url) as client:
        left = await client.ttl(PREFIX + read(token, KEYS).digest.hex().encode())
    assert 30 * 86400 < left <= 30 * 86400 + 3600


async def test_another_kind_of_server_is_no_store(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = RedisStore(f"redis://:secret@127.0.0.1:{port}", "uid")
        with pytest.raises(StoreUnavailable) as caught:
            await store.claim([Claim(b"d" * 16, 60)])
        assert "secret" not in str(caught.value)
        await store.aclose()


def test_a_label_counts_once_though_its_pod_was_killed(start: StartServer, redis: RedisProcess) -> None:
    environment = {Env.LABEL_STORE.value: redis.url}
    pods = [start("text", wait=False, **environment) for _ in range(2)]
    for pod in pods:
        pod.wait_until_ready()
    a, b = pods
    token = a.predict(["好", "好"]).token
    assert b.feedback(f"{token}.0", 1).status == 200
    assert (a.counts()["correct"], b.counts()["correct"]) == (1, 0)
    a.kill()
    assert b.feedback(f"{token}.0", 1).status == 409
    assert b.feedback(f"{token}.1", 1).status == 200
    a.start()
    a.wait_until_ready()
    assert a.feedback(f"{token}.1", 1).status == 409
    assert (a.counts()["correct"], b.counts()["correct"]) == (1, 1)
    redis.stop()
    try:
        reply = b.feedback(b.predict(["好"]).token, 1)
        assert (reply.status, reply.json()["results"][0]["reason"]) == (503, "unavailable")
    finally:
        redis.start()
