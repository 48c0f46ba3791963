"""What a kind of source finds under a URI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from model_server.sources.parts import Interrupted
from model_server.sources.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from model_server.sources.parts import Part

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a model."""

    parts: Sequence[Part]
    is_file: bool
    """Whether it is one file, and not a folder, if only of one."""

    @classmethod
    def one_file(cls, part: Part) -> Found:
        """Return a model that is one file."""
        return cls((part,), is_file=True)


async def ask(what: str, question: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Ask until there is an answer, or no hope of one. Raises `StartError`."""
    patience = Patience(what)
    while True:
        try:
            return await question()
        except Interrupted as error:
            await patience.wait(error)
