"""Finds what answers a path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from model_server.errors import NotFound
from model_server.http.limits import MethodNotAllowed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from model_server.http.messages import Response

Call = TypeVar("Call")
_NAMES: Final = {"version": "[0-9]{1,19}"}
_SEGMENT: Final = "[^/:]+"


@dataclass(frozen=True, slots=True)
class Route(Generic[Call]):
    """One thing that can be asked for."""

    method: str
    path: str
    """With names in braces, as `/v1/models/{model}:predict`; `{version}` is a number. Traces show it."""
    kind: str
    """Value of the metrics' label `method`."""
    limit: int
    """Bytes that the body may have."""
    answer: Callable[[Call], Response | Coroutine[Any, Any, Response]]
    """Answers at once or in a task. Raises `RequestError`."""


Found = tuple[Route[Call], "Mapping[str, str]"]
"""A route, and what stands in the path for its names."""


class Routes(Generic[Call]):
    """A table of routes. GET answers HEAD as well."""

    def __init__(self, routes: Iterable[Route[Call]]) -> None:
        by_path: dict[str, dict[str, Route[Call]]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        self._table = [(_pattern(path), methods) for path, methods in by_path.items()]
        self._known = lru_cache(4096)(self._look_up)

    def find(self, method: str, path: str) -> Found[Call]:
        """Find the route of a request. Raises `NotFound` or `MethodNotAllowed`."""
        return self._known(method, path) if len(path) <= 256 else self._look_up(method, path)

    def _look_up(self, method: str, path: str) -> Found[Call]:
        allowed: set[str] = set()
        for pattern, methods in self._table:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            route = methods.get("GET" if method == "HEAD" else method)
            if route is not None:
                return route, match.groupdict()
            allowed |= methods.keys() | ({"HEAD"} if "GET" in methods else set())
        if allowed:
            allow = ", ".join(sorted(allowed))
            raise MethodNotAllowed(f"Malformed request: {method} {path}; this path takes {allow}", ("Allow", allow))
        raise NotFound(f"no such path: {path}. Predictions are asked for with POST /v1/models/MODEL:predict")


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{([a-z_]+)\}", path)
    for index in range(1, len(parts), 2):
        parts[index] = f"(?P<{parts[index]}>{_NAMES.get(parts[index], _SEGMENT)})"
    parts[::2] = map(re.escape, parts[::2])
    return re.compile("".join(parts), re.ASCII)
