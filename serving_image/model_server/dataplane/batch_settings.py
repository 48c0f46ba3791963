"""How requests are put together, by the names that TensorFlow Serving gives its batching parameters. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Final

from model_server.contract import Env, StartFailure
from model_server.errors import StartError

MOST: Final = 65_536
"""Of anything that is counted here."""
LONGEST_MICROS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """The defaults never make anyone wait: rows are put together that come while all threads are busy."""

    max_batch_size: int = 128
    """Rows of one call. 1 turns batching off. A request of more rows than this is a call of its own."""
    batch_timeout_micros: int = 0
    """How long a call may wait for more rows although a thread is free."""
    max_enqueued_batches: int = 16
    """Full batches that may wait; requests beyond are refused."""
    num_batch_threads: int = 0
    """Calls at the same time; 0: as many as there are processors."""
    allowed_batch_sizes: tuple[int, ...] = ()
    """Calls are filled up to one of these sizes, in rising order and the last one `max_batch_size`; empty: never."""
    pad_variable_length_inputs: bool = False
    """Whether rows of different lengths go together, the shorter ones filled up with zeros or empty texts."""

    @property
    def most_rows_waiting(self) -> int:
        """What the queue holds."""
        return self.max_batch_size * self.max_enqueued_batches

    def filled(self, rows: int) -> int:
        """To how many rows a call of so many is filled up."""
        if not self.allowed_batch_sizes:
            return rows
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def read_batch_settings(text: str) -> BatchSettings:
    """Read a JSON object of them; empty: the defaults. Raises `StartError`."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise _bad("is no JSON object")
    known = {field.name: field.default for field in fields(BatchSettings)}
    for name, value in given.items():
        if name not in known:
            raise _bad(f"has {name!r}, which is none of {', '.join(known)}")
        given[name] = _value(name, value, type(known[name]))
    settings = BatchSettings(**given)
    sizes = settings.allowed_batch_sizes
    if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != settings.max_batch_size):
        raise _bad("has allowed_batch_sizes that do not rise to max_batch_size, which is the last of them")
    return settings


def _value(name: str, value: Any, kind: type) -> Any:
    if kind is bool:
        if not isinstance(value, bool):
            raise _bad(f"has {name} = {value!r}, not true or false")
        return value
    if kind is tuple:
        if not isinstance(value, list):
            raise _bad(f"has {name} = {value!r}, not a list of whole numbers")
        return tuple(_whole(name, each, 1, MOST) for each in value)
    least, most = {"batch_timeout_micros": (0, LONGEST_MICROS), "num_batch_threads": (0, 1024)}.get(name, (1, MOST))
    return _whole(name, value, least, most)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _bad(f"has {name} = {value!r}, not a whole number from {least} to {most}")
    return value


def _bad(what: str) -> StartError:
    return StartError(StartFailure.BAD_SETTINGS, f"{Env.BATCHING} {what}")
