"""Traces as the rest of the server sees them. These are of nothing: `tracing` has the real ones, if they are wanted."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from model_server.http.messages import Head

Headers = list[tuple[str, str]]
"""Of an HTTP message; a name may stand there more than once."""

_NOTHING: Final = nullcontext()
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Call:
    """A request to another pod."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End it. This one never began, and so it is with all that follow."""

    def headers(self, given: Headers | Mapping[str, str]) -> Headers | Mapping[str, str]:
        """Return the headers of the request, with those that have the other pod go on with the trace."""
        return given

    def answered(self, status: int) -> None:
        """Note the answer's code."""


class Trace:
    """What a request went through."""

    id: str | None = None
    """32 hexadecimal digits."""
    is_sampled = False
    """Whether it will be found where traces are kept."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End it; it began when it was made."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Measure a part of the work, in whatever thread."""
        return _NOTHING

    def call(self, method: str, address: str, path: str) -> Call:
        """Measure a request to another pod at HOST:PORT."""
        return _NO_CALL

    def note_instances(self, count: int) -> None:
        """Note how many instances were answered."""

    def answered(self, route: str | None, status: int) -> None:
        """Note what was asked for, as the pattern of its path, and the answer's code."""


class Tracing:
    """Begins traces."""

    is_on = False
    """Whether these are real ones."""

    def begin(self, head: Head) -> Trace:
        """Begin the trace of a request, or go on with that of its client. It ends as a context manager."""
        return NO_TRACE

    def close(self) -> None:
        """Send what is left. Takes little time, whether or not somebody takes it."""


_NO_CALL: Final = Call()
NO_TRACE: Final = Trace()
current: ContextVar[Trace] = ContextVar("current", default=NO_TRACE)
"""Of the request that this task works for."""


def wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether the standard variables of OpenTelemetry ask for traces. The default is none, without an endpoint."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    return exporter != "none" if exporter else any(environment.get(name, "").strip() for name in _ENDPOINTS)
