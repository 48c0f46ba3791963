"""Sends copies of requests to another revision, after they were answered here. No client sees what comes of it.

A copy may cost nothing that matters: so many at most begin in a second and are under way, and so many bytes; what is
more is dropped and counted, and one that takes too long is given up. While that revision cannot be reached nothing is
tried for a second. What is dropped has nothing to do with labels, so that the pairs that are left are like all.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from model_server import contract
from model_server.http.asking import Asking, Reply
from model_server.passing import Copied, Passed
from model_server.shadows import Witnessed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from model_server.http.access import Access
    from model_server.passing import Seal
    from model_server.shadows import Witness

MOST: Final = 64
"""Copies under way, in each process."""
MOST_BYTES: Final = 32 * 2**20
"""Of these."""
MOST_A_SECOND: Final = 200.0
"""Likewise. One takes 0.1 ms of a processor: so they take a fiftieth of it at most."""
CALL_COST: Final = 5.0
"""As so many counts a call of gRPC, which takes as many times as long."""
BURST: Final = 100.0
"""Copies that may begin at once, after a time with few."""
TELL_SECONDS: Final = 0.2
"""What was dropped is told together: where a copy may cost nothing, nor may that there is none."""
SECONDS: Final = 5.0
"""How long one may take."""
REST_SECONDS: Final = 1.0
_TOKEN: Final = contract.PREDICTION_ID_HEADER.lower()
_REVISION: Final = contract.REVISION_HEADER.lower()
_MARK: Final = contract.FORWARDED_HEADER.lower().encode()
_NOT_COPIED: Final = frozenset(
    {
        *(b"connection", b"content-length", b"date", b"expect", b"host", b"keep-alive", b"proxy-authenticate"),
        *(b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade", _MARK),
    }
)


class Copier:
    """Of one process."""

    def __init__(
        self,
        access: Access,
        seal: Seal,
        witness: Witness,
        count: Callable[[Copied, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._access = access
        self._seal = seal
        self._witness = witness
        self._count = count
        self._clock = clock
        self._asking = Asking(lambda: access.identity)
        self._under_way = 0
        self._bytes = 0
        self._left = BURST
        """Copies that may begin now; they grow with time."""
        self._looked = clock()
        self._dropped = 0
        """Not told yet."""
        self._rests_until: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def admits(self, target: str, size: int, cost: float = 1.0) -> bool:
        """Tell whether a copy of so many bytes may be sent to HOST:PORT; if so, there is room for it from now on."""
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._looked) * MOST_A_SECOND)
        self._looked = now
        if self._left < cost or self._under_way >= MOST or self._bytes + size > MOST_BYTES:
            if not self._dropped:
                asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell_dropped)
            self._dropped += 1
            return False
        if now < self._rests_until.get(target, 0.0):
            self._count(Copied.FAILED, 1)
            return False
        self._left -= cost
        self._under_way += 1
        self._bytes += size
        return True

    def _tell_dropped(self) -> None:
        self._count(Copied.DROPPED, self._dropped)
        self._dropped = 0

    def copy_request(
        self, target: str, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, token: str | None
    ) -> None:
        """Send a copy of a POST over HTTP that was admitted. `token`: the prediction id of the answer here."""
        if token is not None:
            self._witness.expect(token)
        lines = [b"POST %b HTTP/1.1\r\nhost: %b" % (path.encode(), target.encode())]
        lines += [b"%b: %b" % header for header in headers if header[0] not in _NOT_COPIED]
        authorization = self._access.authorization
        if authorization is not None and not any(name == b"authorization" for name, _ in headers):
            lines.append(b"authorization: " + authorization.encode("latin-1"))
        lines.append(b"%b: %b" % (_MARK, self._seal.mark(Passed.COPY, body).encode()))
        lines.append(b"content-length: %d\r\n\r\n" % len(body))

        def done(reply: Reply | None, is_there: bool) -> None:  # As it is called.
            witnessed = None
            if reply is not None and reply.status == 200:
                witnessed = _witnessed(reply.header(_TOKEN.encode()), reply.header(_REVISION.encode()))
            self._end(token, len(body), witnessed, answered=reply is not None and reply.status == 200)
            if not is_there:
                self._rests_until = {target: self._clock() + REST_SECONDS}

        self._asking.ask(target, b"\r\n".join(lines) + body, SECONDS, done)

    def copy_call(
        self, size: int, token: str | None, ask: Callable[[float], Coroutine[None, None, dict[str, str] | None]]
    ) -> None:
        """Send a copy of a call of gRPC that was admitted. `ask` returns the metadata of its answer."""
        if token is not None:
            self._witness.expect(token)
        task = asyncio.get_running_loop().create_task(self._call(size, token, ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(
        self, size: int, token: str | None, ask: Callable[[float], Coroutine[None, None, dict[str, str] | None]]
    ) -> None:
        metadata: dict[str, str] | None = None
        try:
            metadata = await ask(SECONDS)
        finally:
            witnessed = None if metadata is None else _witnessed(metadata.get(_TOKEN), metadata.get(_REVISION))
            self._end(token, size, witnessed, answered=metadata is not None)

    def _end(self, token: str | None, size: int, witnessed: Witnessed | None, *, answered: bool) -> None:
        self._under_way -= 1
        self._bytes -= size
        self._count(Copied.ANSWERED if answered else Copied.FAILED, 1)
        if token is not None:
            self._witness.settle(token, witnessed)

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        self._asking.close()


def _witnessed(token: str | None, revision: str | None) -> Witnessed | None:
    return Witnessed(token, revision) if token and revision else None
