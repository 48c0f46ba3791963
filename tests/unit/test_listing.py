"""The cache held against a list, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.listing import refresh
from modeldeployment_operator.core import names
from modeldeployment_operator.core.errors import ApiError
from modeldeployment_operator.core.kinds import DEPLOYMENT
from modeldeployment_operator.core.observation import Key

KEY = Key("team", "m")


def a_child(uid: str, version: int, **labels: str) -> dict[str, Any]:
    metadata = {"name": uid, "namespace": "team", "uid": uid, "resourceVersion": str(version), "generation": 1}
    return {"metadata": metadata | {"labels": names.common_labels("m") | labels}, "spec": {"replicas": 1}}


class Pages:
    """An API server that knows these pages; after the first one it may have forgotten the others."""

    def __init__(self, *pages: list[dict[str, Any]], forgets: bool = False) -> None:
        self._pages = pages
        self._forgets = forgets
        self.asked: list[int] = []

    async def pages(self, _kind: object, _namespace: object, _selector: object, size: int) -> AsyncIterator[Any]:
        self.asked.append(size)
        pages: Sequence[list[dict[str, Any]]] = self._pages if size else [[one for page in self._pages for one in page]]
        for number, page in enumerate(pages):
            if number and self._forgets:
                raise ApiError(410, "the continue token is too old", "list deployments")
            yield page, 9


async def refreshed(cache: Cache, pages: Pages) -> set[Key]:
    touched, version = await refresh(cast("Api", pages), cache, DEPLOYMENT, None)
    assert version == 9
    return touched


@pytest.mark.parametrize("forgets", [False, True])
async def test_what_is_on_no_page_is_gone(forgets: bool) -> None:
    cache, pages = Cache(), Pages([a_child("a", 3)], [a_child("b", 4)], forgets=forgets)
    cache.put(DEPLOYMENT, a_child("gone", 2))
    assert await refreshed(cache, pages) == {KEY}
    assert {child.name for child in cache.children(KEY)} == {"a", "b"}
    assert pages.asked == ([50, 0] if forgets else [50])


async def test_what_has_lost_its_labels_is_gone() -> None:
    cache = Cache()
    cache.put(DEPLOYMENT, a_child("a", 2))
    stripped = a_child("a", 3)
    del stripped["metadata"]["labels"][names.NAME_LABEL]
    assert await refreshed(cache, Pages([stripped])) == {KEY}
    assert cache.children(KEY) == []
    assert await refreshed(cache, Pages([stripped])) == set()


async def test_another_failure_is_told() -> None:
    class Broken(Pages):
        async def pages(self, *_: object) -> AsyncIterator[Any]:
            raise ApiError(500, "out of order", "list deployments")
            yield

    with pytest.raises(ApiError, match="out of order"):
        await refresh(cast("Api", Broken()), Cache(), DEPLOYMENT, None)
