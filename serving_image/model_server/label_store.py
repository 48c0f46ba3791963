"""Where replicas agree on which predictions have their label: a Redis or Valkey that all of them ask.

A claim is `SET model-server:label:DIGEST OWNER NX EX seconds`, and then `GET`: whoever finds itself there may count the
label. The owner is a pod, so that one whose answer from the store was lost, or whose container was started again before
it counted, finds its own claim and counts; a claim of a pod that is gone for good stays, and its label is lost rather
than counted twice.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = b"model-server:label:"
STORE_SECONDS: Final = 2.0
"""How long the store may take to answer, or to take a connection; and how long a request waits for a connection."""
CONNECTIONS: Final = 16


class StoreUnavailable(Exception):  # noqa: N818  # A fact about the store.
    """The store did not answer. Whether the claims are there now is not known."""


class Claim(NamedTuple):
    """That a pod is to count the label of a prediction."""

    digest: bytes
    seconds: int
    """For which it has to be remembered."""


class LabelStore(Protocol):
    """Tells who counts a label."""

    async def claim(self, claims: Sequence[Claim]) -> list[bool]:
        """Tell for each whether it is this pod's. Raises `StoreUnavailable`."""

    async def aclose(self) -> None:
        """Close all connections."""


class RedisStore:
    """A Redis or Valkey."""

    def __init__(self, url: str, pod_uid: str) -> None:
        # Here, because it takes time and memory that only those need who have a store.
        import redis.asyncio as redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        self._owner = hashlib.sha256(b"owner\0" + pod_uid.encode()).hexdigest()[:16].encode()
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=STORE_SECONDS,
            socket_timeout=STORE_SECONDS,
            socket_connect_timeout=STORE_SECONDS,
            # A claim may be made again; once is enough for a connection that was closed in the meantime.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._client = redis.Redis.from_pool(pool)

    async def claim(self, claims: Sequence[Claim]) -> list[bool]:
        """Claim in one round trip. Raises `StoreUnavailable`."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for digest, seconds in claims:
                    key = PREFIX + digest.hex().encode()
                    pipeline.set(key, self._owner, ex=max(1, seconds), nx=True)
                    pipeline.get(key)
                answers: list[Any] = await pipeline.execute()
        except self._errors as error:
            raise StoreUnavailable(type(error).__name__) from error  # Its text may tell the address and the user.
        return [owner == self._owner for owner in answers[1::2]]

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()
