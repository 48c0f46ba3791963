"""What a change of a ModelDeployment means, in sentences. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Document = dict[str, Any]

_CONDITIONS = ("Ready", "Stalled", "AccuracyHealthy", "RolledBack")


def changes(before: Document, after: Document) -> Iterator[str]:
    """Return a sentence for each change that a reader cares about."""
    old, new = before.get("status", {}), after.get("status", {})
    yield from _of_revisions(old, new)
    yield from _of_conditions(old, new)


def _of_revisions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    candidate, serving = new.get("candidateRevision"), new.get("servingRevision")
    if candidate and candidate != old.get("candidateRevision"):
        yield f"candidate {candidate} is starting; the traffic stays where it is until all its pods answer"
    if serving == old.get("servingRevision"):
        return
    rejection: Mapping[str, Any] = next(iter(new.get("rejections", [])), {})
    if rejection.get("revision") and rejection["revision"] == old.get("servingRevision"):
        yield f"ROLLED BACK: {rejection['revision']} gives the traffic back to {serving}"
    elif serving:
        standby = new.get("standbyRevision")
        yield f"{serving} has the traffic" + (f"; {standby} stays warm to take it back" if standby else "")


def _of_conditions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Tell of conditions with the same message together."""
    changed: dict[str, list[str]] = {}
    for kind in _CONDITIONS:
        was, now = _condition(old, kind), _condition(new, kind)
        if now and (was.get("status"), was.get("reason")) != (now["status"], now["reason"]):
            changed.setdefault(now["message"], []).append(f"{kind}={now['status']} ({now['reason']})")
        elif was and not now:
            yield f"{kind} no longer holds"
    for message, conditions in changed.items():
        yield f"{', '.join(conditions)}: {message}"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((one for one in status.get("conditions", []) if one["type"] == kind), {})
