"""Holds the cache against a new list of a kind, page by page: of each object only what is kept outlives its page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.core import names
from modeldeployment_operator.core.errors import ApiError
from modeldeployment_operator.core.kinds import MODEL_DEPLOYMENT, Kind
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.sight import see

_PAGE: Final = 50
"""Whole objects in memory at a time: a hundred PrometheusRules took 10 MiB, of which the allocator gave none back."""
_WHOLE: Final = 0


async def refresh(api: Api, cache: Cache, kind: Kind, namespace: str | None) -> tuple[set[Key], int]:
    """Look at all objects of a kind, in one namespace or everywhere.

    Returns the ModelDeployments that have something new to see, and the resourceVersion of the list.
    """
    try:
        return await _look(api, cache, kind, namespace, _PAGE)
    except ApiError as error:
        if error.status != HTTPStatus.GONE:
            raise
        # The next page is not known any more. In one piece it cannot come to that.
        return await _look(api, cache, kind, namespace, _WHOLE)


async def _look(api: Api, cache: Cache, kind: Kind, namespace: str | None, size: int) -> tuple[set[Key], int]:
    selector = None if kind is MODEL_DEPLOYMENT else names.SELECTOR
    seen: set[str] = set()
    touched: set[Key | None] = set()
    last = 0
    async for bodies, version in api.pages(kind, namespace, selector, size):
        sights = [see(kind, body) for body in bodies]
        touched.update(cache.take(sight) for sight in sights)
        # What has lost the labels of a child is none any more.
        seen.update(sight.uid for sight in sights if sight.what is not None)
        last = version
    touched |= cache.keep(kind, namespace, seen, last)
    return {key for key in touched if key is not None}, last
