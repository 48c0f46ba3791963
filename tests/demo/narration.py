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
    for kind in _CONDITIONS:
        was, now = _condition(old, kind), _condition(new, kind)
        if (was.get("status"), was.get("reason")) != (now.get("status"), now.get("reason")):
            yield _of_condition(kind, now)


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


def _of_condition(kind: str, condition: Mapping[str, Any]) -> str:
    if not condition:
        return f"condition {kind} is gone"
    return f"condition {kind}={condition['status']}, {condition['reason']}: {condition['message']}"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((one for one in status.get("conditions", []) if one["type"] == kind), {})
