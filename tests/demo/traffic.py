"""Sends steady traffic to a model, and each prediction's label a moment later; prints one line a request.

    python3 -m tests.demo.traffic --url http://news-classifier.demo.svc:8501/v1/models/news-classifier \
        --texts texts.jsonl --classes review,news

`texts.jsonl` has `{"text": …, "label": …}` in each line. Nothing is sent twice: a request that fails has failed.
It ends at SIGTERM or SIGINT, after the labels that are due. It runs in a pod of the serving image: besides the standard
library it needs only aiohttp and the module `records`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.demo.records import OK, Connections, Kind, Record, write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PREDICTION_ID_HEADER = "Prediction-Id"
REVISION_HEADER = "Model-Revision"
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Example:
    """A text and the name of its class."""

    text: str
    label: str


@dataclass(frozen=True)
class Plan:
    """What to send where."""

    url: str
    """Of the model: `http://HOST:PORT/v1/models/NAME`."""
    classes: tuple[str, ...]
    """Names in the order of the model's outputs."""
    clients: int = 4
    """Of each kind: with new connections, and with kept ones."""
    pause: float = 0.5
    """Seconds from one request of a client to its next."""
    label_delay: tuple[float, float] = (0.3, 1.0)
    """Seconds until a prediction's label is known: at least, at most."""


class Traffic:
    """Some clients at work. `emit` is called with every request's record."""

    def __init__(self, plan: Plan, examples: Sequence[Example], emit: Callable[[Record], None]) -> None:
        self._plan = plan
        self._examples = examples
        self._emit = emit
        self._chance = random.Random(1)
        self._labels: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until told to stop; then send the labels that are due."""
        async with _session(Connections.KEPT, connections=0) as labeller:
            clients = [
                self._client(kind, number, labeller, stopping)
                for number, kind in enumerate(list(Connections) * self._plan.clients)
            ]
            await asyncio.gather(*clients)
            await asyncio.gather(*self._labels)

    async def _client(
        self, kind: Connections, number: int, labeller: aiohttp.ClientSession, stopping: asyncio.Event
    ) -> None:
        """One client: a request at a time, at its own steady pace."""
        mine = itertools.cycle(self._examples[number :: len(Connections) * self._plan.clients])
        due = time.monotonic() + self._chance.uniform(0, self._plan.pause)
        async with _session(kind, connections=1) as session:
            while not await _elapses(stopping, due - time.monotonic()):
                due = max(due, time.monotonic() - self._plan.pause) + self._plan.pause
                example = next(mine)
                record, prediction_id = await self._predict(session, kind, example)
                self._emit(record)
                if prediction_id:
                    task = asyncio.create_task(self._label(labeller, record, prediction_id, example))
                    self._labels.add(task)
                    task.add_done_callback(self._labels.discard)

    async def _predict(
        self, session: aiohttp.ClientSession, kind: Connections, example: Example
    ) -> tuple[Record, str | None]:
        asked = Record(Kind.PREDICTION, kind, sent=time.time(), done=0.0, status=0)
        answer = await _post(session, f"{self._plan.url}:predict", {"instances": [example.text]})
        record = replace(asked, done=time.time(), status=answer.status, error=answer.error)
        if answer.status != OK:
            return record, None
        predicted = self._plan.classes[_class_of(answer.body["predictions"][0])]
        record = replace(record, revision=answer.revision, right=predicted == example.label)
        return record, f"{answer.prediction_id}.0"

    async def _label(
        self, session: aiohttp.ClientSession, prediction: Record, prediction_id: str, example: Example
    ) -> None:
        await asyncio.sleep(self._chance.uniform(*self._plan.label_delay))
        sent = time.time()
        body = {"id": prediction_id, "label": example.label}
        answer = await _post(session, f"{self._plan.url}/feedback", body)
        record = replace(prediction, kind=Kind.LABEL, sent=sent, done=time.time(), status=answer.status)
        self._emit(replace(record, error=answer.error))


@dataclass(frozen=True)
class _Answer:
    status: int
    body: Any = None
    revision: str = ""
    prediction_id: str = ""
    error: str = ""


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> _Answer:
    """Send a request once."""
    try:
        async with session.post(url, json=body) as response:
            text = await response.text()
            if response.status != OK:
                return _Answer(response.status, error=text[:300])
            headers = response.headers
            revision, prediction_id = headers.get(REVISION_HEADER, ""), headers.get(PREDICTION_ID_HEADER, "")
            return _Answer(response.status, json.loads(text), revision, prediction_id)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return _Answer(0, error=f"{type(error).__name__}: {error}")


def _session(kind: Connections, connections: int) -> aiohttp.ClientSession:
    """Open a client with at most so many connections; 0 for any number."""
    fresh = kind is Connections.FRESH
    connector = (
        aiohttp.TCPConnector(limit=connections, force_close=True)
        if fresh
        else aiohttp.TCPConnector(limit=connections, keepalive_timeout=3600)
    )
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))


def _class_of(output: float | list[float]) -> int:
    """Return the class of one output: a probability of class 1, or one figure a class."""
    figures = output if isinstance(output, list) else [output]
    return int(figures[0] > 0.5) if len(figures) == 1 else figures.index(max(figures))


async def _elapses(stopping: asyncio.Event, seconds: float) -> bool:
    """Sleep; return at once, and True, when it is time to stop."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return stopping.is_set()
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True


def read_examples(path: Path) -> list[Example]:
    """Read texts and their labels."""
    lines = path.read_text(encoding="utf-8").splitlines()
    documents = (json.loads(line) for line in lines)
    return [Example(document["text"], document["label"]) for document in documents]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="traffic", description="Sends predictions and labels, steadily.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--texts", required=True, type=Path)
    parser.add_argument("--classes", required=True, help="names, with commas between")
    parser.add_argument("--clients", type=int, default=Plan.clients, help="of each kind (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=Plan.pause, help="seconds (default: %(default)s)")
    options = parser.parse_args()
    plan = Plan(options.url, tuple(options.classes.split(",")), options.clients, options.pause)
    numbers = itertools.count(1)

    def emit(record: Record | None) -> None:
        sys.stdout.write(write_line(next(numbers), record) + "\n")
        sys.stdout.flush()

    asyncio.run(_until_signal(Traffic(plan, read_examples(options.texts), emit)))
    emit(None)


async def _until_signal(traffic: Traffic) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await traffic.run(stopping)


if __name__ == "__main__":
    main()
