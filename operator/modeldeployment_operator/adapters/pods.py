"""The pods' admin port: counts are read from it, the rotation is set through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
from model_server import contract

from modeldeployment_operator.core.errors import PodUnreachableError
from modeldeployment_operator.core.observation import Pod, Sample
from modeldeployment_operator.core.traffic import Order

_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_CONNECTIONS: Final = 100


class Pods:
    """Calls pods, and remembers what each was told last."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=_CONNECTIONS), trust_env=False
        )
        self.told: dict[str, str | None] = {}
        """By pod's UID: where it was told to pass requests."""

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def sample(self, pods: Iterable[Pod], token: str) -> dict[str, Sample]:
        """Return the counts of those pods that answer, by UID."""
        asked = [pod for pod in pods if pod.running and pod.ip is not None]
        answers = await asyncio.gather(*(self._counts(pod, token) for pod in asked), return_exceptions=True)
        samples = {}
        for pod, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Sample):
                samples[pod.uid] = answer
                self.told[pod.uid] = answer.forward_to
            elif not isinstance(answer, PodUnreachableError):
                raise answer
        return samples

    async def tell(self, orders: Iterable[Order], token: str) -> list[PodUnreachableError]:
        """Give pods their orders; return why some did not take them."""
        answers = await asyncio.gather(*(self._tell(order, token) for order in orders), return_exceptions=True)
        errors = []
        for answer in answers:
            if isinstance(answer, PodUnreachableError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
        return errors

    def forget(self, uids: Iterable[str]) -> None:
        """Forget pods that are gone."""
        for uid in uids:
            self.told.pop(uid, None)

    async def _counts(self, pod: Pod, token: str) -> Sample:
        body = await self._request("GET", pod, contract.COUNTS_PATH, token, None)
        try:
            counts: contract.Counts = json.loads(body)
            if counts["pod_uid"] != pod.uid:
                raise PodUnreachableError(f"pod {pod.name}: another pod answers at its address {pod.ip}")
            return Sample(
                pod_uid=counts["pod_uid"],
                revision=counts["revision"],
                started=counts["started"],
                correct=counts["correct"],
                wrong=counts["wrong"],
                true_positive=counts["true_positive"],
                false_positive=counts["false_positive"],
                false_negative=counts["false_negative"],
                forward_to=counts["forward_to"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PodUnreachableError(f"pod {pod.name}: its counts are not in the agreed form: {error!r}") from error

    async def _tell(self, order: Order, token: str) -> None:
        self.told.pop(order.pod.uid, None)
        await self._request("PUT", order.pod, contract.ROTATION_PATH, token, {"forward_to": order.forward_to})
        self.told[order.pod.uid] = order.forward_to

    async def _request(self, method: str, pod: Pod, path: str, token: str, body: dict[str, Any] | None) -> bytes:
        host = f"[{pod.ip}]" if ":" in str(pod.ip) else pod.ip
        url = f"http://{host}:{contract.ADMIN_PORT}{path}"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._session.request(method, url, json=body, headers=headers) as response:
                data = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            why = str(error) or type(error).__name__
            raise PodUnreachableError(f"pod {pod.name}: {method} {url}: {why}") from error
        if response.status >= 300:
            raise PodUnreachableError(f"pod {pod.name}: {method} {url}: {response.status} {response.reason}")
        return data
