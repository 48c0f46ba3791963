"""What became of a model's revisions, in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from modeldeployment_operator.api.status import RejectionCause, RevisionPhase
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.text.layout import Cell, Row, table
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.words import clock, span
from modeldeployment_operator.core.fleet import location, time_of
from modeldeployment_operator.core.rejection import cause
from modeldeployment_operator.core.text import count


@dataclass(frozen=True)
class Entry:
    """Something that happened; without a time, it is not known when."""

    time: str | None
    revision: str
    what: str
    detail: str
    look: str = ""


def entries(seen: Seen) -> list[Entry]:
    """Return what is known to have happened, the first first; last what began at an unknown time, as it is now."""
    found = [*_revisions(seen), *_rejections(seen)]
    return sorted(found, key=lambda one: (one.time is None, one.time or ""))


def history(style: Style, seen: Seen, now: datetime) -> list[str]:
    """Return a line for each thing that happened, and what is now."""
    rows: list[Row] = []
    for entry in entries(seen):
        time = time_of(entry.time)
        when = clock(entry.time) if time else "now"
        passed = f"{span(now - time)} ago" if time else ""
        rows.append([when, passed, Cell(entry.revision, "bold"), Cell(entry.what, entry.look), entry.detail])
    if not rows:
        return [f"{seen.key}: no revision has served yet"]
    lines = table(style, ("TIME (UTC)", "", "REVISION", "WHAT", "DETAIL"), rows)
    serving = seen.status.serving_revision
    after = f"{seen.short(serving)} serves" if serving else "nothing serves"
    return [*lines, "", style.paint(f"now {after}; kept: {count(len(seen.status.revisions), 'revision')}", "dim")]


def _revisions(seen: Seen) -> Iterator[Entry]:
    rejected = {one.revision for one in seen.status.rejections}
    for one in seen.status.revisions:
        name = seen.short(one.name)
        where = location(one.model_uri)
        if one.serving_since:
            taken = "took the traffic"
            yield Entry(one.serving_since, name, taken, where, "green")
        if one.serving_until and one.name not in rejected:
            yield Entry(one.serving_until, name, "gave it away", f"now {one.phase.value}", "dim")
        if not one.serving_since and one.phase is not RevisionPhase.REJECTED:
            yield Entry(None, name, f"is {one.phase.value}", where, "blue")
    rollout = seen.status.rollout
    if rollout is not None:
        step = f"step {rollout.step} of {rollout.steps}, {rollout.weight}% of the requests"
        yield Entry(rollout.since, seen.short(rollout.revision), f"{rollout.strategy.value} step", step, "blue")


def _rejections(seen: Seen) -> Iterator[Entry]:
    for one in seen.status.rejections:
        to = f"; {seen.short(one.rolled_back_to)} serves on" if one.rolled_back_to else ""
        what = "was given up" if one.reason is RejectionCause.ABORTED else "was taken back"
        yield Entry(one.time, seen.short(one.revision), what, cause(one) + to, "red")
