"""Which of all models are shown, in what order: the page's question and its answer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self
from urllib.parse import urlencode

from modeldeployment_operator.core.fleet import Quality, Row, State

PAGE_ROWS: Final = 100


class Order(StrEnum):
    """What rows are sorted by."""

    STATE = "state"
    NAME = "name"
    ACCURACY = "accuracy"
    LABELS = "labels"
    EVIDENCE = "evidence"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Query:
    """What somebody wants to see; what is not understood is left out.

    Attributes:
        namespace: only models of this one.
        state: only models that are in this one.
        text: only models with this in their names.
        order: the worst or the first comes first, unless `reverse`.
        page: counts from 1.

    """

    namespace: str = ""
    state: State | None = None
    text: str = ""
    order: Order = Order.STATE
    reverse: bool = False
    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        """Read the query of a URL."""
        state, order, page = (parameters.get(name, "") for name in ("state", "sort", "page"))
        return cls(
            namespace=parameters.get("namespace", "")[:63],
            state=State(state) if state in set(State) else None,
            text=parameters.get("name", "").strip()[:63],
            order=Order(order) if order in set(Order) else Order.STATE,
            reverse=parameters.get("reverse") == "1",
            page=int(page) if page.isascii() and page.isdecimal() and 0 < len(page) <= 6 and int(page) else 1,
        )

    @property
    def parameters(self) -> Mapping[str, str]:
        """The same as the query of a URL, without what is so anyway."""
        given = {
            "namespace": self.namespace,
            "state": self.state or "",
            "name": self.text,
            "sort": "" if self.order is Order.STATE else self.order,
            "reverse": "1" if self.reverse else "",
            "page": "" if self.page == 1 else str(self.page),
        }
        return {name: str(value) for name, value in given.items() if value}

    def link(self, **changes: Any) -> str:
        """Return a link to the same with something else; back to the first page, unless that is what changes."""
        return "?" + urlencode(replace(self, **{"page": 1} | changes).parameters)

    def sorted_by(self, order: str) -> str:
        """Return a link to the same in another order, or the other way round if it is in that already."""
        return self.link(order=Order(order), reverse=order == self.order and not self.reverse)


@dataclass(frozen=True)
class Scale:
    """What the bars of all models are drawn on, so that they can be compared."""

    low: float = 0.0
    high: float = 1.0

    def at(self, value: float) -> float:
        """Return where a value lies, in percent; what lies beyond an end lies at it."""
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 2)


@dataclass(frozen=True)
class Overview:
    """The answer."""

    query: Query
    rows: list[Row]
    """Of the page that was asked for."""
    found: int
    """On all pages."""
    total: int
    """Whether found or not."""
    pages: int
    namespaces: list[str]
    states: Mapping[State, int] = field(default_factory=dict)
    """How many are in each state, of those that the rest of the query finds; none that nothing is in."""
    scale: Scale = field(default_factory=Scale)


def overview(rows: Iterable[Row], query: Query) -> Overview:
    """Find, sort and count."""
    rows = list(rows)
    near = [row for row in rows if query.namespace in {"", row.key.namespace} and query.text in row.key.name]
    counts = Counter(row.state for row in near)
    found = [row for row in near if query.state in {None, row.state}]
    found.sort(key=lambda row: (_ORDERS[query.order](row), row.key), reverse=query.reverse)
    pages = max(1, math.ceil(len(found) / PAGE_ROWS))
    query = replace(query, page=min(query.page, pages))
    return Overview(
        query=query,
        rows=found[(query.page - 1) * PAGE_ROWS : query.page * PAGE_ROWS],
        found=len(found),
        total=len(rows),
        pages=pages,
        namespaces=sorted({row.key.namespace for row in rows}),
        states={state: counts[state] for state in State if counts[state]},
        scale=scale_of(row.quality for row in rows),
    )


def scale_of(qualities: Iterable[Quality | None]) -> Scale:
    """Return a scale up to 1 that shows every limit and every estimate with a margin below."""
    drawn = [value for one in qualities if one for value in (one.level, one.estimate) if value is not None]
    lowest = min(1.0, max(0.0, min(drawn, default=0.0)))
    return Scale(low=max(0, math.floor(lowest * 10 - 1)) / 10)


def _accuracy(row: Row) -> float:
    """Put the lowest first; those without one last."""
    return row.quality.estimate if row.quality and row.quality.estimate is not None else math.inf


def _last_rollback(row: Row) -> tuple[int, ...]:
    """Put the latest first; those without one last."""
    return tuple(-ord(character) for character in row.rollback.time) if row.rollback else (1,)


_STATES: Final = list(State)
_ORDERS: Final[Mapping[Order, Callable[[Row], Any]]] = {
    Order.STATE: lambda row: _STATES.index(row.state),
    Order.NAME: lambda row: row.key,
    Order.ACCURACY: _accuracy,
    Order.LABELS: lambda row: -row.quality.told.labels if row.quality else 1,
    Order.EVIDENCE: lambda row: -row.quality.evidence if row.quality else 1.0,
    Order.ROLLBACK: _last_rollback,
}
