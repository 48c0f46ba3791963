"""Passes labels to the pods that answered copies, in the background: no client waits for it, or hears of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from model_server import contract
from model_server.logs import warning
from model_server.passing import Passed
from model_server.pods import Lost, Unreachable, host_port
from model_server.protocols.feedback_rest import write_request

if TYPE_CHECKING:
    from model_server.feedback import Label
    from model_server.intake import Others
    from model_server.prediction_id import Address

SECONDS: Final = 5.0
"""How long a pod may take."""
MOST: Final = 10_000
"""Labels that wait; what is beyond is lost, as are those of a pod that does not answer: that costs evidence."""
AT_ONCE: Final = 200
"""Labels in one request."""
_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.5


class Relay:
    """A `LabelSender`. That a label arrives twice does no harm: the other pod counts it once."""

    def __init__(self, others: Others) -> None:
        self._others = others
        self._waiting: dict[Address, list[Label]] = defaultdict(list)
        self._count = 0
        self._task: asyncio.Task[None] | None = None
        self.lost = 0
        """Labels that nobody took."""

    def send(self, address: Address, label: Label) -> None:
        """Have the pod of this address count a label, some time."""
        if self._count >= MOST:
            self.lost += 1
            return
        self._waiting[address].append(label)
        self._count += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        self._task = None

    async def _run(self) -> None:
        while self._waiting:
            address = next(iter(self._waiting))
            labels = self._waiting.pop(address)
            for start in range(0, len(labels), AT_ONCE):
                some = labels[start : start + AT_ONCE]
                why = await self._pass_on(address, some)
                self._count -= len(some)
                if why:
                    self.lost += len(some)
                    warning("labels could not be passed to the revision that gets copies", pod=str(address), reason=why)

    async def _pass_on(self, address: Address, labels: list[Label]) -> str:
        """Return why they did not arrive, or nothing."""
        others, body, why = self._others, write_request(labels), ""
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(attempt * _PAUSE_SECONDS)  # The first time: let labels come together.
            try:
                answer = await others.client.send(
                    "POST",
                    host_port(address, others.port),
                    others.path,
                    headers={
                        contract.FORWARDED_HEADER: others.seal.mark(Passed.LABELS, body),
                        "Content-Type": "application/json",
                    },
                    body=body,
                    seconds=SECONDS,
                )
            except (Lost, Unreachable) as error:
                why = str(error)
            else:
                why = "" if answer.status < 500 else f"it answered {answer.status}"
            if not why:
                break
        return why
