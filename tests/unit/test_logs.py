"""What a line of the operator's log tells of whom it is about."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from modeldeployment_operator.adapters.logs import JsonFormatter, TextFormatter, reconciling
from modeldeployment_operator.core.observation import Key

KEY = Key("team", "m")


class Log:
    """A logger of its own, and what it wrote."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(formatter)
        self.logger = logging.Logger("operator.part")
        self.logger.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def text() -> Log:
    return Log(TextFormatter("%(levelname)s %(name)s %(message)s"))


@pytest.fixture
def documents() -> Log:
    return Log(JsonFormatter())


def test_a_line_about_nobody_is_as_ever(text: Log) -> None:
    text.logger.info("watching %d", 3)

    assert text.lines == ["INFO operator.part watching 3"]


def test_a_line_in_a_reconcile_has_its_key_once_and_its_id(text: Log) -> None:
    for _ in range(2):
        with reconciling(KEY):
            text.logger.info("%s: removing %s", KEY, "x")
            text.logger.info("no answer")
    first, second, third, fourth = (line.removeprefix("INFO operator.part ") for line in text.lines)

    mark = first.partition(" ")[0]
    assert (first, second) == (f"{mark} team/m: removing x", f"{mark} team/m: no answer")
    assert third.partition(" ")[0] == fourth.partition(" ")[0] != mark


def test_a_line_that_names_an_object_outside_of_a_reconcile_has_its_key(text: Log, documents: Log) -> None:
    for log in (text, documents):
        log.logger.info("%s: the Event was not written", KEY)

    assert text.lines == ["INFO operator.part team/m: the Event was not written"]
    (document,) = documents.documents
    assert (document["namespace"], document["name"]) == ("team", "m")
    assert "reconcile_id" not in document


def test_a_document_has_all_parts(documents: Log) -> None:
    with reconciling(KEY):
        documents.logger.warning("%s: it is „%s“", KEY, "wrong\nhere")
    (document,) = documents.documents

    assert datetime.fromisoformat(document.pop("time")).utcoffset() == timedelta(0)
    assert document.pop("reconcile_id")
    assert document == {
        "level": "warning",
        "logger": "operator.part",
        "message": "it is „wrong\nhere“",
        "namespace": "team",
        "name": "m",
    }


def test_an_exception_stays_in_its_document(documents: Log) -> None:
    try:
        int("no number")
    except ValueError:
        documents.logger.exception("it failed")
    (document,) = documents.documents

    assert document["message"] == "it failed"
    assert "ValueError: invalid literal" in document["exception"]


async def test_what_a_reconcile_begins_is_of_it_and_others_are_not(documents: Log) -> None:
    async def tell(what: str) -> None:
        await asyncio.sleep(0)
        documents.logger.info(what)

    async def work(key: Key) -> None:
        with reconciling(key):
            background = asyncio.create_task(tell("later"))
            await tell("now")
        await background

    await asyncio.gather(work(KEY), work(Key("team", "other")))

    by_name: dict[str, set[str]] = {}
    for document in documents.documents:
        by_name.setdefault(document["name"], set()).add(document["reconcile_id"])
    assert set(by_name) == {"m", "other"}
    assert all(len(ids) == 1 for ids in by_name.values())
    assert by_name["m"] != by_name["other"]
