"""The pods' admin port: counts are read from it, the rotation is set through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from itertools import chain
from typing import Any, Final, TypeVar

import aiohttp
from model_server import contract

from modeldeployment_operator.core.errors import InvalidCountsError, LeaseLostError, PodUnreachableError
from modeldeployment_operator.core.observation import Key, Pod, Sample
from modeldeployment_operator.core.passing import Passing, passing_of, rotation_of
from modeldeployment_operator.core.text import shortened
from modeldeployment_operator.core.traffic import Order
from modeldeployment_operator.core.validity import faulty

T = TypeVar("T")

_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_AT_A_TIME: Final = 100
"""Pods of one ModelDeployment that are called at the same time. Others do not wait for them."""
_LONGEST_ANSWER: Final = 64 * 1024
"""Bytes. The image of the pods is their user's, and may answer anything."""
_LONGEST_FAULT: Final = 200
"""Characters of what is wrong with an answer: they quote it."""
_COUNTS: Final = ("correct", "wrong", "true_positive", "false_positive", "false_negative", "predictions")


class Pods:
    """Calls pods, and remembers what each was told last."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT, connector=connector, trust_env=False, auto_decompress=False
        )
        self._told: dict[Key, dict[str, Passing]] = {}
        self.may_tell: Callable[[], bool] = lambda: True
        """Asked before pods are told anything: of several replicas only the one that leads may do so."""

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def told(self, key: Key) -> Mapping[str, Passing]:
        """Return by UID what the pods of a ModelDeployment answer themselves, of those where that is known."""
        return self._told.get(key, {})

    async def sample(self, key: Key, pods: Iterable[Pod], token: str) -> tuple[dict[str, Sample], str | None]:
        """Return the counts of those pods that answer, by UID, and why the first of the others did not.

        Counts that cannot be are among them, marked as such.
        """
        asked = [pod for pod in pods if pod.running and pod.ip is not None]
        # What is known of pods that are gone is forgotten here.
        told = {pod.uid: self._told[key][pod.uid] for pod in asked if pod.uid in self._told.get(key, {})}
        self._told[key] = told
        answers = await _at_once(self._counts(pod, token) for pod in asked)
        samples, silence = {}, None
        for pod, answer in zip(asked, answers, strict=True):
            if isinstance(answer, PodUnreachableError):
                silence = silence or str(answer)
                if isinstance(answer, InvalidCountsError):
                    samples[pod.uid] = faulty(pod, str(answer))
                told.pop(pod.uid, None)  # Its container may have been started again.
            else:
                samples[pod.uid] = answer
                told[pod.uid] = answer.passing
        return samples, silence

    async def tell(self, key: Key, orders: Iterable[Order], token: str) -> list[PodUnreachableError]:
        """Give pods their orders; return why some did not take them. Raises LeaseLostError if another may lead."""
        if not self.may_tell():
            raise LeaseLostError("another replica may lead by now: this one tells pods nothing more")
        answers = await _at_once(self._tell(key, order, token) for order in orders)
        return [answer for answer in answers if answer is not None]

    def forget(self, key: Key) -> None:
        """Forget the pods of a ModelDeployment that is gone."""
        self._told.pop(key, None)

    async def _counts(self, pod: Pod, token: str) -> Sample | PodUnreachableError:
        try:
            body = await self._request("GET", pod, contract.COUNTS_PATH, token, None)
            return _parse_counts(pod, body)
        except PodUnreachableError as error:
            return error

    async def _tell(self, key: Key, order: Order, token: str) -> PodUnreachableError | None:
        told = self._told.setdefault(key, {})
        told.pop(order.pod.uid, None)
        try:
            await self._request("PUT", order.pod, contract.ROTATION_PATH, token, rotation_of(order.passing))
        except PodUnreachableError as error:
            return error
        told[order.pod.uid] = order.passing
        return None

    async def _request(self, method: str, pod: Pod, path: str, token: str, body: contract.Rotation | None) -> bytes:
        host = f"[{pod.ip}]" if ":" in str(pod.ip) else pod.ip
        url = f"http://{host}:{contract.ADMIN_PORT}{path}"
        headers = {"Authorization": f"Bearer {token}"}
        where = f"pod {pod.name}: {method} {url}"
        try:
            async with self._session.request(
                method, url, json=body, headers=headers, allow_redirects=False
            ) as response:
                data = await response.content.read(_LONGEST_ANSWER + 1)
                while len(data) <= _LONGEST_ANSWER and (more := await response.content.read(_LONGEST_ANSWER)):
                    data += more
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise PodUnreachableError(f"{where}: {str(error) or type(error).__name__}") from error
        if response.status not in {200, 204}:
            raise PodUnreachableError(f"{where}: {response.status} {response.reason}")
        if len(data) > _LONGEST_ANSWER:
            raise PodUnreachableError(f"{where}: the answer is longer than {_LONGEST_ANSWER} bytes")
        return data


def _parse_counts(pod: Pod, body: bytes) -> Sample:
    """Read what a pod says; InvalidCountsError if it cannot be."""
    try:
        counts: contract.Counts = json.loads(body)
        uid, revision, started = counts["pod_uid"], counts["revision"], counts["started"]
        passing = passing_of(counts["rotation"])
        numbers = {name: counts[name] for name in _COUNTS}
        classes = {
            one["name"]: (one["true_positive"], one["false_positive"], one["false_negative"])
            for one in counts["classes"]
        }
        slices = {one["name"]: (one["correct"], one["wrong"]) for one in counts["slices"]}
        pairs = {one["revision"]: (one["won"], one["lost"], one["tied"]) for one in counts["pairs"]}
    except (ValueError, KeyError, TypeError) as error:
        fault = shortened(repr(error), _LONGEST_FAULT)
        raise InvalidCountsError(f"pod {pod.name}: its counts are not in the agreed form: {fault}") from error
    if uid != pod.uid:
        raise PodUnreachableError(f"pod {pod.name}: another pod answers at its address {pod.ip}")
    texts = isinstance(revision, str) and isinstance(started, str)
    everything = (*numbers.values(), *chain(*classes.values(), *slices.values(), *pairs.values()))
    if not texts or not all(type(number) is int and 0 <= number < 2**53 for number in everything):
        raise InvalidCountsError(f"pod {pod.name}: its counts are not numbers that can be counts")
    return Sample(
        pod_uid=uid,
        revision=revision,
        started=started[:64],
        passing=passing,
        classes=classes,
        slices=slices,
        pairs=pairs,
        correct=numbers["correct"],
        wrong=numbers["wrong"],
        true_positive=numbers["true_positive"],
        false_positive=numbers["false_positive"],
        false_negative=numbers["false_negative"],
        predictions=numbers["predictions"],
    )


async def _at_once(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Make calls side by side, but not too many."""
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def through(call: Coroutine[Any, Any, T]) -> T:
        async with gate:
            return await call

    return await asyncio.gather(*(through(call) for call in calls))
