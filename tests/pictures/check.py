"""Which queries of a dashboard have no answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.pictures.answers import Asker
from tests.pictures.boards import Board
from tests.support.prometheus import PrometheusError


@dataclass(frozen=True)
class Empty:
    """A query without an answer."""

    board: str
    panel: str
    query: str
    expected: bool
    """The panel says of itself that this may be."""
    error: str = ""
    """What Prometheus says, if it refused the query."""

    def __str__(self) -> str:
        why = self.error or ("empty, as it may be" if self.expected else "EMPTY")
        return f"{self.board}, {self.panel}: {why}\n    {self.query}"


def empty(board: Board, asker: Asker) -> Iterator[Empty]:
    """Ask all queries of a dashboard, and yield those that have no number, or that are refused."""
    for panel in board.panels(asker.choices.options):
        for target in panel.json.get("targets", ()):
            title = asker.choices.put_into(panel.title, panel.scope)
            query = asker.choices.put_into(target["expr"], panel.scope)
            try:
                if not asker.ask(panel, target):
                    yield Empty(board.title, title, query, panel.may_be_empty)
            except PrometheusError as error:
                yield Empty(board.title, title, query, expected=False, error=str(error))
