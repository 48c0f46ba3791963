"""The policy that is simulated or tried on what was recorded: a ModelDeployment's, or what the command line has."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from pydantic import ValidationError

from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.core.text import count

_FLAGS = {
    "metric": "metric",
    "minimum": "minimum",
    "maximum_drop": "maximumDrop",
    "alpha": "alpha",
    "minimum_labels": "minimumLabels",
}
"""Options of the command line, and what they are in spec.accuracy."""


def policy(given: Namespace, like: Seen | None) -> Accuracy:
    """Return the policy; what the command line says goes before what the ModelDeployment says."""
    document: dict[str, Any] = {}
    if like is not None:
        if like.spec is None or like.spec.accuracy is None:
            message = f"{like.key} has no spec.accuracy to take the policy from: give --minimum"
            raise CommandError(Exit.NOT_FOUND, message)
        if like.spec.accuracy.is_gauged:
            message = f"{like.key} holds a gauge against a plain threshold: no labels are judged, and nothing is proven"
            raise CommandError(Exit.NOT_FOUND, message)
        # As its user wrote it: what is a default now is one of counts, and may not be said of another source.
        document = like.spec.accuracy.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    for option, field in _FLAGS.items():
        value = getattr(given, option, None)
        if value is not None:
            document[field] = value
    try:
        return Accuracy.parse(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        raise CommandError(Exit.USAGE, f"policy: {f'{where}: ' if where else ''}{message}") from None


def words(accuracy: Accuracy) -> str:
    """Return a policy in a line."""
    levels = []
    if accuracy.minimum is not None:
        levels.append(f"at least {accuracy.minimum:g}")
    if accuracy.maximum_drop is not None:
        levels.append(f"at most {accuracy.maximum_drop:g} below the predecessor")
    needs = f"from {count(accuracy.minimum_labels, 'label')} on"
    return f"{accuracy.metric} {' and '.join(levels)}, alpha {accuracy.alpha:g}, {needs}"
