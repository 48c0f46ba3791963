"""The same for programs: what `-o json` and `-o yaml` print. Names and numbers are those of the status."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modeldeployment_operator.api.status import Revision
from modeldeployment_operator.cli.seen import Reading, Seen, reading_of
from modeldeployment_operator.cli.text.history import entries
from modeldeployment_operator.cli.text.waiting import waits

Document = dict[str, Any]


def status_document(seen: Seen, now: datetime) -> Document:
    """Return how a model is doing."""
    shares = seen.shares()
    revisions = [
        _revision(seen, one) | {"trafficPercent": shares.get(one.name, 0), "readyReplicas": one.ready_replicas}
        for one in seen.status.revisions
    ]
    return {
        "namespace": seen.key.namespace,
        "name": seen.name,
        "state": seen.row.state.value,
        "message": seen.row.why,
        "paused": seen.paused,
        "servingRevision": seen.status.serving_revision,
        "candidateRevision": seen.status.candidate_revision,
        "standbyRevision": seen.status.standby_revision,
        "revisions": revisions,
        "waitsFor": list(waits(seen, now)),
    }


def history_document(seen: Seen) -> Document:
    """Return what happened."""
    told = [
        {"time": one.time, "revision": one.revision, "event": one.what, "detail": one.detail} for one in entries(seen)
    ]
    return {"namespace": seen.key.namespace, "name": seen.name, "history": told}


def why_document(seen: Seen, revision: Revision) -> Document:
    """Return the verdict on a revision."""
    rejection = seen.rejection(revision.name)
    return {
        "namespace": seen.key.namespace,
        "name": seen.name,
        **_revision(seen, revision),
        "rejection": None if rejection is None else rejection.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _revision(seen: Seen, revision: Revision) -> Document:
    rejection = seen.rejection(revision.name)
    reading = seen.reading(revision) or (reading_of(rejection) if rejection else None)
    return {
        "revision": revision.name,
        "phase": revision.phase.value,
        "replicas": revision.replicas,
        "verdict": revision.verdict.value if revision.verdict else None,
        "servingSince": revision.serving_since,
        "quality": _quality(reading) if reading else None,
    }


def _quality(reading: Reading) -> Document:
    return {
        "metric": reading.metric,
        "level": reading.level,
        "estimate": reading.estimate,
        "lower": reading.lower,
        "upper": reading.upper,
        "labels": reading.labels,
        "wrong": reading.wrong,
        "shareOfProof": round(reading.proof, 4),
    }
