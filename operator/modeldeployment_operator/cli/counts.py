"""Recorded counts of labels, from CSV or JSON lines. Pure; what cannot be read is told with its line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from modeldeployment_operator.cli.errors import CommandError, Exit

_NEEDED: Final = ("time", "correct", "wrong")
_MOST: Final = 2**53
_ONE: Final = "model"
"""Stands for the revision and the pod where none is named."""


@dataclass(frozen=True)
class Count:
    """How many labels spoke for and against a model by some time, as one pod counted them in one run of counting."""

    time: datetime
    revision: str
    pod: str
    started: str
    right: int
    wrong: int


@dataclass(frozen=True)
class Recording:
    """What was recorded, in order of time."""

    counts: tuple[Count, ...]
    restarts: int = 0
    """How often counting began anew."""
    unusable: int = 0
    """Readings that were not whole."""


def read_counts(lines: Iterable[str], name: str, *, new: bool) -> Recording:
    """Read a file. With `new`, each row says what came since the one before, else how many there are in all."""
    rows = list(_rows(lines, name))
    if not rows:
        raise CommandError(Exit.BAD_INPUT, f"{name}: there are no counts in it")
    counts: list[Count] = []
    last: dict[tuple[str, str], Count] = {}
    runs: dict[tuple[str, str], int] = {}
    for line, row in rows:
        where = f"{name}:{line}"
        time = _time(row["time"], where)
        right, wrong = _number(row, "correct", where), _number(row, "wrong", where)
        revision, pod = str(row.get("revision") or _ONE), str(row.get("pod") or _ONE)
        before = last.get((revision, pod))
        if counts and time < counts[-1].time:
            earlier = f"{row['time']} is earlier than the time of the row before"
            raise CommandError(Exit.BAD_INPUT, f"{where}: {earlier}: sort the rows by time")
        if before is not None and new:
            right, wrong = before.right + right, before.wrong + wrong
        if before is not None and (right < before.right or wrong < before.wrong):
            runs[revision, pod] = runs.get((revision, pod), 0) + 1
        count = Count(time, revision, pod, f"run-{runs.get((revision, pod), 0)}", right, wrong)
        counts.append(count)
        last[revision, pod] = count
    return Recording(tuple(counts), restarts=sum(runs.values()))


def _rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield what stands in each row, with the number of its line."""
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if numbered and numbered[0][1].lstrip().startswith("{"):
        yield from _json_rows(numbered, name)
    else:
        yield from _csv_rows(numbered, name)


def _json_rows(numbered: list[tuple[int, str]], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in numbered:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CommandError(Exit.BAD_INPUT, f"{name}:{number}: it is no JSON: {error}") from None
        missing = [field for field in _NEEDED if not isinstance(row, dict) or row.get(field) is None]
        if missing:
            raise CommandError(Exit.BAD_INPUT, f"{name}:{number}: {', '.join(missing)} is missing")
        yield number, row


def _csv_rows(numbered: list[tuple[int, str]], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if not numbered:
        return
    (first, head), *rest = numbered
    heads = [one.strip().lower() for one in next(csv.reader([head.removeprefix("\ufeff")]))]
    missing = [field for field in _NEEDED if field not in heads]
    if missing:
        needed = f"the first line has to name the columns {', '.join(_NEEDED)}, and may name revision and pod"
        raise CommandError(Exit.BAD_INPUT, f"{name}:{first}: {', '.join(missing)} is missing: {needed}")
    for number, line in rest:
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], strict=True))]
        except csv.Error as error:
            raise CommandError(Exit.BAD_INPUT, f"{name}:{number}: it is no CSV: {error}") from None
        if len(cells) != len(heads):
            raise CommandError(
                Exit.BAD_INPUT, f"{name}:{number}: {len(cells)} columns, the first line has {len(heads)}"
            )
        yield number, dict(zip(heads, cells, strict=True))


def _number(row: Mapping[str, Any], field: str, where: str) -> int:
    value = row[field]
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        number = -1.0
    if not number.is_integer() or not 0 <= number < _MOST:
        raise CommandError(Exit.BAD_INPUT, f"{where}: {field} is {value!r}, not a number of labels")
    return int(number)


def _time(value: Any, where: str) -> datetime:
    """Read a time: seconds since 1970, or as ISO 8601 has it; without a zone it is UTC."""
    try:
        if isinstance(value, int | float) or str(value).replace(".", "", 1).isdecimal():
            return datetime.fromtimestamp(float(value), UTC)
        time = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        form = "not a time: write 2026-01-31T12:00:00Z or seconds since 1970"
        raise CommandError(Exit.BAD_INPUT, f"{where}: time is {value!r}, {form}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
