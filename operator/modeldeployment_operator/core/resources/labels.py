"""What the server is told of labels."""

from __future__ import annotations

import json
from typing import Any

from model_server.contract import Env

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.feedback import Counted, Feedback
from modeldeployment_operator.api.model import Task
from modeldeployment_operator.core.revisions import Snapshot


def label_settings(snapshot: Snapshot) -> dict[Env, str | None]:
    """Return the settings by which labels are asked for, scored and counted; None where the server's own holds."""
    model, feedback = snapshot.template.model, snapshot.template.feedback or Feedback()
    maturity, slices = seconds(feedback.maturity), feedback.slices
    return {
        Env.TASK: model.task.value if model.task is Task.REGRESSION else None,
        Env.REGRESSION_TOLERANCE: _number(model.tolerance),
        Env.TOP_K: _number(feedback.top_k),
        Env.LABEL_MATURITY: _number(maturity) if maturity else None,
        Env.AUDIT_FRACTION: _number(feedback.audit_fraction),
        Env.LABELS_COUNTED: "audited" if feedback.counted is Counted.AUDITED else None,
        Env.SLICE_FIELD: slices.field if slices else None,
        Env.SLICES: json.dumps(slices.values, ensure_ascii=False) if slices and slices.values else None,
    }


def label_secrets(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the settings that may hold a password."""
    store = snapshot.template.feedback.store if snapshot.template.feedback else None
    if not store:
        return []
    return [{"name": Env.LABEL_STORE.value, "valueFrom": {"secretKeyRef": {"name": store.name, "key": store.key}}}]


def _number(value: float | None) -> str | None:
    return None if value is None else repr(value)
